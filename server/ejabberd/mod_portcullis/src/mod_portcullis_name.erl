%%% Whose password is about to be looked at? Reads what a client sends exactly as ejabberd's own SASL code does
%%% (p1_xmpp, xmpp_sasl_*): a reading that differs would let somebody be asked about under one name and let in under
%%% another. What this cannot tell, mod_portcullis asks when the server itself has told the name.
-module(mod_portcullis_name).
-export([first/2, later/2, local/1]).

-include("xmpp.hrl").

%% Names in the first message of a mechanism. Two when a password of one is to open the account of another.
-spec first(binary(), binary() | undefined) -> [binary()].
first(_, undefined) -> [];
first(<<"PLAIN">>, T) -> plain(T);
first(<<"X-OAUTH2">>, T) -> plain(T);
first(<<"SCRAM-", _/binary>>, T) -> locals(scram(T));
first(<<"HT-", _/binary>>, T) ->
    case binary:split(T, <<0>>) of
        [U, _] -> locals([before_at(U)]);
        _ -> []
    end;
first(<<"EXTERNAL">>, T) ->
    try jid:decode(T) of
        #jid{user = U} -> locals([U])
    catch _:_ -> []                      % then the certificate names the user
    end;
first(_, _) -> [].

%% Names in a later message.
-spec later(binary(), binary()) -> [binary()].
later(<<"DIGEST-MD5">>, T) ->
    case xmpp_sasl_digest:parse(T) of
        bad -> [];
        Pairs -> locals([proplists:get_value(K, Pairs, <<>>) || K <- [<<"username">>, <<"authzid">>]])
    end;
later(_, _) -> [].

plain(T) ->
    case binary:split(T, <<0>>, [global]) of
        [<<>>, U, _] -> locals([before_at(U)]);
        [A, U, _] -> locals([before_at(A), U]);
        _ -> []
    end.

before_at(U) -> hd(binary:split(U, <<"@">>)).

%% The third field, whatever its letter: the server does not insist on `n`.
scram(T) ->
    case binary:split(T, <<",">>, [global]) of
        [_, _, <<_, $=, Name/binary>> | _] -> [unescape(Name)];
        _ -> []
    end.

unescape(N) -> binary:replace(binary:replace(N, <<"=2C">>, <<",">>, [global]), <<"=3D">>, <<"=">>, [global]).

locals(Names) -> lists:usort([L || N <- Names, L <- [local(N)], L =/= error, L =/= <<>>]).

local(N) when is_binary(N) -> jid:nodeprep(N);
local(_) -> error.
