%%% Answers what portcullis asks of this module, at VHOST/portcullis: <news/>, <kick/>, <hash/>, <refusals/> and
%%% <unblock/>.
-module(mod_portcullis_requests).
-export([local_send_to_resource_hook/1]).

-include("logger.hrl").
-include("xmpp.hrl").

%% The sender must be the component itself: its bare domain, and this very process must be one of its connections. What a
%% user or another server sends under that name runs in another process. All else is left to ejabberd: item-not-found.
-spec local_send_to_resource_hook(stanza()) -> ok | stop.
local_send_to_resource_hook(#iq{type = Type, from = From,
                                to = #jid{luser = <<>>, lserver = Host, lresource = <<"portcullis">>}} = IQ)
  when Type =:= get; Type =:= set ->
    IsOurs = mod_portcullis_protocol:is_from_component(Host, From)
        andalso lists:member(self(), mod_portcullis_protocol:connections(Host)),
    case IsOurs andalso mod_portcullis_protocol:payload(IQ) of
        #xmlel{name = Name} = El ->
            carry_out(Name, El, Host, IQ),
            stop;
        _ -> ok
    end;
local_send_to_resource_hook(_) -> ok.

carry_out(<<"news">>, El, Host, #iq{type = set} = IQ) ->
    Seq = case mod_portcullis_protocol:integer(<<"seq">>, El) of
              undefined -> infinity;
              N -> N
          end,
    mod_portcullis_sync:news(Host, mod_portcullis_protocol:attribute(<<"epoch">>, El), Seq),
    ejabberd_router:route(xmpp:make_iq_result(IQ));
carry_out(<<"kick">>, El, Host, #iq{type = set} = IQ) ->
    case mod_portcullis_sessions:target(El) of
        error -> bad_request(IQ, <<"one of account, address, network">>);
        Target -> aside(fun() -> kick(Host, Target, mod_portcullis_protocol:text(El)) end, IQ)
    end;
carry_out(<<"hash">>, El, _, #iq{type = get} = IQ) ->
    case account(mod_portcullis_protocol:attribute(<<"account">>, El)) of
        error -> bad_request(IQ, <<"no account">>);
        {User, Server} -> result(IQ, <<"hash">>, [{<<"account">>, jid:encode({User, Server, <<>>})},
                                                  {<<"value">>, native_hash(User, Server)}])
    end;
carry_out(<<"refusals">>, El, Host, #iq{type = get} = IQ) ->
    case {named(account, El), named(address, El)} of
        {undefined, undefined} -> bad_request(IQ, <<"account, address, or both">>);
        {{User, Host}, Address} when Address =/= error -> aside(fun() -> mod_portcullis_refusals:find(Host, User, Address) end, IQ);
        {undefined, Address} when Address =/= error -> aside(fun() -> mod_portcullis_refusals:find(Host, undefined, Address) end, IQ);
        _ -> bad_request(IQ, <<"an account of this host, an address, or both">>)
    end;
carry_out(<<"unblock">>, El, _, #iq{type = set} = IQ) ->
    case mod_portcullis_sessions:target(El) of
        {network, Prefix} -> aside(fun() -> mod_portcullis_refusals:unblock(Prefix) end, IQ);
        _ -> bad_request(IQ, <<"one of address, network">>)
    end;
carry_out(_, _, _, IQ) -> bad_request(IQ, <<"not known to this module">>).

kick(Host, Target, Text) ->
    Count = mod_portcullis_sessions:kick(Host, Target, Text),
    mod_portcullis_protocol:element(<<"kicked">>, [{<<"count">>, integer_to_binary(Count)}]).

%% Answers from a process of its own: this one is a connection of the component.
aside(Find, IQ) ->
    _ = proc_lib:spawn(fun() -> answer(Find, IQ) end),
    ok.

%% A crash must not leave portcullis without an answer.
answer(Find, IQ) ->
    try Find() of
        Found -> ejabberd_router:route(xmpp:make_iq_result(IQ, Found))
    catch Class:Why:Stack ->
            ?WARNING_MSG("Cannot answer portcullis: ~p", [{Class, Why, Stack}]),
            ejabberd_router:route_error(IQ, xmpp:err_internal_server_error())
    end.

named(account, El) ->
    case mod_portcullis_protocol:attribute(<<"account">>, El) of
        undefined -> undefined;
        Text -> account(Text)
    end;
named(address, El) ->
    case mod_portcullis_protocol:attribute(<<"address">>, El) of
        undefined -> undefined;
        Text -> mod_portcullis_net:address(Text)
    end.

account(undefined) -> error;
account(Text) -> mod_portcullis_protocol:named(Text).

%% What ejabberd itself expects in the record of a ban. As in mod_admin_extra, which does not export it.
native_hash(User, Server) ->
    Cookie = atom_to_binary(erlang:get_cookie(), utf8),
    misc:term_to_base64(crypto:hash(sha256, <<User/binary, Server/binary, Cookie/binary>>)).

result(IQ, Name, Attributes) ->
    ejabberd_router:route(xmpp:make_iq_result(IQ, mod_portcullis_protocol:element(Name, Attributes))).

bad_request(IQ, Text) -> ejabberd_router:route_error(IQ, xmpp:err_bad_request(Text, <<"en">>)).
