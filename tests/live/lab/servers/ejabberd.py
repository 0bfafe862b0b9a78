"""ejabberd 24.12 (this machine's package) and 26.07 (in a Debian trixie below the lab's folder)."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from .. import machine
from ..accounts import SECRET, USERS, password
from .server import Server

COOKIE = "PORTCULLISLABCOOKIE"
MODULE = machine.PROJECT / "server" / "ejabberd" / "mod_portcullis"

# The lines between the marks are what an operator adds to an existing ejabberd.yml.
CONFIG = """\
loglevel: {loglevel}
log_rotate_count: 0
hosts:
  - {host}
certfiles:
  - {run}/cert.pem
auth_method: internal
auth_password_format: scram
disable_sasl_mechanisms: [digest-md5, x-oauth2]

acl:
  admin:
    user: admin@{host}
  loopback:
    ip:
      - 127.0.0.0/8
      - "::1/128"
  # --- portcullis ---
  portcullis:
    server: {component}
  # ---

access_rules:
  local:
    allow: all
  c2s:
    allow: all
  configure:
    allow: admin
{configure}
  # --- portcullis ---
  portcullis_rule:
    allow: portcullis
  # ---

# The lab itself registers accounts and looks at records over HTTP on loopback.
api_permissions:
  "lab":
    from: mod_http_api
    who:
      access:
        allow:
          - acl: loopback
    what:
      - "*"

listen:
  - port: {c2s}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    access: c2s
    starttls: true
    starttls_required: false
{v6}
  # --- portcullis ---
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    global_routes: false
    hosts:
      {component}:
        password: "{secret}"
  # ---
  - port: {tls_port}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    global_routes: false
    tls: true
    certfile: {run}/cert.pem
    hosts:
      {component}:
        password: "{secret}"
  - port: {stranger_port}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    global_routes: false
    hosts:
      {stranger}:
        password: "{secret}"
  - port: {http}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
      /ws: ejabberd_http_ws

modules:
  mod_adhoc: {{}}
  mod_admin_extra: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_configure: {{}}
  mod_disco: {{}}
  mod_last: {{}}
  mod_muc:
    host: {room_host}
    access: all
    access_admin:
      - allow: admin
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_offline: {{}}
{privilege}
  mod_roster: {{}}
  mod_stats: {{}}
  mod_version: {{}}
"""

CONFIGURE = """\
  # --- portcullis ---
    allow: portcullis
  # ---"""

PRIVILEGE = """\
  # --- portcullis ---
  mod_privilege:
    iq:
      "jabber:iq:private":
        both: portcullis_rule
{commands}
  # ---"""

V6 = """\
  - port: {c2s}
    ip: "::1"
    module: ejabberd_c2s
    access: c2s"""

COMMANDS = """\
      "http://jabber.org/protocol/commands":   # ejabberd 24.12 only
        both: portcullis_rule"""


class Ejabberd(Server):
    gives_reason = True

    def __init__(
        self, version="24.12", privilege=True, configure=True, loglevel="info", module=False, v6=False, wait=None
    ):
        """`module` installs our hook module as an operator does; `wait` is its option in seconds. With `v6` clients
        may also connect to ::1.
        """
        super().__init__()
        self.module, self.v6, self.wait = module, v6, wait
        self.version, self.name = version, f"ejabberd-{version}"
        self.privilege, self.configure, self.loglevel = privilege, configure, loglevel
        self.cookie = COOKIE
        self.c2s, self.port, self.stranger_port, self.http, self.dist, self.tls_port = machine.ports()
        lab = machine.folder()
        if version == "26.07":
            self.root = lab / "trixie"
            self.run = pathlib.Path("/srv") / f"portcullis-lab-{self.c2s}"
        else:
            self.root, self.run = None, lab / f"{self.name}-{self.c2s}"
        self.path = self.root / self.run.relative_to("/") if self.root else self.run
        self.websocket = f"ws://127.0.0.1:{self.http}/ws"
        self.fresh = True

    # -- life ---------------------------------------------------------------------------------------------------------
    def start(self):
        """Starts it; returns how many seconds that took. The first start creates the users."""
        if self.fresh:
            machine.fresh_folder(self.path)
            for sub in ("spool", "logs", "home"):
                (self.path / sub).mkdir()
            self._certificate()
            self._write_cookie()
        self.write_config()
        self._own()
        began = time.time()
        env = {
            "HOME": f"{self.run}/home",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }
        self.process = machine.spawn(
            [*self._as_ejabberd(), "/usr/sbin/ejabberdctl", *self._folders(), "foreground"],
            self.path / "stdout.log",
            env=env,
            cwd="/",
        )
        self.wait_open(self.c2s, self.port, self.tls_port, self.stranger_port, self.http)
        took = time.time() - began
        first, self.fresh = self.fresh, False
        # Mnesia writes accounts to disk with a delay: one made shortly before a stop under load may be lost.
        for user in [*USERS, *self.accounts]:
            self.add_user(user)
        if first and self.module:
            self.install_module()
        return took

    def write_config(self):
        commands = COMMANDS if self.version == "24.12" else ""
        privilege = PRIVILEGE.format(commands=commands) if self.privilege else ""
        text = CONFIG.format(
            host=self.host,
            run=self.run,
            component=self.component,
            stranger=self.stranger,
            room_host=self.room_host,
            c2s=self.c2s,
            port=self.port,
            stranger_port=self.stranger_port,
            tls_port=self.tls_port,
            http=self.http,
            secret=SECRET,
            loglevel=self.loglevel,
            v6=V6.format(c2s=self.c2s) if self.v6 else "",
            privilege=privilege,
            configure=CONFIGURE if self.configure else "",
        )
        (self.path / "ejabberd.yml").write_text("\n".join(line for line in text.splitlines() if line) + "\n")
        (self.path / "ejabberdctl.cfg").write_text(
            f"ERLANG_NODE=lab{self.c2s}@localhost\nERL_DIST_PORT={self.dist}\n"
            f'ERL_OPTIONS="+sbwt none -kernel inet_dist_use_interface {{127,0,0,1}}"\n'
            f"EJABBERD_PID_PATH={self.run}/ejabberd.pid\n"
        )
        if self.module:
            with open(self.path / "ejabberdctl.cfg", "a") as file:
                file.write(f"CONTRIB_MODULES_PATH={self.run}/contrib\n")
        (self.path / "inetrc").write_text("")

    def _folders(self):
        r = self.run
        return [
            "-c",
            f"{r}/ejabberdctl.cfg",
            "-d",
            f"{r}",
            "-s",
            f"{r}/spool",
            "-l",
            f"{r}/logs",
            "-f",
            f"{r}/ejabberd.yml",
        ]

    def _as_ejabberd(self):
        if self.root:
            return ["chroot", "--userspec=ejabberd:ejabberd", self.root]
        return ["setpriv", "--reuid=ejabberd", "--regid=ejabberd", "--init-groups"]

    def _write_cookie(self):
        cookie = self.path / "home" / ".erlang.cookie"
        cookie.unlink(missing_ok=True)
        cookie.write_text(self.cookie)
        cookie.chmod(0o400)

    def _own(self):
        passwd = (self.root or pathlib.Path("/")) / "etc/passwd"
        uid, gid = next(
            (int(f[2]), int(f[3]))
            for f in (line.split(":") for line in passwd.read_text().splitlines())
            if f[0] == "ejabberd"
        )
        os.chown(self.path, uid, gid)
        for base, dirs, files in os.walk(self.path):
            for name in dirs + files:
                os.chown(os.path.join(base, name), uid, gid, follow_symlinks=False)

    def _certificate(self):
        machine.certificate(self.path / "crt.pem", self.path / "key.pem")
        (self.path / "cert.pem").write_text((self.path / "key.pem").read_text() + (self.path / "crt.pem").read_text())

    # -- the hook module ----------------------------------------------------------------------------------------------
    def install_module(self):
        sources = self.path / "contrib" / "sources" / MODULE.name
        shutil.rmtree(sources, ignore_errors=True)
        shutil.copytree(MODULE, sources)
        wait = f"    wait: {self.wait * 1000:.0f} milliseconds\n" if self.wait else ""
        (sources / "conf" / "mod_portcullis.yml").write_text(
            f"modules:\n  mod_portcullis:\n    component: {self.component}\n{wait}"
        )
        self._own()
        env = {
            "HOME": f"{self.run}/home",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            [*map(str, self._as_ejabberd()), "/usr/sbin/ejabberdctl", *self._folders(), "module_install", MODULE.name],
            env=env,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"module_install: {done.stdout}\n{self.log()[-3000:]}"

    def restart_module(self):
        self.ctl("restart_module", host=self.host, module=MODULE.name)

    def unload_module(self):
        self.ctl("module_uninstall", module=MODULE.name)

    def load_module(self):
        self.install_module()

    # -- what an operator does ----------------------------------------------------------------------------------------
    def ctl(self, command, **args):
        """One ejabberd command over its HTTP API (`ejabberdctl` would take a second); the parsed JSON answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/api/{command}",
            json.dumps(args).encode(),
            {"Content-Type": "application/json", "Host": self.host},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as e:
            return {"error": e.code, "body": e.read().decode(errors="replace")}

    def add_user(self, user):
        self.accounts[user] = True
        self.ctl("register", user=user, host=self.host, password=password(user))

    def record(self, user):
        """The ban record as the server has it, or an empty string."""
        answer = self.ctl("private_get", user=user, host=self.host, element="banned", ns="jabber:ejabberd:banned")
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return text if re.search(r"<(reason|hash|bandate)\b", text) else ""

    def withdraw_rights(self):
        """Withdraws all grants without notifying the component, as a restart of the module does."""
        self.ctl("restart_module", host=self.host, module="mod_privilege")

    def restore_rights(self):
        """The component is granted its rights again when it next connects."""
        self.restart()

    def change_cookie(self, cookie):
        """Restarts with another Erlang cookie."""
        self.stop()
        self.cookie = cookie
        self._write_cookie()
        self.start()

    def log(self):
        parts = [self.path / "logs" / "ejabberd.log", self.path / "stdout.log"]
        return "\n".join(p.read_text(errors="replace") for p in parts if p.exists())
