%%% Who is just doing what, so that nobody does too much of it at the same moment: questions that wait for portcullis, and
%%% logins whose password is being looked at while it is away. Each is a place that belongs to the process of a client, one
%%% for its address and one for the account.
%%%
%%% One process per virtual host owns the table, and frees the places of processes that died; clients change it themselves.
-module(mod_portcullis_places).
-behaviour(gen_server).
-export([start_link/1]).
-export([subjects/2, is_known/3, take/4, wait_for/5, leave/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export_type([kind/0, subject/0]).

-type kind() :: question | attempt | {waiting, question | attempt}.
%% Whom the limits are about. An address of IPv6 stands for its /64, which one customer has to himself.
-type subject() :: {address, bitstring()} | {account, binary()}.

%% So many may wait for a place of one subject. Whoever comes then is told at once to come again.
-define(MAX_WAITING, 64).
%% How often one who waits looks again, in milliseconds: at random, so that they do not all look at the same moment.
-define(LOOK_MS, 40).
-define(SWEEP_MS, 10000).

-spec start_link(binary()) -> gen_server:start_ret().
start_link(Host) -> gen_server:start_link({local, process(Host)}, ?MODULE, Host, []).

%% The table has the name of its owner.
process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

-spec subjects(binary() | undefined, inet:ip_address() | undefined) -> [subject()].
subjects(Account, Address) ->
    [{address, mod_portcullis_net:customer(Address)} || Address =/= undefined]
        ++ [{account, Account} || Account =/= undefined].

%% Whether this account logged in from there before.
-spec is_known(binary(), binary() | undefined, inet:ip_address() | undefined) -> boolean().
is_known(Host, Account, Address) ->
    case subjects(Account, Address) of
        [Place, _] -> mod_portcullis_known:has(Host, Account, Place);
        _ -> false
    end.

%% Takes a place for each of these subjects, or for none of them. Most says how many may be taken for one; it is asked after
%% the places were counted.
-spec take(binary(), kind(), [subject()], fun((subject()) -> integer())) -> ok | full.
take(Host, Kind, Subjects, Most) ->
    Table = process(Host),
    try ets:insert(Table, [{{Kind, Subject, self()}} || Subject <- Subjects]) of
        true ->
            case lists:all(fun(Subject) -> has_room(Table, Kind, Subject, Most) end, Subjects) of
                true -> ok;
                false ->
                    leave(Host, Kind, Subjects),
                    full
            end
    catch error:badarg -> full      % the owner is just being started again
    end.

has_room(Table, Kind, Subject, Most) ->
    Taken = ets:select_count(Table, [{{{Kind, Subject, '_'}}, [], [true]}]),
    Taken =< Most(Subject).

%% As take/4, but waits at most so many milliseconds for room.
-spec wait_for(binary(), question | attempt, [subject()], fun((subject()) -> integer()), integer()) -> ok | full.
wait_for(Host, Kind, Subjects, Most, Wait) ->
    case take(Host, Kind, Subjects, Most) of
        ok -> ok;
        full ->
            case take(Host, {waiting, Kind}, Subjects, fun(_) -> ?MAX_WAITING end) of
                ok ->
                    Result = look_again(Host, Kind, Subjects, Most, now_ms() + Wait),
                    leave(Host, {waiting, Kind}, Subjects),
                    Result;
                full -> full
            end
    end.

look_again(Host, Kind, Subjects, Most, Until) ->
    Left = Until - now_ms(),
    case Left > 0 andalso lists:all(fun(Subject) -> Most(Subject) > 0 end, Subjects) of
        false -> full;
        true ->
            timer:sleep(min(Left, rand:uniform(?LOOK_MS))),
            case take(Host, Kind, Subjects, Most) of
                ok -> ok;
                full -> look_again(Host, Kind, Subjects, Most, Until)
            end
    end.

-spec leave(binary(), kind(), [subject()]) -> ok.
leave(Host, Kind, Subjects) ->
    try lists:foreach(fun(Subject) -> ets:delete(process(Host), {Kind, Subject, self()}) end, Subjects)
    catch error:badarg -> ok
    end.

now_ms() -> erlang:monotonic_time(millisecond).

%% --- gen_server

-spec init(binary()) -> {ok, binary()}.
init(Host) ->
    _ = mod_portcullis_health:watch(Host, ?MODULE),
    _ = ets:new(process(Host), [named_table, public, ordered_set, {write_concurrency, true}]),
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
    {ok, Host}.

-spec handle_call(term(), gen_server:from(), binary()) -> {reply, term(), binary()}.
handle_call(_, _From, Host) -> {reply, {error, unknown_request}, Host}.

-spec handle_cast(term(), binary()) -> {noreply, binary()}.
handle_cast(_, Host) -> {noreply, Host}.

-spec handle_info(term(), binary()) -> {noreply, binary()}.
handle_info(sweep, Host) ->
    _ = erlang:send_after(?SWEEP_MS, self(), sweep),
    Pids = lists:usort(ets:select(process(Host), [{{{'_', '_', '$1'}}, [], ['$1']}])),
    lists:foreach(fun(Pid) -> true = ets:match_delete(process(Host), {{'_', '_', Pid}}) end,
                  [Pid || Pid <- Pids, not is_process_alive(Pid)]),
    {noreply, Host};
handle_info(_, Host) -> {noreply, Host}.
