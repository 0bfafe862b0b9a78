%%% The bans that this node knows of. They decide about logins while portcullis is away.
%%%
%%% An ETS table serves the logins: find/4 reads it in the process of the client. mod_portcullis_disk keeps the same rows.
%%% Each node has its own, for each node asks for itself.
%%%
%%% One process per virtual host owns both and makes all changes; mod_portcullis_sync tells it which. It does nothing else,
%%% so that a fault in the exchange with portcullis cannot take the table away. In ejabberd#4211 mod_fail2ban has lost its
%%% table, and lets everybody in without a word.
-module(mod_portcullis_bans).
-behaviour(gen_server).
-export([start_link/1]).
-export([find/4, mark/1, count/1, skew/1]).
-export([confirm/4, confirmed/3, doubt_confirmed/1]).
-export([store/3, keep_only/2, set_mark/2, set_skew/2, ensure_table/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
-export_type([subject/0, change/0, mark/0, generation/0]).

%% Whom a ban is about. The bit string is as long as the prefix of the network.
-type subject() :: {account, binary()}
                 | {address | network, bitstring(), mod_portcullis_net:family()}
                 | {pair, binary(), bitstring(), mod_portcullis_net:family()}.
%% Milliseconds since 1970. The atom compares greater than any number.
-type until() :: integer() | infinity.
%% `AtStart`: may be refused when the stream starts, before anybody says who they are.
-type change() :: {ban, subject(), until(), AtStart :: boolean(), Text :: binary()} | {lift, subject()}.
%% Epoch and sequence number of portcullis: the table holds all changes up to here.
-type mark() :: {Epoch :: binary(), Seq :: integer()}.
%% Names the complete list that a ban came with; `none`: it came by itself.
-type generation() :: binary() | none.
%% Which kinds of subjects with which prefix lengths there are, so that a login looks up those alone.
-type lengths() :: #{{address | network | pair, mod_portcullis_net:family(), non_neg_integer()} => pos_integer()}.

-record(state, {host :: binary(),
                table :: atom(),
                disk :: mod_portcullis_disk:disk(),
                lengths = #{} :: lengths()}).

%% Rows: {subject(), until(), AtStart, Text, generation()}, {mark, mark()}, {skew, Ms} and, in memory only,
%% {lengths, [Length]}.
-define(SWEEP_MS, 60000).
%% How long portcullis is not asked again after it refused somebody by a ban that is held here as well.
-define(CONFIRMED_MS, 2000).
%% When there are more confirmations, all of them are forgotten, and portcullis is asked again.
-define(MAX_CONFIRMED, 10000).
%% Clocks that differ by less are taken for the same.
-define(SAME_TIME_MS, 1000).

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% The table has the name of its owner.
table(Host) -> process(Host).

%% Rows {confirmation/2, Monotonic}. Written by clients.
confirmations(Host) -> gen_mod:get_module_proc(Host, mod_portcullis_confirmed).

%% --- for anybody: read from the table

%% Which ban refuses this login? At `start` the account is not known yet, and only bans that may refuse there count.
%% `missing`: there is no table at the moment.
-spec find(binary(), start | check, binary() | undefined, inet:ip_address() | undefined) ->
          {account | address | network | pair, Text :: binary()} | none | missing.
find(Host, Stage, Account, Address) ->
    Table = table(Host),
    try ets:lookup_element(Table, lengths, 2) of
        Lengths ->
            Refuses = fun(_, AtStart) -> Stage =:= check orelse AtStart end,
            case first_ban(subjects(Stage, Account, Address, Lengths), Refuses, Table, now_ms(Host)) of
                {Subject, Text} -> {element(1, Subject), Text};
                none -> none
            end
    catch error:badarg -> missing
    end.

first_ban([], _, _, _) -> none;
first_ban([Subject | More], Refuses, Table, Now) ->
    case ets:lookup(Table, Subject) of
        [{_, Until, AtStart, Text, _}] when Until > Now ->
            case Refuses(Subject, AtStart) of
                true -> {Subject, Text};
                false -> first_ban(More, Refuses, Table, Now)
            end;
        _ -> first_ban(More, Refuses, Table, Now)
    end.

%% portcullis' clock: bans end by it.
now_ms(Host) -> mod_portcullis_protocol:now_ms() - skew(Host).

subjects(start, _, Address, Lengths) -> networks(undefined, Address, Lengths);
subjects(check, undefined, Address, Lengths) -> networks(undefined, Address, Lengths);
subjects(check, Account, Address, Lengths) -> [{account, Account} | networks(Account, Address, Lengths)].

networks(_, undefined, _) -> [];
networks(Account, Address, Lengths) ->
    {Bits, Family} = mod_portcullis_net:bits(Address),
    [network(Kind, Account, Bits, Family, Length)
     || {Kind, F, Length} <- Lengths, F =:= Family, Kind =/= pair orelse Account =/= undefined].

network(Kind, Account, Bits, Family, Length) ->
    <<Prefix:Length/bitstring, _/bitstring>> = Bits,
    case Kind of
        pair -> {pair, Account, Prefix, Family};
        _ -> {Kind, Prefix, Family}
    end.

%% portcullis has just refused this login, by a ban of this kind. A held ban that refuses everybody it is about then speaks
%% for portcullis for a while. Not for longer: an exemption that portcullis was given later is not told to the module.
-spec confirm(binary(), binary() | undefined, inet:ip_address() | undefined, binary() | undefined) -> ok.
confirm(Host, Account, Address, By) ->
    case ban_of_everybody(Host, Account, Address) of
        {Subject, _} ->
            case atom_to_binary(element(1, Subject), utf8) of
                By ->
                    Table = confirmations(Host),
                    ets:info(Table, size) < ?MAX_CONFIRMED orelse ets:delete_all_objects(Table),
                    true = ets:insert(Table, {confirmation(Subject, Address), erlang:monotonic_time(millisecond)}),
                    ok;
                _ -> ok
            end;
        none -> ok
    end.

%% A held ban by which portcullis has refused a moment ago.
-spec confirmed(binary(), binary() | undefined, inet:ip_address() | undefined) -> {account | address | network, Text :: binary()} | none.
confirmed(Host, Account, Address) ->
    case ban_of_everybody(Host, Account, Address) of
        {Subject, Text} ->
            Since = erlang:monotonic_time(millisecond) - ?CONFIRMED_MS,
            case ets:lookup(confirmations(Host), confirmation(Subject, Address)) of
                [{_, When}] when When > Since -> {element(1, Subject), Text};
                _ -> none
            end;
        none -> none
    end.

%% Of a ban of addresses portcullis may exempt one of them: what it says about another does not count there.
-spec confirmation(subject(), inet:ip_address() | undefined) -> subject() | {subject(), inet:ip_address() | undefined}.
confirmation({account, _} = Subject, _) -> Subject;
confirmation(Subject, Address) -> {Subject, Address}.

%% The bans of portcullis have changed.
-spec doubt_confirmed(binary()) -> ok.
doubt_confirmed(Host) ->
    case ets:whereis(confirmations(Host)) of
        undefined -> ok;
        Table ->
            true = ets:delete_all_objects(Table),
            ok
    end.

%% Those that spare nobody: of accounts, and of addresses and networks where the start of a stream may be refused.
ban_of_everybody(Host, Account, Address) ->
    Table = table(Host),
    try ets:lookup_element(Table, lengths, 2) of
        Lengths ->
            SparesNobody = fun(Subject, AtStart) -> AtStart orelse element(1, Subject) =:= account end,
            first_ban(subjects(check, Account, Address, Lengths), SparesNobody, Table, now_ms(Host))
    catch error:badarg -> none
    end.

-spec mark(binary()) -> mark() | none.
mark(Host) ->
    try ets:lookup(table(Host), mark) of
        [{_, Mark}] -> Mark;
        [] -> none
    catch error:badarg -> none
    end.

-spec count(binary()) -> non_neg_integer().
count(Host) ->
    case ets:info(table(Host), size) of
        undefined -> 0;
        Size -> Size - length([Key || Key <- [mark, skew, lengths], ets:member(table(Host), Key)])
    end.

%% By how many milliseconds the clock of this node is ahead of portcullis'.
-spec skew(binary()) -> integer().
skew(Host) ->
    try ets:lookup_element(table(Host), skew, 2)
    catch error:badarg -> 0
    end.

%% --- for mod_portcullis_sync: asks the owner. A slow disk is waited for, since nothing can go on without it.

%% Returns how many bans found no room (option max_held).
-spec store(binary(), generation(), [change()]) -> non_neg_integer().
store(Host, Generation, Changes) -> gen_server:call(process(Host), {store, Generation, Changes}, infinity).

%% The end of a complete list: removes all bans that it did not name.
-spec keep_only(binary(), generation()) -> ok.
keep_only(Host, Generation) -> gen_server:call(process(Host), {keep_only, Generation}, infinity).

%% Written after the changes that it speaks of, and on disk when this returns.
-spec set_mark(binary(), mark()) -> ok.
set_mark(Host, Mark) -> gen_server:call(process(Host), {set_mark, Mark}, infinity).

%% What portcullis' clock says is known anew.
-spec set_skew(binary(), integer()) -> ok.
set_skew(Host, Skew) ->
    case abs(Skew - skew(Host)) < ?SAME_TIME_MS of
        true -> ok;
        false -> gen_server:call(process(Host), {set_skew, Skew}, infinity)
    end.

%% --- for a login that found no table

-spec ensure_table(binary()) -> ok.
ensure_table(Host) -> gen_server:cast(process(Host), ensure_table).

%% --- the owner

-spec init(binary()) -> {ok, #state{}}.
init(Host) ->
    process_flag(trap_exit, true),      % so that terminate/2 closes the file
    Start = mod_portcullis_health:watch(Host, ?MODULE),
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
    _ = ets:new(confirmations(Host), [named_table, public, set, {write_concurrency, true}]),
    State = open(Host),
    Start =:= again andalso mod_portcullis_sync:greet(Host),
    {ok, State}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(Request, _From, State) ->
    {Reply, State1} = change(Request, with_table(State)),
    {reply, Reply, State1}.

change({store, Generation, Changes}, State) ->
    Max = gen_mod:get_module_opt(State#state.host, mod_portcullis, max_held),
    lists:foldl(fun(Change, {Refused, S}) -> apply_change(Change, Generation, Max, Refused, S) end, {0, State}, Changes);
change({keep_only, Generation}, #state{table = Table} = State) ->
    Others = ets:select(Table, [{{'$1', '_', '_', '_', '$2'}, [{'=/=', '$2', {const, Generation}}], ['$1']}]),
    {ok, lists:foldl(fun remove/2, State, Others)};
change({set_mark, Mark}, #state{table = Table} = State) ->
    true = ets:insert(Table, {mark, Mark}),
    {ok, sync(on_disk(State, {mark, Mark}))};
change({set_skew, Skew}, #state{table = Table} = State) ->
    true = ets:insert(Table, {skew, Skew}),
    {ok, on_disk(State, {skew, Skew})};
change(_, State) -> {{error, unknown_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(ensure_table, State) -> {noreply, with_table(State)};
handle_cast(_, State) -> {noreply, State}.

%% Bans that are over refuse nobody; removing them frees their memory. So do old confirmations.
-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(sweep, #state{host = Host} = State0) ->
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
    doubt_confirmed(Host),
    State = write_again(with_table(State0)),
    Now = now_ms(Host),
    Over = ets:select(State#state.table, [{{'$1', '$2', '_', '_', '_'}, [{'=<', '$2', Now}], ['$1']}]),
    {noreply, lists:foldl(fun remove/2, State, Over)};
handle_info(_, State) -> {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_, #state{disk = Disk}) -> mod_portcullis_disk:close(Disk).

%% --- opening

%% The table is gone although its owner lives: somebody deleted it by hand. The file still has all of it.
with_table(#state{host = Host, table = Table, disk = Disk} = State) ->
    case ets:info(Table, owner) =:= self() of
        true -> State;
        false ->
            mod_portcullis_disk:close(Disk),
            mod_portcullis_health:note(Host, table, <<"the table of held bans was gone and was made anew">>),
            State1 = open(Host),
            mod_portcullis_sync:greet(Host),
            State1
    end.

open(Host) ->
    Table = ets:new(table(Host), [named_table, protected, set, {read_concurrency, true}]),
    {Disk, Rows} = mod_portcullis_disk:open(Host, held),
    load(Rows, Table),
    publish_lengths(#state{host = Host, table = Table, disk = Disk, lengths = count_lengths(Table)}).

%% Rows that this version does not know are left alone.
load(Rows, Table) ->
    true = ets:insert(Table, {skew, 0}),
    lists:foreach(fun({_, _, _, _, _} = Row) -> ets:insert(Table, Row);
                     ({Key, _} = Row) when Key =:= mark; Key =:= skew -> ets:insert(Table, Row);
                     (_) -> false
                  end, Rows).

%% The mark comes after all that it speaks of.
write_again(#state{table = Table, disk = Disk} = State) ->
    case mod_portcullis_disk:is_open(Disk) of
        true -> State;
        false ->
            Rows = [Row || Row <- ets:tab2list(Table), element(1, Row) =/= mark, element(1, Row) =/= lengths],
            Again = mod_portcullis_disk:begin_again(Disk, Rows),
            sync(on_disk(State#state{disk = Again}, ets:lookup(Table, mark)))
    end.

on_disk(#state{disk = Disk} = State, Rows) -> State#state{disk = mod_portcullis_disk:insert(Disk, Rows)}.

sync(#state{disk = Disk} = State) -> State#state{disk = mod_portcullis_disk:sync(Disk)}.

%% --- changing

apply_change({lift, Subject}, _, _, Refused, State) -> {Refused, remove(Subject, State)};
apply_change({ban, Subject, Until, AtStart, Text}, Generation, Max, Refused, #state{host = Host, table = Table} = State) ->
    case ets:member(Table, Subject) orelse count(Host) < Max of
        true -> {Refused, insert({Subject, Until, AtStart, Text, Generation}, State)};
        false -> {Refused + 1, State}
    end.

insert(Row, #state{table = Table} = State) ->
    New = not ets:member(Table, element(1, Row)),
    true = ets:insert(Table, Row),
    State1 = on_disk(State, Row),
    case New of
        true -> count_length(element(1, Row), 1, State1);
        false -> State1
    end.

remove(Subject, #state{table = Table, disk = Disk} = State) ->
    case ets:take(Table, Subject) of
        [] -> State;
        _ -> count_length(Subject, -1, State#state{disk = mod_portcullis_disk:delete(Disk, Subject)})
    end.

%% --- which prefix lengths there are

length_of({account, _}) -> none;
length_of({pair, _, Prefix, Family}) -> {pair, Family, bit_size(Prefix)};
length_of({Kind, Prefix, Family}) -> {Kind, Family, bit_size(Prefix)}.

count_lengths(Table) ->
    ets:foldl(fun({Subject, _, _, _, _}, Lengths) -> add_length(length_of(Subject), 1, Lengths);
                 (_, Lengths) -> Lengths
              end, #{}, Table).

count_length(Subject, By, #state{lengths = Before} = State) ->
    Lengths = add_length(length_of(Subject), By, Before),
    case map_size(Lengths) =:= map_size(Before) of
        true -> State#state{lengths = Lengths};
        false -> publish_lengths(State#state{lengths = Lengths})
    end.

add_length(none, _, Lengths) -> Lengths;
add_length(Length, By, Lengths) ->
    case maps:get(Length, Lengths, 0) + By of
        0 -> maps:remove(Length, Lengths);
        N -> Lengths#{Length => N}
    end.

%% The longest prefix first: of two bans the narrower one speaks.
publish_lengths(#state{table = Table, lengths = Lengths} = State) ->
    Longest = lists:sort(fun({_, _, A}, {_, _, B}) -> A >= B end, maps:keys(Lengths)),
    true = ets:insert(Table, {lengths, Longest}),
    State.
