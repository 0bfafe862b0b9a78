%%% One process per virtual host and node: owns the held bans, keeps in step with portcullis (hello, sync, news) and
%%% delivers what came of the logins. It never waits for an answer inside a callback, and nobody waits for it.
%%% A child of ejabberd_gen_mod_sup: when it ends, it is started again and reads the held bans from disk.
-module(mod_portcullis_link).
-behaviour(gen_server).
-export([report/2, seen/2, news/3, trouble/3, need_table/1, reloaded/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3]).

-include("logger.hrl").
-include("xmpp.hrl").

-define(VERSION, <<"1.0.0">>).
-define(TICK_MS, 1000).
-define(SWEEP_TICKS, 60).
%% Answers to hello, sync and report may take longer than a login can wait.
-define(ANSWER_MS, 10000).
%% So many reports may be without an answer; what comes meanwhile goes together in the next.
-define(UNANSWERED, 4).
%% A sync that failed is tried again after so many ticks.
-define(SYNC_AGAIN_TICKS, 5).
%% How long a sentence of trouble stays in `health`.
-define(TROUBLE_MS, 600000).
%% At most so many different troubles are remembered.
-define(TROUBLES, 8).

-record(state, {host, held, routes = unknown, ticks = 0, since_hello = infinity, hello, sync = idle, wanted = -1,
                sync_rest = 0, sync_from = none, hold = 0, queue = queue:new(), queued = 0, lost = 0, sending = #{},
                batch = 0, run, dropped = 0, troubles = #{}}).

%% --- called from the processes of clients and components: casts only

report(Host, Login) -> gen_server:cast(proc(Host), {report, Login}).

%% A verdict carried a higher sequence number than the table's.
seen(Host, Seq) -> gen_server:cast(proc(Host), {seen, Seq}).

%% On every node of the cluster: each has a table of its own.
news(Host, Epoch, Seq) -> gen_server:abcast(ejabberd_cluster:get_nodes(), proc(Host), {news, Epoch, Seq}).

trouble(Host, Kind, Text) -> gen_server:cast(proc(Host), {trouble, Kind, Text}).

need_table(Host) -> gen_server:cast(proc(Host), need_table).

%% Other options, perhaps another component.
reloaded(Host) -> gen_server:cast(proc(Host), reloaded).

proc(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% --- life

init([Host, _Opts]) ->
    process_flag(trap_exit, true),
    {Held, Said} = mod_portcullis_held:open(Host),
    State = #state{host = Host, held = Held, run = p1_rand:get_string()},
    erlang:send_after(0, self(), tick),
    %% Whoever got in while this module was out (a restart of it, say) is looked at now.
    self() ! look_at_sessions,
    {ok, case Said of ok -> State; _ -> said(State, disk, Said) end}.

terminate(_, #state{held = Held}) -> mod_portcullis_held:close(Held).

code_change(_, State, _) -> {ok, State}.

handle_call(_, _, State) -> {reply, {error, unknown}, State}.

%% A crash would be counted by the supervisor of all modules, and ten in a second would take every module down: what
%% cannot be done is told instead, and the next tick goes on.
handle_cast(Message, S) -> {noreply, go_on(fun() -> told(Message, S) end, S)}.

handle_info(tick, S) ->
    erlang:send_after(?TICK_MS, self(), tick),
    {noreply, go_on(fun() -> tick(S) end, S)};
handle_info(look_at_sessions, #state{host = Host} = S) ->
    _ = spawn(fun() -> mod_portcullis_kick:held(Host) end),
    {noreply, S};
handle_info({iq_reply, Reply, Tag}, S) -> {noreply, go_on(fun() -> reply(Tag, Reply, S) end, forget(Tag, S))};
handle_info(_, S) -> {noreply, S}.

go_on(Do, Otherwise) ->
    try Do()
    catch Class:Reason:Stack ->
            said(Otherwise, crash, iolist_to_binary(io_lib:format("~0p:~0p at ~0p", [Class, Reason, Stack])))
    end.

%% An answer that could not be worked with is as good as none.
forget(Tag, #state{hello = Tag} = S) -> S#state{hello = undefined};
forget(Tag, #state{sync = {Tag, _, _}} = S) -> failed(S);
forget(Tag, #state{sending = Sending} = S) -> S#state{sending = maps:remove(Tag, Sending)}.

told({report, Login}, S) -> flush(queued(Login, S));
told({seen, Seq}, S) -> sync(wanted(Seq, S));
told({news, Epoch, Seq}, S) ->
    Wanted = case mark(S) of {Epoch, _} -> Seq; _ -> infinity end,
    sync(wanted(Wanted, S));
told({trouble, Kind, Text}, S) -> said(S, Kind, Text);
told(need_table, S) -> table(S);
told(reloaded, S) -> hello(routes(S#state{routes = unknown}));
told(_, S) -> S.

tick(S0) ->
    S1 = routes(table(S0)),
    S2 = S1#state{ticks = S1#state.ticks + 1, since_hello = plus(S1#state.since_hello), sync_rest = max(0, S1#state.sync_rest - 1)},
    S3 = case S2#state.ticks rem ?SWEEP_TICKS of
             0 -> S2#state{held = mod_portcullis_held:over(mod_portcullis_wire:now_ms(), S2#state.held)};
             _ -> S2
         end,
    flush(sync(hello(S3))).

plus(infinity) -> infinity;
plus(N) -> N + 1.

%% Other processes for the component than before: it connected again.
routes(#state{host = Host, routes = Before} = S) ->
    case mod_portcullis_wire:routes(Host) of
        Before -> S;
        [] ->
            ?WARNING_MSG("portcullis (~ts) is not connected: ~ts decides by the ~B bans it holds",
                         [mod_portcullis_wire:component(Host), Host, mod_portcullis_held:count(S#state.held)]),
            abandoned(S#state{routes = []});
        Now ->
            S1 = S#state{routes = Now, since_hello = infinity, hold = 0},
            case Before =:= unknown orelse Before -- Now =:= [] of
                true -> S1;
                false -> abandoned(S1)
            end
    end.

%% Nobody will answer what was sent to a connection that is gone.
abandoned(#state{sending = Sending} = S) ->
    S1 = case S#state.sync of
             idle -> S;
             _ -> wanted(infinity, S#state{sync = idle})
         end,
    lists:foldl(fun({_, Logins}, Acc) -> back(Logins, Acc) end, S1#state{hello = undefined, sending = #{}},
                lists:reverse(lists:sort(maps:values(Sending)))).

table(#state{held = Held, host = Host} = S) ->
    case mod_portcullis_held:missing(Held) of
        false -> S;
        true ->
            _ = mod_portcullis_held:close(Held),
            {Again, Said} = mod_portcullis_held:open(Host),
            S1 = said(S#state{held = Again}, table, <<"the table of held bans was gone and was made anew">>),
            S2 = case Said of ok -> S1; _ -> said(S1, disk, Said) end,
            S2#state{since_hello = infinity}
    end.

%% --- hello

hello(#state{routes = []} = S) -> S;
hello(#state{hello = Ref} = S) when Ref =/= undefined -> S;
hello(#state{host = Host, since_hello = Since} = S) ->
    case Since =:= infinity orelse Since * ?TICK_MS >= opt(Host, heartbeat) of
        false -> S;
        true ->
            {Epoch, Seq} = case mark(S) of none -> {undefined, undefined}; {E, N} -> {E, integer_to_binary(N)} end,
            El = mod_portcullis_wire:el(
                   <<"hello">>,
                   [{<<"software">>, <<"ejabberd">>}, {<<"version">>, ejabberd_option:version()}, {<<"module">>, ?VERSION},
                    {<<"node">>, atom_to_binary(node(), utf8)}, {<<"epoch">>, Epoch}, {<<"seq">>, Seq},
                    {<<"bans">>, integer_to_binary(mod_portcullis_held:count(S#state.held))}, {<<"health">>, health(S)}]),
            S#state{hello = ask(S, set, El, hello), since_hello = 0}
    end.

health(#state{troubles = Troubles, lost = Lost} = S) ->
    Since = mod_portcullis_wire:now_ms() - ?TROUBLE_MS,
    Said = [T || {_, {When, T}} <- lists:sort(maps:to_list(Troubles)), When >= Since]
        ++ [io_lib:format("~B outcomes of logins were dropped while portcullis was away", [Lost]) || Lost > 0]
        ++ [io_lib:format("there are more than ~B bans: ~B are not held", [opt(S#state.host, max_held), S#state.dropped])
            || S#state.dropped > 0],
    case Said of
        [] -> <<"ok">>;
        _ -> iolist_to_binary(lists:join("; ", Said))
    end.

%% Logged and told once, not at every login.
said(#state{troubles = Troubles, host = Host} = S, Kind, Text) ->
    Now = mod_portcullis_wire:now_ms(),
    case Troubles of
        #{Kind := {When, Text}} when When > Now - ?TROUBLE_MS -> ok;
        _ -> ?ERROR_MSG("mod_portcullis at ~ts: ~ts", [Host, Text])
    end,
    case maps:is_key(Kind, Troubles) orelse map_size(Troubles) < ?TROUBLES of
        true -> S#state{troubles = Troubles#{Kind => {Now, Text}}};
        false -> S
    end.

%% --- sync

mark(S) -> mod_portcullis_held:mark(S#state.held).
at(S) -> case mark(S) of none -> -1; {_, Seq} -> Seq end.

%% `sync` is idle or {Ref, Cursor, Generation}: Cursor is how far the pages of this run have come, Generation the mark of
%% a fresh list under way (or `none`). Only a complete fresh list removes what it did not name, and only then is its
%% epoch kept: a run that breaks off leaves too much behind, never too little.
sync(#state{sync = {_, _, _}} = S) -> S;
sync(#state{routes = []} = S) -> S;
sync(#state{sync_rest = N} = S) when N > 0 -> S;
sync(#state{wanted = Wanted} = S) ->
    case Wanted > at(S) of
        true -> page(mark(S), none, S#state{wanted = -1, dropped = 0, sync_from = mark(S)});
        false -> S
    end.

%% Up to which sequence number there is something to ask for; `infinity` (an atom, so above all numbers): ask anyway.
wanted(Seq, S) -> S#state{wanted = max(Seq, S#state.wanted)}.

page(Cursor, Generation, S) ->
    Attrs = case Cursor of none -> []; {Epoch, Seq} -> [{<<"epoch">>, Epoch}, {<<"since">>, integer_to_binary(Seq)}] end,
    S#state{sync = {ask(S, get, mod_portcullis_wire:el(<<"sync">>, Attrs), sync), Cursor, Generation}}.

take(#xmlel{name = <<"changes">>, children = Children} = El, {_, Cursor, Generation0}, S) ->
    Epoch = mod_portcullis_wire:attr(<<"epoch">>, El),
    Seq = number(mod_portcullis_wire:attr(<<"seq">>, El)),
    More = mod_portcullis_wire:attr(<<"more">>, El) =:= <<"true">>,
    Fresh = mod_portcullis_wire:attr(<<"fresh">>, El) =:= <<"true">>,
    case {Epoch, Seq, Cursor} of
        _ when Epoch =:= undefined; Seq =:= error -> failed(S);
        {_, _, {Other, _}} when Other =/= Epoch, not Fresh -> again(S);     % the epoch changed between two pages
        {_, _, {_, Since}} when More, not Fresh, Seq =< Since -> failed(S); % would go round for ever
        _ ->
            Generation = if Fresh -> make_ref_text(); true -> Generation0 end,
            S1 = lists:foldl(fun(C, Acc) -> change(C, Generation, Acc) end, S, Children),
            case {More, Generation} of
                {true, none} -> page({Epoch, Seq}, none, marked({Epoch, Seq}, S1));
                {true, _} -> page({Epoch, Seq}, Generation, S1);
                {false, none} -> done(marked({Epoch, Seq}, S1));
                {false, _} -> done(marked({Epoch, Seq}, S1#state{held = mod_portcullis_held:keep_only(Generation, S1#state.held)}))
            end
    end;
take(_, _, S) -> failed(S).

make_ref_text() -> p1_rand:get_string().

marked(Mark, S) -> S#state{held = mod_portcullis_held:mark(Mark, S#state.held)}.
done(#state{sync_from = From} = S) ->
    case mark(S) of
        From -> S#state{sync = idle, sync_rest = 1};    % nothing new: not again within this second, whatever is said
        _ -> sync(S#state{sync = idle})
    end.
failed(S) -> wanted(infinity, S#state{sync = idle, sync_rest = ?SYNC_AGAIN_TICKS}).
again(S) -> sync(wanted(infinity, S#state{sync = idle})).

change(#xmlel{name = Name} = El, Generation, #state{held = Held} = S) when Name =:= <<"ban">>; Name =:= <<"lift">> ->
    case {key(El), Name} of
        {error, _} -> said(S, subject, iolist_to_binary(["a ban was not understood: ", fxml:element_to_binary(El)]));
        {Key, <<"lift">>} -> S#state{held = mod_portcullis_held:drop(Key, Held)};
        {Key, <<"ban">>} ->
            Row = {mod_portcullis_wire:until(mod_portcullis_wire:attr(<<"until">>, El)),
                   mod_portcullis_wire:attr(<<"door">>, El) =:= <<"start">>, mod_portcullis_wire:text_of(El), Generation},
            case mod_portcullis_held:has(Key, Held) orelse mod_portcullis_held:count(Held) < opt(S#state.host, max_held) of
                true -> S#state{held = mod_portcullis_held:put(Key, Row, Held)};
                false -> S#state{dropped = S#state.dropped + 1}
            end
    end;
change(_, _, S) -> S.

key(El) ->
    Subject = mod_portcullis_wire:attr(<<"subject">>, El),
    case mod_portcullis_wire:attr(<<"kind">>, El) of
        _ when Subject =:= undefined -> error;
        <<"account">> -> account_key(Subject);
        <<"address">> -> net_key(address, Subject);
        <<"network">> -> net_key(network, Subject);
        <<"pair">> ->
            case {account_key(Subject), net_key(pair, mod_portcullis_wire:attr(<<"address">>, El))} of
                {{account, Account}, {pair, Bits, Full}} -> {pair, Account, Bits, Full};
                _ -> error
            end;
        _ -> error
    end.

account_key(Subject) ->
    try jid:encode(jid:tolower(jid:remove_resource(jid:decode(Subject)))) of
        Bare -> {account, Bare}
    catch _:_ -> error
    end.

net_key(_, undefined) -> error;
net_key(Kind, Subject) ->
    case mod_portcullis_wire:network(Subject) of
        {Bits, Full} -> {Kind, Bits, Full};
        error -> error
    end.

number(undefined) -> error;
number(B) -> try binary_to_integer(B) catch _:_ -> error end.

%% --- report

queued(Login, #state{host = Host, queue = Q, queued = N} = S) ->
    case N >= opt(Host, max_reports) of
        true -> S#state{queue = queue:in(Login, queue:drop(Q)), lost = S#state.lost + 1};
        false -> S#state{queue = queue:in(Login, Q), queued = N + 1}
    end.

%% At once, as long as the line is not busy: somebody may wait for what came of it. Under load the reports become longer,
%% not more.
flush(#state{queued = 0} = S) -> S;
flush(#state{routes = []} = S) -> S;
flush(#state{sending = Sending} = S) when map_size(Sending) >= ?UNANSWERED -> S;
flush(#state{host = Host, queued = N} = S) ->
    case S#state.hold =< mod_portcullis_wire:now_ms() of
        true ->
            {Batch, Q} = queue:split(min(N, opt(Host, report_batch)), S#state.queue),
            Number = S#state.batch + 1,
            flush(deliver(Number, queue:to_list(Batch), S#state{queue = Q, queued = N - queue:len(Batch), batch = Number}));
        false -> S      % the next tick is soon enough
    end.

%% `batch` is the same when a report is sent again because no answer came: portcullis may have counted it already.
deliver(Batch, Logins, #state{run = Run, sending = Sending} = S) ->
    El = mod_portcullis_wire:el(
           <<"report">>,
           [{<<"node">>, atom_to_binary(node(), utf8)}, {<<"batch">>, <<Run/binary, $-, (integer_to_binary(Batch))/binary>>}],
           [mod_portcullis_wire:child(<<"login">>, L) || L <- Logins]),
    S#state{sending = Sending#{ask(S, set, El, report) => {Batch, Logins}}}.

%% Not delivered: back to the front, without passing the bound.
back(Logins, #state{host = Host, queue = Q, queued = N, lost = Lost} = S) ->
    Full = N + length(Logins),
    Over = max(0, Full - opt(Host, max_reports)),
    {_, Rest} = queue:split(Over, lists:foldr(fun queue:in_r/2, Q, Logins)),
    S#state{queue = Rest, queued = Full - Over, lost = Lost + Over}.

%% --- answers

ask(#state{host = Host}, Type, El, What) ->
    Tag = {What, make_ref()},
    mod_portcullis_wire:send(Host, Type, El, Tag, ?ANSWER_MS),
    Tag.

reply(Tag, Reply, #state{hello = Tag} = S) ->
    case answer(Reply) of
        {ok, #xmlel{name = <<"welcome">>} = El} ->
            Epoch = mod_portcullis_wire:attr(<<"epoch">>, El),
            Seq = number(mod_portcullis_wire:attr(<<"seq">>, El)),
            Wanted = case mark(S) of
                         {Epoch, _} when is_integer(Seq) -> Seq;
                         _ -> infinity
                     end,
            flush(sync(wanted(Wanted, S#state{hello = undefined, lost = 0})));
        Other -> said(S#state{hello = undefined}, hello, iolist_to_binary(io_lib:format("portcullis did not say welcome: ~0p", [Other])))
    end;
reply(Tag, Reply, #state{sync = {Tag, _, _} = Run} = S) ->
    case answer(Reply) of
        {ok, #xmlel{} = El} -> take(El, Run, S);
        _ -> failed(S)
    end;
reply(Tag, Reply, #state{sending = Sending} = S0) when is_map_key(Tag, Sending) ->
    {{Batch, Logins}, Rest} = maps:take(Tag, Sending),
    S = S0#state{sending = Rest},
    case answer(Reply) of
        {ok, _} -> flush(S);
        silent when S#state.routes =/= [] -> deliver(Batch, Logins, S);
        {error, Condition} when Condition =/= 'remote-server-not-found', Condition =/= 'service-unavailable' ->
            %% It will not be taken the next time either.
            flush(said(S, report, iolist_to_binary(io_lib:format("a report was refused: ~ts", [Condition]))));
        _ ->
            (back(Logins, S))#state{hold = mod_portcullis_wire:now_ms() + ?TICK_MS}
    end;
reply(_, _, S) -> S.

answer(timeout) -> silent;
answer(#iq{type = result} = IQ) -> {ok, mod_portcullis_wire:payload(IQ)};
answer(#iq{type = error} = IQ) ->
    case xmpp:get_error(IQ) of
        #stanza_error{reason = R} when is_atom(R) -> {error, R};
        _ -> {error, 'undefined-condition'}
    end;
answer(_) -> silent.

opt(Host, Name) -> gen_mod:get_module_opt(Host, mod_portcullis, Name).
