%%% Who logged in from where: the last places of each account, so that its owner is told from strangers. In memory only. The
%%% table belongs to mod_portcullis_away, which makes all changes.
-module(mod_portcullis_known).
-export([new/1, add/3, has/3]).

%% Those that logged in last.
-define(MAX_ACCOUNTS, 10000).
%% Of one account, the latest first: nobody's own account pushes out the places of others.
-define(MAX_PLACES, 8).

-type place() :: mod_portcullis_places:subject().

table(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% Rows: {Account, Last, [place()]}.
-spec new(binary()) -> ok.
new(Host) ->
    _ = ets:new(table(Host), [named_table, protected, set, {read_concurrency, true}]),
    ok.

-spec add(binary(), binary(), place()) -> ok.
add(Host, Account, Place) ->
    Places = lists:sublist([Place | lists:delete(Place, places(Host, Account))], ?MAX_PLACES),
    true = ets:insert(table(Host), {Account, erlang:monotonic_time(), Places}),
    make_room(table(Host)).

-spec has(binary(), binary(), place()) -> boolean().
has(Host, Account, Place) -> lists:member(Place, places(Host, Account)).

places(Host, Account) ->
    try ets:lookup_element(table(Host), Account, 3)
    catch error:badarg -> []    % never seen, or the table is just being made
    end.

%% A tenth at a time: finding the oldest goes through all of them.
make_room(Table) ->
    case ets:info(Table, size) > ?MAX_ACCOUNTS of
        false -> ok;
        true ->
            Oldest = lists:sort(ets:select(Table, [{{'$1', '$2', '_'}, [], [{{'$2', '$1'}}]}])),
            lists:foreach(fun({_, Account}) -> ets:delete(Table, Account) end, lists:sublist(Oldest, ?MAX_ACCOUNTS div 10))
    end.
