%%% Words of urn:portcullis:hook:1: building elements, reading them, and one bounded question.
%%% Knows nothing of logins and holds no state. Start reading at ask/3.
-module(mod_portcullis_wire).
-export([ask/3, send/5, me/1, component/1, away/1, routes/1]).
-export([el/2, el/3, child/2, attr/2, text_of/1, payload/1, text/1]).
-export([address/1, address_text/1, network/1, until/1, now_ms/0, stamp/1]).

-include("xmpp.hrl").
-include("ejabberd_router.hrl").

-define(NS, <<"urn:portcullis:hook:1">>).
%% Longer than any `wait`: only reached when the server's own table of questions was lost.
-define(LOST_MS, 5000).

%% One question, and the answer, `away` (no component), `silent` (no answer in time) or {error, Condition}.
%% Only the calling process waits.
-spec ask(binary(), #xmlel{}, non_neg_integer()) -> {ok, #xmlel{} | none} | away | silent | {error, atom()}.
ask(Host, El, Wait) ->
    case away(Host) of
        true -> away;
        false ->
            Ref = make_ref(),
            send(Host, get, El, Ref, Wait),
            receive
                {iq_reply, Reply, Ref} -> answer(Host, Reply)
            after Wait + ?LOST_MS -> silent
            end
    end.

answer(_, timeout) -> silent;
answer(Host, #iq{from = From, type = Type} = IQ) ->
    case {is_component(Host, From), Type} of
        {true, result} -> {ok, payload(IQ)};
        {true, error} -> {error, reason(IQ)};
        _ -> silent
    end;
answer(_, _) -> silent.

reason(IQ) ->
    case xmpp:get_error(IQ) of
        #stanza_error{reason = R} when is_atom(R) -> R;
        _ -> 'undefined-condition'
    end.

is_component(Host, #jid{luser = <<>>, lserver = S, lresource = <<>>}) -> S =:= component(Host);
is_component(_, _) -> false.

%% Exactly one {iq_reply, #iq{} | timeout, Tag} follows to the caller.
send(Host, Type, El, Tag, Wait) ->
    IQ = #iq{type = Type, from = me(Host), to = jid:make(component(Host)), sub_els = [El]},
    ejabberd_router:route_iq(IQ, Tag, self(), Wait).

%% A full JID: answers to a bare one are dropped by mod_privilege of ejabberd 24.12.
me(Host) -> jid:make(<<>>, Host, <<"portcullis">>).

component(Host) ->
    misc:expand_keyword(<<"@HOST@">>, gen_mod:get_module_opt(Host, mod_portcullis, component), Host).

away(Host) -> not ejabberd_router:is_my_route(component(Host)).

%% The processes that stand for the component, on whatever node of the cluster.
routes(Host) ->
    case (ejabberd_router:get_backend()):find_routes(component(Host)) of
        {ok, Routes} -> lists:sort([P || #route{pid = P} <- Routes]);
        _ -> []
    end.

%% --- elements

el(Name, Attrs) -> el(Name, Attrs, []).
el(Name, Attrs, Children) ->
    #xmlel{name = Name, attrs = [{<<"xmlns">>, ?NS} | [{K, V} || {K, V} <- Attrs, V =/= undefined]], children = Children}.

child(Name, Attrs) ->
    #xmlel{name = Name, attrs = [{K, V} || {K, V} <- Attrs, V =/= undefined]}.

attr(Name, #xmlel{attrs = As}) ->
    case lists:keyfind(Name, 1, As) of
        {_, V} -> V;
        false -> undefined
    end.

%% The one element of ours in a stanza.
payload(#iq{sub_els = Els}) ->
    case [E || #xmlel{} = E <- Els, attr(<<"xmlns">>, E) =:= ?NS] of
        [E | _] -> E;
        [] -> none
    end.

%% The public text inside a verdict, a ban or a kick.
text_of(#xmlel{children = Cs}) ->
    case [T || #xmlel{name = <<"text">>} = T <- Cs] of
        [T | _] -> text(fxml:get_tag_cdata(T));
        [] -> text(<<>>)
    end.

text(<<>>) -> <<"You are banned">>;
text(T) -> T.

%% --- values

%% IPv4 seen through an IPv6 socket is IPv4.
address({0, 0, 0, 0, 0, 16#ffff, A, B}) -> {A bsr 8, A band 255, B bsr 8, B band 255};
address(A) when tuple_size(A) =:= 4; tuple_size(A) =:= 8 -> A;
address(_) -> undefined.

address_text(undefined) -> undefined;
address_text(A) -> list_to_binary(inet:ntoa(A)).

%% `203.0.113.0/24`, `2001:db8::1` -> {Bits, Length}; a single address has all its bits.
-spec network(binary()) -> {bitstring(), non_neg_integer()} | error.
network(Text) ->
    try
        {Addr, Len} = case binary:split(Text, <<"/">>) of
                          [A, L] -> {A, binary_to_integer(L)};
                          [A] -> {A, all}
                      end,
        {ok, Parsed} = inet:parse_strict_address(binary_to_list(Addr)),
        Bits = bits(Parsed),
        Full = bit_size(Bits),
        case Len of
            all -> {Bits, Full};
            N when N >= 0, N =< Full -> <<Head:N/bitstring, _/bitstring>> = Bits, {Head, Full}
        end
    catch _:_ -> error
    end.

bits(A) ->
    case address(A) of
        {B1, B2, B3, B4} -> <<B1, B2, B3, B4>>;
        Eight -> << <<P:16>> || P <- tuple_to_list(Eight) >>
    end.

%% XEP-0082 -> milliseconds; atoms compare above numbers, so `infinity` never ends.
until(undefined) -> infinity;
until(Text) ->
    try calendar:rfc3339_to_system_time(binary_to_list(Text), [{unit, millisecond}])
    catch _:_ -> infinity
    end.

now_ms() -> erlang:system_time(millisecond).

stamp(Ms) -> list_to_binary(calendar:system_time_to_rfc3339(Ms, [{unit, millisecond}, {offset, "Z"}])).
