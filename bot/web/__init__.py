"""The dashboard: pages that read through the store, work without JavaScript, and show hostile bytes as text only."""

from bot.web.actions import Actions
from bot.web.entering import Entry, Way
from bot.web.health import Readiness, store_check
from bot.web.setup import link as setup_link
from bot.web.site import CLIENT_MAX_SIZE_BYTES, add_to
from bot.web.stream import Streams, room

__all__ = [
    "CLIENT_MAX_SIZE_BYTES",
    "Actions",
    "Entry",
    "Readiness",
    "Streams",
    "Way",
    "add_to",
    "room",
    "setup_link",
    "store_check",
]
