#!/usr/bin/env escript
%% Compiles mod_portcullis against the installed ejabberd as `ejabberdctl module_install` would, with more warnings, and
%% runs xref and dialyzer over it.
%%
%%   check.escript CACHE_DIR
%%
%% Exit code 0: no warning of any kind. 1: there are some, printed. 2: the check could not run.
%% Needs Debian's ejabberd, erlang-dev, erlang-dialyzer and erlang-tools. The PLT is kept in CACHE_DIR.
-mode(compile).

main([Cache]) ->
    try
        Ejabberd = ejabberd_ebin(),
        true = code:add_pathz(Ejabberd),
        Ebin = filename:join(Cache, "ebin"),
        clean(Ebin),
        Results = [{compile, compile(Ebin)}, {xref, xref(Ebin)}, {dialyzer, dialyzer(Ebin, Cache)}],
        lists:foreach(fun({Name, Warnings}) -> io:format("~s: ~b warnings~n", [Name, length(Warnings)]) end, Results),
        halt(case [W || {_, Ws} <- Results, W <- Ws] of [] -> 0; _ -> 1 end)
    catch
        throw:Problem -> stop(Problem);
        Class:Reason:Stack -> stop(io_lib:format("~0p:~0p~n~p", [Class, Reason, Stack]))
    end;
main(_) -> stop("usage: check.escript CACHE_DIR").

stop(Problem) ->
    io:format(standard_error, "check: ~ts~n", [Problem]),
    halt(2).

ejabberd_ebin() ->
    case filelib:wildcard("/usr/lib/*/ejabberd-*/ebin/ejabberd.app") of
        [] -> throw("found no ejabberd below /usr/lib");
        [App | _] -> filename:dirname(App)
    end.

clean(Ebin) ->
    ok = filelib:ensure_dir(filename:join(Ebin, "x")),
    lists:foreach(fun(Beam) -> ok = file:delete(Beam) end, beams(Ebin)).

beams(Ebin) -> filelib:wildcard(filename:join(Ebin, "*.beam")).

sources() -> filelib:wildcard(filename:join([filename:dirname(escript:script_name()), "mod_portcullis", "src", "*.erl"])).

%% --- compile

compile(Ebin) ->
    Options = [debug_info, return, {outdir, Ebin}, warn_missing_spec, warn_export_vars, warn_unused_import, warn_unused_vars,
               warn_obsolete_guard, warn_deprecated_function | includes() ++ server_defines()],
    lists:append([compile_one(File, Options) || File <- sources()]).

compile_one(File, Options) ->
    case compile:file(File, Options) of
        {ok, _, Warnings} -> print(Warnings);
        {error, Errors, Warnings} ->
            _ = print(Errors ++ Warnings),
            throw("it does not compile")
    end.

print(PerFile) ->
    Warnings = [{File, Where, Module:format_error(What)} || {File, List} <- PerFile, {Where, Module, What} <- List],
    lists:foreach(fun({File, Where, Text}) -> io:format("~ts:~0p: ~ts~n", [filename:basename(File), Where, Text]) end, Warnings),
    Warnings.

%% The folders are found by a module of each: Debian names them p1_xmpp and so on, which code:lib_dir/1 does not know.
includes() ->
    [{i, filename:join(filename:dirname(filename:dirname(beam_of(Module))), "include")} || Module <- [ejabberd_c2s, xmpp, fxml, p1_rand]].

beam_of(Module) ->
    case code:which(Module) of
        Beam when is_list(Beam) -> Beam;
        preloaded -> filename:join([code:lib_dir(erts), "ebin", atom_to_list(Module) ++ ".beam"]);
        _ -> throw(io_lib:format("found no beam of ~s", [Module]))
    end.

%% The macros that ejabberd was built with stand in ext_mod, which compiles contributed modules with them.
server_defines() ->
    {ok, {_, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(beam_of(ext_mod), [abstract_code]),
    [Options] = [Body || {function, _, compile_options, 0, [{clause, _, [], [], Body}]} <- Forms],
    defines(Options).

defines({tuple, _, [{atom, _, d}, {atom, _, Name}]}) -> [{d, Name}];
defines(Form) when is_tuple(Form) -> defines(tuple_to_list(Form));
defines(Forms) when is_list(Forms) -> lists:flatmap(fun defines/1, Forms);
defines(_) -> [].

%% --- xref

xref(Ebin) ->
    {ok, _} = xref:start(?MODULE),
    ok = xref:set_default(?MODULE, [{warnings, false}]),
    ok = xref:set_library_path(?MODULE, code:get_path()),
    {ok, _} = xref:add_directory(?MODULE, Ebin),
    [Finding || Analysis <- [undefined_function_calls, undefined_functions, locals_not_used, deprecated_function_calls],
                Finding <- analyze(Analysis)].

analyze(Analysis) ->
    {ok, Found} = xref:analyze(?MODULE, Analysis),
    lists:foreach(fun(F) -> io:format("xref ~s: ~0p~n", [Analysis, F]) end, Found),
    Found.

%% --- dialyzer

%% A PLT of all of ejabberd takes minutes, so it holds the modules that ours name, and those that their types come from.
%% Its name is the checksum of those beams, so another server or a call to another module makes a new one.
dialyzer(Ebin, Cache) ->
    Named = [beam_of(Module) || Module <- modules(fun names/1, beams(Ebin)), not lists:prefix("mod_portcullis", atom_to_list(Module))],
    Beams = with_types(lists:usort(Named)),
    Plt = filename:join(Cache, [checksum(Beams), ".plt"]),
    filelib:is_file(Plt) orelse build(Plt, Beams),
    Warnings = dialyzer:run([{analysis_type, succ_typings}, {init_plt, Plt}, {files, beams(Ebin)}, {from, byte_code},
                             {warnings, [unknown, unmatched_returns, error_handling]}]),
    lists:foreach(fun(W) -> io:format("~ts", [dialyzer:format_warning(W, [{filename_opt, basename}])]) end, Warnings),
    Warnings.

build(Plt, Beams) ->
    io:format("building a PLT of ~b modules~n", [length(Beams)]),
    _ = dialyzer:run([{analysis_type, plt_build}, {output_plt, Plt}, {files, Beams}]).

checksum(Beams) ->
    Md5s = [Md5 || Beam <- Beams, {ok, {_, Md5}} <- [beam_lib:md5(Beam)]],
    io_lib:format("~.16b", [erlang:phash2({erlang:system_info(otp_release), Md5s}, 1 bsl 32)]).

with_types(Beams) ->
    case lists:umerge(Beams, lists:usort([beam_of(Module) || Module <- modules(fun type_names/1, Beams)])) of
        Beams -> Beams;
        More -> with_types(More)
    end.

modules(Names, Beams) -> lists:usort(lists:flatmap(fun(Beam) -> Names(forms(Beam)) end, Beams)).

forms(Beam) ->
    {ok, {_, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(Beam, [abstract_code]),
    Forms.

%% Modules that are called, or whose types or behaviour are used.
names({attribute, _, behaviour, Behaviour}) -> [Behaviour];
names({remote, _, {atom, _, Module}, _}) -> [Module];
names(Form) -> names_in(Form, fun names/1).

type_names(Form) -> names_in(Form, fun type_names/1).

names_in({remote_type, _, [{atom, _, Module} | Type]}, Names) -> [Module | Names(Type)];
names_in(Form, Names) when is_tuple(Form) -> Names(tuple_to_list(Form));
names_in([Form | Forms], Names) -> Names(Form) ++ Names(Forms);
names_in(_, _) -> [].
