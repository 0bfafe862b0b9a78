%%% The stanzas of urn:portcullis:hook:1 (docs/hook-protocol.md of portcullis): how its elements are built, read and sent.
%%% Holds no state and decides nothing.
-module(mod_portcullis_protocol).
-export([ask/3, send/5, answer/2]).
-export([component/1, connections/1, is_from_component/2]).
-export([named/1]).
-export([element/2, element/3, child/2, payload/1, attribute/2, integer/2, text/1, change/1]).
-export([mechanism/1, clip/1]).
-export([now_ms/0, timestamp/1, milliseconds/1, time/2]).
-export_type([answer/0, attributes/0]).

-include("xmpp.hrl").
-include("ejabberd_router.hrl").

-define(NS, <<"urn:portcullis:hook:1">>).
%% In bytes.
-define(MAX_TEXT, 512).
%% ejabberd answers every question in `wait` at the latest; this is for the case that its own table of questions was lost.
-define(GRACE_MS, 5000).

%% Attributes that are `undefined` are left out.
-type attributes() :: [{binary(), binary() | undefined}].
%% What came back: a result with our element or without one, a stanza error, or nothing in time.
-type answer() :: {ok, xmlel() | none} | {error, atom()} | timeout.

%% --- IQs

%% One question to portcullis. Only the calling process waits, at most Wait milliseconds.
%% `away`: the component is not connected, so nothing was sent.
-spec ask(binary(), xmlel(), non_neg_integer()) -> answer() | away.
ask(Host, El, Wait) ->
    case ejabberd_router:is_my_route(component(Host)) of
        false -> away;
        true ->
            Tag = make_ref(),
            send(Host, get, El, Tag, Wait),
            receive
                {iq_reply, Reply, Tag} -> answer(Host, Reply)
            after Wait + ?GRACE_MS -> timeout
            end
    end.

%% Exactly one message {iq_reply, #iq{} | timeout, Tag} follows to the calling process.
-spec send(binary(), get | set, xmlel(), term(), non_neg_integer()) -> ok.
send(Host, Type, El, Tag, Wait) ->
    IQ = #iq{type = Type, from = own_jid(Host), to = jid:make(component(Host)), sub_els = [El]},
    ejabberd_router:route_iq(IQ, Tag, self(), Wait).

-spec answer(binary(), iq() | timeout) -> answer().
answer(_, timeout) -> timeout;
answer(Host, #iq{from = From, type = Type} = IQ) ->
    case is_from_component(Host, From) of
        true when Type =:= result -> {ok, payload(IQ)};
        true when Type =:= error -> {error, condition(IQ)};
        false -> timeout
    end.

condition(IQ) ->
    case xmpp:get_error(IQ) of
        #stanza_error{reason = Condition} when is_atom(Condition) -> Condition;
        _ -> 'undefined-condition'
    end.

%% COMPAT: a full JID, since mod_privilege of ejabberd 24.12 drops answers to a bare one.
own_jid(Host) -> jid:make(<<>>, Host, <<"portcullis">>).

%% The domain portcullis is connected as.
-spec component(binary()) -> binary().
component(Host) ->
    misc:expand_keyword(<<"@HOST@">>, gen_mod:get_module_opt(Host, mod_portcullis, component), Host).

-spec is_from_component(binary(), jid()) -> boolean().
is_from_component(Host, #jid{luser = <<>>, lserver = Server, lresource = <<>>}) -> Server =:= component(Host);
is_from_component(_, _) -> false.

%% The processes that are the component's connections, on whatever node of the cluster. Asks the routing table itself:
%% ejabberd_router:find_routes/1 may answer from a cache.
-spec connections(binary()) -> [pid()].
connections(Host) ->
    case (ejabberd_router:get_backend()):find_routes(component(Host)) of
        {ok, Routes} -> lists:sort([Pid || #route{pid = Pid} <- Routes]);
        _ -> []
    end.

%% --- elements

-spec element(binary(), attributes()) -> xmlel().
element(Name, Attributes) -> element(Name, Attributes, []).

-spec element(binary(), attributes(), [xmlel()]) -> xmlel().
element(Name, Attributes, Children) ->
    #xmlel{name = Name, attrs = [{<<"xmlns">>, ?NS} | present(Attributes)], children = Children}.

%% A child of element/3, which takes its namespace from there.
-spec child(binary(), attributes()) -> xmlel().
child(Name, Attributes) -> #xmlel{name = Name, attrs = present(Attributes)}.

present(Attributes) -> [{Name, Value} || {Name, Value} <- Attributes, Value =/= undefined].

%% The element of our namespace in an IQ.
-spec payload(iq()) -> xmlel() | none.
payload(#iq{sub_els = Els}) ->
    case [El || #xmlel{} = El <- Els, attribute(<<"xmlns">>, El) =:= ?NS] of
        [El | _] -> El;
        [] -> none
    end.

-spec attribute(binary(), xmlel()) -> binary() | undefined.
attribute(Name, #xmlel{attrs = Attributes}) -> proplists:get_value(Name, Attributes).

%% An attribute that must be an integer; `undefined` when it is absent or anything else.
-spec integer(binary(), xmlel()) -> integer() | undefined.
integer(Name, El) ->
    case string:to_integer(fxml:get_attr_s(Name, El#xmlel.attrs)) of
        {N, <<>>} when is_integer(N) -> N;
        _ -> undefined
    end.

%% What a verdict, a ban or a kick tells the user.
-spec text(xmlel()) -> binary().
text(El) ->
    case fxml:get_subtag_cdata(El, <<"text">>) of
        <<>> -> <<"You are banned">>;
        Text -> Text
    end.

%% The name of a mechanism, which a client may make up: RFC 4422 and what is in use have no other characters.
-spec mechanism(binary() | undefined) -> binary() | undefined.
mechanism(undefined) -> undefined;
mechanism(Text) when byte_size(Text) > 0, byte_size(Text) =< 64 ->
    case [C || <<C>> <= Text, not (C >= $A andalso C =< $Z orelse C >= $a andalso C =< $z orelse C >= $0 andalso C =< $9
                                   orelse C =:= $- orelse C =:= $_)] of
        [] -> Text;
        _ -> <<"other">>
    end;
mechanism(_) -> <<"other">>.

%% A text for people to read, shortened so that a hundred of them fit into a stanza.
-spec clip(binary() | undefined) -> binary() | undefined.
clip(<<Head:?MAX_TEXT/binary, _, _/binary>>) ->
    case unicode:characters_to_binary(Head) of
        {_, Whole, _} -> Whole;     % cut within a character
        Whole -> Whole
    end;
clip(Text) -> Text.

%% One child of <changes/>. `ignored`: an element that this version does not know. `error`: one that it should understand.
-spec change(xmlel() | term()) -> mod_portcullis_bans:change() | ignored | error.
change(#xmlel{name = Name} = El) when Name =:= <<"ban">>; Name =:= <<"lift">> ->
    case {subject(El), Name} of
        {error, _} -> error;
        {Subject, <<"lift">>} -> {lift, Subject};
        {Subject, <<"ban">>} -> {ban, Subject, until(El), attribute(<<"door">>, El) =:= <<"start">>, text(El)}
    end;
change(_) -> ignored.

subject(El) ->
    Subject = fxml:get_attr_s(<<"subject">>, El#xmlel.attrs),
    case attribute(<<"kind">>, El) of
        <<"account">> -> account(Subject);
        <<"address">> -> network(address, Subject);
        <<"network">> -> network(network, Subject);
        <<"pair">> ->
            case {account(Subject), network(pair, fxml:get_attr_s(<<"address">>, El#xmlel.attrs))} of
                {{account, Account}, {pair, Prefix, Family}} -> {pair, Account, Prefix, Family};
                _ -> error
            end;
        _ -> error
    end.

account(Text) ->
    case named(Text) of
        {User, Server} -> {account, <<User/binary, "@", Server/binary>>};
        error -> error
    end.

%% The account that portcullis names, whose spelling it has from us. Beyond ASCII it is taken literally: for some names
%% stringprep does not stop at the first time. `evil` and U+33C6 becomes `evilC/kg`, and that becomes `evilc/kg`.
-spec named(binary()) -> {binary(), binary()} | error.
named(Text) ->
    case binary:split(Text, <<"@">>) of
        [Name, Domain] ->
            case {localpart(Name), jid:nameprep(Domain)} of
                {User, Server} when is_binary(User), User =/= <<>>, is_binary(Server), Server =/= <<>> -> {User, Server};
                _ -> error
            end;
        _ -> error
    end.

localpart(Name) ->
    case << <<C>> || <<C>> <= Name, C > 127 >> of
        <<>> -> jid:nodeprep(Name);
        _ -> Name
    end.

network(Kind, Text) ->
    case mod_portcullis_net:parse(Text) of
        {Prefix, Family} -> {Kind, Prefix, Family};
        error -> error
    end.

%% Absent or not understood: without end. A ban too long can be lifted; one too short lets somebody in.
until(El) ->
    case time(<<"until">>, El) of
        undefined -> infinity;
        Ms -> Ms
    end.

%% --- time

-spec now_ms() -> integer().
now_ms() -> erlang:system_time(millisecond).

%% XEP-0082, UTC, with milliseconds.
-spec timestamp(integer()) -> binary().
timestamp(Ms) -> list_to_binary(calendar:system_time_to_rfc3339(Ms, [{unit, millisecond}, {offset, "Z"}])).

%% An attribute that must be such a time; `undefined` when it is absent or anything else.
-spec time(binary(), xmlel()) -> integer() | undefined.
time(Name, El) -> milliseconds(attribute(Name, El)).

%% The reverse of timestamp/1.
-spec milliseconds(term()) -> integer() | undefined.
milliseconds(Text) ->
    try calendar:rfc3339_to_system_time(binary_to_list(Text), [{unit, millisecond}])
    catch error:_ -> undefined
    end.
