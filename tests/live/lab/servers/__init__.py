"""The servers of the live tests, by the names that `--server` takes."""

from .ejabberd import Ejabberd
from .prosody import Prosody

SERVERS = {
    "ejabberd-24.12": lambda **more: Ejabberd("24.12", **more),
    "ejabberd-26.07": lambda **more: Ejabberd("26.07", **more),
    "prosody-13": lambda **more: Prosody(**more),
}
