"""Whatever is done to the module or the server, in any order: afterwards no banned person gets in and no hook
crashes.

ejabberd#4211 is the example: after `ejabberdctl restart_module` the table of mod_fail2ban is gone, its hooks crash at
every login, and everybody is let in without an error.
"""

import contextlib
import shutil
import subprocess
import threading
import time

import pytest

from lab import wait
from lab.accounts import password
from lab.clients.stream import Stream
from lab.fake_component import FakeComponent

OWNER = TABLE = "mod_portcullis_bans_localhost"  # the process that owns the table has this name


def banned(ej):
    """The server's answer to alice with the right password."""
    with Stream(ej.c2s) as s:
        return s.plain("alice", password("alice"))[0]


def free(ej):
    with Stream(ej.c2s) as s:
        return s.scram("bob", password("bob"))[0]


def in_force(ej):
    assert banned(ej) == "account-disabled"
    with Stream(ej.c2s, "127.0.2.9") as s:
        assert s.result(s.features + s.rest(1))[0] == "policy-violation"
    assert free(ej) == "success"


def back(ej, component):
    """Reconnects portcullis: the module is there, in sync, and obeys at once."""
    with FakeComponent(ej) as again:
        again.carry_on(component)
        again.wait(lambda: again.hellos, 15)
        assert again.hellos[0]["bans"] == str(len(component.state)), again.hellos
        again.ban("carol@localhost")
        # Until the welcome has arrived the module decides by the bans it holds.
        again.wait_held()
        with Stream(ej.c2s) as s:
            assert s.plain("carol", password("carol"))[0] == "account-disabled"
        with Stream(ej.c2s) as s:
            assert s.plain("bob", "wrong")[0] == "not-authorized"
        again.reported(account="bob@localhost", outcome="failure")
        again.lift("carol@localhost")
        again.wait_held()
        component.carry_on(again)
        return again.hellos[0]


def restart_module(ej):
    ej.ejabberdctl("restart_module", "localhost", "mod_portcullis")


def restart_module_over_http(ej):
    ej.ctl("restart_module", host="localhost", module="mod_portcullis")


def out_of_the_configuration_and_in_again(ej):
    ej.take_out()
    ej.ejabberdctl("reload_config")
    assert banned(ej) == "success", "while it is out, it is out"
    ej.put_in()
    ej.ejabberdctl("reload_config")


def uninstall_and_install(ej):
    ej.module_conf.unlink()
    ej.ejabberdctl("module_uninstall", "mod_portcullis")
    ej.install_module()


def upgrade(ej):
    """Upgrades to sources that differ in every part; all of the new parts must run afterwards."""
    ej.place_sources()
    version = f'"{time.time()}"'
    parts = sorted((ej.sources / "mod_portcullis" / "src").glob("*.erl"))
    for part in parts:
        header = f"-module({part.stem})."
        part.write_text(part.read_text().replace(header, f"{header}\n-vsn({version})."))
    ej.ejabberdctl("module_upgrade", "mod_portcullis")
    for part in parts:
        assert version in ej.erlang(f"{part.stem}:module_info(attributes)"), part.stem


def kill(ej, process):
    ej.erlang(f"exit(whereis('mod_portcullis_{process}_localhost'), kill)")


def kill_the_owner(ej):
    kill(ej, "bans")


def kill_all_processes(ej):
    for process in ("health", "bans", "places", "away", "reports", "sync"):
        kill(ej, process)


def restart_the_server(ej):
    ej.restart()


def kill_the_server(ej):
    ej.kill9()
    ej.start()


HAPPENINGS = [
    restart_module,
    restart_module_over_http,
    out_of_the_configuration_and_in_again,
    uninstall_and_install,
    upgrade,
    kill_the_owner,
    kill_all_processes,
    restart_the_server,
    kill_the_server,
]


@pytest.mark.parametrize("happens", HAPPENINGS, ids=lambda f: f.__name__)
def test_bans_hold_afterwards_while_portcullis_is_away(ej, component, happens):
    component.ban("alice@localhost")
    component.ban("127.0.2.0/24", kind="network", door="start")
    component.wait_held()
    component.close()
    in_force(ej)
    happens(ej)
    in_force(ej)
    back(ej, component)
    in_force(ej)
    assert not ej.crashes(), ej.crashes()


@pytest.mark.parametrize(
    "happens", [restart_module, kill_the_owner, out_of_the_configuration_and_in_again], ids=lambda f: f.__name__
)
def test_bans_hold_afterwards_while_portcullis_stays_connected(ej, component, open_stream, happens):
    component.ban("alice@localhost")
    component.ban("127.0.2.0/24", kind="network", door="start")
    component.wait_held()
    before = len(component.hellos)
    happens(ej)
    component.wait(lambda: len(component.hellos) > before)
    in_force(ej)
    component.lift("alice@localhost")
    assert banned(ej) == "success"


def test_a_part_whose_old_code_is_still_in_memory_is_loaded_again(ej, component):
    """As after an upgrade during which another process called the module."""
    part = ej.path / "mod_portcullis_net.erl"
    source = (ej.sources / "mod_portcullis" / "src" / part.name).read_text()
    part.write_text(source.replace("-export([", "-export([old/0, ", 1) + "\nold() -> true.\n")
    ej.erlang(
        f'{{ok, Part, Code}} = compile:file("{ej.run}/{part.name}", [binary]), '
        "code:load_binary(Part, code:which(Part), Code)"
    )
    is_old = "erlang:function_exported(mod_portcullis_net, old, 0)"
    assert ej.erlang(is_old) == "true"
    restart_module(ej)
    assert ej.erlang(is_old) == "false"


def test_a_lost_table_is_recreated_and_reported(ej, component, pw):
    component.ban("alice@localhost")
    component.ban("127.0.2.0/24", kind="network", door="start")
    component.wait_held()
    component.close()
    ej.erlang(f"sys:replace_state('{OWNER}', fun(S) -> ets:delete('{TABLE}'), S end)")
    in_force(ej)
    assert "was made anew" in back(ej, component)["health"]


def test_a_supervisor_that_is_killed_starts_again_and_no_other_module_suffers(ej, component):
    component.ban("alice@localhost")
    component.ban("127.0.2.0/24", kind="network", door="start")
    component.wait_held()
    component.close()
    modules = ej.erlang("whereis(ejabberd_gen_mod_sup)")
    kill(ej, "sup")
    in_force(ej)
    back(ej, component)
    in_force(ej)
    assert ej.erlang("whereis(ejabberd_gen_mod_sup)") == modules
    ej.expected_crashes.update(ej.crashes())  # of its children, whose parent was gone


@pytest.mark.parametrize("process", ["bans", "places", "away", "reports", "sync"])
def test_a_crash_of_one_process_is_reported_and_loses_no_ban(ej, component, process):
    component.ban("alice@localhost")
    component.ban("127.0.2.0/24", kind="network", door="start")
    component.wait_held()
    component.close()
    kill(ej, process)
    in_force(ej)
    assert f"mod_portcullis_{process} ended unexpectedly" in back(ej, component)["health"]
    in_force(ej)


def no_table(_):
    return b"this is no table" * 10


def damaged_row(data):
    """dets opens this file and skips its rows, because they do not begin as rows do."""
    return data.replace(b"\x12\x34\x56\x78", bytes(4))


def damaged_term(data):
    """dets opens this file and crashes when it reads the rows: the one about alice is not an Erlang term."""
    return data.replace(b"m\0\0\0\x0falice@localhost", b"\xff" * 20)


@pytest.mark.parametrize("damage", [no_table, damaged_row, damaged_term], ids=lambda f: f.__name__)
def test_an_unreadable_file_is_put_aside_and_reported(ej, component, pw, damage):
    component.ban("alice@localhost")
    component.wait_held()
    component.close()
    ej.stop()
    (file,) = (ej.path / "spool").glob("portcullis-held-*.dets")
    before = file.read_bytes()
    file.write_bytes(damage(before))
    assert file.read_bytes() != before
    ej.start()
    with FakeComponent(ej) as again:
        again.carry_on(component)
        again.wait(lambda: again.hellos, 15)
        assert "could not be read" in again.hellos[0]["health"] and again.hellos[0]["bans"] == "0"
        again.wait_held()
    assert banned(ej) == "account-disabled"
    assert not ej.crashes()


@contextlib.contextmanager
def small_disk(ej):
    """The server's data on a disk of its own, and the name of a file that fills it."""
    spool, aside = ej.path / "spool", ej.path / "spool-aside"
    ej.stop()
    spool.rename(aside)
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", spool], check=True)
    try:
        shutil.copytree(aside, spool, dirs_exist_ok=True)
        ej.start()
        yield spool / "filler"
    finally:
        ej.stop()
        subprocess.run(["umount", spool], check=True)
        spool.rmdir()
        aside.rename(spool)
        ej.start()


def fill(file):
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(4096))


def test_bans_are_written_again_when_a_full_disk_has_room(ej, component):
    component.close()
    with small_disk(ej) as filler, FakeComponent(ej, epoch="full") as again:
        again.wait(lambda: again.hellos, 15)
        again.wait_held()
        fill(filler)
        for n in range(300):
            again.ban(f"u{n}@localhost", text="full" * 20, tell=False)
        again.ban("alice@localhost", tell=False)
        again.wait_held()
        again.close()
        assert banned(ej) == "account-disabled", "in memory it holds"
        filler.unlink()
        ej.erlang(f"{OWNER} ! sweep, sys:get_state({OWNER})")  # as it does once a minute
        ej.kill9()
        ej.start()
        assert banned(ej) == "account-disabled"
    ej.expected_crashes.update(ej.crashes())


def test_the_old_file_stays_if_no_new_one_can_be_written(ej, component):
    found = ej.erlang(
        'F = filename:join(mnesia:system_info(directory), "portcullis-held-nowhere.dets"),'
        'file:write_file(F, "old"), file:make_dir(F ++ ".new"),'
        'mod_portcullis_disk:begin_again({disk, <<"nowhere">>, held, {closed, <<>>}}, [{a, 1}]),'
        'Old = file:read_file(F), file:del_dir(F ++ ".new"),'
        'New = mod_portcullis_disk:begin_again({disk, <<"nowhere">>, held, {closed, <<>>}}, [{a, 1}]),'
        'mod_portcullis_disk:close(New), {_, Rows} = mod_portcullis_disk:open(<<"nowhere">>, held), {Old, Rows}'
    )
    assert found == '{{ok,<<"old">>},[{a,1}]}'


def test_a_banned_user_who_logged_in_while_the_module_was_off_is_kicked(ej, component, pw):
    component.ban("alice@localhost", text="not you")
    component.wait_held()
    ej.take_out()
    ej.ctl("reload_config")
    with Stream(ej.c2s) as alice, Stream(ej.c2s) as bob:
        assert alice.plain("alice", pw("alice"))[0] == "success"
        alice.bind()
        assert bob.plain("bob", pw("bob"))[0] == "success"
        bob.bind()
        ej.put_in()
        ej.ctl("reload_config")
        assert alice.result(alice.rest(5)) == ("policy-violation", "not you")
        assert "result" in bob.iq("get", "<query xmlns='jabber:iq:roster'/>")


def test_the_server_lets_nobody_banned_in_while_it_starts(ej, component, pw):
    component.ban("alice@localhost")
    component.wait_held()
    component.close()
    ej.stop()
    seen, stop = [], threading.Event()

    def knock():
        while not stop.is_set():
            try:
                with Stream(ej.c2s) as s:
                    seen.append(s.plain("alice", pw("alice"))[0])
            except OSError:
                time.sleep(0.01)  # nobody listens yet, so retry as fast as an impatient client

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        ej.start()
        tried = len(seen)
        wait.until(lambda: len(seen) > tried + 5, what="some more tries after the start")
    finally:
        stop.set()
        knocking.join()
    assert "account-disabled" in seen and "success" not in seen, seen
