"""A scripted component in place of portcullis, for tests of a hook module alone. It speaks urn:portcullis:hook:1,
records what it receives, and can be made late, silent or wrong.
"""

import contextlib
import hashlib
import ipaddress
import itertools
import queue
import socket
import threading
import time
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from . import wait
from .accounts import SECRET

NS = "urn:portcullis:hook:1"
BUSY = "<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
NOT_ACCEPTABLE = "<error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
_ids = itertools.count(1)


def xmpp_time(seconds):
    """XEP-0082, UTC, with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def tag(name):
    return f"{{{NS}}}{name}"


class FakeComponent:
    """`connect()` and `close()` may alternate as often as a test likes; bans stay. Until `decide` is set, it decides
    by the bans given to it. `decide(account, address, mechanism)` returns "allow", the result of `refuse()`, or None
    for no answer. `hook` is the address where the module takes requests.
    """

    def __init__(self, server, domain=None, epoch="e1", page=200, hook="localhost/portcullis"):
        self.domain = domain or server.component
        self.port = server.stranger_port if self.domain == server.stranger else server.port
        self.epoch, self.seq, self.page, self.hook = epoch, 0, page, hook
        self.state = {}  # (kind, subject, address) -> (seq, attributes, text; None: lifted)
        self.ahead = None  # seconds that its clock is ahead of ours; None: it does not say what time it is
        self.decide = None
        self.silent = set()  # kinds of requests that get no answer (check, hello, sync, report), or True for all
        self.late = {}  # kind of request -> seconds until it is answered
        self.asked = []  # kinds of requests, in their order
        self.answered = []  # the same for those that were answered
        self.hellos, self.checks, self.syncs, self.logins = [], [], [], []  # attributes of received elements
        self.reports = []  # number of logins in each report
        self.batches = set()  # names of the reports
        self.given = []  # the sequence numbers up to which a list was sent completely
        self.is_refused = lambda login: False  # a report with such a login is not acceptable
        self.answers, self.lock = {}, threading.Lock()
        self.open = False

    # -- the link -----------------------------------------------------------------------------------------------------
    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.depth, self.events = 0, self._events(self.sock, ET.XMLPullParser(("start", "end")))
        self.send(
            f"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' "
            f"to='{self.domain}'>"
        )
        _, self.root = next(self.events)
        self.depth = 1
        self.send(f"<handshake>{hashlib.sha1((self.root.get('id') + SECRET).encode()).hexdigest()}</handshake>")
        ack = self._next()
        assert ack is not None and ack.tag.endswith("}handshake"), "the handshake was refused"
        self.sock.settimeout(None)
        self.open = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def close(self):
        """Ends the connection, and waits until the server has ended it too."""
        if not self.open and not hasattr(self, "thread"):
            return self
        self.open = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.thread.join(2)
        self.sock.close()
        self.thread.join(5)
        return self

    def __enter__(self):
        return self if self.open else self.connect()

    def __exit__(self, *_):
        self.close()

    def send(self, text):
        with self.lock:
            self.sock.sendall(text.encode())

    def _answer(self, name, reply):
        try:
            self.send(reply)
            self.answered.append(name)
        except OSError:  # the test has closed the link meanwhile
            if self.open:
                raise

    @staticmethod
    def _events(sock, parser):
        while True:
            yield from parser.read_events()
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("closed")
            parser.feed(data)

    def _next(self):
        for event, element in self.events:
            self.depth += 1 if event == "start" else -1
            if event == "end" and self.depth == 1:
                self.root.clear()
                return element
            if self.depth == 0:
                break
        raise ConnectionError("stream ended")

    def _run(self):
        try:
            while True:
                self._stanza(self._next())
        except (OSError, ET.ParseError, StopIteration):
            self.open = False

    # -- what the module asks; a test may put its own functions here ---------------------------------------------------
    def _stanza(self, stanza):
        if stanza.get("type") in ("result", "error"):
            self.answers.pop(stanza.get("id"), queue.Queue()).put(stanza)
            return
        if not stanza.tag.endswith("}iq") or len(stanza) == 0 or not stanza[0].tag.startswith(f"{{{NS}}}"):
            return
        name = stanza[0].tag.partition("}")[2]
        self.asked.append(name)
        self.sender = stanza.get("from")
        answer = getattr(self, f"answer_{name}")(stanza[0])
        if answer is None or self._is_silent(name):
            return
        kind = "error" if answer in (BUSY, NOT_ACCEPTABLE) else "result"
        reply = (
            f"<iq type='{kind}' id={quoteattr(stanza.get('id'))} from='{self.domain}' "
            f"to={quoteattr(self.sender)}>{answer}</iq>"
        )
        if name in self.late:
            threading.Timer(self.late[name], self._answer, [name, reply]).start()
        else:
            self._answer(name, reply)

    def _is_silent(self, name):
        return self.silent is True or name in self.silent

    def answer_hello(self, body):
        self.hellos.append(dict(body.attrib, sender=self.sender, time=time.time()))
        return f"<welcome xmlns='{NS}' version='1' epoch='{self.epoch}' seq='{self.seq}'{self.told_now()}/>"

    def clock(self):
        return time.time() + (self.ahead or 0)

    def told_now(self):
        return "" if self.ahead is None else f" now='{xmpp_time(self.clock())}'"

    def answer_check(self, body):
        self.checks.append(dict(body.attrib, time=time.time()))
        if self.decide:
            answer = self.decide(body.get("account"), body.get("address"), body.get("mechanism"))
        else:
            hit = self.ban_of(body.get("account"), body.get("address"))
            answer = self.refuse(*hit) if hit else "allow"
        if answer != "allow":
            return answer
        return f"<verdict xmlns='{NS}' action='allow' seq='{self.seq}'{self.told_now()}/>"

    def refuse(self, by="account", text="You are banned until tomorrow: spam"):
        return (
            f"<verdict xmlns='{NS}' action='refuse' by='{by}' ban='1' seq='{self.seq}'{self.told_now()}>"
            f"<text>{escape(text)}</text></verdict>"
        )

    def answer_sync(self, body):
        self.syncs.append(dict(body.attrib, time=time.time()))
        since = int(body.get("since", -1)) if body.get("epoch") == self.epoch else -1
        fresh = since < 0
        changes = sorted(
            (v[0], k, v[1], v[2])
            for k, v in self.state.items()
            if v[0] > max(since, 0) and not (fresh and v[2] is None)
        )
        page, rest = changes[: self.page], changes[self.page :]
        seq = page[-1][0] if rest else self.seq
        if not rest:
            self.given.append(seq)
        rows = "".join(
            f"<lift {attributes(a)}/>"
            if text is None
            else f"<ban id='{s}' {attributes(a)}><text>{escape(text)}</text></ban>"
            for s, _, a, text in page
        )
        return (
            f"<changes xmlns='{NS}' epoch='{self.epoch}' seq='{seq}' more='{str(bool(rest)).lower()}' "
            f"fresh='{str(fresh).lower()}'{self.told_now()}>{rows}</changes>"
        )

    def answer_report(self, body):
        self.reports.append(len(body))
        self.batches.add(body.get("batch"))
        if self._is_silent("report"):
            return None
        if any(self.is_refused(dict(login.attrib)) for login in body):
            return NOT_ACCEPTABLE
        self.logins += [
            dict(login.attrib, node=body.get("node"), batch=body.get("batch"), earlier=login.get("batch"))
            for login in body
        ]
        return ""

    # -- what it was told ---------------------------------------------------------------------------------------------
    @property
    def questions(self):
        """(account, address, mechanism) of each check; None for what was not named."""
        return [(c.get("account"), c.get("address"), c.get("mechanism")) for c in list(self.checks)]

    def outcomes(self, account=None):
        return [login["outcome"] for login in list(self.logins) if account is None or login.get("account") == account]

    # -- what is banned -----------------------------------------------------------------------------------------------
    def ban_of(self, account, address):
        """(kind, text) of the first ban that applies to this login."""
        now = self.clock()
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

    def ban(
        self, subject, kind="account", text="You are banned: spam", seconds=None, door=None, address=None, tell=True
    ):
        """Bans for this many seconds or forever; without `tell` the module only learns of it when it asks."""
        a = {"subject": subject, "kind": kind}
        if address:
            a["address"] = address
        if door:
            a["door"] = door
        if seconds is not None:
            a["ends"] = self.clock() + seconds
            a["until"] = xmpp_time(a["ends"])
        self._change(a, text, tell)

    def lift(self, subject, kind="account", address=None, tell=True):
        a = {"subject": subject, "kind": kind}
        if address:
            a["address"] = address
        self._change(a, None, tell)

    def _change(self, a, text, tell):
        self.seq += 1
        self.state[(a["kind"], a["subject"], a.get("address") or "")] = (self.seq, a, text)
        if tell and self.open:
            self.news()

    def carry_on(self, other):
        """Takes over the state of another connection, like portcullis after a restart."""
        self.epoch, self.seq, self.state = other.epoch, other.seq, other.state

    # -- what it asks of the module -----------------------------------------------------------------------------------
    def iq(self, kind, payload, to=None, sender=None, within=5):
        """Sends one IQ and returns its answer."""
        ident = f"c{next(_ids)}"
        box = self.answers[ident] = queue.Queue()
        self.send(
            f"<iq type='{kind}' id='{ident}' from='{sender or self.domain}' to='{to or self.hook}'>{payload}</iq>"
        )
        try:
            return box.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"no answer to {payload} within {within} s") from None

    def news(self):
        answer = self.iq("set", f"<news xmlns='{NS}' epoch='{self.epoch}' seq='{self.seq}'/>")
        assert answer.get("type") == "result", ET.tostring(answer)

    def kick(self, text="You are banned: spam", **who):
        """Kicks; returns how many streams were ended."""
        answer = self.iq("set", f"<kick xmlns='{NS}' {attributes(who)}><text>{escape(text)}</text></kick>")
        assert answer.get("type") == "result", ET.tostring(answer)
        return int(answer.find(tag("kicked")).get("count"))

    # -- waiting ------------------------------------------------------------------------------------------------------
    def wait(self, condition, timeout=10):
        """Waits until `condition()` is true; returns it."""
        return wait.until(
            condition,
            timeout,
            lambda: f"what the module does; last hello {self.hellos[-1:]}, last sync {self.syncs[-1:]}",
        )

    def wait_held(self, nodes=1, timeout=15):
        """Waits until this many nodes were sent everything."""
        self.wait(lambda: self.hellos, timeout)
        self.news()
        self.wait(lambda: len([seq for seq in self.given if seq >= self.seq]) >= nodes, timeout)
        time.sleep(0.1)  # the module stores the last page in its table, and nothing reports when it has

    def reported(self, timeout=5, **want):
        """The first reported login with these attributes."""

        def find():
            return next((login for login in list(self.logins) if all(login.get(k) == v for k, v in want.items())), None)

        return self.wait(find, timeout)


class FakeComponentOnProsody(FakeComponent):
    """Prosody takes the stanzas of a component one after the other, so an answer to a ping says that all before it was
    taken.
    """

    def __init__(self, server, domain=None, **more):
        super().__init__(server, domain, hook=server.host, **more)
        self.decide = lambda *_: "allow"

    def in_step(self):
        """Waits until the module has handled everything sent so far, and its own requests that follow from it."""
        while True:
            asked = len(self.asked)
            self.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
            if len(self.asked) == asked:
                return self

    def settled(self):
        """Waits for hello and sync."""
        self.wait(lambda: self.hellos)
        return self.in_step()

    def news(self):
        """Announces news, and waits until the module has fetched and stored them."""
        before = len(self.syncs)
        super().news()
        self.wait(lambda: len(self.syncs) > before)
        self.in_step()


def attributes(a):
    return " ".join(f"{k}={quoteattr(v)}" for k, v in a.items() if isinstance(v, str))
