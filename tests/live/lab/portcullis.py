"""The program under test: its configuration, its life cycle, its answers and its log."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

from . import machine, wait
from .accounts import SECRET


def binary():
    path = pathlib.Path(os.environ.get("PORTCULLIS_BIN") or machine.PROJECT / "target" / "debug" / "portcullis")
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; run `cargo build` first, or set PORTCULLIS_BIN")
    return path


# The storage engine of the program under test: the default one, except where every run tests the other one too.
ENGINES = {"prosody-13": "sled"}


def engine(server):
    """The engine to configure for a server; None for the default. PORTCULLIS_ENGINE sets it for all."""
    return os.environ.get("PORTCULLIS_ENGINE") or ENGINES.get(getattr(server, "name", None))


def value(v):
    if isinstance(v, dict):
        return "{ " + ", ".join(f"{k} = {value(one)}" for k, one in v.items()) + " }"
    return json.dumps(v)


def toml(tables):
    """The subset of TOML that a configuration needs; None omits a key, a list of dicts becomes `[[name]]` tables."""

    def is_list(v):
        return isinstance(v, list) and v and isinstance(v[0], dict)

    lines = [
        f"{k} = {value(v)}" for k, v in tables.items() if not isinstance(v, dict) and not is_list(v) and v is not None
    ]
    for name, found in tables.items():
        for table in [found] if isinstance(found, dict) else found if is_list(found) else []:
            lines += ["", f"[[{name}]]" if is_list(found) else f"[{name}]"]
            lines += [f"{k} = {value(v)}" for k, v in table.items() if v is not None]
    return "\n".join(lines) + "\n"


class Portcullis:
    """`settings` are merged over a working configuration: `Portcullis(server, component={"secret": "wrong"})`."""

    def __init__(self, server, log_level="info", **settings):
        self.server, self.binary = server, binary()
        self.http, *_ = machine.ports(1)
        self.path = machine.fresh_folder(machine.folder() / f"portcullis-{self.http}")
        self.process = None
        self.log_path = self.path / "portcullis.log"
        self.config = self.path / "portcullis.toml"
        self.jid = server.component
        key = self.path / "seal.key"
        key.touch(0o600)
        key.write_text(self.keygen())
        cookie = None
        if server.cookie:
            cookie = self.path / "erlang.cookie"
            cookie.touch(0o600)
            cookie.write_text(server.cookie)
            cookie.chmod(0o400)
        self.settings = {
            "admins": [server.jid("admin")],
            "moderators": [server.jid("moderator")],
            "component": {"domain": server.component, "server": f"127.0.0.1:{server.port}", "secret": SECRET},
            "store": {"path": str(self.path / "store"), "engine": engine(server)},
            "record": {"seal_key_file": str(key), "ejabberd_cookie_file": str(cookie) if cookie else None},
            "http": {"listen": f"127.0.0.1:{self.http}"},
            "log": {"format": "text", "level": log_level},
        }
        self.change(**settings)

    def change(self, **settings):
        """Merges settings and writes the file; a running portcullis sees it after `reload` or `restart`."""
        for name, value in settings.items():
            if isinstance(value, dict):
                self.settings[name] = {**self.settings.get(name, {}), **value}
            else:
                self.settings[name] = value
        self.config.touch(0o600)
        self.config.write_text(toml(self.settings))

    # -- life ---------------------------------------------------------------------------------------------------------
    def start(self, ready=True, within=20):
        self.mark = self.log_path.stat().st_size if self.log_path.exists() else 0
        began = time.time()
        self.process = machine.spawn(
            [self.binary, "run", "-c", self.config],
            self.log_path,
            cwd=self.path,
            env={**os.environ, "RUST_BACKTRACE": "1", "NO_COLOR": "1"},
        )
        if ready:
            self.wait_ready(within)
        return time.time() - began

    def wait_ready(self, within=20):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"portcullis ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            return self.get("/readyz")[0] == 200

        try:
            wait.until(ready, within, what="/readyz")
        except AssertionError as e:
            raise AssertionError(f"{e}\n/readyz: {self.get('/readyz')}\n{self.log()[-4000:]}") from None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Sends SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill9(self):
        return self._end(signal.SIGKILL)

    def _end(self, sig):
        if self.process is None:
            return None
        code = machine.end(self.process, sig)
        self.process = None
        return code

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        os.kill(self.process.pid, signal.SIGHUP)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    # -- looking at it ------------------------------------------------------------------------------------------------
    def get(self, path):
        """(status, text) of its HTTP listener; (0, problem) if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except (OSError, http.client.HTTPException) as e:
            return 0, str(e)

    def post(self, path, value, token=None):
        """(status, JSON) of a POST to its HTTP listener."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", json.dumps(value).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())

    def run(self, *args, within=40):
        """Runs a subcommand to its end: `run("doctor")`. stdout and stderr are together in `.stdout`."""
        return subprocess.run(
            [self.binary, *args, "-c", self.config],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within,
            cwd=self.path,
        )

    # -- facts (docs/terminal.md) --------------------------------------------------------------------------------------
    def facts(self, *args, within=40):
        """The answer of a command with `--json`, whatever its exit code; `args` are as in a chat line."""
        command = [self.binary, *map(str, args), "--json", "-c", self.config]
        done = subprocess.run(
            command, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=within, cwd=self.path
        )
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"no facts from {args}: {done.stdout}{done.stderr}") from None

    def state_of(self, subject):
        """Its `ban` in force or None, and `pending`: whether the server has yet to carry out the change."""
        facts = self.facts("show", subject)
        assert facts["kind"] == "done", facts
        return next(one for one in facts["subjects"] if one["subject"] == subject)

    def ban_of(self, subject):
        """The row of `list` for its ban in force, or None."""
        return self.state_of(subject)["ban"]

    def status_of(self, var):
        """The value of one row of `status`."""
        return next(row["value"] for row in self.facts("status")["rows"] if row["var"] == var)

    def problem(self, *args):
        """(kind, field, text) of the only problem of a command."""
        facts = self.facts(*args)
        assert facts["kind"] in ("invalid", "refused"), facts
        [problem] = facts["problems"]
        return facts["kind"], problem["field"], problem["text"]

    def keygen(self):
        return subprocess.run([self.binary, "keygen"], check=True, stdout=subprocess.PIPE, text=True).stdout

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_since_start(self):
        return self.log_path.read_bytes()[self.mark :].decode(errors="replace") if self.log_path.exists() else ""
