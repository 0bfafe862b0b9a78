%%% The bans this node holds: looked at when portcullis is away or silent. A table in memory for the logins, and the same
%%% rows on disk, so that neither restart_module nor a restart of the server forgets a ban while nobody can be asked.
%%%
%%% On disk it is a dets file of the node's spool folder: a change costs its own size (a term written whole would cost
%%% all of them), a crash is repaired when it is opened, and it stays out of the Mnesia schema, where a table would have
%%% to be dealt with when a node joins or leaves a cluster. Each node has its own, since each node asks for itself.
%%%
%%% Only mod_portcullis_link (the owner) changes anything; find/4 is called by every login. Start reading there.
-module(mod_portcullis_held).
-export([find/4, seen_seq/1, table/1]).
-export([open/1, close/1, missing/1, put/3, drop/2, keep_only/2, over/2, mark/2, mark/1, count/1, has/2]).
-export_type([held/0]).

-record(held, {table, disk, prefixes = #{}, on_disk = true}).
-opaque held() :: #held{}.

%% {Key, Until, AtStart, Text, Generation}; keys: {account, A}, {address, Bits, 32|128}, {network, Bits, 32|128} and
%% {pair, A, Bits, 32|128}, where Bits is as long as the prefix.
-define(MARK, mark).
-define(PREFIXES, prefixes).

table(Host) -> gen_mod:get_module_proc(Host, mod_portcullis_held).

%% What stands against this login? At `start` the account is not known yet, and only bans that say so count.
-spec find(binary(), start | check, binary() | undefined, tuple() | undefined) ->
          none | missing | {account | address | network | pair, binary()}.
find(Host, Stage, Account, Address) ->
    Table = table(Host),
    try ets:lookup(Table, ?PREFIXES) of
        [{_, Prefixes}] ->
            Now = mod_portcullis_wire:now_ms(),
            Keys = case Stage of
                       start -> net_keys(undefined, Address, Prefixes);
                       check -> [{account, Account} || Account =/= undefined] ++ net_keys(Account, Address, Prefixes)
                   end,
            first(Table, Stage, Now, Keys);
        [] -> missing
    catch error:badarg -> missing
    end.

first(_, _, _, []) -> none;
first(Table, Stage, Now, [Key | More]) ->
    case ets:lookup(Table, Key) of
        [{_, Until, AtStart, Text, _}] when Until > Now, (Stage =:= check orelse AtStart) -> {element(1, Key), Text};
        _ -> first(Table, Stage, Now, More)
    end.

net_keys(_, undefined, _) -> [];
net_keys(Account, Address, Prefixes) ->
    {Bits, Full} = mod_portcullis_wire:network(mod_portcullis_wire:address_text(Address)),
    lists:flatmap(
      fun({Kind, F, Length}) when F =:= Full ->
              <<Head:Length/bitstring, _/bitstring>> = Bits,
              case Kind of
                  pair -> [{pair, Account, Head, Full} || Account =/= undefined];
                  _ -> [{Kind, Head, Full}]
              end;
         (_) -> []
      end, Prefixes).

%% The sequence number the table stands at, without asking its owner.
seen_seq(Host) ->
    try ets:lookup(table(Host), ?MARK) of
        [{_, {_, Seq}}] -> Seq;
        _ -> 0
    catch error:badarg -> 0
    end.

%% --- for the owner

%% Never crashes: a table on disk that cannot be read is put aside, and the sentence says so.
-spec open(binary()) -> {held(), ok | binary()}.
open(Host) ->
    Table = table(Host),
    case ets:info(Table, owner) of
        undefined -> ets:new(Table, [named_table, protected, set, {read_concurrency, true}]);
        Owner when Owner =:= self() -> ok
    end,
    {Disk, OnDisk, Said} = open_disk(Host),
    Held = #held{table = Table, disk = Disk, on_disk = OnDisk},
    [ets:insert(Table, Row) || OnDisk, Row <- dets:match_object(Disk, '_')],
    {prefixes(Held#held{prefixes = count_prefixes(Table)}), Said}.

open_disk(Host) ->
    Name = {?MODULE, Host},
    File = filename:join(mnesia:system_info(directory), "portcullis-held-" ++ binary_to_list(Host) ++ ".dets"),
    Open = fun() -> dets:open_file(Name, [{file, File}, {type, set}, {auto_save, 5000}]) end,
    case Open() of
        {ok, Name} -> {Name, true, ok};
        {error, Why} ->
            Aside = File ++ ".unreadable",
            _ = file:rename(File, Aside),
            Said = iolist_to_binary(io_lib:format("the held bans on disk could not be read (~0p); the file is now ~ts", [Why, Aside])),
            case Open() of
                {ok, Name} -> {Name, true, Said};
                {error, Again} ->
                    {Name, false, iolist_to_binary(io_lib:format("held bans cannot be written to ~ts (~0p): a restart forgets them", [File, Again]))}
            end
    end.

close(#held{disk = Disk, on_disk = true}) -> dets:close(Disk);
close(_) -> ok.

missing(#held{table = Table}) -> ets:info(Table, owner) =/= self().

put(Key, {Until, AtStart, Text, Generation}, #held{table = T} = H) ->
    Row = {Key, Until, AtStart, Text, Generation},
    New = ets:insert_new(T, Row),
    New orelse ets:insert(T, Row),
    disk(H, fun(D) -> dets:insert(D, Row) end),
    if New -> counted(Key, 1, H); true -> H end.

drop(Key, #held{table = T} = H) ->
    case ets:take(T, Key) of
        [] -> H;
        _ ->
            disk(H, fun(D) -> dets:delete(D, Key) end),
            counted(Key, -1, H)
    end.

%% The end of a fresh list: what it did not name is over.
keep_only(Generation, #held{table = T} = H) ->
    lists:foldl(fun drop/2, H, ets:select(T, [{{'$1', '_', '_', '_', '$2'}, [{'=/=', '$2', {const, Generation}}], ['$1']}])).

%% Bans whose time is over. Nobody is refused by them; this only gives the memory back.
over(Now, #held{table = T} = H) ->
    lists:foldl(fun drop/2, H, ets:select(T, [{{'$1', '$2', '_', '_', '_'}, [{'=<', '$2', Now}], ['$1']}])).

%% Epoch and sequence number: up to where this table is complete. Written after the rows it speaks of.
mark(#held{table = T}) ->
    case ets:lookup(T, ?MARK) of
        [{_, Mark}] -> Mark;
        [] -> none
    end.

mark(Mark, #held{table = T} = H) ->
    ets:insert(T, {?MARK, Mark}),
    disk(H, fun(D) -> ok = dets:insert(D, {?MARK, Mark}), dets:sync(D) end),
    H.

count(#held{table = T}) -> ets:info(T, size) - length([K || K <- [?MARK, ?PREFIXES], ets:member(T, K)]).

has(Key, #held{table = T}) -> ets:member(T, Key).

disk(#held{on_disk = false}, _) -> ok;
disk(#held{disk = D}, Do) -> Do(D).

%% --- which prefix lengths there are, so that a login looks up those alone

counted(Key, By, #held{prefixes = Ps} = H) ->
    case prefix(Key) of
        none -> H;
        P ->
            N = maps:get(P, Ps, 0) + By,
            H1 = H#held{prefixes = if N > 0 -> Ps#{P => N}; true -> maps:remove(P, Ps) end},
            case maps:is_key(P, Ps) =:= (N > 0) of
                true -> H1;
                false -> prefixes(H1)
            end
    end.

prefixes(#held{table = T, prefixes = Ps} = H) ->
    ets:insert(T, {?PREFIXES, lists:sort(fun longest_first/2, maps:keys(Ps))}),
    H.

longest_first({_, _, A}, {_, _, B}) -> A >= B.

count_prefixes(Table) ->
    ets:foldl(fun({Key, _, _, _, _}, Ps) ->
                      case prefix(Key) of
                          none -> Ps;
                          P -> maps:update_with(P, fun(N) -> N + 1 end, 1, Ps)
                      end;
                 (_, Ps) -> Ps
              end, #{}, Table).

prefix({pair, _, Bits, Full}) -> {pair, Full, bit_size(Bits)};
prefix({account, _}) -> none;
prefix({Kind, Bits, Full}) -> {Kind, Full, bit_size(Bits)}.
