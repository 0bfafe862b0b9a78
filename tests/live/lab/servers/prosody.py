"""Prosody 13 with prosody-modules, from Debian."""

import os
import pwd
import re
import shutil
import subprocess
import time

from .. import machine
from ..accounts import SECRET, USERS
from ..clients.raw_client import RawClient
from .server import Server

# The part from `VirtualHost` to the end of `Component "portcullis…"` is what the operator documents recommend.
CONFIG = """\
pidfile = "{run}/prosody.pid"
data_path = "{run}/data"
certificates = "{run}/certs"
plugin_paths = {{ "{run}/plugins" }}
log = {{ info = "{run}/prosody.log" }}
network_settings = {{ nagle = false }}      -- answers arrive without Nagle's 40 ms

interfaces = {{ "127.0.0.1"{v6} }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ }}
component_ports = {{ {port} }}
component_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{ }}
consider_websocket_secure = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
admin_socket = "{run}/data/prosody.sock"

admins = {{ "admin@{host}" }}
modules_enabled = {{
	"disco"; "roster"; "saslauth"; "tls"; "ping"; "version"; "time"; "posix";
	"carbons"; "admin_shell"; "register_ibr"; "websocket"; "blocklist";
}}
modules_disabled = {{ "s2s"; "s2s_auth_certs" }}
allow_registration = true                   -- the lab makes its users over the wire
authentication = "{authentication}"

Component "{room_host}" "muc"

VirtualHost "{host}"
	modules_enabled = {{ "private"; "privilege"; "admin_adhoc"; "adhoc"; {module} }}
{rights}
Component "{component}"
	component_secret = "{secret}"
	component_conflict_resolve = "{conflict}"
{component_modules}
Component "{stranger}"
	component_secret = "{secret}"
"""

RIGHTS = """\
	admins = {{ "{component}" }}
	privileged_entities = {{
		["{component}"] = {{ iq = {{ ["jabber:iq:private"] = "both" }} }};
	}}
"""


MODULES = machine.PROJECT / "server" / "prosody"
MODULE_ON = """\
	portcullis_component = "{component}"
"""


class Prosody(Server):
    name = "prosody-13"
    conflict = "kick_old"  # what happens to a second connection of a component

    def __init__(
        self, privilege=True, configure=True, authentication="internal_hashed", module=False, v6=False, wait=None
    ):
        """`module`: with our hook module; `wait` is its option, in seconds. `v6`: clients may also connect to ::1."""
        super().__init__()
        self.module, self.v6, self.wait = module, v6, wait
        self.privilege, self.configure, self.authentication = privilege, configure, authentication
        self.c2s, self.port, self.http, *_ = machine.ports()
        self.websocket = f"ws://127.0.0.1:{self.http}/xmpp-websocket"
        self.stranger_port = self.port
        self.listens = self.c2s, self.port, self.http
        self.path = machine.folder() / f"{self.name}-{self.c2s}"
        self.fresh = True

    def start(self):
        if self.fresh:
            machine.fresh_folder(self.path)
            (self.path / "data").mkdir()
            (self.path / "certs").mkdir()
            machine.certificate(self.path / "certs" / "localhost.crt", self.path / "certs" / "localhost.key")
            self.place_plugins(self.path / "plugins")
        self.write_config()
        began = time.time()
        self.process = machine.spawn(
            [
                "setpriv",
                "--reuid=prosody",
                "--regid=prosody",
                "--init-groups",
                "prosody",
                "--config",
                self.path / "prosody.cfg.lua",
                "-F",
            ],
            self.path / "stdout.log",
            cwd="/",
            env={"HOME": str(self.path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
        )
        self.wait_open(*self.listens)
        took = time.time() - began
        first, self.fresh = self.fresh, False
        if first:
            self.add_users()
        return took

    def add_users(self):
        """Called after the first start."""
        for name in USERS:
            self.add_user(name)

    def place_plugins(self, folder):
        for module in MODULES.glob("mod_*"):
            shutil.copytree(module, folder / module.name)

    def write_config(self):
        (self.path / "prosody.cfg.lua").write_text(self.config())
        user = pwd.getpwnam("prosody")
        os.chown(self.path, user.pw_uid, user.pw_gid)
        for base, dirs, files in os.walk(self.path):
            for name in dirs + files:
                os.chown(os.path.join(base, name), user.pw_uid, user.pw_gid, follow_symlinks=False)

    def config(self):
        rights = RIGHTS.format(component=self.component) if self.privilege and self.configure else ""
        return CONFIG.format(
            run=self.path,
            host=self.host,
            component=self.component,
            stranger=self.stranger,
            room_host=self.room_host,
            c2s=self.c2s,
            port=self.port,
            http=self.http,
            secret=SECRET,
            authentication=self.authentication,
            rights=rights + self._module_on(),
            conflict=self.conflict,
            v6='; "::1"' if self.v6 else "",
            module='"portcullis"' if self.module else "",
            component_modules='\tmodules_enabled = { "privilege" }\n' if self.privilege else "",
        )

    def _module_on(self):
        if not self.module:
            return ""
        return MODULE_ON.format(component=self.component) + (f"\tportcullis_wait = {self.wait}\n" if self.wait else "")

    def add_user(self, user):
        RawClient(self, user).register()

    def shell(self, *words):
        """One command of the admin shell."""
        return subprocess.run(
            ["prosodyctl", "--config", self.path / "prosody.cfg.lua", "shell", *words],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=30,
        ).stdout

    def restart_module(self):
        self.shell("module", "reload", "portcullis", self.host)

    def unload_module(self):
        self.shell("module", "unload", "portcullis", self.host)

    def load_module(self):
        self.shell("module", "load", "portcullis", self.host)

    def record(self, user):
        """The ban record in the user's private storage, or an empty string."""
        path = self.path / "data" / self.host / "private" / f"{user}.dat"
        text = path.read_text(errors="replace") if path.exists() else ""
        return text if re.search("jabber:ejabberd:banned", text) else ""

    def withdraw_rights(self):
        self.shell("module", "unload", "admin_adhoc", self.host)

    def restore_rights(self):
        self.shell("module", "load", "admin_adhoc", self.host)
        self.restart()

    def log(self):
        parts = [self.path / "prosody.log", self.path / "stdout.log"]
        return "\n".join(p.read_text(errors="replace") for p in parts if p.exists())
