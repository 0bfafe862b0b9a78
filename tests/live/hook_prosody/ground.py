"""What the tests of mod_portcullis stand on: a real Prosody with the module, a scripted portcullis on the component port,
and clients on bare sockets from addresses of their own (127.x.y.z). Loopback only; nothing of the program is needed."""
import base64
import hashlib
import hmac
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

HERE = pathlib.Path(__file__).resolve().parent
MODULE = HERE.parent.parent.parent / "server" / "prosody" / "mod_portcullis"
NS = "urn:portcullis:hook:1"
HOST, COMPONENT, SECRET = "localhost", "portcullis.localhost", "a-secret-for-the-tests"
USERS = ("alice", "bob", "carol", "dave")
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
SASL2 = "urn:xmpp:sasl:2"

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


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def eventually(what, within=5, why=""):
    """Waits until `what()` is true, and returns it."""
    end = time.time() + within
    while True:
        got = what()
        if got:
            return got
        assert time.time() < end, f"did not happen within {within} s: {why or what}"
        time.sleep(0.01)


class Prosody:
    def __init__(self, options="", modules="", nagle=False, module_on=True, level="info"):
        self.options, self.modules, self.nagle, self.module_on, self.level = options, modules, nagle, module_on, level
        self.c2s, self.port, self.http = free_ports(3)
        base = pathlib.Path(os.environ.get("PORTCULLIS_TESTS_DIR", tempfile.gettempdir()))
        base.mkdir(parents=True, exist_ok=True)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="hook-prosody-", dir=base))
        self.path.chmod(0o755)
        for sub in ("data", "certs"):
            (self.path / sub).mkdir()
        plugins = self.path / "plugins"
        shutil.copytree(HERE / "plugins", plugins)
        shutil.copytree(MODULE, plugins / "mod_portcullis")
        self.process = None
        self.write_config()
        for user in USERS:
            subprocess.run(["setpriv", "--reuid=prosody", "--regid=prosody", "--init-groups", "prosodyctl", "--config",
                            self.path / "prosody.cfg.lua", "register", user, HOST, f"pw-{user}"],
                           check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=30)

    def write_config(self):
        (self.path / "prosody.cfg.lua").write_text(CONFIG.format(
            run=self.path, c2s=self.c2s, port=self.port, http=self.http, secret=SECRET, level=self.level,
            nagle=str(self.nagle).lower(), modules=self.modules, options=self.options,
            host_modules='"portcullis"; "hooklab"' if self.module_on else '"hooklab"'))
        user = pwd.getpwnam("prosody")
        for base, dirs, files in os.walk(self.path):
            os.chown(base, user.pw_uid, user.pw_gid)
            for name in files:
                os.chown(os.path.join(base, name), user.pw_uid, user.pw_gid)

    def start(self):
        out = open(self.path / "stdout.log", "ab")
        self.process = subprocess.Popen(
            ["setpriv", "--reuid=prosody", "--regid=prosody", "--init-groups", "prosody", "--config", self.path / "prosody.cfg.lua", "-F"],
            cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            env={"HOME": str(self.path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
        for port in (self.c2s, self.port):
            end = time.time() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 0.5).close()
                    break
                except OSError:
                    assert self.process.poll() is None and time.time() < end, self.log()[-3000:]
                    time.sleep(0.02)
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process:
            os.killpg(self.process.pid, sig)
            self.process.wait(20)
            self.process = None

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        self.start()

    def throw_away(self):
        self.stop(signal.SIGKILL)
        if not os.environ.get("PORTCULLIS_TESTS_KEEP"):
            shutil.rmtree(self.path, ignore_errors=True)

    def shell(self, *words):
        done = subprocess.run(["prosodyctl", "--config", self.path / "prosody.cfg.lua", "shell", *words], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=30)
        return done.stdout

    def log(self):
        parts = [self.path / "prosody.log", self.path / "stdout.log"]
        return "\n".join(p.read_text(errors="replace") for p in parts if p.exists())

    def tracebacks(self):
        return [line for line in self.log().splitlines() if "Traceback" in line or "error" in line.split("\t")[1:2]]


class Portcullis:
    """The other end of the protocol, as a script. `decide(account, address, mechanism)` gives `allow`, None (no answer), or
    what `refuse()` makes."""

    def __init__(self, server, jid=COMPONENT):
        self.server, self.jid = server, jid
        self.epoch, self.seq, self.log = "e1", 0, []          # log: (seq, xml of a <ban/> or <lift/>, key)
        self.decide = lambda account, address, mechanism: "allow"
        self.silent, self.delay, self.page = False, 0, 200
        self.take_reports = True
        self.hellos, self.checks, self.syncs, self.batches, self.order, self.answers, self.strays = [], [], [], [], [], {}, []
        self.holds = []  # of the checks that name an account, in their order
        self.socket, self.up, self.count = None, False, 0
        self.lock = threading.Lock()

    # -- the line
    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.server.port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(f"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{self.jid}'>".encode())
        head = b""
        while not re.search(rb"<stream:stream[^>]*>", head):
            data = self.socket.recv(4096)
            assert data, head
            head += data
        ident = re.search(rb"\bid=['\"]([^'\"]+)", head).group(1).decode()
        self.socket.settimeout(None)
        self.parser = ET.XMLPullParser(("start", "end"))
        self.parser.feed(head)
        self.socket.sendall(f"<handshake>{hashlib.sha1((ident + SECRET).encode()).hexdigest()}</handshake>".encode())
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(self.socket, self.parser), daemon=True)
        self.thread.start()
        assert self.ready.wait(10), "no handshake"
        self.up = True
        return self

    def cut(self):
        self.up = False
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.thread.join(5)
        return self

    def send(self, text):
        with self.lock:
            try:
                self.socket.sendall(text.encode())
            except OSError:  # cut meanwhile
                pass

    def _run(self, sock, parser):
        depth = 0
        root = None
        while True:
            for kind, element in parser.read_events():
                if kind == "start":
                    depth += 1
                    if depth == 1:
                        root = element
                else:
                    depth -= 1
                    if depth == 1:
                        self._stanza(element)
                        root.remove(element)
            try:
                data = sock.recv(65536)
            except OSError:
                return
            if not data:
                return
            parser.feed(data)

    def _stanza(self, element):
        name = element.tag.split("}")[1]
        if name == "handshake":
            self.ready.set()
        if name != "iq":
            return
        kind = element.get("type")
        if kind in ("result", "error"):
            self.answers[element.get("id")] = element
            return
        payload = element[0]
        what = payload.tag.split("}")[1]
        self.order.append(what)
        answer = getattr(self, "_" + what, lambda p: self.strays.append(what))(payload)
        if self.silent or answer is None:
            return
        if self.delay:
            time.sleep(self.delay)
        if answer == "error":
            answer = "<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            self.send(f"<iq type='error' from='{self.jid}' to={quoteattr(element.get('from'))} id={quoteattr(element.get('id'))}>{answer}</iq>")
            return
        self.send(f"<iq type='result' from='{self.jid}' to={quoteattr(element.get('from'))} id={quoteattr(element.get('id'))}>{answer}</iq>")

    # -- the answers
    def _hello(self, p):
        self.hellos.append(dict(p.attrib))
        return f"<welcome xmlns='{NS}' version='1' epoch='{self.epoch}' seq='{self.seq}'/>"

    def _check(self, p):
        question = (p.get("account"), p.get("address"), p.get("mechanism"))
        self.checks.append(question)
        if p.get("account"):
            self.holds.append(p.get("hold"))
        verdict = self.decide(*question)
        if verdict == "allow":
            return f"<verdict xmlns='{NS}' action='allow' seq='{self.seq}'/>"
        return verdict

    def refuse(self, by="account", text="You are banned until tomorrow: spam"):
        return f"<verdict xmlns='{NS}' action='refuse' by='{by}' ban='17' until='2030-01-01T12:00:00Z' seq='{self.seq}'><text>{escape(text)}</text></verdict>"

    def _sync(self, p):
        since = int(p.get("since") or 0)
        self.syncs.append((p.get("epoch"), p.get("since")))
        fresh = p.get("epoch") is None and p.get("since") is None or (p.get("epoch") or self.epoch) != self.epoch
        if fresh:
            since = 0
        latest = {}
        for seq, xml, key in self.log:
            latest[key] = (seq, xml)
        rows = sorted((row for row in latest.values() if row[0] > since and not (fresh and row[1].startswith("<lift"))))
        page, rest = rows[:self.page], rows[self.page:]
        at = page[-1][0] if rest else self.seq
        return (f"<changes xmlns='{NS}' epoch='{self.epoch}' seq='{at}' more='{str(bool(rest)).lower()}' fresh='{str(fresh).lower()}'>"
                + "".join(x for _, x in page) + "</changes>")

    def _report(self, p):
        if not self.take_reports:
            return None
        self.batches.append([dict(x.attrib) for x in p])
        return ""

    @property
    def logins(self):
        return [login for batch in self.batches for login in batch]

    def outcomes(self, account=None):
        return [x["outcome"] for x in self.logins if account is None or x.get("account") == account]

    # -- bans
    def ban(self, kind, subject, address=None, until=None, text="You are banned: spam", door=None, news=True):
        self.seq += 1
        more = (f" address='{address}'" if address else "") + (f" until='{until}'" if until else "") + (f" door='{door}'" if door else "")
        self.log.append((self.seq, f"<ban id='{self.seq}' subject='{subject}' kind='{kind}'{more}><text>{escape(text)}</text></ban>", (subject, address)))
        if news and self.up:
            self.news()

    def lift(self, kind, subject, address=None):
        self.seq += 1
        more = f" address='{address}'" if address else ""
        self.log.append((self.seq, f"<lift subject='{subject}' kind='{kind}'{more}/>", (subject, address)))
        if self.up:
            self.news()

    def ask(self, to, payload, sender=None, kind="set", within=5):
        self.count += 1
        ident = f"p{self.count}"
        self.send(f"<iq type='{kind}' from='{sender or self.jid}' to='{to}' id='{ident}'>{payload}</iq>")
        eventually(lambda: ident in self.answers, within, payload)
        return self.answers[ident]

    def news(self):
        before = len(self.syncs)
        self.ask(HOST, f"<news xmlns='{NS}' epoch='{self.epoch}' seq='{self.seq}'/>")
        eventually(lambda: len(self.syncs) > before, why="a sync after the news")
        self.ask(HOST, "<ping xmlns='urn:xmpp:ping'/>", kind="get")  # behind the answer to the sync: it has been taken

    def kick(self, text="You are banned: kicked", **whom):
        (key, value), = whom.items()
        answer = self.ask(HOST, f"<kick xmlns='{NS}' {key}='{value}'><text>{text}</text></kick>")
        return int(answer[0].get("count"))

    def settled(self):
        """After hello and sync."""
        eventually(lambda: self.hellos, why="a hello")
        self.ask(HOST, "<ping xmlns='urn:xmpp:ping'/>", kind="get")
        if self.syncs or self.seq:
            eventually(lambda: self.syncs)
        time.sleep(0.05)
        return self


class Client:
    def __init__(self, server, user="alice", pw=None, address="127.0.0.1", open_it=True, sender=None):
        self.server, self.user, self.pw = server, user, pw or f"pw-{user}"
        self.s = socket.create_connection(("127.0.0.1", server.c2s), 10, source_address=(address, 0))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf, self.closed, self.sender = "", False, sender
        if open_it:
            self.open()

    def send(self, text):
        self.s.sendall(text.encode())

    def until(self, pattern, within=10):
        end, rx = time.time() + within, re.compile(pattern, re.S)
        while True:
            m = rx.search(self.buf)
            if m:
                text, self.buf = self.buf[:m.end()], self.buf[m.end():]
                return text
            left = end - time.time()
            assert not self.closed and left > 0, f"{self.user}: no {pattern!r}{' (closed)' if self.closed else ''}; got {self.buf[-1500:]!r}"
            self._read(left)

    def _read(self, left):
        if select.select([self.s], [], [], left)[0]:
            try:
                data = self.s.recv(65536)
            except OSError:
                data = b""
            self.closed = self.closed or not data
            self.buf += data.decode(errors="replace")

    def rest(self, within=10):
        """All that comes up to the end of the connection."""
        end = time.time() + within
        while not self.closed:
            assert time.time() < end, f"{self.user}: still open; got {self.buf[-1500:]!r}"
            self._read(end - time.time())
        text, self.buf = self.buf, ""
        return text

    def is_open(self):
        self._read(0)
        return not self.closed

    def close(self):
        self.closed = True
        self.s.close()

    def open(self):
        sender = f" from='{self.sender}'" if self.sender else ""
        self.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                  f"to='{HOST}'{sender} version='1.0'>")
        self.features = self.until("</stream:features>|</stream:stream>")

    REPLY = r"<(success|failure|challenge)\b[^>]*(/>|>.*?</\1>)|</stream:stream>"

    def plain(self, to=""):
        text = base64.b64encode(f"\0{self.user}\0{self.pw}".encode()).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'{to}>{text}</auth>")
        return self.until(self.REPLY)

    def scram_first(self, sasl2=False, name=None):
        self.bare = f"n={name or self.user},r={base64.b64encode(os.urandom(12)).decode()}"
        text = base64.b64encode(("n,," + self.bare).encode()).decode()
        if sasl2:
            self.send(f"<authenticate xmlns='{SASL2}' mechanism='SCRAM-SHA-1'><initial-response>{text}</initial-response></authenticate>")
        else:
            self.send(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{text}</auth>")
        return self.until(self.REPLY)

    def scram_final(self, answer, sasl2=False, to=""):
        challenge = base64.b64decode(re.search(r"<challenge[^>]*>([^<]+)", answer).group(1)).decode()
        f = dict(x.split("=", 1) for x in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha1", self.pw.encode(), base64.b64decode(f["s"]), int(f["i"]))
        key = hmac.digest(salted, b"Client Key", "sha1")
        final = f"c=biws,r={f['r']}"
        signature = hmac.digest(hashlib.sha1(key).digest(), f"{self.bare},{challenge},{final}".encode(), "sha1")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        text = base64.b64encode((final + ",p=" + proof).encode()).decode()
        self.send(f"<response xmlns='{SASL2 if sasl2 else SASL}'{to}>{text}</response>")
        return self.until(self.REPLY)

    def auth(self, mechanism="PLAIN", sasl2=False):
        if mechanism == "PLAIN" and sasl2:
            return self.sasl2("PLAIN", f"\0{self.user}\0{self.pw}")
        if mechanism == "PLAIN":
            return self.plain()
        answer = self.scram_first(sasl2)
        return self.scram_final(answer, sasl2) if "<challenge" in answer else answer

    def sasl2(self, mechanism, message, more=""):
        text = base64.b64encode(message if isinstance(message, bytes) else message.encode()).decode()
        self.send(f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{text}</initial-response>{more}</authenticate>")
        return self.until(self.REPLY)

    def login(self, mechanism="PLAIN", resource="test"):
        reply = self.auth(mechanism)
        assert "<success" in reply, f"{self.user}: {reply}"
        self.open()
        self.bind(resource)
        return self

    def bind(self, resource="test"):
        answer = self.iq("bind", f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>")
        assert "type='result'" in answer.replace('"', "'"), answer

    def iq(self, ident, xml):
        self.send(xml)
        return self.until(rf"<iq\b[^>]*\bid=['\"]{ident}['\"][^>]*(/>|>.*?</iq>)")
