%%% Counts failed logins while portcullis does not: at most so many (option `away_limit`) of one address and of one account
%%% within `away_window`. Logins whose password is just being looked at count as if they would fail.
%%%
%%% One process per virtual host owns the table of failures. A failure is on disk before the client hears of it, so that no
%%% restart, however it comes about, gives anybody more guesses; and it stays there until portcullis was told.
-module(mod_portcullis_away).
-behaviour(gen_server).
-export([start_link/1]).
-export([admit/3, look/3, failed/4, succeeded/3]).
-export([untold/1, told/2, keep/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
-export_type([ordinal/0]).

%% Failures are numbered in their order.
-type ordinal() :: pos_integer().
-type subject() :: mod_portcullis_places:subject().
-record(state, {host :: binary(),
                table :: atom(),
                last = 0 :: non_neg_integer(),
                disk :: mod_portcullis_disk:disk(),
                known :: mod_portcullis_disk:disk(),
                unwritten = [] :: [{gen_server:from(), ordinal()}]}).    % whoever waits until their failure is on disk

%% Rows: {{failure, ordinal()}, When, [subject()], Login}, on disk as well, and for each subject {{subject(), ordinal()}, When}.
%% When: milliseconds since 1970. Login: what has not been reported to portcullis yet, or `told`.
%% So many failures are kept, the newest.
-define(MAX_FAILURES, 10000).
%% So many at most go to disk together.
-define(MAX_TOGETHER, 100).
-define(ANSWER_MS, 5000).
%% Many who come at the same moment from one address, as after a restart of the server, come one after the other.
-define(WAIT_MS, 5000).
-define(SWEEP_MS, 60000).

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

%% The table has the name of its owner.
process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% --- for logins

%% Before a password is looked at: takes a place for address and account, to be left when the outcome is there. Waits where
%% others that may still succeed are in the way.
-spec admit(binary(), binary() | undefined, inet:ip_address() | undefined) -> {counted, [subject()]} | over.
admit(Host, Account, Address) ->
    Subjects = mod_portcullis_places:subjects(Account, Address),
    Limit = limit(Host, Account, Address),
    case mod_portcullis_places:wait_for(Host, attempt, Subjects, fun(Subject) -> Limit - failures(Host, Subject) end, ?WAIT_MS) of
        ok -> {counted, Subjects};
        full -> over
    end.

%% Before a message that decides nothing yet.
-spec look(binary(), binary() | undefined, inet:ip_address() | undefined) -> allow | over.
look(Host, Account, Address) ->
    Limit = limit(Host, Account, Address),
    case lists:any(fun(Subject) -> failures(Host, Subject) >= Limit end, mod_portcullis_places:subjects(Account, Address)) of
        true -> over;
        false -> allow
    end.

%% Guesses of strangers do not keep the owner out.
limit(Host, Account, Address) ->
    case mod_portcullis_places:is_known(Host, Account, Address) of
        true -> 2 * option(Host, away_limit);
        false -> option(Host, away_limit)
    end.

%% Nobody may guess as long as nobody counts: without a table the limit is reached. After a jump of the clock, times in the
%% future are as good as over.
failures(Host, Subject) ->
    Age = {abs, {'-', now_ms(), '$1'}},
    try ets:select_count(process(Host), [{{{Subject, '_'}, '$1'}, [{'<', Age, option(Host, away_window)}], [true]}])
    catch error:badarg -> 2 * option(Host, away_limit)
    end.

%% A password was wrong. Returns when this is on disk. `late`: the disk is slow, and the owner reports the failure itself.
-spec failed(binary(), [binary()], inet:ip_address() | undefined, mod_portcullis_reports:login()) -> ordinal() | none | late.
failed(Host, Accounts, Address, Login) ->
    Subjects = lists:usort(lists:append([mod_portcullis_places:subjects(Account, Address) || Account <- [undefined | Accounts]])),
    try gen_server:call(process(Host), {failed, Subjects, Login}, ?ANSWER_MS)
    catch
        exit:{timeout, _} ->
            gen_server:cast(process(Host), {late, Login}),
            late;
        exit:_ ->
            mod_portcullis_health:note(Host, crash, <<"a failed login could not be counted">>),
            none
    end.

%% Forgives what failed for this account from there, and nothing else: a guesser may have an account as well.
-spec succeeded(binary(), binary() | undefined, inet:ip_address() | undefined) -> ok.
succeeded(Host, Account, Address) ->
    case mod_portcullis_places:subjects(Account, Address) of
        [_, _] = Subjects -> gen_server:cast(process(Host), {succeeded, Subjects});
        _ -> ok
    end.

%% --- for mod_portcullis_reports

%% What portcullis was not told before a restart.
-spec untold(binary()) -> [{ordinal(), mod_portcullis_reports:login()}].
untold(Host) ->
    try ets:select(process(Host), [{{{failure, '$1'}, '_', '_', '$2'}, [{'=/=', '$2', told}], [{{'$1', '$2'}}]}])
    catch error:badarg -> []
    end.

-spec told(binary(), [ordinal()]) -> ok.
told(_, []) -> ok;
told(Host, Numbers) -> gen_server:cast(process(Host), {told, Numbers}).

%% Writes failures to disk, because whoever would have told portcullis of them ends now. Those that were counted here have a
%% number.
-spec keep(binary(), [{ordinal() | none, mod_portcullis_reports:login()}]) -> ok.
keep(_, []) -> ok;
keep(Host, Failures) ->
    try gen_server:call(process(Host), {keep, Failures}, ?ANSWER_MS)
    catch exit:_ -> mod_portcullis_health:note(Host, crash, <<"failed logins could not be kept for portcullis">>)
    end.

%% --- the owner

-spec init(binary()) -> {ok, #state{}}.
init(Host) ->
    process_flag(trap_exit, true),      % so that terminate/2 closes the file
    _ = mod_portcullis_health:watch(Host, ?MODULE),
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
    Known = mod_portcullis_known:new(Host),
    {Disk, Rows} = mod_portcullis_disk:open(Host, away),
    Table = ets:new(process(Host), [named_table, protected, ordered_set, {read_concurrency, true}]),
    Numbers = [put_row(Row, Table) || {{failure, _}, _, _, _} = Row <- Rows],
    {ok, drop_old(#state{host = Host, table = Table, disk = Disk, known = Known, last = lists:max([0 | Numbers])})}.

-spec handle_call(term(), gen_server:from(), #state{}) ->
          {noreply, #state{}} | {noreply, #state{}, 0} | {reply, term(), #state{}}.
handle_call({failed, Subjects, Login}, From, State0) ->
    #state{last = Number, unwritten = Unwritten} = Counted = count(now_ms(), Subjects, Login, State0),
    State = Counted#state{unwritten = [{From, Number} | Unwritten]},
    case length(State#state.unwritten) >= ?MAX_TOGETHER of
        true -> {noreply, sync(State)};
        false -> {noreply, State, 0}        % whatever waits already comes first
    end;
handle_call({keep, Failures}, _From, State) -> {reply, ok, sync(lists:foldl(fun keep_one/2, State, Failures))};
handle_call(_, _From, State) -> {reply, {error, unknown_request}, sync(State)}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({succeeded, [Place, {account, Account} = Subject]}, #state{host = Host, table = Table, known = Known} = State0) ->
    State = State0#state{known = mod_portcullis_known:add(Host, Account, Place, Known)},
    Numbers = ets:select(Table, [{{{Subject, '$1'}, '_'}, [], ['$1']}]),
    {noreply, lists:foldl(fun(Number, S) -> forgive(Number, Place, S) end, sync(State), Numbers)};
%% Whoever waited for this failure gave up. It comes after the failure itself, so that it finds the number.
handle_cast({late, Login}, #state{host = Host, table = Table} = State) ->
    Number = case ets:select(Table, [{{{failure, '$1'}, '_', '_', '$2'}, [{'=:=', '$2', {const, Login}}], ['$1']}]) of
                 [] -> none;        % forgiven, or too many came after it
                 Numbers -> lists:last(Numbers)
             end,
    mod_portcullis_reports:report(Host, Number, Login),
    {noreply, sync(State)};
handle_cast({told, Numbers}, State) -> {noreply, lists:foldl(fun told_one/2, sync(State), Numbers)};
handle_cast(_, State) -> {noreply, sync(State)}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(timeout, State) -> {noreply, sync(State)};
handle_info(sweep, #state{host = Host, known = Known} = State) ->
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
    {noreply, write_again(drop_old(sync(State#state{known = mod_portcullis_known:write_again(Host, Known)})))};
handle_info(_, State) -> {noreply, sync(State)}.

-spec terminate(term(), #state{}) -> ok.
terminate(_, State) ->
    #state{disk = Disk, known = Known} = sync(State),
    mod_portcullis_disk:close(Disk),
    mod_portcullis_disk:close(Known).

sync(#state{unwritten = []} = State) -> State;
sync(#state{disk = Disk, unwritten = Waiting} = State) ->
    Synced = mod_portcullis_disk:sync(Disk),
    lists:foreach(fun({From, Number}) -> gen_server:reply(From, Number) end, Waiting),
    State#state{disk = Synced, unwritten = []}.

count(When, Subjects, Login, #state{last = Last} = State) ->
    make_room(insert({{failure, Last + 1}, When, Subjects, Login}, State#state{last = Last + 1})).

keep_one({none, {_, Attributes} = Login}, #state{host = Host} = State) ->
    Address = case proplists:get_value(<<"address">>, Attributes) of
                  undefined -> undefined;
                  Text -> mod_portcullis_net:address(Text)
              end,
    Subjects = mod_portcullis_places:subjects(proplists:get_value(<<"account">>, Attributes), Address),
    count(happened(Host, Login), Subjects, Login, State);
keep_one({Number, {told, _} = Login}, State) -> change_login(Number, Login, State);
keep_one(_, State) -> State.        % on disk as it is

%% When a login failed, by our clock now: neither in the future nor before the window, whatever a clock did meanwhile.
happened(Host, Login) ->
    Now = now_ms(),
    When = case Login of
               {told, Attributes} ->
                   case mod_portcullis_protocol:milliseconds(proplists:get_value(<<"at">>, Attributes)) of
                       undefined -> Now;
                       At -> At + mod_portcullis_bans:skew(Host)
                   end;
               {Ms, _} -> Ms
           end,
    max(Now - option(Host, away_window), min(Now, When)).

%% It is gone if it was forgiven, or if too many came after it.
change_login(Number, Login, #state{table = Table} = State) ->
    case ets:lookup(Table, {failure, Number}) of
        [Row] -> insert(setelement(4, Row, Login), State);
        [] -> State
    end.

put_row({{failure, Number}, When, Subjects, _} = Row, Table) ->
    true = ets:insert(Table, [Row | [{{Subject, Number}, When} || Subject <- Subjects]]),
    Number.

insert(Row, #state{table = Table, disk = Disk} = State) ->
    _ = put_row(Row, Table),
    State#state{disk = mod_portcullis_disk:insert(Disk, Row)}.

remove(Number, #state{table = Table, disk = Disk} = State) ->
    [{Key, _, Subjects, _}] = ets:take(Table, {failure, Number}),
    lists:foreach(fun(Subject) -> ets:delete(Table, {Subject, Number}) end, Subjects),
    State#state{disk = mod_portcullis_disk:delete(Disk, Key)}.

forgive(Number, Place, #state{table = Table} = State) ->
    case lists:member(Place, ets:lookup_element(Table, {failure, Number}, 3)) of
        true -> remove(Number, State);
        false -> State
    end.

told_one(Number, State) -> change_login(Number, told, State).

%% Failures that portcullis was told of and that count no more.
drop_old(#state{host = Host, table = Table} = State) ->
    Age = {abs, {'-', now_ms(), '$2'}},
    Old = ets:select(Table, [{{{failure, '$1'}, '$2', '_', told}, [{'>=', Age, option(Host, away_window)}], ['$1']}]),
    lists:foldl(fun remove/2, State, Old).

%% Failures are the first rows of the table, for the atom `failure` is less than any tuple.
make_room(#state{table = Table, last = Last} = State) ->
    case ets:next(Table, {failure, 0}) of
        {failure, Oldest} when Last - Oldest >= ?MAX_FAILURES -> make_room(remove(Oldest, State));
        _ -> State
    end.

write_again(#state{table = Table, disk = Disk} = State) ->
    case mod_portcullis_disk:is_open(Disk) of
        true -> State;
        false ->
            Rows = ets:match_object(Table, {{failure, '_'}, '_', '_', '_'}),
            State#state{disk = mod_portcullis_disk:begin_again(Disk, Rows)}
    end.

now_ms() -> mod_portcullis_protocol:now_ms().

option(Host, Name) -> gen_mod:get_module_opt(Host, mod_portcullis, Name).
