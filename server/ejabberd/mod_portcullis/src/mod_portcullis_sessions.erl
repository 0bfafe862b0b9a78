%%% Ends sessions of the banned, on whatever node of the cluster they are. To be called in a process of its own, since the
%%% list of all sessions can be long.
-module(mod_portcullis_sessions).
-export([target/1, kick/3, end_banned/1]).
-export([kick_local/3]).    % called from other nodes
-export_type([target/0]).

-include("xmpp.hrl").
-include("ejabberd_sm.hrl").

%% How long a node may take to go through its sessions.
-define(NODE_MS, 5000).

-type target() :: {account, LUser :: binary(), LServer :: binary()} | {network, mod_portcullis_net:prefix()}.

%% Whom a <kick/> names: one of `account`, `address` and `network`; the last two are the same thing here.
-spec target(xmlel()) -> target() | error.
target(El) ->
    case [mod_portcullis_protocol:attribute(Name, El) || Name <- [<<"account">>, <<"address">>, <<"network">>]] of
        [Account, undefined, undefined] when Account =/= undefined -> account(Account);
        [undefined, Address, undefined] when Address =/= undefined -> network(Address);
        [undefined, undefined, Network] when Network =/= undefined -> network(Network);
        _ -> error
    end.

account(Text) ->
    case mod_portcullis_protocol:named(Text) of
        {User, Server} -> {account, User, Server};
        error -> error
    end.

network(Text) ->
    case mod_portcullis_net:parse(Text) of
        error -> error;
        Prefix -> {network, Prefix}
    end.

%% Returns how many sessions were ended. Each node ends its own, for another node learns of a new session a moment later.
%% Where that fails (a node without this module, or of another version), they are ended from here.
-spec kick(binary(), target(), binary()) -> non_neg_integer().
kick(Host, Target, Text) ->
    revoke_tokens(Host, Target),
    Nodes = ejabberd_cluster:get_nodes(),
    Answers = lists:zip(Nodes, erpc:multicall(Nodes, ?MODULE, kick_local, [Host, Target, Text], ?NODE_MS)),
    Failed = [Node || {Node, Answer} <- Answers, element(1, Answer) =/= ok],
    lists:foldl(fun({_, {ok, Count}}, Sum) -> Sum + Count;
                   (_, Sum) -> Sum
                end, kick_on(Failed, Host, Target, Text), Answers).

%% Since ejabberd 25.07 this hook takes the FAST tokens of the account away. Before, nothing listens to it; a login with
%% such a token is then asked about like any other.
revoke_tokens(Host, {account, User, Host}) -> ejabberd_hooks:run(sm_kick_user, Host, [User, Host]);
revoke_tokens(_, _) -> ok.

-spec kick_local(binary(), target(), binary()) -> non_neg_integer().
kick_local(Host, Target, Text) -> kick_on([node()], Host, Target, Text).

kick_on([], _, _, _) -> 0;
kick_on(Nodes, Host, {account, User, Host}, Text) -> end_sessions(fun(_, _) -> Text end, Nodes, [User], Host);
kick_on(_, _, {account, _, _}, _) -> 0;
kick_on(Nodes, Host, {network, Prefix}, Text) ->
    end_sessions(fun(_, undefined) -> keep;
                    (_, Address) ->
                         case mod_portcullis_net:contains(Prefix, Address) of
                             true -> Text;
                             false -> keep
                         end
                 end, Nodes, users(Host), Host).

%% The sessions of this node that began while the module was not there, by the bans held.
-spec end_banned(binary()) -> non_neg_integer().
end_banned(Host) ->
    end_sessions(fun(User, Address) ->
                         case mod_portcullis_bans:find(Host, check, <<User/binary, $@, Host/binary>>, Address) of
                             {_, Text} -> Text;
                             _ -> keep
                         end
                 end, [node()], users(Host), Host).

users(Host) -> lists:usort([User || {User, _, _} <- ejabberd_sm:get_vh_session_list(Host)]).

%% Judge says for each session with what text to end it, or `keep`.
end_sessions(Judge, Nodes, Users, Host) ->
    lists:foldl(fun(User, Count) -> Count + end_sessions_of(User, Judge, Nodes, Host) end, 0, Users).

end_sessions_of(User, Judge, Nodes, Host) ->
    Sessions = [{Info, Text} || Info <- sessions(User, Host),
                                lists:member(proplists:get_value(node, Info), Nodes),
                                Text <- [Judge(User, address(Info))], Text =/= keep],
    lists:foreach(fun({Info, Text}) -> end_session(Info, Text) end, Sessions),
    length(Sessions).

sessions(User, Host) ->
    case jid:nodeprep(User) of
        User -> [Info || {_, Info} <- ejabberd_sm:get_user_info(User, Host)];
        %% ejabberd_sm would normalise the name again, and find the sessions of another account.
        _ -> [[{node, node(Pid)}, {pid, Pid} | Info] ||
                 #session{us = {Name, Domain}, sid = {_, Pid}, info = Info} <- ejabberd_sm:dirty_get_my_sessions_list(),
                 Name =:= User, Domain =:= Host]
    end.

%% Also ends a session that waits to be resumed: mod_stream_mgmt looks out for stream errors.
end_session(Info, Text) ->
    ok = ejabberd_c2s:send(proplists:get_value(pid, Info), xmpp:serr_policy_violation(Text, <<"en">>)).

address(Info) -> mod_portcullis_net:of_peer(proplists:get_value(ip, Info)).
