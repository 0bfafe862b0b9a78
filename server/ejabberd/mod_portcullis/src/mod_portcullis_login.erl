%%% The hooks of a login. Each asks mod_portcullis_verdict, refuses in the words of the protocol that the client speaks
%%% (SASL, SASL2 or XEP-0078), and reports what came of it.
%%%
%%% The state of the stream carries: `portcullis_started` (this stream was asked about), `portcullis_names` (the localparts
%%% the exchange under way has named), `portcullis_owed` (those of them that portcullis expects an outcome for) and
%%% `portcullis_counted` (whom mod_portcullis_away counts this login for).
-module(mod_portcullis_login).
-export([c2s_stream_started/2, c2s_handle_recv/3, c2s_auth_result/3]).

-include("xmpp.hrl").

-type state() :: ejabberd_c2s:state().
%% Which protocol the exchange is of: how a failure is said. XEP-0078 has none that fits, so there the stream just ends.
-type exchange() :: sasl | sasl2 | legacy.
%% SASL condition and the server's own text.
-type reason() :: {binary() | undefined, binary() | undefined}.

%% The only text of ejabberd's SASL code that says that a password was looked at and was wrong (or that there is no such
%% account). All others are of a broken or aborted exchange, of a ban that the server knows itself, or of a backend in trouble.
-define(WRONG_PASSWORD, <<"Invalid username or password">>).

%% --- c2s_stream_started

%% Once a stream: it starts again after STARTTLS and after the login, and the login itself is asked about.
-spec c2s_stream_started(state(), stream_start()) -> state() | {stop, state()}.
c2s_stream_started(#{stream_authenticated := true} = State, _) -> State;
c2s_stream_started(#{portcullis_started := true} = State, _) -> State;
c2s_stream_started(#{lserver := Host} = State, _) ->
    case mod_portcullis_verdict:at_start(Host, address(State)) of
        allow -> State#{portcullis_started => true};
        {refuse, _, Text} ->
            report(State, undefined, undefined, refused, {undefined, Text}),
            {stop, end_stream(State, Text)}
    end.

%% --- c2s_handle_recv

%% Before ejabberd itself looks at the element. The message whose secret it looks at next is asked about. For SCRAM that is
%% the last one, since many exchanges can be begun before a ban and finished after it. Messages that ejabberd answers with an
%% error before it looks at a password are left to it: a question about them would block others and never get an outcome.
-spec c2s_handle_recv(state(), xmlel() | {error, term()}, xmpp_element() | {error, term()} | term()) -> state() | {stop, state()}.
c2s_handle_recv(#{stream_authenticated := false, stream_state := Stage} = State, _, #sasl_auth{mechanism = Mechanism, text = Text})
  when Stage =:= wait_for_sasl_request; Stage =:= wait_for_sasl_response ->
    first_message(sasl, Mechanism, Text, State);
c2s_handle_recv(#{stream_authenticated := false, stream_state := wait_for_sasl_request} = State, _,
                #sasl2_authenticate{mechanism = Mechanism, initial_response = Text}) ->
    case is_sasl2_open(State) of
        true -> first_message(sasl2, Mechanism, Text, State);
        false -> State
    end;
c2s_handle_recv(#{stream_authenticated := false, stream_state := wait_for_sasl_response, sasl_mech := Mechanism} = State, _,
                #sasl_response{text = Text}) ->
    later_message(sasl, Mechanism, Text, State);
c2s_handle_recv(#{stream_authenticated := false, stream_state := wait_for_sasl2_response, sasl_mech := Mechanism} = State, _,
                #sasl2_response{text = Text}) ->
    later_message(sasl2, Mechanism, Text, State);
%% In the middle of an exchange mod_legacy_auth would put its own mechanism in place of the exchange's, and the outcome be told of
%% that one. A stream has one login at a time.
c2s_handle_recv(#{stream_authenticated := false, stream_state := Stage} = State, _, #iq{})
  when Stage =:= wait_for_sasl_response; Stage =:= wait_for_sasl2_response ->
    {stop, end_stream(State, <<"A login is under way on this stream.">>)};
c2s_handle_recv(#{stream_authenticated := false, stream_state := Stage, lserver := Host} = State, _, #iq{type = set, sub_els = [_]} = IQ)
  when Stage =/= wait_for_starttls ->
    case gen_mod:is_loaded(Host, mod_legacy_auth) of
        true -> legacy_auth(State, IQ);
        false -> State
    end;
c2s_handle_recv(#{stream_authenticated := true} = State, _, #iq{type = set, sub_els = [#xmlel{name = <<"query">>, attrs = Attrs}]} = IQ) ->
    case lists:keyfind(<<"xmlns">>, 1, Attrs) of
        {_, ?NS_REGISTER} -> registration(State, IQ);
        _ -> State
    end;
c2s_handle_recv(State, _, _) -> State.

%% mod_register removes any account whose password is given, and says so if it is wrong: that would be a guess that nobody counts.
%% XEP-0077 section 3.2 knows the removal of one's own account only. Only the end of the stream keeps ejabberd from going on.
registration(#{user := User, lserver := Host} = State, #iq{to = To} = IQ) ->
    try xmpp:try_subtag(IQ, #register{}) of
        #register{remove = true, username = Name} when is_binary(Name) ->
            IsOwn = jid:nodeprep(Name) =:= jid:nodeprep(User) andalso (To =:= undefined orelse To#jid.lserver =:= Host),
            case IsOwn of
                true -> State;
                false -> {stop, end_stream(State, <<"Only one's own account can be removed.">>)}
            end;
        _ -> State
    catch error:{xmpp_codec, _} -> State    % ejabberd answers it with an error
    end.

%% xmpp_stream_in accepts SASL2 only on a stream with `from`, and forgets the `from` at the first message of SASL.
is_sasl2_open(#{sasl2_stream_from := _, stream_encrypted := IsEncrypted} = State) ->
    IsEncrypted orelse ejabberd_c2s:allow_unencrypted_sasl2(State);
is_sasl2_open(_) -> false.

%% The first message decides alone, but for mechanisms with a challenge. The first message of SCRAM is asked about where
%% nobody has that name, for then no second one comes; and where a held ban speaks against it, for the server would answer
%% it in words of its own when it knows of that ban as well.
first_message(Exchange, <<"SCRAM-", _/binary>> = Mechanism, Text, #{lserver := Host} = State) ->
    Names = mod_portcullis_sasl:first(Mechanism, Text),
    Unknown = lists:any(fun(Name) -> is_unknown(Name, Host) end, Names),
    case Unknown orelse is_held_against(Names, State) of
        true -> check(Exchange, Mechanism, Names, Unknown andalso is_offered(Exchange, Mechanism, State), State);
        false -> begin_with(Names, State)
    end;
first_message(Exchange, Mechanism, Text, State) ->
    Decides = Mechanism =/= <<"DIGEST-MD5">> andalso is_guess(Mechanism) andalso is_offered(Exchange, Mechanism, State),
    check(Exchange, Mechanism, mod_portcullis_sasl:first(Mechanism, Text), Decides, State).

%% DIGEST-MD5 ends with a message that says nothing.
later_message(Exchange, Mechanism, Text, State) ->
    case mod_portcullis_sasl:later(Mechanism, Text) of
        [] ->
            Decides = Mechanism =/= <<"DIGEST-MD5">> andalso is_guess(Mechanism),
            check(Exchange, Mechanism, maps:get(portcullis_names, State, []), Decides, State);
        Names -> check(Exchange, Mechanism, Names, true, State)
    end.

%% Whether the secret of this mechanism can be guessed. Nobody guesses a token or a certificate, and ANONYMOUS has no secret.
is_guess(<<"HT-", _/binary>>) -> false;
is_guess(Mechanism) -> not lists:member(Mechanism, [<<"EXTERNAL">>, <<"X-OAUTH2">>, <<"ANONYMOUS">>]).

%% Whether the server has this mechanism on this stream.
is_offered(Exchange, Mechanism, #{mod := Module} = State) ->
    case Module:sasl_mechanisms([Mechanism], State) of
        %% COMPAT: ejabberd 24.12 has one list for both.
        {Sasl, _, _} when Exchange =:= sasl -> Sasl =/= [];
        {_, Sasl2, _} -> Sasl2 =/= [];
        Mechanisms -> Mechanisms =/= []
    end.

%% XEP-0078 (mod_legacy_auth), which does not look at a password without both names.
legacy_auth(State, IQ) ->
    try xmpp:try_subtag(IQ, #legacy_auth{}) of
        #legacy_auth{username = User, resource = Resource}
          when is_binary(User), User =/= <<>>, is_binary(Resource), Resource =/= <<>> ->
            check(legacy, <<"legacy">>, mod_portcullis_sasl:localparts([User]), true, State);
        _ -> State
    catch error:{xmpp_codec, _} -> State    % ejabberd answers it with an error
    end.

is_held_against(Names, #{lserver := Host} = State) ->
    lists:any(fun(Account) -> mod_portcullis_bans:find(Host, check, Account, address(State)) =/= none end, accounts(Names, Host)).

%% `Decides`: if the answer is yes, the password is looked at next, and an outcome is reported for each name.
-spec check(exchange(), binary(), [binary()], boolean(), state()) -> state() | {stop, state()}.
check(Exchange, Mechanism, Names, Decides, State0) ->
    State = begin_with(Names, State0),
    case ask(Names, Mechanism, Decides, State) of
        allow -> owe(Names, Decides, State);
        {counted, Subjects} -> (owe(Names, Decides, State))#{portcullis_counted => Subjects};
        {Account, _} = Refusal ->
            #{lserver := Host} = State,
            Allowed = lists:takewhile(fun(Name) -> account(Name, Host) =/= Account end, Names),
            {stop, settle(none, Mechanism, refuse(Exchange, Refusal, Mechanism, owe(Allowed, Decides, State)))}
    end.

%% An exchange that was begun before on this stream, and had no outcome, was given up.
begin_with(Names, State0) ->
    State = settle(none, maps:get(sasl_mech, State0, undefined), leave(State0)),
    State#{portcullis_names => Names}.

owe(Names, true, State) -> State#{portcullis_owed => Names};
owe(_, false, State) -> State.

%% Asks about each account; about the address alone when the message names none.
ask(Names, Mechanism, Decides, #{lserver := Host} = State) ->
    AtCheck = fun(Account) ->
                      mod_portcullis_verdict:at_check(Host, Account, address(State), mod_portcullis_protocol:mechanism(Mechanism), Decides)
              end,
    ask_each(accounts(Names, Host), [], Host, AtCheck).

ask_each([], [], _, _) -> allow;
ask_each([], Counted, _, _) -> {counted, lists:usort(Counted)};
ask_each([Account | More], Counted, Host, AtCheck) ->
    case AtCheck(Account) of
        allow -> ask_each(More, Counted, Host, AtCheck);
        {counted, Subjects} -> ask_each(More, Subjects ++ Counted, Host, AtCheck);
        Refusal ->
            leave_places(Counted, Host),
            {Account, Refusal}
    end.

%% The places of an exchange that has its outcome, or was given up for another one.
leave(#{portcullis_counted := Counted, lserver := Host} = State) ->
    leave_places(Counted, Host),
    maps:remove(portcullis_counted, State);
leave(State) -> State.

leave_places(Counted, Host) -> mod_portcullis_places:leave(Host, attempt, Counted).

accounts([], _) -> [undefined];
accounts(Names, Host) -> [account(Name, Host) || Name <- Names].

account(Name, _) when Name =:= error; Name =:= <<>> -> undefined;
account(Name, Host) -> <<Name/binary, $@, Host/binary>>.

%% --- refusing

%% What is refused for the moment counts nothing and is not reported.
refuse(Exchange, {_, {later, Text}}, _, State) ->
    end_stream(send_failure(Exchange, 'temporary-auth-failure', Text, State), Text);
refuse(Exchange, {Account, {refuse, By, Text}}, Mechanism, State) ->
    Condition = case By of
                    account -> 'account-disabled';
                    other -> 'temporary-auth-failure'
                end,
    Reported = case Exchange of
                   legacy -> undefined;
                   _ -> atom_to_binary(Condition, utf8)
               end,
    report(State, Account, Mechanism, refused, {Reported, Text}),
    end_stream(send_failure(Exchange, Condition, Text, State), Text).

send_failure(sasl, Condition, Text, State) ->
    ejabberd_c2s:send(State, #sasl_failure{reason = Condition, text = xmpp:mk_text(Text, lang(State))});
send_failure(sasl2, Condition, Text, State) ->
    ejabberd_c2s:send(State, #sasl2_failure{reason = Condition, text = Text});
send_failure(legacy, _, _, State) -> State.

end_stream(#{stream_state := disconnected} = State, _) -> State;
end_stream(State, Text) -> ejabberd_c2s:send(State, xmpp:serr_policy_violation(Text, lang(State))).

lang(State) -> maps:get(lang, State, <<"en">>).

%% --- c2s_auth_result

%% Now the server has told who it is. A name that nobody could tell before (of a certificate, or of a mechanism of the
%% future) is asked about before the client hears of success.
-spec c2s_auth_result(state(), true | {false, binary()}, binary()) -> state() | {stop, state()}.
c2s_auth_result(State0, true, User) ->
    #{lserver := Host} = State = leave(State0),
    Mechanism = maps:get(sasl_mech, State, undefined),
    Name = mod_portcullis_sasl:localpart(User),
    case was_asked(Name, Mechanism, State) orelse ask([Name], Mechanism, false, State) of
        {_, _} = Refusal ->
            {stop, settle(none, Mechanism, refuse(exchange(Mechanism, State), Refusal, Mechanism, State))};
        _ ->
            is_anonymous(Mechanism, State) orelse mod_portcullis_away:succeeded(Host, account(Name, Host), address(State)),
            report(State, account(Name, Host), Mechanism, success, {undefined, undefined}),
            maps:remove(portcullis_names, settle(Name, Mechanism, State))
    end;
c2s_auth_result(#{lserver := Host} = State, {false, Reason}, User) ->
    Mechanism = maps:get(sasl_mech, State, undefined),
    Name = mod_portcullis_sasl:localpart(User),
    case Reason =:= ?WRONG_PASSWORD andalso is_guess(Mechanism) of
        true ->
            Unknown = [{<<"unknown">>, <<"true">>} || is_unknown(Name, Host)],
            failed(account(Name, Host), attributes(State, account(Name, Host), Mechanism, {<<"not-authorized">>, Reason}) ++ Unknown, State);
        false ->
            report(State, account(Name, Host), Mechanism, error, {condition(Reason), Reason})
    end,
    settle(Name, Mechanism, leave(State));
c2s_auth_result(State, _, _) -> State.

%% A failure that portcullis may not hear of is counted here, before the client hears of it and before its places are left.
failed(Account, Attributes, #{lserver := Host} = State) ->
    Login = mod_portcullis_reports:login(failure, Attributes),
    Number = case is_counted_here(State) of
                 true -> mod_portcullis_away:failed(Host, [Account || Account =/= undefined] ++ counted_accounts(State), address(State), Login);
                 false -> none
             end,
    Number =:= late orelse mod_portcullis_reports:report(Host, Number, Login).

%% Whatever was let in without a verdict, and whatever portcullis cannot hear of now.
is_counted_here(#{portcullis_counted := _}) -> true;
is_counted_here(#{lserver := Host}) ->
    mod_portcullis_sync:link_state(Host) =/= up andalso gen_mod:get_module_opt(Host, mod_portcullis, away_limit) > 0.

counted_accounts(State) -> [Account || {account, Account} <- maps:get(portcullis_counted, State, [])].

%% Whoever logs in anonymously makes the name up: such names must not take the room of those that are known from before.
is_anonymous(<<"ANONYMOUS">>, _) -> true;
is_anonymous(_, State) -> maps:get(auth_module, State, undefined) =:= ejabberd_auth_anonymous.

was_asked(error, _, _) -> true;
was_asked(_, <<"ANONYMOUS">>, _) -> true;
was_asked(Name, _, State) -> lists:member(Name, maps:get(portcullis_names, State, [])).

exchange(_, #{sasl2_inline_els := _}) -> sasl2;
exchange(<<"legacy">>, _) -> legacy;
exchange(_, _) -> sasl.

%% Whoever was allowed and has no outcome (the other name of PLAIN with two, an exchange that was given up or refused):
%% portcullis need not wait for one.
settle(Name, Mechanism, #{lserver := Host} = State) ->
    lists:foreach(fun(Other) ->
                          report(State, account(Other, Host), Mechanism, error, {<<"invalid-authzid">>, undefined})
                  end, lists:delete(Name, maps:get(portcullis_owed, State, []))),
    maps:remove(portcullis_owed, State).

condition(<<"Aborted">>) -> <<"aborted">>;
condition(<<"Unsupported mechanism">>) -> <<"invalid-mechanism">>;
condition(<<"Account is banned", _/binary>>) -> <<"account-disabled">>;
condition(<<"Malformed", _/binary>>) -> <<"invalid-authzid">>;
condition(_) -> <<"not-authorized">>.

%% The server gives the same text for a wrong password and for an account that does not exist. That is looked up only where
%% it is one read of a local table or an indexed row; a directory or a script is not asked again.
-spec is_unknown(binary() | error, binary()) -> boolean().
is_unknown(error, _) -> false;
is_unknown(Name, Host) ->
    Cheap = [ejabberd_auth_mnesia, ejabberd_auth_sql, ejabberd_auth_anonymous],
    try ejabberd_auth:auth_modules(Host) -- Cheap =:= [] andalso not ejabberd_auth:user_exists(Name, Host)
    catch _:_ -> false      % a backend in trouble: the login itself will say so
    end.

%% --- reporting

-spec report(state(), binary() | undefined, binary() | undefined, mod_portcullis_reports:outcome(), reason()) -> ok.
report(#{lserver := Host} = State, Account, Mechanism, Outcome, Reason) ->
    mod_portcullis_reports:report(Host, none, mod_portcullis_reports:login(Outcome, attributes(State, Account, Mechanism, Reason))).

attributes(State, Account, Mechanism, {Condition, Text}) ->
    [{<<"account">>, Account}, {<<"address">>, mod_portcullis_net:to_text(address(State))},
     {<<"mechanism">>, mod_portcullis_protocol:mechanism(Mechanism)}, {<<"condition">>, Condition},
     {<<"reason">>, mod_portcullis_protocol:clip(Text)}].

-spec address(state()) -> inet:ip_address() | undefined.
address(State) -> mod_portcullis_net:of_peer(maps:get(ip, State, undefined)).
