"""A demo: a real ejabberd with portcullis, and an admin at work. `--keep` leaves it running for your own client.

Every line shows what really happened. The first step that does not happen as announced ends the demo with exit code
1.
"""

import argparse
import re
import signal
import sys
import textwrap
import time

from lab import Client, Ejabberd, LoginRefused, Portcullis, machine, wait
from lab.accounts import USERS, password
from lab.clients.raw_client import refused

BOLD, DIM, OFF = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
BEGAN = time.time()


class NotAsTold(Exception):
    pass


def tell(who, what):
    lines = [part for line in str(what).splitlines() or [""] for part in (textwrap.wrap(line, 96) or [""])]
    for n, line in enumerate(lines):
        stamp = f"{time.time() - BEGAN:5.1f} s" if n == 0 else " " * 7
        print(f"{DIM}{stamp}{OFF}  {BOLD}{who if n == 0 else '':<11}{OFF} {line}", flush=True)


def scene(title):
    print(f"\n{BOLD}{title}{OFF}", flush=True)


def expect(true, problem):
    if not true:
        raise NotAsTold(problem)


def try_login(server, user):
    """Logs in and prints the result; True if the server let the user in."""
    try:
        Client(server, user).close()
    except LoginRefused as no:
        tell(user, "tries to log in")
        tell("ejabberd", f"refuses: <{no.condition}/> {no.text!r}")
        return False
    tell(user, "logs in")
    tell("ejabberd", "lets the user in")
    return True


def say(admin, bot, line, pattern):
    tell("admin", f"writes:  {line}")
    answer = admin.ask(bot.jid, line)
    tell("portcullis", answer)
    expect(re.search(pattern, answer, re.I | re.S), f"expected /{pattern}/ as answer to: {line}")
    return answer


def play(server, bot):
    admin = Client(server, "admin")

    scene("1  A ban by form ends the stream, and the server refuses the next login with the reason")
    alice = Client(server, "alice")
    tell("alice", "is online")
    form = admin.command(bot.jid, "ban")
    tell("admin", f'opens the command "ban" and gets a form: {form.title}')
    values = {
        "subject": server.jid("alice"),
        "duration": "3d",
        "reason": "spam in three rooms",
        "note": "second time this month",
    }
    tell("admin", "fills in:  " + ", ".join(f"{k} = {v!r}" for k, v in values.items()))
    done = admin.go_on(bot.jid, form, form.execute or "complete", values)
    expect(done.status == "completed", f"the command did not complete: {done!r}")
    tell("portcullis", done.note)
    problem = alice.wait_closed()
    tell("ejabberd", "ends alice's stream" + (f": <{problem[0]}/> {problem[1]!r}" if problem else ""))
    wait.until(lambda: refused(server, "alice"), 5, what="alice is refused")
    expect(not try_login(server, "alice"), "alice was let in")

    scene("2  What an admin sees")
    say(admin, bot, "list", r"alice@")
    say(admin, bot, f"show {server.jid('alice')}", r"spam in three rooms")

    scene("3  A timed ban ends by itself")
    say(admin, bot, f"ban {server.jid('bob')} 5s cool down", r"Banned #\d+ bob@")
    wait.until(lambda: refused(server, "bob"), 4, what="bob is refused")
    expect(not try_login(server, "bob"), "bob was let in")
    tell("", "five seconds pass …")
    wait.until(lambda: refused(server, "bob") is None, 12, every=0.1, what="bob's ban ends")
    expect(try_login(server, "bob"), "bob is still refused")

    scene("4  Un-banned is un-banned")
    say(admin, bot, f"unban {server.jid('alice')}", r"Un-banned #\d+ alice@")
    wait.until(lambda: refused(server, "alice") is None, 5, what="alice may log in again")
    expect(try_login(server, "alice"), "alice is still refused")
    admin.close()


def invite(server, bot):
    scene("It stays until you press Ctrl-C. Join with your own client:")
    print(
        f"""
  server     127.0.0.1, port {server.c2s}  (give host and port by hand; no TLS needed, or a self-signed certificate)
  admin      {server.jid("admin")}      password  {password("admin")}
  moderator  {server.jid("moderator")}  password  {password("moderator")}
  users      {"  ".join(f"{server.jid(u)} / {password(u)}" for u in USERS if u not in ("admin", "moderator"))}
  the bot    {bot.jid}   (open a chat with it, or run its ad-hoc commands)

  write to it, as admin:
    help
    ban {server.jid("mallory")} 2m testing
    list
    show {server.jid("mallory")}
    unban {server.jid("mallory")}

  health     http://127.0.0.1:{bot.http}/readyz
  logs       {bot.log_path}
             {server.path}/logs/ejabberd.log
""",
        flush=True,
    )
    bot.process.wait()
    raise NotAsTold(f"portcullis ended:\n{bot.log()[-2000:]}")


def main():
    parser = argparse.ArgumentParser(prog="just demo", description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave everything running and say how to join")
    keep = parser.parse_args().keep
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = bot = None
    code = 1
    try:
        print(f"{BOLD}portcullis demo{OFF}: everything listens on 127.0.0.1 and is thrown away afterwards", flush=True)
        server = Ejabberd("24.12")
        tell(
            "ejabberd",
            f"24.12 from Debian is up after {server.start():.1f} s (clients 127.0.0.1:{server.c2s}, "
            f"components 127.0.0.1:{server.port})",
        )
        bot = Portcullis(server)
        tell("portcullis", f"has joined as {bot.jid} after {bot.start():.1f} s")
        play(server, bot)
        print(f"\nAll of this happened on a real server in {time.time() - BEGAN:.0f} seconds.", flush=True)
        code = 0
        if keep:
            invite(server, bot)
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    except (NotAsTold, AssertionError, LoginRefused, RuntimeError, FileNotFoundError) as problem:
        code = 1
        print(f"\nNot as told: {problem}", file=sys.stderr)
        if bot is not None:
            print(f"--- end of portcullis' log ---\n{bot.log()[-3000:]}", file=sys.stderr)
    finally:
        for one in (bot, server):
            if one is not None:
                one.stop()
        machine.sweep()
    return code


if __name__ == "__main__":
    sys.exit(main())
