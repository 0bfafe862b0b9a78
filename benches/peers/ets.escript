#!/usr/bin/env escript
%%! +S 1
%% What ejabberd's mod_fail2ban does with a failure, and nothing else: one ETS row an address, no rules, lost at restart.
%% Failures are those of `tracker.rs`: four from each source, spread over all of IPv4.
-mode(compile).

main(_) ->
    [measure(Failures, Sources) || {Failures, Sources} <- [{100_000, 25_000}, {1_000_000, 250_000}]].

measure(Failures, Sources) ->
    ets:new(failed_auth, [named_table, public]),
    Start = erlang:monotonic_time(nanosecond),
    fail(0, Failures, Sources),
    Failed = erlang:monotonic_time(nanosecond),
    look(0, Failures, Sources),
    Looked = erlang:monotonic_time(nanosecond),
    io:format("ejabberd's ETS table, ~b k failures, 4 from each of ~b k sources: ~.2f M failures/s, ~.2f us a look-up, ~b B a row~n",
              [Failures div 1000, Sources div 1000, Failures * 1000 / (Failed - Start), (Looked - Failed) / Failures / 1000,
               ets:info(failed_auth, memory) * erlang:system_info(wordsize) div ets:info(failed_auth, size)]),
    ets:delete(failed_auth).

fail(N, N, _) -> ok;
fail(I, N, Sources) ->
    Address = address(I rem Sources),
    Until = erlang:system_time(second) + 3600,
    case ets:lookup(failed_auth, Address) of
        [{_, Count, _, Most}] -> ets:insert(failed_auth, {Address, Count + 1, Until, Most});
        [] -> ets:insert(failed_auth, {Address, 1, Until, 20})
    end,
    fail(I + 1, N, Sources).

look(N, N, _) -> ok;
look(I, N, Sources) ->
    ets:lookup(failed_auth, address(I rem Sources)),
    look(I + 1, N, Sources).

address(Source) ->
    Bits = (Source * 2654435761) band 16#ffffffff,
    {Bits bsr 24, (Bits bsr 16) band 255, (Bits bsr 8) band 255, Bits band 255}.
