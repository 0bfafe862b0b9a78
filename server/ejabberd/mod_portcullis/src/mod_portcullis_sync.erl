%%% Keeps the bans of this node in step with portcullis: greets it (<hello/>), and asks for the changes since the last ones
%%% (<sync/>) when it says that there are some. So it also knows whether portcullis is there, which link_state/1 tells.
%%%
%%% One process per virtual host and node. It never waits for portcullis inside a callback.
-module(mod_portcullis_sync).
-behaviour(gen_server).
-export([start_link/1]).
-export([link_state/1, seen/2, news/3, greet/1, reloaded/1]).
-export([component_changed/1, doubt/1, told_all/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include("logger.hrl").
-include("xmpp.hrl").

-define(VERSION, <<"1.1.0">>).
%% How often the connections of the component are looked at, and what is due is done.
-define(TICK_MS, 1000).
-define(ANSWER_MS, 10000).
%% Whoever does not answer a greeting within this time is away.
-define(HELLO_MS, 3000).
%% Between greetings while nobody answers them.
-define(GREET_MS, 2000).
%% After a run that brought nothing new, and after one that failed.
-define(REST_MS, 1000).
-define(RETRY_MS, 5000).

%% A run asks page after page. `cursor`: how far its pages have come. `generation`: names the complete list that is being
%% received. `from`: the mark of the table when the run began.
-record(run, {tag :: reference(),
              cursor :: mod_portcullis_bans:mark() | none,
              generation = none :: mod_portcullis_bans:generation(),
              from :: mod_portcullis_bans:mark() | none}).

%% `away`: the component is not connected, or has not answered the last greeting. `behind`: it answers, but was not told yet
%% of all failures that happened while it was away. `up`: it answers and knows them.
-type link_state() :: away | behind | up.

-record(state, {host :: binary(),
                connections = unknown :: [pid()] | unknown,
                hello = none :: reference() | none,             % tag of the one that waits for its answer
                greeted = 0 :: integer(),                       % when it was sent, by now_ms/0
                hello_due :: integer(),
                telling = none :: reference() | none,           % of the reports that it was not told of
                run = none :: #run{} | none,
                run_due :: integer(),
                wanted = -1 :: integer() | infinity}).          % sequence number to reach; infinity: ask in any case

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% Without the process, whose table this is, nobody knows.
-spec link_state(binary()) -> link_state().
link_state(Host) ->
    try ets:lookup_element(process(Host), link, 2)
    catch error:badarg -> away
    end.

%% A verdict carried this sequence number.
-spec seen(binary(), integer()) -> ok.
seen(Host, Seq) ->
    case mod_portcullis_bans:mark(Host) of
        {_, Held} when Held >= Seq -> ok;
        _ -> gen_server:cast(process(Host), {seen, Seq})
    end.

%% portcullis said that there are changes. Tells all nodes of the cluster, for each has a table of its own.
-spec news(binary(), binary() | undefined, integer() | infinity) -> ok.
news(Host, Epoch, Seq) ->
    _ = gen_server:abcast(ejabberd_cluster:get_nodes(), process(Host), {news, Epoch, Seq}),
    ok.

%% portcullis shall know at once how things stand, for something broke and was repaired.
-spec greet(binary()) -> ok.
greet(Host) -> gen_server:cast(process(Host), greet).

%% The component has connected or disconnected, here. All nodes of the cluster shall see it at once.
-spec component_changed(binary()) -> ok.
component_changed(Host) ->
    _ = gen_server:abcast(ejabberd_cluster:get_nodes(), process(Host), component_changed),
    ok.

%% A question was not answered in time. A greeting finds out whether anybody is there.
-spec doubt(binary()) -> ok.
doubt(Host) -> gen_server:cast(process(Host), doubt).

%% mod_portcullis_reports has sent all that had happened when it was asked.
-spec told_all(binary(), reference()) -> ok.
told_all(Host, Telling) -> gen_server:cast(process(Host), {told_all, Telling}).

%% The options changed; the name of the component may be another.
-spec reloaded(binary()) -> ok.
reloaded(Host) -> gen_server:cast(process(Host), reloaded).

%% --- gen_server

%% After a crash it begins a second later, so that it cannot crash again and again without a pause.
-spec init(binary()) -> {ok, #state{}}.
init(Host) ->
    First = case mod_portcullis_health:watch(Host, ?MODULE) of first -> 0; again -> ?TICK_MS end,
    _ = erlang:send_after(First, self(), tick),
    _ = ets:new(process(Host), [named_table, protected, set, {read_concurrency, true}]),
    true = ets:insert(process(Host), {link, away}),
    {ok, #state{host = Host, hello_due = now_ms(), run_due = now_ms()}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(_, _From, State) -> {reply, {error, unknown_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({seen, Seq}, State) -> {noreply, run_if_due(want(Seq, State))};
handle_cast({news, Epoch, Seq}, #state{host = Host} = State) ->
    mod_portcullis_bans:doubt_confirmed(Host),
    {noreply, run_if_due(want(Epoch, Seq, State))};
handle_cast(component_changed, State) -> {noreply, look_at_connections(State)};
handle_cast(doubt, #state{greeted = Greeted} = State) ->
    case now_ms() - Greeted >= ?GREET_MS of
        true -> {noreply, hello_if_due(State#state{hello_due = now_ms()})};
        false -> {noreply, State}
    end;
handle_cast({told_all, Telling}, #state{telling = Telling} = State) ->
    {noreply, set_link(up, State#state{telling = none})};
handle_cast(greet, State) -> {noreply, hello_if_due(State#state{hello_due = now_ms()})};
handle_cast(reloaded, State) -> {noreply, look_at_connections(State#state{connections = unknown})};
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(tick, State) ->
    _ = erlang:send_after(?TICK_MS, self(), tick),
    {noreply, run_if_due(hello_if_due(look_at_connections(State)))};
handle_info({iq_reply, Reply, Tag}, #state{host = Host} = State) ->
    {noreply, answered(Tag, mod_portcullis_protocol:answer(Host, Reply), State)};
handle_info(_, State) -> {noreply, State}.

answered(Tag, Answer, #state{hello = Tag} = State) -> welcomed(Answer, State#state{hello = none});
answered(Tag, Answer, #state{run = #run{tag = Tag} = Run} = State) -> take_page(Answer, Run, State);
answered(_, _, State) -> State.     % to a question of a connection that is gone

%% --- connections

look_at_connections(#state{host = Host, connections = Before} = State) ->
    case mod_portcullis_protocol:connections(Host) of
        Before -> State;
        [] ->
            ?WARNING_MSG("portcullis (~ts) is not connected: ~ts decides by the ~b bans it holds, and counts failures by itself",
                         [mod_portcullis_protocol:component(Host), Host, mod_portcullis_bans:count(Host)]),
            lost(State#state{connections = []});
        Now ->
            State1 = case Before =:= unknown orelse Before -- Now =:= [] of
                         true -> State;
                         false -> lost(State)
                     end,
            hello_if_due(State1#state{connections = Now, hello_due = now_ms()})
    end.

%% Reports wait for the next welcome.
lost(#state{host = Host} = State) ->
    mod_portcullis_reports:connections(Host, []),
    give_up(State).

%% Answers would have come over a connection that is gone.
give_up(State) ->
    case set_link(away, State#state{hello = none, telling = none}) of
        #state{run = none} = Away -> Away;
        Away -> want(infinity, Away#state{run = none})
    end.

set_link(Link, #state{host = Host} = State) ->
    true = ets:insert(process(Host), {link, Link}),
    State.

%% --- hello

hello_if_due(#state{connections = Connections} = State) when Connections =:= []; Connections =:= unknown -> State;
hello_if_due(#state{hello = Tag} = State) when Tag =/= none -> State;
hello_if_due(#state{host = Host, hello_due = Due} = State) ->
    case Due =< now_ms() of
        true ->
            Heartbeat = gen_mod:get_module_opt(Host, mod_portcullis, heartbeat),
            Tag = send(Host, set, hello(Host), ?HELLO_MS),
            State#state{hello = Tag, greeted = now_ms(), hello_due = now_ms() + Heartbeat};
        false -> State
    end.

hello(Host) ->
    {Epoch, Seq} = case mod_portcullis_bans:mark(Host) of
                       none -> {undefined, undefined};
                       {E, S} -> {E, integer_to_binary(S)}
                   end,
    mod_portcullis_protocol:element(
      <<"hello">>,
      [{<<"software">>, <<"ejabberd">>}, {<<"version">>, ejabberd_option:version()}, {<<"module">>, ?VERSION},
       {<<"node">>, atom_to_binary(node(), utf8)}, {<<"epoch">>, Epoch}, {<<"seq">>, Seq},
       {<<"bans">>, integer_to_binary(mod_portcullis_bans:count(Host))}, {<<"health">>, mod_portcullis_health:text(Host)},
       {<<"beside">>, mod_portcullis_refusals:beside(Host)},
       {<<"now">>, mod_portcullis_protocol:timestamp(mod_portcullis_protocol:now_ms())}]).

welcomed({ok, #xmlel{name = <<"welcome">>} = El}, #state{host = Host} = State0) ->
    mod_portcullis_health:reset(Host, lost_outcomes),      % told just now
    mod_portcullis_health:is_over(Host, [answer, silent, away]),
    ok = mod_portcullis_bans:set_skew(Host, skew(El, State0)),
    State = back(State0),
    Seq = case mod_portcullis_protocol:integer(<<"seq">>, El) of
              undefined -> infinity;
              N -> N
          end,
    run_if_due(want(mod_portcullis_protocol:attribute(<<"epoch">>, El), Seq, State));
welcomed(Other, #state{host = Host} = State) ->
    Text = io_lib:format("portcullis did not say welcome: ~0p", [Other]),
    mod_portcullis_health:note(Host, answer, unicode:characters_to_binary(Text)),
    give_up(State#state{hello_due = now_ms() + ?GREET_MS}).

%% It answers. It decides alone when it knows of all failures that happened while it was away. Reports come after the
%% welcome, which says by whose clock their times are told.
back(#state{host = Host, connections = Connections} = State) ->
    mod_portcullis_reports:connections(Host, Connections),
    case link_state(Host) of
        away ->
            Telling = make_ref(),
            mod_portcullis_reports:tell_all(Host, Telling),
            set_link(behind, State#state{telling = Telling});
        _ -> State
    end.

%% By how much our clock is ahead. portcullis looked at its own somewhere between our greeting and now.
skew(El, #state{greeted = Greeted}) ->
    case mod_portcullis_protocol:time(<<"now">>, El) of
        undefined -> 0;
        Theirs -> mod_portcullis_protocol:now_ms() - (now_ms() - Greeted) div 2 - Theirs
    end.

%% --- sync

want(Seq, #state{wanted = Wanted} = State) -> State#state{wanted = max(Seq, Wanted)}.

want(Epoch, Seq, #state{host = Host} = State) ->
    case mod_portcullis_bans:mark(Host) of
        {Epoch, _} -> want(Seq, State);
        _ -> want(infinity, State)
    end.

run_if_due(#state{run = Run} = State) when Run =/= none -> State;
run_if_due(#state{connections = Connections} = State) when Connections =:= []; Connections =:= unknown -> State;
run_if_due(#state{host = Host, run_due = Due, wanted = Wanted} = State) ->
    Mark = mod_portcullis_bans:mark(Host),
    Held = case Mark of none -> -1; {_, Seq} -> Seq end,
    case Wanted > Held andalso Due =< now_ms() of
        true -> ask_page(#run{tag = make_ref(), cursor = Mark, from = Mark}, State#state{wanted = -1});
        false -> State
    end.

ask_page(#run{cursor = Cursor} = Run, #state{host = Host} = State) ->
    Since = case Cursor of
                none -> [];
                {Epoch, Seq} -> [{<<"epoch">>, Epoch}, {<<"since">>, integer_to_binary(Seq)}]
            end,
    State#state{run = Run#run{tag = send(Host, get, mod_portcullis_protocol:element(<<"sync">>, Since), ?ANSWER_MS)}}.

take_page({ok, #xmlel{name = <<"changes">>} = El}, #run{cursor = Cursor} = Run, State) ->
    Epoch = mod_portcullis_protocol:attribute(<<"epoch">>, El),
    Seq = mod_portcullis_protocol:integer(<<"seq">>, El),
    More = mod_portcullis_protocol:attribute(<<"more">>, El) =:= <<"true">>,
    Fresh = mod_portcullis_protocol:attribute(<<"fresh">>, El) =:= <<"true">>,
    case Cursor of
        _ when Epoch =:= undefined; Seq =:= undefined -> fail_run(State);
        {Other, _} when Other =/= Epoch, not Fresh ->       % the epoch changed between two pages
            run_if_due(want(infinity, State#state{run = none}));
        {_, Before} when More, not Fresh, Seq =< Before ->  % this run would never end
            fail_run(State);
        _ ->
            store_page(El, More, Run#run{cursor = {Epoch, Seq}, generation = generation(Fresh, Run, State)}, State)
    end;
take_page(_, _, State) -> fail_run(State).

%% A complete list begins with this page.
generation(false, #run{generation = Generation}, _) -> Generation;
generation(true, _, #state{host = Host}) ->
    mod_portcullis_health:reset(Host, refused_bans),
    p1_rand:get_string().

%% Only a complete list that came to its end removes what it did not name, and only then does its mark hold: a list that
%% breaks off leaves too many bans behind, never too few.
store_page(El, More, #run{cursor = Mark, generation = Generation} = Run, #state{host = Host} = State) ->
    mod_portcullis_health:add(Host, refused_bans, mod_portcullis_bans:store(Host, Generation, changes(El, Host))),
    case {More, Generation} of
        {true, none} ->
            ok = mod_portcullis_bans:set_mark(Host, Mark),
            ask_page(Run, State);
        {true, _} ->
            ask_page(Run, State);
        {false, none} ->
            ok = mod_portcullis_bans:set_mark(Host, Mark),
            end_run(Run, State);
        {false, _} ->
            ok = mod_portcullis_bans:keep_only(Host, Generation),
            ok = mod_portcullis_bans:set_mark(Host, Mark),
            end_run(Run, State)
    end.

changes(#xmlel{children = Children}, Host) ->
    lists:foldr(fun(Child, Changes) ->
                        case mod_portcullis_protocol:change(Child) of
                            ignored -> Changes;
                            error -> not_understood(Child, Host), Changes;
                            Change -> [Change | Changes]
                        end
                end, [], Children).

not_understood(El, Host) ->
    mod_portcullis_health:note(Host, changes, <<"a ban was not understood: ", (fxml:element_to_binary(El))/binary>>).

%% Perhaps there is more already. A run that brought nothing is not repeated at once, whatever sequence numbers are seen.
end_run(#run{cursor = Mark, from = Mark}, State) -> State#state{run = none, run_due = now_ms() + ?REST_MS};
end_run(_, State) -> run_if_due(State#state{run = none}).

fail_run(State) -> want(infinity, State#state{run = none, run_due = now_ms() + ?RETRY_MS}).

%% --- asking

send(Host, Type, El, Wait) ->
    Tag = make_ref(),
    mod_portcullis_protocol:send(Host, Type, El, Tag, Wait),
    Tag.

now_ms() -> erlang:monotonic_time(millisecond).
