"""ejabberd for tests of mod_portcullis alone: every kind of login is enabled, and the module is installed,
configured, removed and installed again as an operator does.
"""

import re
import shutil
import subprocess

from .. import machine
from .ejabberd import COOKIE, MODULE, Ejabberd

# A port for clients that show a certificate.
TLS = """\
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    tls_verify: true
"""


class HookEjabberd(Ejabberd):
    """`module` is the text of conf/mod_portcullis.yml below `mod_portcullis:`."""

    def __init__(self, version, **more):
        super().__init__(version, **more)
        self.options = {}
        self.expected_crashes = set()
        self.tls = machine.ports(1)[0]  # c2s that asks for a client certificate

    @property
    def way_in(self):
        """Arguments for another Erlang VM to reach this one."""
        return ["-erl_epmd_port", str(self.dist)]

    way_env = {}

    @property
    def erlang_name(self):
        return f"lab{self.c2s}@localhost"

    def write_config(self):
        super().write_config()
        yml = self.path / "ejabberd.yml"
        text = yml.read_text()
        text = text.replace("disable_sasl_mechanisms: [digest-md5, x-oauth2]", "disable_sasl_mechanisms: [digest-md5]")
        text = text.replace(
            "    starttls_required: false", "    starttls_required: false\n    allow_unencrypted_sasl2: true"
        )
        text = text.replace(
            "modules:\n", "modules:\n  mod_auth_fast: {}\n  mod_legacy_auth: {}\n  mod_stream_mgmt: {}\n", 1
        )
        text = text.replace(
            "listen:\n", f"oauth_access: all\nc2s_cafile: {self.run}/crt.pem\nlisten:\n" + TLS.format(port=self.tls), 1
        )
        yml.write_text(text)
        cfg = self.path / "ejabberdctl.cfg"
        cfg.write_text(cfg.read_text() + f"CONTRIB_MODULES_CONF_DIR={self.run}/modules.d\n")
        (self.path / "modules.d").mkdir(exist_ok=True)

    # -- the module ---------------------------------------------------------------------------------------------------
    @property
    def sources(self):
        return self.path / "home" / ".ejabberd-modules" / "sources"  # where ejabberd looks by default

    def place_sources(self):
        target = self.sources / "mod_portcullis"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(MODULE, target)
        self._own()

    def install_module(self):
        """Installs, then configures: a server does not start if a configured module is missing."""
        self.place_sources()
        self.ejabberdctl("module_install", "mod_portcullis")
        self.set_options()

    def module_config(self):
        lines = ["modules:", "  mod_portcullis:", f"    component: {self.component}"]
        # Failures of many tests come from one address; test_alone.py is about the limit.
        options = {"away_limit": "0", **self.options}
        return "\n".join(lines + [f"    {k}: {v}" for k, v in options.items()]) + "\n"

    @property
    def module_conf(self):
        return self.path / "modules.d" / "mod_portcullis.yml"

    @property
    def module_own_conf(self):
        """The configuration that comes with the module; /etc/ejabberd/modules.d takes precedence."""
        return self.sources.parent / "mod_portcullis" / "conf" / "mod_portcullis.yml"

    def take_out(self):
        for conf in (self.module_conf, self.module_own_conf):
            if conf.exists():  # an upgrade sets its own aside if it finds another
                conf.rename(conf.with_suffix(".off"))

    def put_in(self):
        for conf in (self.module_conf, self.module_own_conf):
            if conf.with_suffix(".off").exists():
                conf.with_suffix(".off").rename(conf)

    def set_options(self, **options):
        """Writes the module's options and reloads the configuration; without arguments: those of most tests."""
        self.options = options
        self.module_conf.write_text(self.module_config())
        assert self.ctl("reload_config") in (0, "", None), "reload_config failed"

    def client_certificate(self, user):
        """Signed by the certificate that the server trusts; names the user as RFC 6120 13.7.1.4 says. (certificate,
        key)
        """
        crt, key = self.path / f"{user}.crt", self.path / f"{user}.key"
        ext = self.path / f"{user}.ext"
        ext.write_text(f"subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:{user}@localhost\n")
        run = lambda *a: subprocess.run(["openssl", *map(str, a)], check=True, stderr=subprocess.DEVNULL)  # noqa: E731
        run(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            f"/CN={user}",
            "-keyout",
            key,
            "-out",
            f"{crt}.req",
        )
        run(
            "x509",
            "-req",
            "-in",
            f"{crt}.req",
            "-CA",
            self.path / "crt.pem",
            "-CAkey",
            self.path / "key.pem",
            "-days",
            "30",
            "-set_serial",
            "7",
            "-extfile",
            ext,
            "-out",
            crt,
        )
        return crt, key

    # -- what an operator types ---------------------------------------------------------------------------------------
    def ejabberdctl(self, *args):
        """The real script: its commands run with a group leader on another node, which reproduces ejabberd#4211."""
        env = {
            "HOME": f"{self.run}/home",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            [*map(str, self._as_ejabberd()), "/usr/sbin/ejabberdctl", *self._folders(), *args],
            env=env,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"ejabberdctl {' '.join(args)}: {done.stdout}\n{self.log()[-3000:]}"
        return done.stdout

    def erlang(self, expression):
        """Evaluates an Erlang expression on the node."""
        text = (
            f"{{ok,T,_}}=erl_scan:string({erl_string(expression + '.')}),{{ok,E}}=erl_parse:parse_exprs(T),"
            f"R=rpc:call('{self.erlang_name}',erl_eval,exprs,[E,[]],10000),"
            'io:format("~0p~n",[case R of {value,V,_}->V; O->O end]),halt().'
        )
        env = {"HOME": f"{self.run}/home", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        done = subprocess.run(
            [
                *map(str, self._as_ejabberd()),
                "/usr/bin/erl",
                "-noinput",
                "-sname",
                f"ask{self.dist}@localhost",
                "-setcookie",
                COOKIE,
                *self.way_in,
                "-start_epmd",
                "false",
                "-dist_listen",
                "false",
                "-eval",
                text,
            ],
            env={**env, **self.way_env},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert "badrpc" not in done.stdout, done.stdout
        return done.stdout.strip()

    def crashes(self):
        """Log lines about a crash in one of our hooks or processes."""
        return [
            line
            for line in self.log().splitlines()
            if re.search(r"mod_portcullis", line)
            and re.search(r"crash|CRASH|terminat|badmatch|undef", line)
            and line not in self.expected_crashes
        ]


def erl_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
