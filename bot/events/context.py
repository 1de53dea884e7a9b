"""What a handler may use: the delivery it answers, GitHub and the store to read from, a clock, ids, and its trail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
from gidgethub import sansio

from bot import policy
from bot.events.trail import Trail
from bot.events.witness import Witness
from bot.github import GitHub, Repository
from bot.model import delivery, outcome
from bot.store import Store


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery's surroundings. A handler only reads; what it wants written it returns."""

    delivery: delivery.Delivery
    github: GitHub
    store: Store
    now: Callable[[], datetime]
    #: Gives ULIDs that sort in the order they were made.
    new_id: Callable[[], str]
    #: What the operator lets others do.
    policy: policy.Policy = msgspec.field(default_factory=policy.Policy)
    #: The steps of this run of this handler.
    trail: Trail = msgspec.field(default_factory=Trail)

    def note(self, text: str) -> None:
        """Add a step to the decision's trail: a sentence for people, with the facts that it went by."""
        self.trail.note(text)

    def repository(self, *, installation_id: int, repository_id: int, full_name: str) -> Repository:
        """A repository as our token for exactly this repository id and installation sees it; what it says is noted."""
        seen = self.github.repository(installation_id=installation_id, repository_id=repository_id, full_name=full_name)
        return Witness(seen, note=self.note)


#: Registered with `bot.events.router.Router.register`; may run more than once for one delivery.
Handler = Callable[[sansio.Event, Context], Awaitable[outcome.Outcome]]
