%%% Keeps users away from the record of a ban in their private storage (XEP-0049): reading it gives away its hash, and
%%% writing it lifts the ban. Requests on behalf of the component (XEP-0356) do not run this hook.
-module(mod_portcullis_record).
-export([user_send_packet/1]).

-include("xmpp.hrl").

-define(NS_RECORD, <<"jabber:ejabberd:banned">>).

-type state() :: ejabberd_c2s:state().

-spec user_send_packet({stanza(), state()}) -> {stanza(), state()} | {stop, {drop, state()}}.
user_send_packet({#iq{type = Type, lang = Lang, sub_els = Els} = IQ, #{lserver := Host} = State} = Acc)
  when Type =:= get; Type =:= set ->
    case lists:any(fun is_about_record/1, Els) andalso gen_mod:get_module_opt(Host, mod_portcullis, guard_record) of
        true ->
            ejabberd_router:route_error(IQ, xmpp:err_forbidden(<<"This record belongs to the server">>, Lang)),
            {stop, {drop, State}};
        false -> Acc
    end;
user_send_packet(Acc) -> Acc.

is_about_record(El) -> xmpp:get_ns(El) =:= ?NS_PRIVATE andalso lists:any(fun is_record/1, (xmpp:encode(El))#xmlel.children).

is_record(#xmlel{} = El) -> mod_portcullis_protocol:attribute(<<"xmlns">>, El) =:= ?NS_RECORD;
is_record(_) -> false.
