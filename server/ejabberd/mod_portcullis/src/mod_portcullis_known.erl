%%% Who logged in from where: the last places of each account, so that its owner is told from strangers. In memory, and
%%% on disk over a restart. The table belongs to mod_portcullis_away, which makes all changes.
-module(mod_portcullis_known).
-export([new/1, add/4, has/3, write_again/2]).

%% Those that logged in last.
-define(MAX_ACCOUNTS, 10000).
%% Of one account, the latest first: nobody's own account pushes out the places of others.
-define(MAX_PLACES, 8).

-type place() :: mod_portcullis_places:subject().

table(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% Rows: {Account, Last, [place()]}. Last: of the clock of the system, which goes on over a restart.
-spec new(binary()) -> mod_portcullis_disk:disk().
new(Host) ->
    Table = ets:new(table(Host), [named_table, protected, set, {read_concurrency, true}]),
    {Disk, Rows} = mod_portcullis_disk:open(Host, known),
    true = ets:insert(Table, [Row || {Account, Last, Places} = Row <- Rows, is_binary(Account), is_integer(Last), is_list(Places)]),
    make_room(Table, Disk).

%% The disk hears only of new places: there, Last is when the last of them came.
-spec add(binary(), binary(), place(), mod_portcullis_disk:disk()) -> mod_portcullis_disk:disk().
add(Host, Account, Place, Disk) ->
    Before = places(Host, Account),
    Places = lists:sublist([Place | lists:delete(Place, Before)], ?MAX_PLACES),
    Row = {Account, erlang:system_time(), Places},
    true = ets:insert(table(Host), Row),
    case lists:member(Place, Before) of
        true -> Disk;
        false -> make_room(table(Host), mod_portcullis_disk:insert(Disk, Row))
    end.

%% When the disk had refused a change and takes it by now.
-spec write_again(binary(), mod_portcullis_disk:disk()) -> mod_portcullis_disk:disk().
write_again(Host, Disk) ->
    case mod_portcullis_disk:is_open(Disk) of
        true -> Disk;
        false -> mod_portcullis_disk:begin_again(Disk, ets:tab2list(table(Host)))
    end.

-spec has(binary(), binary(), place()) -> boolean().
has(Host, Account, Place) -> lists:member(Place, places(Host, Account)).

places(Host, Account) ->
    try ets:lookup_element(table(Host), Account, 3)
    catch error:badarg -> []    % never seen, or the table is just being made
    end.

%% A tenth at a time: finding the oldest goes through all of them.
make_room(Table, Disk) ->
    case ets:info(Table, size) > ?MAX_ACCOUNTS of
        false -> Disk;
        true ->
            Oldest = lists:sort(ets:select(Table, [{{'$1', '$2', '_'}, [], [{{'$2', '$1'}}]}])),
            lists:foldl(fun({_, Account}, D) ->
                                true = ets:delete(Table, Account),
                                mod_portcullis_disk:delete(D, Account)
                        end, Disk, lists:sublist(Oldest, ?MAX_ACCOUNTS div 10))
    end.
