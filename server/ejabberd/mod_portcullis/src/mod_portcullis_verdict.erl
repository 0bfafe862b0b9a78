%%% May this login go on? portcullis' word if it gives one in time; else the bans held here; else the option `fail`.
%%%
%%% Runs in the processes of the clients. A hook that crashes would let everybody in, for ejabberd logs the crash and goes
%%% on: so a crash of ours is caught, and then the bans held decide.
-module(mod_portcullis_verdict).
-export([at_start/2, at_check/5]).
-export_type([verdict/0]).

-include("xmpp.hrl").

%% `By`: whether the ban is about the account, which has its own SASL condition.
-type verdict() :: allow | {refuse, By :: account | other, Text :: binary()}.

%% How often a login looks again for a table that is just being made.
-define(TABLE_MS, 20).

%% When the stream starts: the address alone.
-spec at_start(binary(), inet:ip_address() | undefined) -> verdict().
at_start(_, undefined) -> allow;
at_start(Host, Address) ->
    guarded(Host, start, undefined, Address,
            fun() ->
                    case option(Host, ask_at_start) of
                        true -> asked(Host, start, undefined, Address, [{<<"address">>, mod_portcullis_net:to_text(Address)}]);
                        false -> held(Host, start, undefined, Address)
                    end
            end).

%% At the password check. `Decides`: should the answer be yes, the password is looked at next; portcullis may then hold the
%% answer back for a while. Half of the wait is left for the way there and back.
-spec at_check(binary(), binary() | undefined, inet:ip_address() | undefined, binary() | undefined, Decides :: boolean()) -> verdict().
at_check(Host, Account, Address, Mechanism, Decides) ->
    guarded(Host, check, Account, Address,
            fun() ->
                    Hold = case Decides of
                               true -> integer_to_binary(option(Host, wait) div 2);
                               false -> undefined
                           end,
                    asked(Host, check, Account, Address,
                          [{<<"account">>, Account}, {<<"mechanism">>, Mechanism},
                           {<<"address">>, mod_portcullis_net:to_text(Address)}, {<<"hold">>, Hold}])
            end).

guarded(Host, Stage, Account, Address, Do) ->
    try Do()
    catch Class:Reason:Stack ->
            note(Host, crash, "a question about a login crashed: ~0p:~0p at ~0p", [Class, Reason, Stack]),
            try held(Host, Stage, Account, Address)
            catch _:_ -> allow      % not even the options can be read: the module is just being stopped
            end
    end.

asked(Host, Stage, Account, Address, Question) ->
    case mod_portcullis_protocol:ask(Host, mod_portcullis_protocol:element(<<"check">>, Question), option(Host, wait)) of
        {ok, #xmlel{name = <<"verdict">>} = El} ->
            case understood(El) of
                error ->
                    note(Host, answer, "a verdict was not understood", []),
                    held(Host, Stage, Account, Address);
                Verdict ->
                    seen(Host, mod_portcullis_protocol:integer(<<"seq">>, El)),
                    Verdict
            end;
        Other ->
            unanswered(Host, Other),
            held(Host, Stage, Account, Address)
    end.

understood(El) ->
    case mod_portcullis_protocol:attribute(<<"action">>, El) of
        <<"allow">> -> allow;
        <<"refuse">> -> {refuse, by(mod_portcullis_protocol:attribute(<<"by">>, El)), mod_portcullis_protocol:text(El)};
        _ -> error
    end.

by(<<"account">>) -> account;
by(_) -> other.

seen(_, undefined) -> ok;
seen(Host, Seq) -> mod_portcullis_sync:seen(Host, Seq).

unanswered(_, away) -> ok;      % mod_portcullis_sync says so once
unanswered(Host, timeout) -> note(Host, silent, "portcullis did not answer a question in time", []);
unanswered(Host, {error, Condition}) -> note(Host, answer, "portcullis answers a question with the error ~ts", [Condition]);
unanswered(Host, {ok, _}) -> note(Host, answer, "an answer was no verdict", []).

%% --- without an answer

held(Host, Stage, Account, Address) ->
    case find(Host, Stage, Account, Address, option(Host, wait)) of
        {account, Text} -> {refuse, account, Text};
        {_, Text} -> {refuse, other, Text};
        _ when Stage =:= start -> allow;    % the password check comes, and can be refused in better words
        _ -> without_ban(option(Host, fail))
    end.

%% The owner of the table may be just starting: better to wait for it than to guess.
find(Host, Stage, Account, Address, Left) ->
    case mod_portcullis_bans:find(Host, Stage, Account, Address) of
        missing when Left > 0 ->
            mod_portcullis_bans:ensure_table(Host),
            timer:sleep(?TABLE_MS),
            find(Host, Stage, Account, Address, Left - ?TABLE_MS);
        missing ->
            note(Host, table, "the table of held bans is gone: logins are decided by the option fail alone", []),
            missing;
        Found -> Found
    end.

without_ban(open) -> allow;
without_ban(closed) -> {refuse, other, <<"Logins cannot be checked at the moment, try again later">>}.

note(Host, Kind, Format, Args) ->
    mod_portcullis_health:note(Host, Kind, unicode:characters_to_binary(io_lib:format(Format, Args))).

option(Host, Name) -> gen_mod:get_module_opt(Host, mod_portcullis, Name).
