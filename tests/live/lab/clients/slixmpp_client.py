"""A third-party client: slixmpp on its own loop, with plain blocking calls for the tests."""

import asyncio
import collections
import inspect
import itertools
import logging
import queue
import ssl
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import TimeoutError as FutureTimeout

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # slixmpp 1.8 leaves a task behind for every stream

import slixmpp  # noqa: E402
from slixmpp.exceptions import IqError, IqTimeout  # noqa: E402

from ..accounts import password  # noqa: E402

COMMANDS = "http://jabber.org/protocol/commands"
DATA = "jabber:x:data"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"

_loop = None


def loop():
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        threading.Thread(target=_loop.run_forever, daemon=True, name="slixmpp").start()
    return _loop


def run(coroutine, within=15):
    future = asyncio.run_coroutine_threadsafe(coroutine, loop())
    try:
        return future.result(within)
    except FutureTimeout:
        future.cancel()
        raise AssertionError(f"no answer within {within} s") from None


class LoginRefused(Exception):
    """SASL refused the login: `condition` (account-disabled, not-authorized, …), and the `text` for the user."""

    def __init__(self, condition, text):
        super().__init__(f"{condition}: {text}")
        self.condition, self.text = condition, text


class StanzaRefused(Exception):
    """An IQ error: `condition`, `text`, and `detail` (the name of a more specific condition, as in XEP-0050)."""

    def __init__(self, error, answer):
        self.condition = self.detail = None
        self.text = ""
        self.kind = error.get("type") if error is not None else None
        for child in error if error is not None else ():
            space, _, name = child.tag[1:].partition("}")
            if space == STANZAS and name == "text":
                self.text = child.text or ""
            elif space == STANZAS:
                self.condition = name
            else:
                self.detail = name
        self.answer = answer
        super().__init__(f"{self.condition} {self.detail or ''} {self.text}".strip())


class Step:
    """One answer of an ad-hoc command, unmodified."""

    def __init__(self, xml):
        command = xml.find(f"{{{COMMANDS}}}command")
        assert command is not None, f"no <command/> in {ET.tostring(xml).decode()}"
        self.xml = command
        self.status, self.sessionid, self.node = command.get("status"), command.get("sessionid"), command.get("node")
        actions = command.find(f"{{{COMMANDS}}}actions")
        self.actions = [] if actions is None else [a.tag.partition("}")[2] for a in actions]
        self.execute = None if actions is None else actions.get("execute")
        self.notes = [(n.get("type", "info"), n.text or "") for n in command.findall(f"{{{COMMANDS}}}note")]
        self.form = command.find(f"{{{DATA}}}x")
        self.title = self._text("title")
        self.instructions = self._text("instructions")
        self.fields = {}
        self.labels = {}
        self.options = {}
        self.rows = []
        for field in () if self.form is None else self.form.findall(f"{{{DATA}}}field"):
            values = [v.text or "" for v in field.findall(f"{{{DATA}}}value")]
            name = field.get("var") or field.get("label") or "?"
            self.fields[name] = values[0] if len(values) == 1 else values
            self.labels[name] = field.get("label", "")
            self.options[name] = [o.findtext(f"{{{DATA}}}value") for o in field.findall(f"{{{DATA}}}option")]
            self.rows.append((field.get("label", ""), "\n".join(values)))
        self.items = (
            []
            if self.form is None
            else [
                {f.get("var"): f.findtext(f"{{{DATA}}}value") for f in item.findall(f"{{{DATA}}}field")}
                for item in self.form.findall(f"{{{DATA}}}item")
            ]
        )

    def _text(self, name):
        return "" if self.form is None else "\n".join(e.text or "" for e in self.form.findall(f"{{{DATA}}}{name}"))

    @property
    def note(self):
        return "\n".join(text for _, text in self.notes)

    @property
    def note_type(self):
        return self.notes[0][0] if self.notes else None

    @property
    def text(self):
        """All text that a person could read in it."""
        rows = [f"{label}: {value}" for label, value in self.rows] + [
            " | ".join(map(str, i.values())) for i in self.items
        ]
        return "\n".join([self.title, self.instructions, *rows, self.note])

    def __repr__(self):
        return ET.tostring(self.xml).decode()


class _Xmpp(slixmpp.ClientXMPP):
    def __init__(self, jid, pw, mechanism):
        clear = {
            "feature_mechanisms": {"unencrypted_plain": True, "unencrypted_scram": True}
        }  # loopback; 1.10 must be told explicitly
        super().__init__(jid, pw, plugin_config=clear, sasl_mech=mechanism)
        # All plugins are registered in slixmpp's own thread: elsewhere they find no event loop.
        for plugin in (
            "xep_0004",
            "xep_0030",
            "xep_0045",
            "xep_0050",
            "xep_0092",
            "xep_0115",
            "xep_0184",
            "xep_0199",
            "xep_0202",
            "xep_0461",
        ):
            self.register_plugin(plugin)


class Client:
    """`Client(server, "alice")` logs in or raises LoginRefused.

    PLAIN, since slixmpp 1.10 without TLS and ejabberd disagree about channel binding in SCRAM; `raw.py` tries SCRAM.
    With `tls` and without a mechanism it tries what slixmpp itself would try.
    """

    ids = itertools.count(1)
    # portcullis stops answering a person who writes more than 20 lines in 10 seconds
    MOST, SPAN = 18, 10.5
    written = collections.defaultdict(collections.deque)  # (server, user) -> when lines were sent

    def __init__(self, server, user, pw=None, resource="lab", mechanism="PLAIN", within=15, tls=False):
        self.server, self.user, self.tls = server, user, tls
        self.jid = f"{server.jid(user)}/{resource}"
        self.messages, self.receipts, self.presences = queue.Queue(), queue.Queue(), queue.Queue()
        self.error = None
        self.ended = threading.Event()
        try:
            run(self._connect(pw or password(user), mechanism), within)
        except BaseException:
            self.close()
            raise

    async def _connect(self, pw, mechanism):
        self.x = x = _Xmpp(self.jid, pw, mechanism)
        done = asyncio.get_running_loop().create_future()
        failures = self.failures = []

        def settle(problem=None):
            if not done.done():
                done.set_exception(problem) if problem else done.set_result(None)

        def failed(failure):
            failures.append(LoginRefused(failure["condition"], failure["text"]))

        def all_failed(*_):
            settle(failures[-1] if failures else LoginRefused("none", "no mechanism was tried"))

        def ended(reason):
            self.ended.set()
            settle(failures[-1] if failures else ConnectionError(f"the stream ended before login: {reason}"))

        def stream_error(error):
            self.error = (error["condition"], error["text"])

        x.add_event_handler("session_start", lambda _: settle())
        x.add_event_handler("failed_auth", failed)
        x.add_event_handler("failed_all_auth", all_failed)
        x.add_event_handler("disconnected", ended)
        x.add_event_handler("stream_error", stream_error)
        x.add_event_handler("message", self.messages.put)
        x.add_event_handler("message_error", self.messages.put)
        x.add_event_handler("receipt_received", self.receipts.put)
        x.add_event_handler("presence", self.presences.put)
        x.ssl_context.check_hostname, x.ssl_context.verify_mode = False, ssl.CERT_NONE
        if "disable_starttls" in inspect.signature(x.connect).parameters:  # slixmpp 1.8 (bookworm)
            x.connect(
                address=("127.0.0.1", self.server.c2s),
                use_ssl=False,
                force_starttls=self.tls,
                disable_starttls=not self.tls,
            )
        else:
            x.enable_direct_tls, x.enable_starttls, x.enable_plaintext = False, self.tls, not self.tls
            x.connect("127.0.0.1", self.server.c2s)
        await done
        x.send_presence()

    # -- stream -------------------------------------------------------------------------------------------------------
    def close(self):
        async def stop():
            if not self.ended.is_set() and hasattr(self, "x"):
                self.x.disconnect(wait=0.5)

        try:
            run(stop(), 5)
            if hasattr(self, "x"):
                self.ended.wait(3)
        except AssertionError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def online(self):
        return not self.ended.is_set()

    def wait_closed(self, within=10):
        """Waits until the server ends the stream; returns (condition, text) of its stream error, or None if it sent
        none.
        """
        assert self.ended.wait(within), f"{self.user}'s stream is still open after {within} s"
        return self.error

    def send_raw(self, xml):
        loop().call_soon_threadsafe(self.x.send_raw, xml)

    # -- chat ---------------------------------------------------------------------------------------------------------
    def say(self, to, body, more="", kind="chat"):
        """Sends one line without waiting; returns the stanza's id. `more` is XML placed beside the body."""
        self.pause(self.server, self.user, take=True)
        ident = f"m{next(self.ids)}"
        text = body.replace("&", "&amp;").replace("<", "&lt;")
        self.send_raw(
            f"<message xmlns='jabber:client' to='{to}' type='{kind}' id='{ident}'><body>{text}</body>{more}</message>"
        )
        return ident

    @classmethod
    def pause(cls, server, user, take=False):
        """Seconds that this user must wait before the next line; with `take`, waits and counts the line."""
        times, now = cls.written[server.c2s, user], time.time()
        while times and now - times[0] > cls.SPAN:
            times.popleft()
        wait = cls.SPAN - (now - times[0]) if len(times) >= cls.MOST else 0
        if take:
            time.sleep(wait)  # portcullis would not answer earlier
            times.append(time.time())
        return wait

    def next_message(self, frm, within=10, containing=""):
        """The next message from `frm` whose body contains this text; others are dropped."""
        end = time.time() + within
        while True:
            try:
                message = self.messages.get(timeout=max(0.001, end - time.time()))
            except queue.Empty:
                raise AssertionError(f"{self.user}: no message from {frm} within {within} s") from None
            if message["from"].bare == frm and message["body"] and containing in message["body"]:
                return message

    def ask(self, bot, line, within=10):
        """Sends one chat line and returns the answer."""
        while not self.messages.empty():
            self.messages.get_nowait()
        self.say(bot, line)
        return self.next_message(bot, within)["body"]

    # -- IQ -----------------------------------------------------------------------------------------------------------
    def iq(self, kind, to, payload, within=15):
        """Sends an IQ (`payload` is XML text); returns the answer's element or raises StanzaRefused."""

        async def go():
            iq = self.x.Iq()
            iq["type"], iq["to"] = kind, to
            iq.append(ET.fromstring(payload))
            try:
                return (await iq.send(timeout=within)).xml
            except IqError as e:
                xml = e.iq.xml
                raise StanzaRefused(xml.find("{jabber:client}error"), xml) from None
            except IqTimeout:
                raise AssertionError(f"{self.user}: {to} did not answer {payload[:200]} within {within} s") from None

        return run(go(), within + 5)

    def plugin(self, name, method, *args, within=15, **more):
        """A coroutine method of a slixmpp plugin: `plugin("xep_0092", "get_version", jid)`."""

        async def go():
            try:
                return await getattr(self.x[name], method)(*args, **more)
            except IqError as e:
                raise StanzaRefused(e.iq.xml.find("{jabber:client}error"), e.iq.xml) from None

        return run(go(), within)

    # -- ad-hoc -------------------------------------------------------------------------------------------------------
    def nodes(self, bot):
        """Node -> name of the commands shown to this user; empty if asking is forbidden."""
        try:
            xml = self.iq("get", bot, f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>")
        except StanzaRefused as no:
            if no.condition == "forbidden":
                return {}
            raise
        items = xml.findall(".//{http://jabber.org/protocol/disco#items}item")
        return {i.get("node"): i.get("name") for i in items}

    def command(self, bot, node, action=None, sessionid=None, values=None, within=15):
        """Sends one request of XEP-0050. `values`: var -> text or list of texts; None sends no form."""
        command = ET.Element(f"{{{COMMANDS}}}command", node=node)
        if action:
            command.set("action", action)
        if sessionid:
            command.set("sessionid", sessionid)
        if values is not None:
            form = ET.SubElement(command, f"{{{DATA}}}x", type="submit")
            for var, value in values.items():
                field = ET.SubElement(form, f"{{{DATA}}}field", var=var)
                for one in [value] if isinstance(value, str) else value:
                    ET.SubElement(field, f"{{{DATA}}}value").text = one
        return Step(self.iq("set", bot, ET.tostring(command).decode(), within))

    def go_on(self, bot, step, action=None, values=None):
        """Sends the next request of the session that `step` belongs to."""
        return self.command(bot, step.node, action, step.sessionid, values)
