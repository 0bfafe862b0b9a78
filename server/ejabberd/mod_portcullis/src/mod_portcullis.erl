%%% Asks portcullis before each login, obeys its verdict and reports what came of it. One source for ejabberd 24.12 to 26.07.
%%% The protocol is docs/hook-protocol.md of portcullis. There are no rules here: portcullis decides.
%%%
%%% This module is what gen_mod sees: start and stop, the options, and which hooks there are.
%%%
%%%   hooks, in the processes of the clients and of the component
%%%     mod_portcullis_login     the steps of a login
%%%     mod_portcullis_record    keeps users away from the record of a ban
%%%     mod_portcullis_requests  what portcullis asks of this module
%%%   processes, under mod_portcullis_sup
%%%     mod_portcullis_health    what is wrong, told to portcullis
%%%     mod_portcullis_bans      owns the table of bans, which decides while portcullis is away
%%%     mod_portcullis_places    who is just asking, or having a password looked at
%%%     mod_portcullis_away      counts failures while portcullis is away
%%%     mod_portcullis_reports   delivers outcomes of logins
%%%     mod_portcullis_sync      keeps the table in step with portcullis
%%%   functions
%%%     mod_portcullis_verdict   portcullis' word, else the bans held, the option `fail` and the failures counted
%%%     mod_portcullis_known     who logged in from where
%%%     mod_portcullis_disk      keeps rows over a restart
%%%     mod_portcullis_sasl      the names in a SASL message
%%%     mod_portcullis_sessions  ends sessions
%%%     mod_portcullis_refusals  what of ejabberd itself refuses a login
%%%     mod_portcullis_protocol  the stanzas
%%%     mod_portcullis_net       addresses and networks
-module(mod_portcullis).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([component_connected/1, component_disconnected/2]).
-export([pre_uninstall/0]).

%% --- start and stop

%% Priority 5 stands before other modules, so that they do not see what is refused.
-spec start(binary(), gen_mod:opts()) -> {ok, [gen_mod:registration()]} | {error, term()}.
start(Host, _Opts) ->
    lists:foreach(fun load_again/1, [Module || Module <- parts(), code:module_status(Module) =:= modified]),
    case mod_portcullis_sup:start(Host) of
        {ok, _} ->
            %% Somebody may have logged in while this module was not there.
            _ = proc_lib:spawn(mod_portcullis_sessions, end_banned, [Host]),
            ejabberd_hooks:add(component_connected, ?MODULE, component_connected, 50),
            ejabberd_hooks:add(component_disconnected, ?MODULE, component_disconnected, 50),
            {ok, [{hook, c2s_stream_started, mod_portcullis_login, c2s_stream_started, 5},
                  {hook, c2s_handle_recv, mod_portcullis_login, c2s_handle_recv, 5},
                  {hook, c2s_auth_result, mod_portcullis_login, c2s_auth_result, 50},
                  {hook, user_send_packet, mod_portcullis_record, user_send_packet, 5},
                  {hook, local_send_to_resource_hook, mod_portcullis_requests, local_send_to_resource_hook, 50}]};
        Error -> Error
    end.

%% An upgrade may leave old code in memory: between pre_uninstall/0 and the moment when ejabberd forgets the folder of the
%% old module, a call from another process loads a part from there again.
load_again(Module) ->
    _ = code:purge(Module),
    _ = code:load_file(Module).

%% Calls no other module of ours: ejabberd 24.12 calls this once more after pre_uninstall/0, and would load the old code of
%% that module again.
-spec stop(binary()) -> ok | {error, term()}.
stop(Host) ->
    %% COMPAT: ejabberd 24.12 would take a global hook that was registered as the others are away from all virtual hosts.
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        true -> ok;
        false ->
            ejabberd_hooks:delete(component_connected, ?MODULE, component_connected, 50),
            ejabberd_hooks:delete(component_disconnected, ?MODULE, component_disconnected, 50)
    end,
    gen_mod:stop_child(gen_mod:get_module_proc(Host, mod_portcullis_sup)).

-spec reload(binary(), gen_mod:opts(), gen_mod:opts()) -> ok.
reload(Host, _NewOpts, _OldOpts) -> mod_portcullis_sync:reloaded(Host).

%% portcullis shall be greeted at once, and nobody be asked who is not there any more.
-spec component_connected(binary()) -> ok.
component_connected(Component) ->
    lists:foreach(fun mod_portcullis_sync:component_changed/1,
                  [Host || Host <- loaded_hosts(), mod_portcullis_protocol:component(Host) =:= Component]).

-spec component_disconnected(binary(), term()) -> ok.
component_disconnected(Component, _Reason) -> component_connected(Component).

loaded_hosts() -> [Host || Host <- ejabberd_option:hosts(), gen_mod:is_loaded(Host, ?MODULE)].

%% Called by module_uninstall and module_upgrade, which themselves unload this module alone. Stops it first, so that no
%% process loads a module again that was just unloaded.
-spec pre_uninstall() -> ok.
pre_uninstall() ->
    lists:foreach(fun(Host) -> gen_mod:stop_module(Host, ?MODULE) end, loaded_hosts()),
    lists:foreach(fun unload/1, parts()).

unload(Module) ->
    _ = code:purge(Module),
    true = code:delete(Module).

%% Our other modules, as far as they are loaded.
parts() -> [Module || {Module, _} <- code:all_loaded(), lists:prefix("mod_portcullis_", atom_to_list(Module))].

%% --- options

-spec depends(binary(), gen_mod:opts()) -> [].
depends(_Host, _Opts) -> [].

-spec mod_options(binary()) -> [{atom(), term()}].
mod_options(_Host) ->
    [{component, <<"portcullis.@HOST@">>}, {wait, 500}, {fail, open}, {away_limit, 5}, {away_window, timer:minutes(10)},
     {ask_at_start, true}, {guard_record, true},
     {max_held, 100000}, {max_reports, 10000}, {report_batch, 100}, {heartbeat, 60000}].

-spec mod_opt_type(atom()) -> econf:validator().
mod_opt_type(component) -> econf:host();
mod_opt_type(wait) -> econf:timeout(millisecond);
mod_opt_type(fail) -> econf:enum([open, closed]);
mod_opt_type(away_limit) -> econf:int(0, 1000);
mod_opt_type(away_window) -> econf:timeout(second);
mod_opt_type(ask_at_start) -> econf:bool();
mod_opt_type(guard_record) -> econf:bool();
mod_opt_type(max_held) -> econf:pos_int();
mod_opt_type(max_reports) -> econf:pos_int();
mod_opt_type(report_batch) -> econf:int(1, 100);
mod_opt_type(heartbeat) -> econf:timeout(second).

%% Shown by `ejabberdctl gen_markdown_doc_for_tags` and the like.
-spec mod_doc() -> #{desc => [binary()], opts => [{atom(), #{value => binary(), desc => binary()}}], example => [string()]}.
mod_doc() ->
    #{desc => [<<"Asks portcullis before each login, reports what came of it, and holds known bans while portcullis is away.">>],
      opts =>
          [{component, #{value => <<"Domain">>, desc => <<"Where portcullis is connected. Default: portcullis.@HOST@">>}},
           {wait, #{value => <<"timeout()">>, desc => <<"How long a login waits for an answer. Default: 500 milliseconds">>}},
           {fail, #{value => <<"open | closed">>,
                    desc => <<"What to do when nobody answers and no held ban says no: let in, or refuse for the time being. "
                              "Default: open">>}},
           {away_limit, #{value => <<"0..1000">>,
                          desc => <<"While nobody answers: how many failed logins of one address (of IPv6: a /64) and of one account "
                                    "are let to the password within away_window; more are refused for the time being. 0: as many as "
                                    "there are. Default: 5">>}},
           {away_window, #{value => <<"timeout()">>, desc => <<"How long such a failure counts. Default: 10 minutes">>}},
           {ask_at_start, #{value => <<"true | false">>,
                            desc => <<"Ask about the address as soon as a stream is opened, besides at each password check. "
                                      "Default: true">>}},
           {guard_record, #{value => <<"true | false">>,
                            desc => <<"Keep users from reading or writing the record of a ban in their private storage. Default: true">>}},
           {max_held, #{value => <<"pos_integer()">>, desc => <<"The largest number of bans held. Default: 100000">>}},
           {max_reports, #{value => <<"pos_integer()">>,
                           desc => <<"How many outcomes at most are kept until portcullis is back. Default: 10000">>}},
           {report_batch, #{value => <<"1..100">>, desc => <<"The largest number of outcomes in one report. Default: 100">>}},
           {heartbeat, #{value => <<"timeout()">>,
                         desc => <<"How often portcullis is told that the module is there, and asked for news. Default: 60 seconds">>}}],
      example => ["modules:", "  mod_portcullis:", "    component: portcullis.example.org"]}.
