"""Real XMPP servers, clients and portcullis, all on loopback and removed afterwards.

Start reading at `servers/server.py` (what every server can do), then `servers/ejabberd.py` and `servers/prosody.py`
(their configuration is the one the operator documents recommend), `portcullis.py` (the program under test),
`fake_component.py` (its scripted replacement for tests of a hook module alone), and `clients/` (slixmpp, plain
sockets, profanity, Converse.js).
"""

from .clients.raw_client import RawClient
from .clients.room import Room
from .clients.slixmpp_client import Client, LoginRefused, StanzaRefused
from .portcullis import Portcullis
from .servers import SERVERS
from .servers.ejabberd import Ejabberd
from .servers.prosody import Prosody

__all__ = [
    "Client",
    "LoginRefused",
    "StanzaRefused",
    "Ejabberd",
    "Portcullis",
    "Prosody",
    "RawClient",
    "Room",
    "SERVERS",
]
