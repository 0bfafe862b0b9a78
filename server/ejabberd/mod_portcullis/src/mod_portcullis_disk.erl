%%% A dets file of one virtual host: rows that shall be there again after a restart of the module or the server. It is a
%%% dets file because a change then costs its own size, because a file that was not closed is repaired when it is opened,
%%% and because a Mnesia table would have to be dealt with whenever a node joins or leaves a cluster.
%%%
%%% Its faults go to mod_portcullis_health and never crash the caller, who holds the same rows in memory: a crash while the
%%% module starts would keep the server from starting.
-module(mod_portcullis_disk).
-export([open/2, insert/2, delete/2, sync/1, close/1, is_open/1, begin_again/2]).
-export_type([disk/0]).

-include("logger.hrl").

%% Which file: the bans held, the failures counted while portcullis is away, or who logged in from where.
-type what() :: held | away | known.

-record(disk, {host :: binary(),
               what :: what(),
               state :: open | {closed, Why :: binary()}}).
-opaque disk() :: #disk{}.

%% The file and what is in it. A file that cannot be read is put aside, and a new one begun.
-spec open(binary(), what()) -> {disk(), [tuple()]}.
open(Host, What) ->
    File = file(Host, What),
    case read_file(Host, What) of
        {ok, Rows} -> {#disk{host = Host, what = What, state = open}, Rows};
        {error, Reason} ->
            Aside = File ++ ".unreadable",
            _ = file:rename(File, Aside),
            note(Host, text("~ts on disk could not be read (~0p); the file is now ~ts", [title(What), Reason, Aside])),
            {open_new(Host, What), []}
    end.

file(Host, What) ->
    filename:join(mnesia:system_info(directory), lists:concat(["portcullis-", What, "-", binary_to_list(Host), ".dets"])).

title(held) -> "the held bans";
title(away) -> "the failures counted while portcullis was away";
title(known) -> "the places from where accounts logged in".

%% dets opens a file that was closed in order without a look at its rows. Damage shows when they are read: as an error, as
%% an exception, or because there are fewer than the file itself counts.
read_file(Host, What) ->
    case open_file(Host, What, file(Host, What)) of
        {ok, Dets} ->
            try {dets:match_object(Dets, '_'), dets:info(Dets, size)} of
                {Rows, Size} when length(Rows) =:= Size -> {ok, Rows};
                {{error, Reason}, _} -> unreadable(Dets, Reason);
                {Rows, Size} -> unreadable(Dets, {rows_missing, Size - length(Rows)})
            catch error:Reason -> unreadable(Dets, Reason)
            end;
        {error, Reason} -> {error, Reason}
    end.

unreadable(Dets, Reason) ->
    _ = dets:close(Dets),
    {error, Reason}.

open_new(Host, What) ->
    case open_file(Host, What, file(Host, What)) of
        {ok, _} -> #disk{host = Host, what = What, state = open};
        {error, Reason} -> closed(Host, What, Reason)
    end.

open_file(Host, What, File) -> dets:open_file(dets(Host, What), [{file, File}, {type, set}, {auto_save, 5000}]).

dets(Host, What) -> {?MODULE, What, Host}.

closed(Host, What, Reason) ->
    Why = text("~ts cannot be written to ~ts (~0p): a restart forgets them", [title(What), file(Host, What), Reason]),
    note(Host, Why),
    #disk{host = Host, what = What, state = {closed, Why}}.

-spec insert(disk(), tuple() | [tuple()]) -> disk().
insert(Disk, Rows) -> write(fun(Dets) -> dets:insert(Dets, Rows) end, Disk).

-spec delete(disk(), term()) -> disk().
delete(Disk, Key) -> write(fun(Dets) -> dets:delete(Dets, Key) end, Disk).

%% What was written before is on disk when this returns.
-spec sync(disk()) -> disk().
sync(Disk) -> write(fun dets:sync/1, Disk).

%% When the disk refuses a change, no more is written, so that what the file says was true at one moment.
write(_, #disk{state = {closed, _}} = Disk) -> Disk;
write(Do, #disk{host = Host, what = What} = Disk) ->
    case try_to(fun() -> Do(dets(Host, What)) end) of
        ok -> Disk;
        {error, Reason} ->
            close(Disk),
            closed(Host, What, Reason)
    end.

%% badarg: somebody else closed the file.
try_to(Do) ->
    try Do()
    catch error:badarg -> {error, badarg}
    end.

-spec close(disk()) -> ok.
close(#disk{state = {closed, _}}) -> ok;
close(#disk{host = Host, what = What}) ->
    _ = dets:close(dets(Host, What)),
    ok.

-spec is_open(disk()) -> boolean().
is_open(#disk{state = State}) -> State =:= open.

%% For a file that is closed: a new one with these rows, if the disk takes it by now. Otherwise the trouble is noted again,
%% since mod_portcullis_health forgets. The old file stays until the new one is complete.
-spec begin_again(disk(), [tuple()]) -> disk().
begin_again(#disk{state = {closed, _}, host = Host, what = What}, Rows) ->
    New = file(Host, What) ++ ".new",
    _ = file:delete(New),
    Disk = case write_file(Host, What, New, Rows) of
               ok -> open_new(Host, What);
               {error, Reason} ->
                   _ = file:delete(New),
                   closed(Host, What, Reason)
           end,
    is_open(Disk) andalso ?INFO_MSG("~ts of ~ts are written to disk again", [title(What), Host]),
    Disk.

write_file(Host, What, New, Rows) ->
    case open_file(Host, What, New) of
        {ok, Dets} ->
            Written = all_of([fun() -> dets:insert(Dets, Rows) end, fun() -> dets:sync(Dets) end]),
            Closed = dets:close(Dets),
            all_of([fun() -> Written end, fun() -> Closed end, fun() -> file:rename(New, file(Host, What)) end]);
        {error, Reason} -> {error, Reason}
    end.

all_of([]) -> ok;
all_of([Do | More]) ->
    case try_to(Do) of
        ok -> all_of(More);
        {error, Reason} -> {error, Reason}
    end.

note(Host, Text) -> mod_portcullis_health:note(Host, disk, Text).

text(Format, Args) -> unicode:characters_to_binary(io_lib:format(Format, Args)).
