%%% Addresses and networks as bit strings, so that "is this address in that network?" is a match of prefixes.
-module(mod_portcullis_net).
-export([of_peer/1, fold/1, to_text/1, network_to_text/1, bits/1, customer/1, parse/1, address/1, contains/2]).
-export_type([family/0, prefix/0]).

%% How many bits an address has: 32 for IPv4, 128 for IPv6.
-type family() :: 32 | 128.
%% A network: the leading bits that its addresses share. A single address shares all of them.
-type prefix() :: {bitstring(), family()}.

%% The address of a client, from what ejabberd holds as the `ip` of a stream or a session. `undefined` where there is none:
%% a client of a Unix domain socket has `{local, Path}`.
-spec of_peer({inet:ip_address() | local, term()} | undefined) -> inet:ip_address() | undefined.
of_peer({Address, _Port}) when is_tuple(Address) -> fold(Address);
of_peer(_) -> undefined.

%% An IPv4 address seen through an IPv6 socket (::ffff:192.0.2.1, RFC 4291 2.5.5.2) is that IPv4 address.
-spec fold(inet:ip_address()) -> inet:ip_address().
fold({0, 0, 0, 0, 0, 16#ffff, High, Low}) -> {High bsr 8, High band 255, Low bsr 8, Low band 255};
fold(Address) -> Address.

-spec to_text(inet:ip_address() | undefined) -> binary() | undefined.
to_text(undefined) -> undefined;
to_text(Address) -> list_to_binary(inet:ntoa(Address)).

%% As parse/1 reads it.
-spec network_to_text(prefix()) -> binary().
network_to_text({Prefix, Family}) ->
    Length = bit_size(Prefix),
    Padded = <<Prefix/bitstring, 0:(Family - Length)>>,
    Address = case Family of
                  32 -> list_to_tuple(binary_to_list(Padded));
                  128 -> list_to_tuple([Group || <<Group:16>> <= Padded])
              end,
    iolist_to_binary([inet:ntoa(Address), $/, integer_to_binary(Length)]).

-spec bits(inet:ip_address()) -> prefix().
bits(Address) ->
    case fold(Address) of
        {A, B, C, D} -> {<<A, B, C, D>>, 32};
        Groups -> {<< <<Group:16>> || Group <- tuple_to_list(Groups) >>, 128}
    end.

%% What belongs to one customer: an address of IPv4, a /64 of IPv6.
-spec customer(inet:ip_address()) -> bitstring().
customer(Address) ->
    case bits(Address) of
        {Bits, 32} -> Bits;
        {<<Prefix:64/bitstring, _/bitstring>>, 128} -> Prefix
    end.

%% `203.0.113.0/24` or `2001:db8::1`.
-spec parse(binary()) -> prefix() | error.
parse(Text) ->
    case binary:split(Text, <<"/">>) of
        [Address] -> parse_address(Address);
        [Address, Length] -> shorten(parse_address(Address), string:to_integer(Length))
    end.

parse_address(Text) ->
    case address(Text) of
        error -> error;
        Address -> bits(Address)
    end.

-spec address(binary()) -> inet:ip_address() | error.
address(Text) ->
    case inet:parse_strict_address(binary_to_list(Text)) of
        {ok, Address} -> fold(Address);
        {error, einval} -> error
    end.

shorten({Bits, Family}, {Length, <<>>}) when is_integer(Length), Length >= 0, Length =< Family ->
    <<Prefix:Length/bitstring, _/bitstring>> = Bits,
    {Prefix, Family};
shorten(_, _) -> error.

-spec contains(prefix(), inet:ip_address()) -> boolean().
contains({Prefix, Family}, Address) ->
    Length = bit_size(Prefix),
    case bits(Address) of
        {<<Prefix:Length/bitstring, _/bitstring>>, Family} -> true;
        _ -> false
    end.
