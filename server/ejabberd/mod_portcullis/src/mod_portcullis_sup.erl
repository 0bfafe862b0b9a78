%%% The processes of one virtual host. They are independent of each other: each restarts alone.
-module(mod_portcullis_sup).
-behaviour(supervisor).
-export([start/1]).
-export([start_link/1, init/1]).

%% ejabberd_gen_mod_sup takes down all modules of the server when more than 10 of its children crash within a second. This
%% supervisor therefore gives up late. Its children keep no state that a restart of them all would repair, and the one
%% that talks to portcullis begins again only a second after a crash: what portcullis sends cannot make it crash often.
-define(RESTARTS, 100).
-define(SECONDS, 1).

%% Under ejabberd_gen_mod_sup, as gen_mod:start_child/3 does, which starts workers only. gen_mod:stop_child/1 ends it.
-spec start(binary()) -> {ok, pid()} | {error, term()}.
start(Host) ->
    Child = #{id => process(Host), start => {?MODULE, start_link, [Host]}, restart => permanent, shutdown => infinity,
              type => supervisor, modules => [?MODULE]},
    case supervisor:start_child(ejabberd_gen_mod_sup, Child) of
        {ok, Pid} -> {ok, Pid};
        {error, {already_started, Pid}} -> {ok, Pid};
        {error, Reason} -> {error, Reason}
    end.

process(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

-spec start_link(binary()) -> supervisor:startlink_ret().
start_link(Host) -> supervisor:start_link({local, process(Host)}, ?MODULE, Host).

-spec init(binary()) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init(Host) ->
    Children = [mod_portcullis_health, mod_portcullis_bans, mod_portcullis_places, mod_portcullis_away, mod_portcullis_reports,
                mod_portcullis_sync],
    lists:foreach(fun(Module) -> await_end(gen_mod:get_module_proc(Host, Module)) end, Children),
    {ok, {#{strategy => one_for_one, intensity => ?RESTARTS, period => ?SECONDS},
          [#{id => Module, start => {Module, start_link, [Host]}, shutdown => 30000} || Module <- Children]}}.

%% When a supervisor was killed, the next one starts while the children of the first are still ending. With their names
%% taken, it would fail again and again, until ejabberd_gen_mod_sup gives up.
await_end(Name) ->
    Monitor = monitor(process, Name),
    receive {'DOWN', Monitor, process, _, _} -> ok end.
