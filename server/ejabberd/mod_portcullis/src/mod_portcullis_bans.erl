%%% The bans that this node knows of. They decide about logins while portcullis is away or silent.
%%%
%%% An ETS table serves the logins: find/4 reads it in the process of the client. A dets file keeps the same rows, so that
%%% they are there again after a restart of the module or the server. It is a dets file because a change then costs its
%%% own size, because a file that was not closed is repaired when it is opened, and because a Mnesia table would have to be
%%% dealt with whenever a node joins or leaves a cluster. Each node has its own, for each node asks for itself.
%%%
%%% One process per virtual host owns both and makes all changes; mod_portcullis_sync tells it which. It does nothing else,
%%% so that a fault in the exchange with portcullis cannot take the table away. In ejabberd#4211 mod_fail2ban has lost its
%%% table, and lets everybody in without a word.
-module(mod_portcullis_bans).
-behaviour(gen_server).
-export([start_link/1]).
-export([find/4, mark/1, count/1]).
-export([store/3, keep_only/2, set_mark/2, ensure_table/1]).
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

-type dets_name() :: {module(), binary()}.

-record(state, {host :: binary(),
                table :: atom(),
                disk :: {open, dets_name()} | {closed, Why :: binary()},
                lengths = #{} :: lengths()}).

%% Rows: {subject(), until(), AtStart, Text, generation()}, {mark, mark()} and, in memory only, {lengths, [Length]}.
-define(SWEEP_MS, 60000).

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% The table has the name of its owner.
table(Host) -> process(Host).

%% --- for anybody: read from the table

%% Which ban refuses this login? At `start` the account is not known yet, and only bans that may refuse there count.
%% `missing`: there is no table at the moment.
-spec find(binary(), start | check, binary() | undefined, inet:ip_address() | undefined) ->
          {account | address | network | pair, Text :: binary()} | none | missing.
find(Host, Stage, Account, Address) ->
    Table = table(Host),
    try ets:lookup_element(Table, lengths, 2) of
        Lengths -> first_ban(subjects(Stage, Account, Address, Lengths), Stage, Table, mod_portcullis_protocol:now_ms())
    catch error:badarg -> missing
    end.

first_ban([], _, _, _) -> none;
first_ban([Subject | More], Stage, Table, Now) ->
    case ets:lookup(Table, Subject) of
        [{_, Until, AtStart, Text, _}] when Until > Now, Stage =:= check orelse AtStart -> {element(1, Subject), Text};
        _ -> first_ban(More, Stage, Table, Now)
    end.

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
        Size -> Size - length([Key || Key <- [mark, lengths], ets:member(table(Host), Key)])
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

%% --- for a login that found no table

-spec ensure_table(binary()) -> ok.
ensure_table(Host) -> gen_server:cast(process(Host), ensure_table).

%% --- the owner

-spec init(binary()) -> {ok, #state{}}.
init(Host) ->
    process_flag(trap_exit, true),      % so that terminate/2 closes the file
    Start = mod_portcullis_health:watch(Host, ?MODULE),
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
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
    State1 = write(fun(Disk) -> dets:insert(Disk, {mark, Mark}) end, State),
    {ok, write(fun dets:sync/1, State1)};
change(_, State) -> {{error, unknown_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(ensure_table, State) -> {noreply, with_table(State)};
handle_cast(_, State) -> {noreply, State}.

%% Bans that are over refuse nobody; removing them frees their memory. A file that cannot be written is told again, since
%% mod_portcullis_health forgets.
-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(sweep, State0) ->
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
    State = with_table(State0),
    tell_disk(State),
    Now = mod_portcullis_protocol:now_ms(),
    Over = ets:select(State#state.table, [{{'$1', '$2', '_', '_', '_'}, [{'=<', '$2', Now}], ['$1']}]),
    {noreply, lists:foldl(fun remove/2, State, Over)};
handle_info(_, State) -> {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_, State) -> close(State).

%% --- opening

%% The table is gone although its owner lives: somebody deleted it by hand. The file still has all of it.
with_table(#state{host = Host, table = Table} = State) ->
    case ets:info(Table, owner) =:= self() of
        true -> State;
        false ->
            close(State),
            mod_portcullis_health:note(Host, table, <<"the table of held bans was gone and was made anew">>),
            State1 = open(Host),
            mod_portcullis_sync:greet(Host),
            State1
    end.

open(Host) ->
    Table = ets:new(table(Host), [named_table, protected, set, {read_concurrency, true}]),
    {Disk, Rows} = open_disk(Host),
    State = #state{host = Host, table = Table, disk = Disk},
    tell_disk(State),
    load(Rows, Table),
    publish_lengths(State#state{lengths = count_lengths(Table)}).

%% Rows that this version does not know are left alone.
load(Rows, Table) ->
    lists:foreach(fun({_, _, _, _, _} = Row) -> ets:insert(Table, Row);
                     ({mark, _} = Row) -> ets:insert(Table, Row);
                     (_) -> false
                  end, Rows).

%% The file and what is in it. A file that cannot be read is put aside, and a new one begun: a crash here would keep the
%% server from starting.
open_disk(Host) ->
    File = filename:join(mnesia:system_info(directory), "portcullis-held-" ++ binary_to_list(Host) ++ ".dets"),
    case read_file(Host, File) of
        {ok, Disk, Rows} -> {{open, Disk}, Rows};
        {error, Reason} ->
            Aside = File ++ ".unreadable",
            _ = file:rename(File, Aside),
            note(Host, text("the held bans on disk could not be read (~0p); the file is now ~ts", [Reason, Aside])),
            {open_new(Host, File), []}
    end.

%% dets opens a file that was closed in order without a look at its rows. Damage shows when they are read: as an error, as
%% an exception, or because there are fewer than the file itself counts.
read_file(Host, File) ->
    case open_file(Host, File) of
        {ok, Disk} ->
            try {dets:match_object(Disk, '_'), dets:info(Disk, size)} of
                {Rows, Size} when length(Rows) =:= Size -> {ok, Disk, Rows};
                {{error, Reason}, _} -> unreadable(Disk, Reason);
                {Rows, Size} -> unreadable(Disk, {rows_missing, Size - length(Rows)})
            catch error:Reason -> unreadable(Disk, Reason)
            end;
        {error, Reason} -> {error, Reason}
    end.

unreadable(Disk, Reason) ->
    _ = dets:close(Disk),
    {error, Reason}.

open_new(Host, File) ->
    case open_file(Host, File) of
        {ok, Disk} -> {open, Disk};
        {error, Reason} -> {closed, text("held bans cannot be written to ~ts (~0p): a restart forgets them", [File, Reason])}
    end.

open_file(Host, File) -> dets:open_file({?MODULE, Host}, [{file, File}, {type, set}, {auto_save, 5000}]).

tell_disk(#state{disk = {open, _}}) -> ok;
tell_disk(#state{host = Host, disk = {closed, Why}}) -> note(Host, Why).

note(Host, Text) -> mod_portcullis_health:note(Host, disk, Text).

text(Format, Args) -> unicode:characters_to_binary(io_lib:format(Format, Args)).

close(#state{disk = {closed, _}}) -> ok;
close(#state{disk = {open, Disk}}) ->
    _ = dets:close(Disk),
    ok.

%% When the disk refuses a change, no more is written: the file then ends with a mark that is true, and after a restart
%% portcullis is asked for everything since. The bans in memory hold all the same.
write(_, #state{disk = {closed, _}} = State) -> State;
write(Do, #state{disk = {open, Disk}} = State) ->
    case Do(Disk) of
        ok -> State;
        {error, Reason} ->
            close(State),
            Closed = State#state{disk = {closed, text("held bans can no longer be written to disk (~0p)", [Reason])}},
            tell_disk(Closed),
            Closed
    end.

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
    State1 = write(fun(Disk) -> dets:insert(Disk, Row) end, State),
    case New of
        true -> count_length(element(1, Row), 1, State1);
        false -> State1
    end.

remove(Subject, #state{table = Table} = State) ->
    case ets:take(Table, Subject) of
        [] -> State;
        _ ->
            count_length(Subject, -1, write(fun(Disk) -> dets:delete(Disk, Subject) end, State))
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
