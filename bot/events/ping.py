"""`ping`: GitHub says that the webhook is set up.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#ping
"""

from __future__ import annotations

from gidgethub import sansio

from bot.events import payloads
from bot.events.context import Context
from bot.events.router import Router
from bot.model import outcome

router = Router()


@router.register("ping")
async def webhook_set_up(event: sansio.Event, context: Context) -> outcome.Outcome:
    """GitHub reaches the door and signs with our secret."""
    payloads.read(event, payloads.Ping)
    return outcome.Outcome(trail=("GitHub reaches this service, and its signature is good.",))
