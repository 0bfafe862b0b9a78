"""What the tests want from any server."""
import time

from . import ground

USERS = ("alice", "bob", "carol", "dave", "mallory", "admin", "moderator")
SECRET = "a-secret-for-the-lab"


def password(user):
    return f"pw-{user}"


class Server:
    """One server with a throw-away folder. `host` has the accounts, `component` is where portcullis answers,
    `stranger` is a second component name without any right."""

    name = "?"
    host = "localhost"
    component = "portcullis.localhost"
    stranger = "stranger.localhost"
    room_host = "conference.localhost"
    cookie = None  # ejabberd only
    websocket = None  # where web clients connect
    gives_reason = False  # does a refused login carry the reason without a hook module?

    def __init__(self):
        self.process = None
        self.people = {}  # accounts made so far, in order

    def jid(self, user):
        return f"{user}@{self.host}"

    @property
    def installed(self):
        return ground.installed(self.name)

    def wait_open(self, *ports, within=60):
        end = time.time() + within
        for port in ports:
            while not ground.is_open(port):
                if self.process.poll() is not None:
                    raise RuntimeError(f"{self.name} ended while starting:\n{self.log()[-3000:]}")
                if time.time() > end:
                    raise RuntimeError(f"{self.name}: port {port} did not open:\n{self.log()[-3000:]}")
                time.sleep(0.02)

    def restart(self):
        self.stop()
        self.start()

    def kill9(self):
        if self.process:
            ground.end(self.process, 9)
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
