%%% Delivers to portcullis what came of each login. Keeps the outcomes while portcullis is away, up to a bound, the newest.
%%% Refusals and errors tell least and are easy to cause, so they have half of the room at most. Failures that
%%% mod_portcullis_away counted stay longer than all others.
-module(mod_portcullis_reports).
-behaviour(gen_server).
-export([start_link/1]).
-export([login/2, report/3, connections/2, tell_all/2]).
-export_type([outcome/0, login/0]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include("xmpp.hrl").

%% A report may be answered later than a login could wait for.
-define(ANSWER_MS, 10000).
%% So many reports may be unanswered at a time. What happens meanwhile goes together in the next one, so that under load
%% reports become longer and not more.
-define(MAX_UNANSWERED, 4).
%% After a report that could not be delivered.
-define(PAUSE_MS, 1000).

%% A value of `outcome` in docs/hook-protocol.md, 4.
-type outcome() :: success | failure | refused | error.
%% When, by our clock, and the attributes of <login/> without `at`. `told`: once sent, it keeps the `at` by which portcullis
%% knows it again.
-type login() :: {integer(), mod_portcullis_protocol:attributes()} | {told, mod_portcullis_protocol:attributes()}.
%% With its number in mod_portcullis_away, where it is one of those that are counted there.
-type item() :: {mod_portcullis_away:ordinal() | none, login()}.
-type batch() :: {Number :: pos_integer(), [item()]}.

-record(state, {host :: binary(),
                connections :: [pid()],
                queue = queue:new() :: queue:queue(item()),
                queued = 0 :: non_neg_integer(),
                halves = [] :: [[item()]],     % of reports that were refused: one login in them is why
                telling = none :: reference() | none,
                unanswered = #{} :: #{reference() => batch()},
                number = 0 :: non_neg_integer(),
                run :: binary(),        % makes the numbers of reports unique beyond the life of this process
                pause = none :: reference() | none}).

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% One that ends now. Attributes of <login/>, without `outcome` and `at`.
-spec login(outcome(), mod_portcullis_protocol:attributes()) -> login().
login(Outcome, Attributes) ->
    {mod_portcullis_protocol:now_ms(), [{<<"outcome">>, atom_to_binary(Outcome, utf8)} | Attributes]}.

-spec report(binary(), mod_portcullis_away:ordinal() | none, login()) -> ok.
report(Host, Number, Login) -> gen_server:cast(process(Host), {report, {Number, Login}}).

%% Calls mod_portcullis_sync:told_all/2 once nothing waits to be sent any more.
-spec tell_all(binary(), reference()) -> ok.
tell_all(Host, Telling) -> gen_server:cast(process(Host), {tell_all, Telling}).

%% Which processes are the component's connections now.
-spec connections(binary(), [pid()]) -> ok.
connections(Host, Connections) -> gen_server:cast(process(Host), {connections, Connections}).

%% --- gen_server

-spec init(binary()) -> {ok, #state{}, {continue, flush}}.
init(Host) ->
    process_flag(trap_exit, true),      % so that terminate/2 is called
    mod_portcullis_health:watch(Host, ?MODULE) =:= again andalso mod_portcullis_sync:greet(Host),
    State = #state{host = Host, connections = mod_portcullis_protocol:connections(Host), run = p1_rand:get_string()},
    {ok, put_back(mod_portcullis_away:untold(Host), State), {continue, flush}}.

%% The component may have connected before this process began.
-spec handle_continue(flush, #state{}) -> {noreply, #state{}}.
handle_continue(flush, State) -> {noreply, flush(State)}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(_, _From, State) -> {reply, {error, unknown_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({report, Item}, State) -> {noreply, flush(enqueue(Item, State))};
handle_cast({tell_all, Telling}, State) -> {noreply, flush(State#state{telling = Telling})};
handle_cast({connections, Now}, #state{connections = Before} = State) ->
    Same = State#state{connections = Now},
    {noreply, case Before -- Now of
                  [] when Now =:= Before -> flush(Same);
                  [] -> flush(end_pause(Same));
                  _ -> flush(end_pause(take_back_all(Same)))
              end};
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({iq_reply, Reply, Tag}, #state{host = Host, unanswered = Unanswered} = State) when is_map_key(Tag, Unanswered) ->
    {Report, Rest} = maps:take(Tag, Unanswered),
    Answer = mod_portcullis_protocol:answer(Host, Reply),
    {noreply, answered(Answer, Report, State#state{unanswered = Rest})};
handle_info({timeout, Pause, end_pause}, #state{pause = Pause} = State) -> {noreply, flush(State#state{pause = none})};
handle_info(_, State) -> {noreply, State}.

%% When the server stops, the connection of portcullis ends before this process does, and a report that is on its way may not
%% arrive. Its failures are told after the start.
-spec terminate(term(), #state{}) -> ok.
terminate(_, #state{host = Host} = State) ->
    #state{queue = Queue} = take_back_all(State),
    mod_portcullis_away:keep(Host, [Item || {_, Login} = Item <- queue:to_list(Queue), is_failure(Login)]).

is_failure({_, Attributes}) -> proplists:get_value(<<"outcome">>, Attributes) =:= <<"failure">>.

%% --- queue

enqueue({_, {_, Attributes}} = Item, #state{host = Host, queue = Queue, queued = N} = State) ->
    TellsMuch = lists:member(proplists:get_value(<<"outcome">>, Attributes), [<<"success">>, <<"failure">>]),
    case TellsMuch orelse N < max_reports(Host) div 2 of
        true -> drop_excess(State#state{queue = queue:in(Item, Queue), queued = N + 1});
        false ->
            mod_portcullis_health:add(Host, lost_outcomes, 1),
            State
    end.

%% Logins that were not delivered return to the front; the oldest go when there are too many.
put_back(Logins, #state{queue = Queue, queued = N} = State) ->
    drop_excess(State#state{queue = queue:join(queue:from_list(Logins), Queue), queued = N + length(Logins)}).

drop_excess(#state{host = Host, queue = Queue, queued = N} = State) ->
    case max_reports(Host) of
        Max when N =< Max -> State;
        Max ->
            mod_portcullis_health:add(Host, lost_outcomes, N - Max),
            State#state{queue = drop(N - Max, Queue), queued = Max}
    end.

%% The oldest, but failures that are counted here only when nothing else is left.
drop(Excess, Queue) ->
    case queue:peek(Queue) of
        {value, {none, _}} when Excess =:= 1 -> queue:drop(Queue);
        _ ->
            {Left, Kept} = drop_uncounted(Excess, queue:to_list(Queue)),
            queue:from_list(lists:nthtail(Left, Kept))
    end.

drop_uncounted(0, Items) -> {0, Items};
drop_uncounted(Excess, []) -> {Excess, []};
drop_uncounted(Excess, [{none, _} | Items]) -> drop_uncounted(Excess - 1, Items);
drop_uncounted(Excess, [Counted | Items]) ->
    {Left, Kept} = drop_uncounted(Excess, Items),
    {Left, [Counted | Kept]}.

max_reports(Host) -> gen_mod:get_module_opt(Host, mod_portcullis, max_reports).

%% --- delivery

flush(#state{connections = []} = State) -> State;
flush(#state{pause = Pause} = State) when Pause =/= none -> State;
flush(#state{queued = 0, halves = []} = State) -> tell(State);
flush(#state{unanswered = Unanswered} = State) when map_size(Unanswered) >= ?MAX_UNANSWERED -> State;
flush(#state{halves = [Logins | Halves]} = State) -> flush(deliver_new(Logins, State#state{halves = Halves}));
flush(#state{host = Host, queue = Queue, queued = Queued} = State) ->
    Size = min(Queued, gen_mod:get_module_opt(Host, mod_portcullis, report_batch)),
    {Logins, Rest} = queue:split(Size, Queue),
    flush(deliver_new(queue:to_list(Logins), State#state{queue = Rest, queued = Queued - Size})).

tell(#state{telling = none} = State) -> State;
tell(#state{host = Host, telling = Telling} = State) ->
    mod_portcullis_sync:told_all(Host, Telling),
    State#state{telling = none}.

deliver_new(Logins, #state{host = Host, number = Number} = State) ->
    Skew = mod_portcullis_bans:skew(Host),
    deliver({Number + 1, [{N, by_their_clock(Login, Skew)} || {N, Login} <- Logins]}, State#state{number = Number + 1}).

by_their_clock({told, _} = Login, _) -> Login;
by_their_clock({When, Login}, Skew) -> {told, Login ++ [{<<"at">>, mod_portcullis_protocol:timestamp(When - Skew)}]}.

%% A report that is sent again keeps its number: portcullis may have counted it although no answer came.
deliver({Number, Logins} = Report, #state{host = Host, unanswered = Unanswered} = State) ->
    El = mod_portcullis_protocol:element(
           <<"report">>,
           [{<<"node">>, atom_to_binary(node(), utf8)}, {<<"batch">>, name_of(Number, State)}],
           [mod_portcullis_protocol:child(<<"login">>, Login) || {_, {told, Login}} <- Logins]),
    Tag = make_ref(),
    mod_portcullis_protocol:send(Host, set, El, Tag, ?ANSWER_MS),
    State#state{unanswered = Unanswered#{Tag => Report}}.

%% Unique beyond the life of this process.
name_of(Number, #state{run = Run}) -> <<Run/binary, $-, (integer_to_binary(Number))/binary>>.

answered({ok, _}, {_, Logins}, #state{host = Host} = State) ->
    mod_portcullis_away:told(Host, numbers(Logins)),
    flush(State);
answered(timeout, Report, #state{connections = [_ | _]} = State) -> deliver(Report, State);
answered({error, Condition}, {_, Logins}, State) when Condition =:= 'bad-request'; Condition =:= 'not-acceptable' ->
    flush(refused(Condition, Logins, State));
answered({error, Condition}, {_, Logins}, State) when Condition =:= 'remote-server-not-found'; Condition =:= 'service-unavailable' ->
    pause(put_back(Logins, State));
answered({error, Condition}, {_, Logins}, #state{host = Host} = State) ->
    mod_portcullis_health:note(Host, report, <<"a report is put off: ", (atom_to_binary(Condition, utf8))/binary>>),
    pause(put_back(Logins, State));
answered(timeout, Report, State) -> pause(put_back(perhaps_told(Report, State), State)).

%% It would be refused again. One login may be why, and the others must not be lost with it.
refused(Condition, [_] = Logins, #state{host = Host} = State) ->
    mod_portcullis_away:told(Host, numbers(Logins)),
    mod_portcullis_health:note(Host, report, <<"the report of a login was refused: ", (atom_to_binary(Condition, utf8))/binary>>),
    State;
refused(_, Logins, #state{halves = Halves} = State) ->
    {First, Second} = lists:split(length(Logins) div 2, Logins),
    State#state{halves = [First, Second | Halves]}.

numbers(Logins) -> [Number || {Number, _} <- Logins, Number =/= none].

%% The answers would have come over a connection that is gone.
take_back_all(#state{unanswered = Unanswered, halves = Halves} = State) ->
    Oldest = lists:sort(maps:values(Unanswered)),
    put_back(lists:append([perhaps_told(Report, State) || Report <- Oldest] ++ Halves),
             State#state{unanswered = #{}, halves = []}).

%% The logins of a report that may have arrived. They keep its name, so that portcullis counts none of them twice.
perhaps_told({Number, Logins}, State) ->
    [{N, {told, lists:keystore(<<"batch">>, 1, Login, {<<"batch">>, name_of(Number, State)})}} || {N, {told, Login}} <- Logins].

pause(State) -> (end_pause(State))#state{pause = erlang:start_timer(?PAUSE_MS, self(), end_pause)}.

end_pause(#state{pause = none} = State) -> State;
end_pause(#state{pause = Pause} = State) ->
    _ = erlang:cancel_timer(Pause),
    State#state{pause = none}.
