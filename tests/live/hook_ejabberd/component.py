"""A scripted component: speaks urn:portcullis:hook:1 as portcullis would, remembers what it was told, and can be made
silent. It decides by the bans given to it, nothing more."""
import hashlib
import ipaddress
import itertools
import queue
import socket
import threading
import time
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

NS = "urn:portcullis:hook:1"
_ids = itertools.count(1)


def tag(name):
    return f"{{{NS}}}{name}"


class Component:
    PAGE = 200

    def __init__(self, port, secret, domain="portcullis.localhost", epoch="e1", page=None):
        self.domain, self.epoch, self.page = domain, epoch, page or self.PAGE
        self.seq, self.log = 0, []  # log: (seq, subject key, attributes, text) of what is in force, or None when lifted
        self.state = {}  # key -> (seq, attributes, text or None)
        self.silent = set()  # kinds of questions that get no answer: check, hello, sync, report
        self.late = {}  # what is answered so many seconds later
        self.hellos, self.checks, self.syncs, self.logins, self.reports = [], [], [], [], []
        self.given = []  # the numbers up to which a list was given to its end
        self.answers = {}
        self.other = queue.Queue()
        self.lock = threading.Lock()
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parser = ET.XMLPullParser(("start", "end"))
        self.events, self.depth = iter(()), 0
        self._send(f"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>")
        sid = self._next_root()
        self._send(f"<handshake>{hashlib.sha1((sid + secret).encode()).hexdigest()}</handshake>")
        ack = self._next()
        assert ack is not None and ack.tag.endswith("}handshake"), "the handshake was refused"
        self.sock.settimeout(None)
        self.open = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # -- wire ---------------------------------------------------------------------------------------------------------
    def _send(self, text):
        with self.lock:
            self.sock.sendall(text.encode())

    def _send_late(self, text):
        try:
            self._send(text)
        except OSError:
            if self.open:
                raise

    def _feed(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self.parser.feed(data)

    def _events(self):
        while True:
            yield from self.parser.read_events()
            self._feed()

    def _next_root(self):
        self.events = self._events()
        _, self.root = next(self.events)
        self.depth = 1
        return self.root.get("id")

    def _next(self):
        for event, element in self.events:
            self.depth += 1 if event == "start" else -1
            if event == "end" and self.depth == 1:
                self.root.clear()
                return element
            if self.depth == 0:
                raise ConnectionError("stream ended")

    def _run(self):
        try:
            while True:
                self._stanza(self._next())
        except (OSError, ConnectionError, ET.ParseError, StopIteration):
            self.open = False

    def close(self):
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- what the module asks -----------------------------------------------------------------------------------------
    def _stanza(self, stanza):
        kind = stanza.get("type")
        if kind in ("result", "error"):
            self.answers.pop(stanza.get("id"), queue.Queue()).put(stanza)
            return
        if not stanza.tag.endswith("}iq") or len(stanza) == 0 or not stanza[0].tag.startswith(f"{{{NS}}}"):
            self.other.put(stanza)
            return
        body = stanza[0]
        name = body.tag.partition("}")[2]
        answer = getattr(self, f"_{name}")(body, stanza)
        if name in self.silent:
            return
        reply = f"<iq type='result' id={quoteattr(stanza.get('id'))} from='{self.domain}' to={quoteattr(stanza.get('from'))}>{answer}</iq>"
        if name in self.late:
            threading.Timer(self.late[name], self._send_late, [reply]).start()
        else:
            self._send(reply)

    def _hello(self, body, stanza):
        self.hellos.append(dict(body.attrib, sender=stanza.get("from"), time=time.time()))
        return f"<welcome xmlns='{NS}' version='1' epoch='{self.epoch}' seq='{self.seq}'/>"

    def _check(self, body, _):
        self.checks.append(dict(body.attrib, time=time.time()))
        hit = self.verdict(body.get("account"), body.get("address"))
        if hit is None:
            return f"<verdict xmlns='{NS}' action='allow' seq='{self.seq}'/>"
        by, text = hit
        return f"<verdict xmlns='{NS}' action='refuse' by='{by}' ban='1' seq='{self.seq}'><text>{escape(text)}</text></verdict>"

    def _sync(self, body, _):
        self.syncs.append(dict(body.attrib, time=time.time()))
        since = int(body.get("since", -1)) if body.get("epoch") == self.epoch else -1
        fresh = since < 0
        changes = sorted((v[0], k, v[1], v[2]) for k, v in self.state.items() if v[0] > max(since, 0) and not (fresh and v[2] is None))
        page, rest = changes[:self.page], changes[self.page:]
        seq = page[-1][0] if rest else self.seq
        if not rest:
            self.given.append(seq)
        out = "".join(
            f"<lift {attrs(a)}/>" if text is None else f"<ban id='{s}' {attrs(a)}><text>{escape(text)}</text></ban>"
            for s, _, a, text in page)
        return (f"<changes xmlns='{NS}' epoch='{self.epoch}' seq='{seq}' more='{str(bool(rest)).lower()}' "
                f"fresh='{str(fresh).lower()}'>{out}</changes>")

    def _report(self, body, _):
        logins = [dict(login.attrib, node=body.get("node"), batch=body.get("batch")) for login in body]
        self.reports.append(len(logins))
        if "report" not in self.silent:
            self.logins += logins
        return ""

    # -- what stands against whom -------------------------------------------------------------------------------------
    def verdict(self, account, address):
        now = time.time()
        ip = ipaddress.ip_address(address) if address else None
        for kind in ("account", "address", "network", "pair"):
            for _, a, text in list(self.state.values()):
                if text is None or a["kind"] != kind or a.get("ends", now + 1) <= now:
                    continue
                if kind == "account" and a["subject"] == account:
                    return kind, text
                if kind in ("address", "network") and ip and ip in ipaddress.ip_network(a["subject"]):
                    return kind, text
                if kind == "pair" and a["subject"] == account and ip and ip in ipaddress.ip_network(a["address"]):
                    return kind, text
        return None

    def ban(self, subject, kind="account", text="You are banned: spam", seconds=None, door=None, address=None, tell=True):
        a = {"subject": subject, "kind": kind}
        if address:
            a["address"] = address
        if door:
            a["door"] = door
        if seconds is not None:
            a["ends"] = time.time() + seconds
            a["until"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(a["ends"])) + f".{int(a['ends'] % 1 * 1000):03d}Z"
        self._change(a, text, tell)

    def lift(self, subject, kind="account", address=None, tell=True):
        a = {"subject": subject, "kind": kind}
        if address:
            a["address"] = address
        self._change(a, None, tell)

    def _change(self, a, text, tell):
        self.seq += 1
        self.state[(a["kind"], a["subject"], a.get("address"))] = (self.seq, a, text)
        if tell:
            self.news()

    def carry_on(self, other):
        """Takes over what another connection knew: portcullis after a restart."""
        self.epoch, self.seq, self.state = other.epoch, other.seq, other.state

    # -- what it asks of the module -----------------------------------------------------------------------------------
    def iq(self, kind, payload, to="localhost/portcullis", within=5):
        ident = f"c{next(_ids)}"
        box = self.answers[ident] = queue.Queue()
        self._send(f"<iq type='{kind}' id='{ident}' from='{self.domain}' to='{to}'>{payload}</iq>")
        try:
            return box.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"no answer to {payload} within {within} s") from None

    def news(self):
        answer = self.iq("set", f"<news xmlns='{NS}' epoch='{self.epoch}' seq='{self.seq}'/>")
        assert answer.get("type") == "result", ET.tostring(answer)

    def kick(self, text="You are banned: spam", **who):
        answer = self.iq("set", f"<kick xmlns='{NS}' {attrs(who)}><text>{escape(text)}</text></kick>")
        assert answer.get("type") == "result", ET.tostring(answer)
        return int(answer.find(tag("kicked")).get("count"))

    # -- waiting ------------------------------------------------------------------------------------------------------
    def wait(self, what, within=10):
        """Waits until `what()` is true; returns it."""
        end = time.time() + within
        while True:
            got = what()
            if got:
                return got
            assert time.time() < end, f"nothing of the kind within {within} s; last hello {self.hellos[-1:]}, last sync {self.syncs[-1:]}"
            time.sleep(0.01)

    def wait_held(self, nodes=1, within=15):
        """Waits until as many nodes were given everything there is."""
        self.wait(lambda: self.hellos, within)
        self.news()
        self.wait(lambda: len([seq for seq in self.given if seq >= self.seq]) >= nodes, within)
        time.sleep(0.1)

    def reported(self, within=5, **want):
        """The first reported login with these attributes."""
        def find():
            return next((login for login in list(self.logins) if all(login.get(k) == v for k, v in want.items())), None)
        return self.wait(find, within)


def attrs(a):
    return " ".join(f"{k}={quoteattr(v)}" for k, v in a.items() if isinstance(v, str))
