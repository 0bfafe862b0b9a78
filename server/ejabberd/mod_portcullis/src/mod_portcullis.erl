%%% portcullis at the door of ejabberd: asks before each login, obeys, reports what came of it.
%%%
%%% Here are the options and the hooks; they run in the processes of the clients. What is held and sent is in
%%% mod_portcullis_held (bans), mod_portcullis_link (the conversation), mod_portcullis_wire (its words),
%%% mod_portcullis_name (who is it?) and mod_portcullis_kick. There are no rules here: portcullis decides.
%%%
%%% A hook that crashes lets everybody in (ejabberd logs it and goes on), so those that can refuse run inside safely/5.
%%% One source for ejabberd 24.12 and 26.07. Protocol: docs/hook-protocol.md of portcullis.
-module(mod_portcullis).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([stream_started/2, handle_recv/3, auth_result/3, user_send_packet/1, resource_packet/1]).

-include("logger.hrl").
-include("xmpp.hrl").

-define(PARTS, [mod_portcullis_wire, mod_portcullis_name, mod_portcullis_held, mod_portcullis_kick, mod_portcullis_link]).

%% How often a login looks again for a table that is being made anew.
-define(TABLE_MS, 20).

%% The only texts of ejabberd's SASL code that say that a secret was looked at and was wrong (or that there is no such
%% account). Everything else is a broken or aborted exchange, a ban of the server's own, or a backend in trouble.
-define(WRONG, [<<"Invalid username or password">>, <<"Invalid token">>]).

%% --- gen_mod

start(Host, Opts) ->
    newest_parts(),
    case child(Host, Opts) of
        {ok, _} ->
            {ok, [{hook, c2s_stream_started, stream_started, 5},
                  {hook, c2s_handle_recv, handle_recv, 5},
                  {hook, c2s_auth_result, auth_result, 50},
                  {hook, user_send_packet, user_send_packet, 5},
                  {hook, local_send_to_resource_hook, resource_packet, 50}]};
        Error -> Error
    end.

child(Host, Opts) ->
    case gen_mod:start_child(mod_portcullis_link, Host, Opts) of
        {error, {already_started, Pid}} -> {ok, Pid};
        {error, already_present} ->
            _ = gen_mod:stop_child(mod_portcullis_link, Host),
            gen_mod:start_child(mod_portcullis_link, Host, Opts);
        Result -> Result
    end.

%% `module_upgrade` and `module_install` replace this module in the running server, not those beside it.
newest_parts() ->
    [case file_md5(Part) of
         same -> ok;
         _ -> code:soft_purge(Part), code:load_file(Part)
     end || Part <- ?PARTS],
    ok.

file_md5(Part) ->
    try beam_lib:md5(code:which(Part)) of
        {ok, {Part, Md5}} -> case Part:module_info(md5) of Md5 -> same; _ -> other end;
        _ -> other
    catch _:_ -> other
    end.

stop(Host) -> gen_mod:stop_child(mod_portcullis_link, Host).

reload(Host, _NewOpts, _OldOpts) -> mod_portcullis_link:reloaded(Host).

depends(_Host, _Opts) -> [].

mod_options(_Host) ->
    [{component, <<"portcullis.@HOST@">>}, {wait, 500}, {fail, open}, {ask_at_start, true}, {guard_record, true},
     {max_held, 100000}, {max_reports, 10000}, {report_batch, 100}, {heartbeat, 60000}].

mod_opt_type(component) -> econf:host();
mod_opt_type(wait) -> econf:timeout(millisecond);
mod_opt_type(fail) -> econf:enum([open, closed]);
mod_opt_type(ask_at_start) -> econf:bool();
mod_opt_type(guard_record) -> econf:bool();
mod_opt_type(max_held) -> econf:pos_int();
mod_opt_type(max_reports) -> econf:pos_int();
mod_opt_type(report_batch) -> econf:int(1, 100);
mod_opt_type(heartbeat) -> econf:timeout(second).

mod_doc() ->
    #{desc => [<<"Asks portcullis before each login, reports what came of it, and holds known bans while portcullis is away.">>],
      opts =>
          [{component, #{value => <<"Domain">>, desc => <<"Where portcullis is connected. Default: portcullis.@HOST@">>}},
           {wait, #{value => <<"timeout()">>, desc => <<"How long a login waits for an answer. Default: 500 milliseconds">>}},
           {fail, #{value => <<"open | closed">>,
                    desc => <<"What to do when nobody answers and no held ban says no: let in, or refuse for the time being. "
                              "Default: open">>}},
           {ask_at_start, #{value => <<"true | false">>,
                            desc => <<"Ask about the address as soon as a stream is opened, besides at each password check. "
                                      "Default: true">>}},
           {guard_record, #{value => <<"true | false">>,
                            desc => <<"Keep users from reading or writing the record of a ban in their private storage. Default: true">>}},
           {max_held, #{value => <<"pos_integer()">>, desc => <<"At most so many bans are held. Default: 100000">>}},
           {max_reports, #{value => <<"pos_integer()">>,
                           desc => <<"At most so many outcomes wait for portcullis to come back. Default: 10000">>}},
           {report_batch, #{value => <<"1..100">>, desc => <<"At most so many outcomes in one report. Default: 100">>}},
           {heartbeat, #{value => <<"timeout()">>,
                         desc => <<"How often portcullis is told that the module is there, and asked for news. Default: 60 seconds">>}}],
      example => ["modules:", "  mod_portcullis:", "    component: portcullis.example.org"]}.

opt(Host, Name) -> gen_mod:get_module_opt(Host, ?MODULE, Name).

%% --- a stream starts

%% Once a stream: after STARTTLS and after the login it starts again, and the login itself is asked about.
stream_started(#{stream_authenticated := true} = State, _) -> State;
stream_started(#{portcullis_started := true} = State, _) -> State;
stream_started(#{lserver := Host} = State, _) ->
    Address = address(State),
    case safely(Host, start, undefined, Address, fun() -> verdict(Host, start, undefined, Address, undefined, undefined) end) of
        allow -> State#{portcullis_started => true};
        {refuse, _, Text} ->
            report(State, undefined, undefined, <<"refused">>, undefined, Text),
            {stop, stream_error(State, Text)}
    end.

%% --- the password check

%% Before ejabberd itself looks at the element: the message whose secret it looks at next is asked about. For SCRAM that
%% is the last one, since many exchanges can be begun before a ban and finished after it; its first one as well where a
%% held ban says that the answer may be no, for the record of a ban would be answered in words of the server's.
handle_recv(#{stream_authenticated := false, stream_state := At} = State, _, #sasl_auth{mechanism = Mech, text = Text})
  when At =:= wait_for_sasl_request; At =:= wait_for_sasl_response ->
    first(sasl, Mech, Text, State);
handle_recv(#{stream_authenticated := false, stream_state := wait_for_sasl_request} = State, _,
            #sasl2_authenticate{mechanism = Mech, initial_response = Text}) ->
    first(sasl2, Mech, Text, State);
handle_recv(#{stream_authenticated := false, stream_state := wait_for_sasl_response, sasl_mech := Mech} = State, _,
            #sasl_response{text = Text}) ->
    later(sasl, Mech, Text, State);
handle_recv(#{stream_authenticated := false, stream_state := wait_for_sasl2_response, sasl_mech := Mech} = State, _,
            #sasl2_response{text = Text}) ->
    later(sasl2, Mech, Text, State);
handle_recv(#{stream_authenticated := false} = State, _, #iq{type = set} = IQ) ->
    legacy(State, IQ);
handle_recv(State, _, _) -> State.

%% The first message decides alone, but for mechanisms with a challenge: these only tell at once that nobody has that name.
first(How, <<"SCRAM-", _/binary>> = Mech, Text, #{lserver := Host} = State) ->
    Names = mod_portcullis_name:first(Mech, Text),
    Unknown = lists:any(fun(N) -> unknown(N, Host) =/= undefined end, Names),
    case Unknown orelse may_be_banned(Host, accounts(Names, Host), address(State)) of
        true -> check(How, Mech, Names, Unknown, State);
        false -> tries([], Names, State)
    end;
first(How, Mech, Text, State) ->
    check(How, Mech, mod_portcullis_name:first(Mech, Text), Mech =/= <<"DIGEST-MD5">>, State).

%% DIGEST-MD5 ends with a message that says nothing.
later(How, Mech, Text, State) ->
    case mod_portcullis_name:later(Mech, Text) of
        [] -> check(How, Mech, maps:get(portcullis_names, State, []), Mech =/= <<"DIGEST-MD5">>, State);
        Names -> check(How, Mech, Names, true, State)
    end.

%% XEP-0078 (mod_legacy_auth): there is no SASL failure to answer with, only the stream error.
legacy(State, IQ) ->
    try xmpp:try_subtag(IQ, #legacy_auth{}) of
        #legacy_auth{username = User} ->
            check(none, <<"legacy">>, [N || N <- [mod_portcullis_name:local(User)], N =/= error], true, State);
        false -> State
    catch _:_ -> State
    end.

%% `Decides`: if the answer is yes, the password is looked at next, and what comes of it is reported for each name.
check(How, Mech, Names, Decides, #{lserver := Host} = State0) ->
    State = tries(case Decides of true -> Names; false -> [] end, Names, State0),
    case ask(Host, Names, address(State), Mech, Decides) of
        allow -> State;
        {refuse, By, Text, Account} -> {stop, refuse(How, By, Text, Account, Mech, State)}
    end.

%% Whose login it is, and of whom portcullis waits for an outcome.
tries(Tried, Names, State) -> State#{portcullis_names => Names, portcullis_tried => Tried}.

ask(Host, Names, Address, Mech, Decides) ->
    %% Half of the wait is left for the way there and back.
    Hold = case Decides of true -> integer_to_binary(opt(Host, wait) div 2); false -> undefined end,
    ask_each(Host, accounts(Names, Host), Address, Mech, Hold).

accounts([], _) -> [undefined];
accounts(Names, Host) -> [<<N/binary, $@, Host/binary>> || N <- Names].

may_be_banned(Host, Accounts, Address) ->
    lists:any(fun(Account) -> mod_portcullis_held:find(Host, check, Account, Address) =/= none end, Accounts).

ask_each(_, [], _, _, _) -> allow;
ask_each(Host, [Account | More], Address, Mech, Hold) ->
    case safely(Host, check, Account, Address, fun() -> verdict(Host, check, Account, Address, Mech, Hold) end) of
        allow -> ask_each(Host, More, Address, Mech, Hold);
        {refuse, By, Text} -> {refuse, By, Text, Account}
    end.

refuse(How, By, Text, Account, Mech, State) ->
    Condition = case By of account -> 'account-disabled'; _ -> 'temporary-auth-failure' end,
    Lang = maps:get(lang, State, <<"en">>),
    Said = case How of none -> undefined; _ -> atom_to_binary(Condition, utf8) end,
    report(State, Account, Mech, <<"refused">>, Said, Text),
    Failed = case How of
                 sasl -> ejabberd_c2s:send(State, #sasl_failure{reason = Condition, text = xmpp:mk_text(Text, Lang)});
                 sasl2 -> ejabberd_c2s:send(State, #sasl2_failure{reason = Condition, text = Text});
                 none -> State
             end,
    stream_error(Failed, Text).

stream_error(#{stream_state := disconnected} = State, _) -> State;
stream_error(State, Text) ->
    ejabberd_c2s:send(State, xmpp:serr_policy_violation(Text, maps:get(lang, State, <<"en">>))).

%% --- one question

%% portcullis' word if it gives one in time, else the bans held here, else the option `fail`.
verdict(_, start, _, undefined, _, _) -> allow;
verdict(Host, Stage, Account, Address, Mech, Hold) ->
    case ask_now(Host, Stage) andalso
        mod_portcullis_wire:ask(
          Host, mod_portcullis_wire:el(<<"check">>, [{<<"account">>, Account}, {<<"mechanism">>, Mech},
                                                     {<<"address">>, mod_portcullis_wire:address_text(Address)}, {<<"hold">>, Hold}]),
          opt(Host, wait)) of
        {ok, #xmlel{name = <<"verdict">>} = El} ->
            news(Host, mod_portcullis_wire:attr(<<"seq">>, El)),
            case mod_portcullis_wire:attr(<<"action">>, El) of
                <<"allow">> -> allow;
                <<"refuse">> -> {refuse, by(mod_portcullis_wire:attr(<<"by">>, El)), mod_portcullis_wire:text_of(El)};
                _ -> unanswered(Host, {not_understood, El}, Stage, Account, Address)
            end;
        Why -> unanswered(Host, Why, Stage, Account, Address)
    end.

ask_now(_, check) -> true;
ask_now(Host, start) -> opt(Host, ask_at_start).

by(<<"account">>) -> account;
by(_) -> other.

news(Host, Seq) ->
    try binary_to_integer(Seq) of
        N -> N > mod_portcullis_held:seen_seq(Host) andalso mod_portcullis_link:seen(Host, N)
    catch _:_ -> ok
    end.

unanswered(Host, Why, Stage, Account, Address) ->
    case Why of
        {error, Condition} ->
            mod_portcullis_link:trouble(Host, answer, <<"portcullis answers a question with the error ",
                                                        (atom_to_binary(Condition, utf8))/binary>>);
        {not_understood, _} -> mod_portcullis_link:trouble(Host, answer, <<"a verdict was not understood">>);
        silent -> mod_portcullis_link:trouble(Host, silent, <<"portcullis did not answer a question in time">>);
        {ok, _} -> mod_portcullis_link:trouble(Host, answer, <<"an answer was no verdict">>);
        _ -> ok     % away is told once by mod_portcullis_link; false: not asked at the start
    end,
    decide(Host, Stage, Account, Address).

decide(Host, Stage, Account, Address) ->
    case held(Host, Stage, Account, Address, opt(Host, wait)) of
        {Kind, Text} -> {refuse, Kind, Text};
        _ when Stage =:= start -> allow;    % the password check comes, and can be refused in better words
        _ -> fail(opt(Host, fail))
    end.

%% The owner of the table may just be coming back: better to wait for it than to guess.
held(Host, Stage, Account, Address, Left) ->
    case mod_portcullis_held:find(Host, Stage, Account, Address) of
        missing when Left > 0 ->
            mod_portcullis_link:need_table(Host),
            timer:sleep(?TABLE_MS),
            held(Host, Stage, Account, Address, Left - ?TABLE_MS);
        missing ->
            say_once(Host, missing, "the table of held bans is gone: logins are decided by `fail` alone", []),
            missing;
        Found -> Found
    end.

fail(open) -> allow;
fail(closed) -> {refuse, closed, <<"Logins cannot be checked at the moment, try again later">>}.

%% A fault of ours must not open the door: then the bans held decide, and `fail`.
safely(Host, Stage, Account, Address, Do) ->
    try Do()
    catch Class:Reason:Stack ->
            say_once(Host, crash, "a question about a login crashed: ~0p:~0p at ~0p", [Class, Reason, Stack]),
            try decide(Host, Stage, Account, Address)
            catch _:_ -> allow      % not even the options can be read: the module is being taken out
            end
    end.

%% In the log at most once a minute and kind, and in the `health` that portcullis shows.
say_once(Host, Kind, Format, Args) ->
    Text = iolist_to_binary(io_lib:format(Format, Args)),
    mod_portcullis_link:trouble(Host, Kind, Text),
    Key = {?MODULE, Host, Kind},
    Now = erlang:system_time(second),
    case Now - persistent_term:get(Key, 0) >= 60 of
        true ->
            persistent_term:put(Key, Now),
            ?ERROR_MSG("mod_portcullis at ~ts: ~ts", [Host, Text]);
        false -> ok
    end.

%% --- what came of it

%% The last look at who it is: a name that nobody could tell before (a certificate's, a mechanism of the future) is asked
%% about before the client hears of success.
auth_result(#{lserver := Host} = State, true, User) ->
    Mech = maps:get(sasl_mech, State, undefined),
    Name = mod_portcullis_name:local(User),
    Asked = lists:member(Name, maps:get(portcullis_names, State, [])) orelse Name =:= error orelse Mech =:= <<"ANONYMOUS">>,
    case Asked orelse ask(Host, [Name], address(State), Mech, false) of
        {refuse, By, Text, Account} ->
            How = case maps:is_key(sasl2_inline_els, State) of
                      true -> sasl2;
                      false when Mech =:= <<"legacy">> -> none;
                      false -> sasl
                  end,
            {stop, refuse(How, By, Text, Account, Mech, State)};
        _ ->
            report(State, account(Name, Host), Mech, <<"success">>, undefined, undefined),
            maps:remove(portcullis_names, done(Name, Mech, State))
    end;
auth_result(#{lserver := Host} = State, {false, Reason}, User) ->
    Mech = maps:get(sasl_mech, State, undefined),
    Text = iolist_to_binary([Reason]),
    Name = mod_portcullis_name:local(User),
    case lists:member(Text, ?WRONG) andalso Mech =/= <<"EXTERNAL">> of
        true ->
            report(State, account(Name, Host), Mech, <<"failure">>, <<"not-authorized">>, Text, unknown(Name, Host));
        false ->
            report(State, account(Name, Host), Mech, <<"error">>, condition(Text), Text)
    end,
    done(Name, Mech, State);
auth_result(State, _, _) -> State.

%% Who was asked about as well (PLAIN with two names) has no outcome of their own; portcullis need not wait for one.
done(Name, Mech, #{lserver := Host} = State) ->
    [report(State, account(N, Host), Mech, <<"error">>, <<"invalid-authzid">>, undefined)
     || N <- maps:get(portcullis_tried, State, []), N =/= Name],
    maps:remove(portcullis_tried, State).

condition(<<"Aborted">>) -> <<"aborted">>;
condition(<<"Unsupported mechanism">>) -> <<"invalid-mechanism">>;
condition(<<"Account is banned", _/binary>>) -> <<"account-disabled">>;
condition(<<"Malformed", _/binary>>) -> <<"invalid-authzid">>;
condition(_) -> <<"not-authorized">>.

%% The server gives the same text for a wrong password and for nobody of that name. Looked up only where that is one read
%% of a local table or an indexed row; a directory or a script is not asked again.
unknown(Name, Host) ->
    Cheap = [ejabberd_auth_mnesia, ejabberd_auth_sql, ejabberd_auth_anonymous],
    try
        case Name =/= error andalso ejabberd_auth:auth_modules(Host) -- Cheap =:= []
            andalso not ejabberd_auth:user_exists(Name, Host) of
            true -> <<"true">>;
            false -> undefined
        end
    catch _:_ -> undefined
    end.

account(Name, _) when Name =:= error; Name =:= <<>> -> undefined;
account(Name, Host) -> <<Name/binary, $@, Host/binary>>.

report(State, Account, Mech, Outcome, Condition, Text) -> report(State, Account, Mech, Outcome, Condition, Text, undefined).
report(#{lserver := Host} = State, Account, Mech, Outcome, Condition, Text, Unknown) ->
    mod_portcullis_link:report(
      Host, [{<<"account">>, Account}, {<<"address">>, mod_portcullis_wire:address_text(address(State))},
             {<<"mechanism">>, Mech}, {<<"outcome">>, Outcome}, {<<"condition">>, Condition}, {<<"reason">>, Text},
             {<<"unknown">>, Unknown}, {<<"at">>, mod_portcullis_wire:stamp(mod_portcullis_wire:now_ms())}]).

address(#{ip := {Address, _}}) -> mod_portcullis_wire:address(Address);
address(_) -> undefined.

%% --- the record

%% The user may neither read it (its hash) nor write it (an un-ban). Requests on behalf of the component do not come here.
user_send_packet({#iq{type = Type, lang = Lang, sub_els = Els} = IQ, #{lserver := Host} = State} = Acc)
  when Type =:= get; Type =:= set ->
    case lists:any(fun is_record_request/1, Els) andalso opt(Host, guard_record) of
        true ->
            ejabberd_router:route_error(IQ, xmpp:err_forbidden(<<"This record belongs to the server">>, Lang)),
            {stop, {drop, State}};
        false -> Acc
    end;
user_send_packet(Acc) -> Acc.

is_record_request(El) ->
    xmpp:get_ns(El) =:= <<"jabber:iq:private">> andalso
        lists:any(fun(#xmlel{} = C) -> mod_portcullis_wire:attr(<<"xmlns">>, C) =:= <<"jabber:ejabberd:banned">>;
                     (_) -> false
                  end, (xmpp:encode(El))#xmlel.children).

%% --- what portcullis asks of us

%% Stanzas to VHOST/portcullis. The sender must be the component itself: its bare domain, and this very process must be
%% the one the component's route leads to. A user or a server from outside runs in another.
resource_packet(#iq{type = Type, from = #jid{luser = <<>>, lserver = Component, lresource = <<>>},
                    to = #jid{luser = <<>>, lserver = Host, lresource = <<"portcullis">>}} = IQ)
  when Type =:= get; Type =:= set ->
    Ours = Component =:= mod_portcullis_wire:component(Host) andalso lists:member(self(), mod_portcullis_wire:routes(Host)),
    case Ours andalso mod_portcullis_wire:payload(IQ) of
        #xmlel{name = Name} = El ->
            order(Name, El, Host, IQ),
            stop;
        _ -> ok         % ejabberd answers item-not-found
    end;
resource_packet(_) -> ok.

order(<<"news">>, El, Host, #iq{type = set} = IQ) ->
    Seq = try binary_to_integer(mod_portcullis_wire:attr(<<"seq">>, El)) catch _:_ -> infinity end,
    mod_portcullis_link:news(Host, mod_portcullis_wire:attr(<<"epoch">>, El), Seq),
    ejabberd_router:route(xmpp:make_iq_result(IQ));
order(<<"kick">>, El, Host, #iq{type = set} = IQ) ->
    case mod_portcullis_kick:who(El) of
        error -> bad_request(IQ, <<"one of account, address, network">>);
        Who ->
            _ = spawn(fun() ->
                              Count = mod_portcullis_kick:kick(Host, Who, mod_portcullis_wire:text_of(El)),
                              answer(IQ, mod_portcullis_wire:el(<<"kicked">>, [{<<"count">>, integer_to_binary(Count)}]))
                      end),
            ok
    end;
order(<<"hash">>, El, _, #iq{type = get} = IQ) ->
    try jid:tolower(jid:decode(mod_portcullis_wire:attr(<<"account">>, El))) of
        {User, Server, _} when User =/= <<>> ->
            Account = jid:encode({User, Server, <<>>}),
            answer(IQ, mod_portcullis_wire:el(<<"hash">>, [{<<"account">>, Account}, {<<"value">>, native_hash(User, Server)}]));
        _ -> bad_request(IQ, <<"no account">>)
    catch _:_ -> bad_request(IQ, <<"no account">>)
    end;
order(_, _, _, IQ) -> bad_request(IQ, <<"not known to this module">>).

%% As mod_admin_extra makes it (it does not export the function).
native_hash(User, Server) ->
    Cookie = atom_to_binary(erlang:get_cookie(), utf8),
    misc:term_to_base64(crypto:hash(sha256, <<User/binary, Server/binary, Cookie/binary>>)).

answer(IQ, El) -> ejabberd_router:route(xmpp:make_iq_result(IQ, El)).

bad_request(IQ, Text) -> ejabberd_router:route_error(IQ, xmpp:err_bad_request(Text, <<"en">>)).
