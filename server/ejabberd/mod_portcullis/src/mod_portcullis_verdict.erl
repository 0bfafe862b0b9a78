%%% May this login go on? portcullis decides. While it is away, the bans held here do, then the option `fail`, then the number
%%% of failures that mod_portcullis_away has counted. When portcullis is there and only late, the login is refused for the
%%% moment: whoever makes it late gains nothing.
%%%
%%% Runs in the processes of the clients. A hook that crashes would let everybody in, for ejabberd logs the crash and goes
%%% on: so a crash of ours is caught, and then it is as if portcullis were away.
-module(mod_portcullis_verdict).
-export([at_start/2, at_check/5]).
-export_type([verdict/0]).

-include("xmpp.hrl").

%% `counted`: it may go on and has places of mod_portcullis_away, of these subjects. `By`: whether the ban is about the
%% account, which has its own SASL condition. `later`: refused for the moment, by nothing that the login has done.
-type verdict() :: allow
                 | {counted, [mod_portcullis_places:subject()]}
                 | {refuse, By :: account | other, Text :: binary()}
                 | {later, Text :: binary()}.

%% How often a login looks again for a table that is just being made.
-define(TABLE_MS, 20).
%% So many questions about one address and about one account may wait for portcullis. Nobody honest needs more.
-define(MAX_QUESTIONS, 16).

%% When the stream starts: the address alone. Where nobody decides, the password check comes, and can be refused in better
%% words.
-spec at_start(binary(), inet:ip_address() | undefined) -> verdict().
at_start(_, undefined) -> allow;
at_start(Host, Address) ->
    guarded(Host,
            fun() ->
                    case option(Host, ask_at_start) of
                        true -> start_asked(Host, Address);
                        false -> start_alone(Host, Address)
                    end
            end,
            fun() -> start_alone(Host, Address) end).

start_asked(Host, Address) ->
    Question = [{<<"address">>, mod_portcullis_net:to_text(Address)}],
    case asked(Host, undefined, Address, Question, 0) of
        {away, _} -> start_alone(Host, Address);
        {later, _} -> start_alone(Host, Address);
        Verdict -> Verdict
    end.

start_alone(Host, Address) ->
    case held(Host, start, undefined, Address) of
        none -> allow;
        Refusal -> Refusal
    end.

%% At the password check. `Decides`: should the answer be yes, the password is looked at next; portcullis may then hold the
%% answer back for a while. Half of the wait is left for the way there and back.
-spec at_check(binary(), binary() | undefined, inet:ip_address() | undefined, binary() | undefined, Decides :: boolean()) -> verdict().
at_check(Host, Account, Address, Mechanism, Decides) ->
    Alone = fun() -> alone(Host, Account, Address, Decides) end,
    guarded(Host,
            fun() ->
                    Hold = case Decides of
                               true -> integer_to_binary(option(Host, wait) div 2);
                               false -> undefined
                           end,
                    Question = [{<<"account">>, Account}, {<<"mechanism">>, Mechanism},
                                {<<"address">>, mod_portcullis_net:to_text(Address)}, {<<"hold">>, Hold}],
                    case asked(Host, Account, Address, Question, option(Host, wait)) of
                        {away, _} -> Alone();
                        allow -> allowed(Host, Account, Address, Decides);
                        Refusal -> Refusal
                    end
            end,
            Alone).

guarded(Host, Do, Otherwise) ->
    try Do()
    catch Class:Reason:Stack ->
            note(Host, crash, "a question about a login crashed: ~0p:~0p at ~0p", [Class, Reason, Stack]),
            try Otherwise()
            catch _:_ -> allow      % not even the options can be read: the module is just being stopped
            end
    end.

%% --- with portcullis

%% `Wait`: how long to wait for others at this address, or with this account, whose questions are under way.
asked(Host, Account, Address, Question, Wait) ->
    case mod_portcullis_sync:link_state(Host) of
        away -> {away, link};
        _ ->
            case mod_portcullis_bans:confirmed(Host, Account, Address) of
                {Kind, Text} -> refusal(Kind, Text);
                none -> asked_in_turn(Host, Account, Address, Question, Wait)
            end
    end.

asked_in_turn(Host, Account, Address, Question, Wait) ->
    %% Questions of strangers do not hold up the owner.
    Subjects = case mod_portcullis_places:is_known(Host, Account, Address) of
                   true -> mod_portcullis_places:subjects(undefined, Address);
                   false -> mod_portcullis_places:subjects(Account, Address)
               end,
    case mod_portcullis_places:wait_for(Host, question, Subjects, fun(_) -> ?MAX_QUESTIONS end, Wait) of
        full -> later();
        ok ->
            El = mod_portcullis_protocol:element(<<"check">>, Question),
            Answer = try mod_portcullis_protocol:ask(Host, El, option(Host, wait))
                     after mod_portcullis_places:leave(Host, question, Subjects)
                     end,
            answered(Answer, Host, Account, Address)
    end.

answered({ok, #xmlel{name = <<"verdict">>} = El}, Host, Account, Address) ->
    seen(Host, mod_portcullis_protocol:integer(<<"seq">>, El)),
    By = mod_portcullis_protocol:attribute(<<"by">>, El),
    case mod_portcullis_protocol:attribute(<<"action">>, El) of
        <<"allow">> -> allow;
        <<"refuse">> ->
            mod_portcullis_bans:confirm(Host, Account, Address, By),
            refusal(by(By), mod_portcullis_protocol:text(El));
        _ -> no_verdict(Host, "a verdict was not understood", [])
    end;
answered(timeout, Host, _, _) ->
    note(Host, silent, "portcullis did not answer a question in time", []),
    mod_portcullis_sync:doubt(Host),
    later();
answered({error, 'resource-constraint'}, Host, _, _) ->
    note(Host, silent, "portcullis has too many questions to answer", []),
    later();
answered(away, _, _, _) -> {away, link};      % mod_portcullis_sync says so once
answered({error, Condition}, Host, _, _) -> no_verdict(Host, "portcullis answers a question with the error ~ts", [Condition]);
answered({ok, _}, Host, _, _) -> no_verdict(Host, "an answer was no verdict", []).

no_verdict(Host, Format, Args) ->
    note(Host, answer, Format, Args),
    {away, answer}.

by(<<"account">>) -> account;
by(_) -> other.

seen(_, undefined) -> ok;
seen(Host, Seq) -> mod_portcullis_sync:seen(Host, Seq).

%% As long as portcullis does not know of all failures, ours count as well.
allowed(Host, Account, Address, Decides) ->
    case mod_portcullis_sync:link_state(Host) of
        up -> allow;
        _ -> counted(Host, Account, Address, Decides)
    end.

%% --- without portcullis

alone(Host, Account, Address, Decides) ->
    case held(Host, check, Account, Address) of
        none ->
            case option(Host, fail) of
                open -> counted(Host, Account, Address, Decides);
                closed -> later()
            end;
        Refusal -> Refusal
    end.

held(Host, Stage, Account, Address) ->
    case find(Host, Stage, Account, Address, option(Host, wait)) of
        {Kind, Text} -> refusal(Kind, Text);
        _ -> none
    end.

%% The owner of the table may be just starting: better to wait for it than to guess.
find(Host, Stage, Account, Address, Left) ->
    case mod_portcullis_bans:find(Host, Stage, Account, Address) of
        missing when Left > 0 ->
            mod_portcullis_bans:ensure_table(Host),
            timer:sleep(?TABLE_MS),
            find(Host, Stage, Account, Address, Left - ?TABLE_MS);
        missing ->
            note(Host, table, "the table of held bans is gone: logins are decided without it", []),
            missing;
        Found -> Found
    end.

%% Only where the password is looked at next there will be an outcome to wait for.
counted(Host, Account, Address, Decides) ->
    Verdict = case {option(Host, away_limit), Decides} of
                  {0, _} -> allow;
                  {_, true} -> mod_portcullis_away:admit(Host, Account, Address);
                  {_, false} -> mod_portcullis_away:look(Host, Account, Address)
              end,
    case Verdict of
        over ->
            note(Host, away, "logins are refused for the moment: portcullis is away, and ~b failures of an address or "
                             "account are the limit", [option(Host, away_limit)]),
            later();
        _ -> Verdict
    end.

%% --- words

refusal(account, Text) -> {refuse, account, Text};
refusal(_, Text) -> {refuse, other, Text}.

later() -> {later, <<"Logins cannot be checked at the moment, try again later">>}.

note(Host, Kind, Format, Args) ->
    mod_portcullis_health:note(Host, Kind, unicode:characters_to_binary(io_lib:format(Format, Args))).

option(Host, Name) -> gen_mod:get_module_opt(Host, mod_portcullis, Name).
