%%% What of ejabberd itself refuses a login, besides portcullis: its own ban of an account, an account that does not exist,
%%% an access rule, mod_fail2ban. Also lets an address go that mod_fail2ban holds. To be called in a process of its own,
%%% since it reads storages and asks the other nodes of the cluster.
-module(mod_portcullis_refusals).
-export([beside/1, find/3, unblock/1]).
-export([blocked_here/1, unblock_here/1]).    % called from other nodes

-include("logger.hrl").
-include("xmpp.hrl").

-define(NS_RECORD, <<"jabber:ejabberd:banned">>).
%% The table of mod_fail2ban, on each node: {Address, Failures, Until, MaxFailures}, times in milliseconds since 1970.
-define(FAIL2BAN, failed_auth).
%% How long a node may take to answer.
-define(NODE_MS, 2000).
%% A longer record is told by its reason alone, so that it fits into a stanza.
-define(MAX_RECORD, 8192).

%% What was found of one kind, or that it cannot be told.
-type found() :: {asked, binary(), [xmlel()]} | {not_asked, binary()}.

%% The names of other modules that refuse logins on a virtual host by counting failures.
-spec beside(binary()) -> binary() | undefined.
beside(Host) ->
    case gen_mod:is_loaded(Host, mod_fail2ban) of
        true -> <<"mod_fail2ban">>;
        false -> undefined
    end.

%% Answers <refusals/>. Either User or Address may be `undefined`.
-spec find(binary(), binary() | undefined, inet:ip_address() | undefined) -> xmlel().
find(Host, User, Address) ->
    Found = [account(Host, User) || User =/= undefined]
        ++ [own_ban(Host, User) || User =/= undefined]
        ++ [access(Host, User, Address) || User =/= undefined]
        ++ [fail2ban(Host, User, Address) || Address =/= undefined],
    mod_portcullis_protocol:element(
      <<"refusals">>,
      [{<<"asked">>, words([Name || {asked, Name, _} <- Found])},
       {<<"not-asked">>, words([Name || {not_asked, Name} <- Found])}],
      lists:append([Refusals || {asked, _, Refusals} <- Found])).

words([]) -> undefined;
words(Names) -> iolist_to_binary(lists:join(<<" ">>, Names)).

refusal(By, Attributes) -> refusal(By, Attributes, []).

refusal(By, Attributes, Children) ->
    (mod_portcullis_protocol:child(<<"refusal">>, [{<<"by">>, By} | Attributes]))#xmlel{children = Children}.

%% A storage that fails must not make the rest unknown.
-spec try_to(binary(), fun(() -> found())) -> found().
try_to(Name, Find) ->
    try Find()
    catch Class:Why:Stack ->
            ?WARNING_MSG("Cannot tell ~ts: ~p", [Name, {Class, Why, Stack}]),
            {not_asked, Name}
    end.

%% --- the account

-spec account(binary(), binary()) -> found().
account(Host, User) ->
    try_to(<<"account">>,
           fun() ->
                   case exists(Host, User) of
                       true -> {asked, <<"account">>, []};
                       false -> {asked, <<"account">>, [refusal(<<"no-account">>, [])]};
                       unknown -> {not_asked, <<"account">>}
                   end
           end).

%% ejabberd_auth:user_exists/2 says `false` also when a storage cannot be reached; the other function tells the difference.
%% The names of anonymous and JWT logins exist in their sessions only.
exists(Host, User) ->
    Methods = ejabberd_option:auth_method(Host),
    case ejabberd_auth:user_exists(User, Host) of
        true -> true;
        false ->
            IsSure = not lists:member(anonymous, Methods) andalso not lists:member(jwt, Methods)
                andalso ejabberd_auth:user_exists_in_other_modules(none, User, Host) =:= false,
            case IsSure of
                true -> false;
                false -> unknown
            end
    end.

%% The record that makes ejabberd refuse the account, portcullis' own included: portcullis knows its seal.
-spec own_ban(binary(), binary()) -> found().
own_ban(Host, User) ->
    try_to(<<"ban">>,
           fun() ->
                   case mod_admin_extra:get_ban_details(User, Host) of
                       [] -> {asked, <<"ban">>, []};
                       Details ->
                           Reason = proplists:get_value("reason", Details, <<>>),
                           {asked, <<"ban">>, [refusal(<<"ban">>, [{<<"reason">>, mod_portcullis_protocol:clip(Reason)}],
                                                       record(Host, User))]}
                   end
           end).

record(Host, User) ->
    Query = #xmlel{name = <<"banned">>, attrs = [{<<"xmlns">>, ?NS_RECORD}]},
    case mod_private:get_data(User, Host, [{?NS_RECORD, Query}]) of
        [#xmlel{} = Record] -> [Record || byte_size(fxml:element_to_binary(Record)) =< ?MAX_RECORD];
        _ -> []
    end.

%% The rule of the listeners for clients. It may look at the address: without one it says something about the account only if
%% it lets in a name that nobody has.
-spec access(binary(), binary(), inet:ip_address() | undefined) -> found().
access(Host, User, Address) ->
    try_to(<<"access">>,
           fun() ->
                   Rules = lists:usort([maps:get(access, Options, all)
                                        || {_, ejabberd_c2s, Options} <- ejabberd_option:listen()]),
                   Denied = fun(Name) -> lists:all(fun(Rule) -> denies(Host, Rule, Name, Address) end, Rules) end,
                   case Rules =/= [] andalso Denied(User) of
                       false -> {asked, <<"access">>, []};
                       true ->
                           case Address =/= undefined orelse not Denied(p1_rand:get_string()) of
                               true -> {asked, <<"access">>, [refusal(<<"access">>, [])]};
                               false -> {not_asked, <<"access">>}
                           end
                   end
           end).

denies(Host, Rule, User, undefined) -> acl:match_rule(Host, Rule, #{usr => {User, Host, <<>>}}) =:= deny;
denies(Host, Rule, User, Address) -> acl:match_rule(Host, Rule, #{usr => {User, Host, <<>>}, ip => Address}) =:= deny.

%% --- mod_fail2ban

%% It refuses on the virtual hosts that it is loaded on.
-spec fail2ban(binary(), binary() | undefined, inet:ip_address()) -> found().
fail2ban(Host, User, Address) ->
    Hosts = case User of
                undefined -> ejabberd_option:hosts();
                _ -> [Host]
            end,
    case lists:any(fun(One) -> gen_mod:is_loaded(One, mod_fail2ban) end, Hosts) of
        false -> {asked, <<"mod_fail2ban">>, []};
        true ->
            case on_all_nodes(blocked_here, [Address]) of
                {Ends, []} -> {asked, <<"mod_fail2ban">>, blocked(Address, lists:append(Ends))};
                {Ends, _} ->
                    case lists:append(Ends) of
                        [] -> {not_asked, <<"mod_fail2ban">>};
                        Known -> {asked, <<"mod_fail2ban">>, blocked(Address, Known)}
                    end
            end
    end.

blocked(_, []) -> [];
blocked(Address, Ends) ->
    [refusal(<<"mod_fail2ban">>, [{<<"address">>, mod_portcullis_net:to_text(Address)},
                                  {<<"until">>, mod_portcullis_protocol:timestamp(lists:max(Ends))}])].

%% Until when mod_fail2ban of this node refuses an address. Without its table it refuses nobody (ejabberd issue 4211).
-spec blocked_here(inet:ip_address()) -> [integer()].
blocked_here(Address) -> [Until || {_, Until} <- blocked_of(mod_portcullis_net:bits(Address))].

blocked_of(Prefix) ->
    Now = mod_portcullis_protocol:now_ms(),
    try ets:foldl(fun({Address, Failures, Until, Max}, Blocked) when Failures >= Max, Until > Now ->
                          case mod_portcullis_net:contains(Prefix, Address) of
                              true -> [{Address, Until} | Blocked];
                              false -> Blocked
                          end;
                     (_, Blocked) -> Blocked
                  end, [], ?FAIL2BAN)
    catch error:badarg -> []
    end.

%% Answers <unblock/>: how many addresses of the network mod_fail2ban refused and does no more.
-spec unblock(mod_portcullis_net:prefix()) -> xmlel().
unblock(Prefix) ->
    {Counts, Failed} = on_all_nodes(unblock_here, [Prefix]),
    mod_portcullis_protocol:element(<<"unblocked">>, [{<<"count">>, integer_to_binary(lists:sum(Counts))},
                                                      {<<"not-asked">>, words([<<"mod_fail2ban">> || Failed =/= []])}]).

%% By the function behind `ejabberdctl unban_ip`, which also forgets failures that are not enough yet.
-spec unblock_here(mod_portcullis_net:prefix()) -> non_neg_integer().
unblock_here(Prefix) ->
    Blocked = blocked_of(Prefix),
    case ets:whereis(?FAIL2BAN) of
        undefined -> 0;
        _ ->
            _ = mod_fail2ban:unban(mod_portcullis_net:network_to_text(Prefix)),
            length(Blocked -- blocked_of(Prefix))
    end.

%% --- the cluster

%% The results, and the nodes that gave none: one without this module, or of another version.
on_all_nodes(Function, Arguments) ->
    Nodes = ejabberd_cluster:get_nodes(),
    Answers = lists:zip(Nodes, erpc:multicall(Nodes, ?MODULE, Function, Arguments, ?NODE_MS)),
    {[Result || {_, {ok, Result}} <- Answers], [Node || {Node, Answer} <- Answers, element(1, Answer) =/= ok]}.
