"""What the tests require of any server."""

import signal

from .. import machine, wait


class Server:
    """One server with its own folder and ports. `host` has the accounts, `component` is where portcullis answers,
    `stranger` is a second component without any right.
    """

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
        self.accounts = {}  # accounts created so far, in order

    def jid(self, user):
        return f"{user}@{self.host}"

    @property
    def installed(self):
        return machine.installed(self.name)

    def wait_open(self, *ports, timeout=60):
        def is_open(port):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended while starting:\n{self.log()[-3000:]}")
            return machine.is_open(port)

        for port in ports:
            wait.until(
                lambda port=port: is_open(port),
                timeout,
                lambda port=port: f"{self.name} opens port {port}:\n{self.log()[-3000:]}",
            )

    def stop(self, sig=signal.SIGTERM):
        if self.process:
            machine.end(self.process, sig)
            self.process = None

    def kill9(self):
        self.stop(signal.SIGKILL)

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
