%%% The names in a SASL message: whose password is about to be looked at? Reads them exactly as ejabberd's own SASL code does
%%% (xmpp_sasl_* of p1_xmpp): a reading that differs would let somebody be asked about under one name and let in under
%%% another. What it cannot tell, mod_portcullis_login asks about when the server itself has told the name.
-module(mod_portcullis_sasl).
-export([first/2, later/2, localparts/1, localpart/1]).

-include("xmpp.hrl").

%% Localparts in the first message of a mechanism. Two when the password of one is to open the account of another (authzid).
-spec first(binary(), binary() | undefined) -> [binary()].
first(_, undefined) -> [];
first(<<"PLAIN">>, Text) -> plain(Text);
first(<<"X-OAUTH2">>, Text) -> plain(Text);
first(<<"SCRAM-", _/binary>>, Text) -> localparts(scram(Text));
first(<<"HT-", _/binary>>, Text) ->
    case binary:split(Text, <<0>>) of
        [User, _] -> localparts([before_at(User)]);
        _ -> []
    end;
first(<<"EXTERNAL">>, Text) ->
    try jid:decode(Text) of
        #jid{user = User} -> localparts([User])
    catch error:{bad_jid, _} -> []      % then the certificate names the user
    end;
first(_, _) -> [].

%% Localparts in a later message of a mechanism.
-spec later(binary(), binary() | undefined) -> [binary()].
later(<<"DIGEST-MD5">>, Text) when is_binary(Text) ->
    case xmpp_sasl_digest:parse(Text) of
        bad -> [];
        Pairs -> localparts([proplists:get_value(Key, Pairs, <<>>) || Key <- [<<"username">>, <<"authzid">>]])
    end;
later(_, _) -> [].

plain(Text) ->
    case binary:split(Text, <<0>>, [global]) of
        [<<>>, User, _] -> localparts([before_at(User)]);
        [Authzid, User, _] -> localparts([before_at(Authzid), User]);
        _ -> []
    end.

before_at(User) -> hd(binary:split(User, <<"@">>)).

%% The third field, whatever its letter: the server does not insist on `n`.
scram(Text) ->
    case binary:split(Text, <<",">>, [global]) of
        [_, _, <<_, $=, Name/binary>> | _] -> [unescape(Name)];
        _ -> []
    end.

unescape(Name) -> binary:replace(binary:replace(Name, <<"=2C">>, <<",">>, [global]), <<"=3D">>, <<"=">>, [global]).

%% Normalised, each once; what cannot be a localpart is left out.
-spec localparts([term()]) -> [binary()].
localparts(Names) -> lists:usort([Local || Name <- Names, Local <- [localpart(Name)], Local =/= error, Local =/= <<>>]).

-spec localpart(term()) -> binary() | error.
localpart(Name) when is_binary(Name) -> jid:nodeprep(Name);
localpart(_) -> error.
