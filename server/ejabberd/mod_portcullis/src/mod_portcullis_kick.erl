%%% Ends sessions, on whatever node of the cluster they are. Runs in a process of its own: a list of all sessions can be long.
-module(mod_portcullis_kick).
-export([who/1, kick/3, held/1, on_nodes/4]).

-include("xmpp.hrl").

%% How long one node may take to go through its sessions.
-define(NODE_MS, 5000).

-type who() :: {account, #jid{}} | {net, bitstring(), 32 | 128}.

%% What a <kick/> names; `address` and `network` are the same thing here.
-spec who(#xmlel{}) -> who() | error.
who(El) ->
    case [mod_portcullis_wire:attr(A, El) || A <- [<<"account">>, <<"address">>, <<"network">>]] of
        [undefined, undefined, undefined] -> error;
        [undefined, undefined, Network] -> net(Network);
        [undefined, Address, undefined] -> net(Address);
        [Account, undefined, undefined] ->
            try jid:decode(Account) of
                #jid{luser = U} = J when U =/= <<>> -> {account, J};
                _ -> error
            catch _:_ -> error
            end;
        _ -> error
    end.

net(Text) ->
    case mod_portcullis_wire:network(Text) of
        {Bits, Full} -> {net, Bits, Full};
        error -> error
    end.

%% How many streams were ended. Each node ends its own: another node hears of a new session a moment later. The sessions
%% of a node that does not answer (it has no such module, say) are ended from here.
-spec kick(binary(), who(), binary()) -> non_neg_integer().
kick(Host, Who, Text) ->
    revoke(Host, Who),
    Nodes = ejabberd_cluster:get_nodes(),
    Counts = [{N, count(rpc:call(N, ?MODULE, on_nodes, [Host, Who, Text, [N]], ?NODE_MS))} || N <- Nodes],
    Mute = [N || {N, mute} <- Counts],
    lists:sum([C || {_, C} <- Counts, C =/= mute]) + case Mute of [] -> 0; _ -> on_nodes(Host, Who, Text, Mute) end.

count(N) when is_integer(N) -> N;
count(_) -> mute.

%% Since 25.07 this takes the FAST tokens away. Before, nobody listens; such a login is asked about all the same.
revoke(Host, {account, #jid{luser = User, lserver = Host}}) -> ejabberd_hooks:run(sm_kick_user, Host, [User, Host]);
revoke(_, _) -> ok.

on_nodes(Host, {account, #jid{luser = User, lserver = Host}}, Text, Nodes) ->
    length([stop(Info, Text) || {_, Info} <- ejabberd_sm:get_user_info(User, Host), on(Info, Nodes)]);
on_nodes(_, {account, _}, _, _) -> 0;
on_nodes(Host, {net, Bits, Full}, Text, Nodes) ->
    each(Host, fun(_, Info) -> on(Info, Nodes) andalso within(address(Info), Bits, Full) andalso stop(Info, Text) end).

on(Info, Nodes) -> lists:member(node(proplists:get_value(pid, Info)), Nodes).

%% After a start: sessions that came in while nobody looked, by the bans held.
held(Host) ->
    each(Host, fun(User, Info) ->
                       Account = <<User/binary, $@, Host/binary>>,
                       case on(Info, [node()]) andalso mod_portcullis_held:find(Host, check, Account, address(Info)) of
                           {_, Text} -> stop(Info, Text);
                           _ -> false
                       end
               end).

each(Host, Do) ->
    Users = lists:usort([U || {U, _, _} <- ejabberd_sm:get_vh_session_list(Host)]),
    length([1 || U <- Users, {_, Info} <- ejabberd_sm:get_user_info(U, Host), Do(U, Info) =:= true]).

%% Also ends a session that waits to be resumed: mod_stream_mgmt looks out for stream errors.
stop(Info, Text) ->
    ejabberd_c2s:send(proplists:get_value(pid, Info), xmpp:serr_policy_violation(Text, <<"en">>)),
    true.

address(Info) ->
    case proplists:get_value(ip, Info) of
        {A, _} -> mod_portcullis_wire:address(A);
        _ -> undefined
    end.

within(undefined, _, _) -> false;
within(Address, Bits, Full) ->
    Length = bit_size(Bits),
    case mod_portcullis_wire:network(mod_portcullis_wire:address_text(Address)) of
        {<<Bits:Length/bitstring, _/bitstring>>, Full} -> true;
        _ -> false
    end.
