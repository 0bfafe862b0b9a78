"""Real XMPP servers, a real client and portcullis beside them, all on loopback and all thrown away afterwards.

Start reading at `server.py` (what every server can do), then `ejabberd.py` and `prosody.py` (their configuration is
the one the operator documents recommend), `portcullis.py` (the program under test), `client.py` (slixmpp) and `raw.py`
(bare sockets, for exact failure texts and for stanzas no library would send).
"""

from .client import Client, LoginRefused, StanzaRefused
from .ejabberd import Ejabberd
from .portcullis import Portcullis, wait_for
from .prosody import Prosody
from .raw import RawClient
from .room import Room

SERVERS = {
    "ejabberd-24.12": lambda **more: Ejabberd("24.12", **more),
    "ejabberd-26.07": lambda **more: Ejabberd("26.07", **more),
    "prosody-13": lambda **more: Prosody(**more),
}

__all__ = ["Client", "LoginRefused", "StanzaRefused", "Ejabberd", "Portcullis", "Prosody", "RawClient", "Room", "SERVERS", "wait_for"]
