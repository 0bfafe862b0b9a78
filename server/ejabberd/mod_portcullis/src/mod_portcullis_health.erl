%%% What is wrong with this module, in the words that portcullis shows to its admins (attribute `health` of <hello/>).
%%%
%%% One process per virtual host, outside of those that may fail: it also hears of their crashes.
-module(mod_portcullis_health).
-behaviour(gen_server).
-export([start_link/1]).
-export([note/3, is_over/2, add/3, reset/2, watch/2, text/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([kind/0, counter/0]).

-include("logger.hrl").

%% Troubles of one kind replace each other.
-type kind() :: answer | silent | away | changes | report | table | disk | crash.
-type counter() :: lost_outcomes | refused_bans.

-record(state, {host :: binary(),
                notes = #{} :: #{kind() => {When :: integer(), binary()}},
                logged = #{} :: #{kind() => When :: integer()},
                counters = #{} :: #{counter() => pos_integer()},
                watched = #{} :: #{reference() => module()},
                seen = [] :: [module()]}).

%% For how long a note is reported to portcullis.
-define(KEEP_MS, 600000).
%% Each kind of trouble is logged so often at most: some of them may occur at every login.
-define(LOG_MS, 60000).

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% Tells of a trouble, to the log as well.
-spec note(binary(), kind(), binary()) -> ok.
note(Host, Kind, Text) -> gen_server:cast(process(Host), {note, Kind, Text}).

%% Troubles of these kinds are over. The log has them.
-spec is_over(binary(), [kind()]) -> ok.
is_over(Host, Kinds) -> gen_server:cast(process(Host), {is_over, Kinds}).

-spec add(binary(), counter(), non_neg_integer()) -> ok.
add(_, _, 0) -> ok;
add(Host, Counter, N) -> gen_server:cast(process(Host), {add, Counter, N}).

-spec reset(binary(), counter()) -> ok.
reset(Host, Counter) -> gen_server:cast(process(Host), {reset, Counter}).

%% The calling process is about to work as `Module`; should it crash, that is noted. `again`: it was watched before, so
%% this is a restart.
-spec watch(binary(), module()) -> first | again.
watch(Host, Module) ->
    try gen_server:call(process(Host), {watch, self(), Module})
    catch exit:{noproc, _} -> again     % this process is being restarted itself
    end.

%% `ok`, or all that is wrong in one line.
-spec text(binary()) -> binary().
text(Host) -> gen_server:call(process(Host), text).

%% --- gen_server

-spec init(binary()) -> {ok, #state{}}.
init(Host) -> {ok, #state{host = Host}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(text, _From, State) -> {reply, describe(State), State};
handle_call({watch, Pid, Module}, _From, #state{watched = Watched, seen = Seen} = State) ->
    Reply = case lists:member(Module, Seen) of true -> again; false -> first end,
    {reply, Reply, State#state{watched = Watched#{monitor(process, Pid) => Module}, seen = lists:usort([Module | Seen])}};
handle_call(_, _From, State) -> {reply, {error, unknown_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({note, Kind, Text}, State) -> {noreply, take_note(Kind, Text, State)};
handle_cast({is_over, Kinds}, #state{notes = Notes} = State) -> {noreply, State#state{notes = maps:without(Kinds, Notes)}};
handle_cast({add, Counter, N}, #state{counters = Counters} = State) ->
    {noreply, State#state{counters = maps:update_with(Counter, fun(M) -> M + N end, N, Counters)}};
handle_cast({reset, Counter}, #state{counters = Counters} = State) ->
    {noreply, State#state{counters = maps:remove(Counter, Counters)}};
handle_cast(_, State) -> {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Monitor, process, _, Reason}, #state{watched = Watched} = State0) when is_map_key(Monitor, Watched) ->
    {Module, Rest} = maps:take(Monitor, Watched),
    State = State0#state{watched = Rest},
    case Reason of
        shutdown -> {noreply, State};
        _ ->
            Text = <<(atom_to_binary(Module, utf8))/binary, " ended unexpectedly and was started again: see the log of ejabberd">>,
            {noreply, take_note(crash, Text, State)}
    end;
handle_info(_, State) -> {noreply, State}.

take_note(Kind, Text, #state{host = Host, notes = Notes, logged = Logged} = State) ->
    Now = mod_portcullis_protocol:now_ms(),
    Noted = State#state{notes = Notes#{Kind => {Now, Text}}},
    case Logged of
        #{Kind := Before} when Now - Before < ?LOG_MS -> Noted;
        _ ->
            ?ERROR_MSG("mod_portcullis at ~ts: ~ts", [Host, Text]),
            Noted#state{logged = Logged#{Kind => Now}}
    end.

describe(#state{notes = Notes, counters = Counters} = State) ->
    Since = mod_portcullis_protocol:now_ms() - ?KEEP_MS,
    Troubles = [Text || {_, {When, Text}} <- lists:sort(maps:to_list(Notes)), When >= Since]
        ++ [describe(Counter, N, State) || {Counter, N} <- lists:sort(maps:to_list(Counters))],
    case Troubles of
        [] -> <<"ok">>;
        _ -> unicode:characters_to_binary(lists:join("; ", Troubles))
    end.

describe(lost_outcomes, N, _) -> io_lib:format("~b outcomes of logins were dropped while portcullis was away", [N]);
describe(refused_bans, N, #state{host = Host}) ->
    Max = gen_mod:get_module_opt(Host, mod_portcullis, max_held),
    io_lib:format("there are more than ~b bans: ~b are not held", [Max, N]).
