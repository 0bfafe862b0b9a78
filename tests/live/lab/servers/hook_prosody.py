"""Prosody for tests of mod_portcullis alone, with every kind of login and a configuration of the test's own."""

import shutil
import subprocess

from .. import machine
from ..accounts import SECRET, password
from .prosody import Prosody

PLUGINS = machine.PROJECT / "tests" / "live" / "hook_prosody" / "plugins"
USERS = ("alice", "bob", "carol", "dave")

CONFIG = """\
pidfile = "{run}/prosody.pid"
data_path = "{run}/data"
certificates = "{run}/certs"
plugin_paths = {{ "{run}/plugins" }}
log = {{ {level} = "{run}/prosody.log" }}
network_settings = {{ nagle = {nagle} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ }}
component_ports = {{ {port} }}
component_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{ }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_bosh_secure = true
admin_socket = "{run}/data/prosody.sock"
smacks_hibernation_time = 600
modules_enabled = {{
	"disco"; "roster"; "saslauth"; "private"; "privilege"; "admin_shell"; "ping"; "tokenauth"; "smacks"; "tls";
	"sasl2"; "sasl2_fast"; "sasl2_bind2"; "sasl2_sm"; "legacyauth"; {modules}
}}
modules_disabled = {{ "s2s"; "s2s_auth_certs"; "offline" }}
authentication = "internal_hashed"

VirtualHost "second.localhost"

VirtualHost "localhost"
	modules_enabled = {{ {host_modules} }}
	portcullis_component = "portcullis.localhost"
	privileged_entities = {{ ["portcullis.localhost"] = {{ iq = {{ ["jabber:iq:private"] = "both" }} }} }}
{options}

Component "portcullis.localhost"
	component_secret = "{secret}"
	component_conflict_resolve = "kick_old"
	modules_enabled = {{ "privilege" }}

Component "stranger.localhost"
	component_secret = "{secret}"
"""


class HookProsody(Prosody):
    """`options` are lines for the virtual host, `modules` names for the global list: `'"bosh";'`."""

    def __init__(self, options="", modules="", nagle=False, module_on=True, level="info"):
        super().__init__(module=module_on)
        self.listens = self.c2s, self.port  # HTTP only for a module that uses it
        self.options, self.modules, self.nagle, self.level = options, modules, nagle, level

    def config(self):
        return CONFIG.format(
            run=self.path,
            c2s=self.c2s,
            port=self.port,
            http=self.http,
            secret=SECRET,
            level=self.level,
            nagle=str(self.nagle).lower(),
            modules=self.modules,
            options=self.options,
            host_modules='"portcullis"; "hooklab"' if self.module else '"hooklab"',
        )

    def place_plugins(self, folder):
        super().place_plugins(folder)
        shutil.copytree(PLUGINS, folder, dirs_exist_ok=True)

    def write_config(self):
        super().write_config()
        if self.fresh:
            for user in USERS:
                self.add_user(user)

    def add_users(self):
        """Does nothing: the users were created before the first start, so that the module sees none of it."""

    def add_user(self, user):
        """Creates a user with the operator's tool, because registration is closed here."""
        subprocess.run(
            [
                "setpriv",
                "--reuid=prosody",
                "--regid=prosody",
                "--init-groups",
                "prosodyctl",
                "--config",
                self.path / "prosody.cfg.lua",
                "register",
                user,
                self.host,
                password(user),
            ],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=30,
        )

    def errors(self):
        """Log lines that report an error."""
        return [line for line in self.log().splitlines() if "Traceback" in line or "error" in line.split("\t")[1:2]]
