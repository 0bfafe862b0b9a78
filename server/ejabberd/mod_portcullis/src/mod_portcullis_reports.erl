%%% Delivers to portcullis what came of each login. Keeps the outcomes while portcullis is away, up to a bound, the newest.
-module(mod_portcullis_reports).
-behaviour(gen_server).
-export([start_link/1]).
-export([report/2, connections/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include("xmpp.hrl").

%% A report may be answered later than a login could wait for.
-define(ANSWER_MS, 10000).
%% So many reports may be unanswered at a time. What happens meanwhile goes together in the next one, so that under load
%% reports become longer and not more.
-define(MAX_UNANSWERED, 4).
%% After a report that could not be delivered.
-define(PAUSE_MS, 1000).

-type login() :: mod_portcullis_protocol:attributes().
-type batch() :: {Number :: pos_integer(), [login()]}.

-record(state, {host :: binary(),
                connections :: [pid()],
                queue = queue:new() :: queue:queue(login()),
                queued = 0 :: non_neg_integer(),
                unanswered = #{} :: #{reference() => batch()},
                number = 0 :: non_neg_integer(),
                run :: binary(),        % makes the numbers of reports unique beyond the life of this process
                pause = none :: reference() | none}).

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

-spec report(binary(), login()) -> ok.
report(Host, Login) -> gen_server:cast(process(Host), {report, Login}).

%% Which processes are the component's connections now.
-spec connections(binary(), [pid()]) -> ok.
connections(Host, Connections) -> gen_server:cast(process(Host), {connections, Connections}).

%% --- gen_server

-spec init(binary()) -> {ok, #state{}}.
init(Host) ->
    mod_portcullis_health:watch(Host, ?MODULE) =:= again andalso mod_portcullis_sync:greet(Host),
    {ok, #state{host = Host, connections = mod_portcullis_protocol:connections(Host), run = p1_rand:get_string()}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(_, _From, State) -> {reply, {error, unknown_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({report, Login}, State) -> {noreply, flush(enqueue(Login, State))};
handle_cast({connections, Now}, #state{connections = Before} = State) ->
    Same = State#state{connections = Now},
    {noreply, case Before -- Now of
                  [] when Now =:= Before -> Same;
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

%% --- queue

enqueue(Login, #state{host = Host, queue = Queue, queued = N} = State) ->
    case N >= max_reports(Host) of
        true ->
            mod_portcullis_health:add(Host, lost_outcomes, 1),
            State#state{queue = queue:in(Login, queue:drop(Queue))};
        false -> State#state{queue = queue:in(Login, Queue), queued = N + 1}
    end.

%% Logins that were not delivered return to the front; the oldest go when there are too many.
put_back(Logins, #state{host = Host, queue = Queue, queued = N} = State) ->
    All = N + length(Logins),
    Lost = max(0, All - max_reports(Host)),
    mod_portcullis_health:add(Host, lost_outcomes, Lost),
    {_, Rest} = queue:split(Lost, queue:join(queue:from_list(Logins), Queue)),
    State#state{queue = Rest, queued = All - Lost}.

max_reports(Host) -> gen_mod:get_module_opt(Host, mod_portcullis, max_reports).

%% --- delivery

flush(#state{queued = 0} = State) -> State;
flush(#state{connections = []} = State) -> State;
flush(#state{pause = Pause} = State) when Pause =/= none -> State;
flush(#state{unanswered = Unanswered} = State) when map_size(Unanswered) >= ?MAX_UNANSWERED -> State;
flush(#state{host = Host, queue = Queue, queued = Queued, number = Number} = State) ->
    Size = min(Queued, gen_mod:get_module_opt(Host, mod_portcullis, report_batch)),
    {Logins, Rest} = queue:split(Size, Queue),
    flush(deliver({Number + 1, queue:to_list(Logins)}, State#state{queue = Rest, queued = Queued - Size, number = Number + 1})).

%% A report that is sent again keeps its number: portcullis may have counted it although no answer came.
deliver({Number, Logins} = Report, #state{host = Host, run = Run, unanswered = Unanswered} = State) ->
    El = mod_portcullis_protocol:element(
           <<"report">>,
           [{<<"node">>, atom_to_binary(node(), utf8)}, {<<"batch">>, <<Run/binary, $-, (integer_to_binary(Number))/binary>>}],
           [mod_portcullis_protocol:child(<<"login">>, Login) || Login <- Logins]),
    Tag = make_ref(),
    mod_portcullis_protocol:send(Host, set, El, Tag, ?ANSWER_MS),
    State#state{unanswered = Unanswered#{Tag => Report}}.

answered({ok, _}, _, State) -> flush(State);
answered(timeout, Report, #state{connections = [_ | _]} = State) -> deliver(Report, State);
answered({error, Condition}, _, #state{host = Host} = State)
  when Condition =/= 'remote-server-not-found', Condition =/= 'service-unavailable' ->
    %% It would be refused again.
    mod_portcullis_health:note(Host, report, <<"a report was refused: ", (atom_to_binary(Condition, utf8))/binary>>),
    flush(State);
answered(_, {_, Logins}, State) -> pause(put_back(Logins, State)).

%% The answers would have come over a connection that is gone.
take_back_all(#state{unanswered = Unanswered} = State) ->
    Oldest = lists:sort(maps:values(Unanswered)),
    put_back(lists:append([Logins || {_, Logins} <- Oldest]), State#state{unanswered = #{}}).

pause(State) -> (end_pause(State))#state{pause = erlang:start_timer(?PAUSE_MS, self(), end_pause)}.

end_pause(#state{pause = none} = State) -> State;
end_pause(#state{pause = Pause} = State) ->
    _ = erlang:cancel_timer(Pause),
    State#state{pause = none}.
