"""The page `/audit`: who caused what, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from bot.model import audit
from bot.store import audit as entries
from bot.web.page import Page, Sources, choice, number
from bot.web.pages import builds

#: Entries on one page.
LIMIT = 50
_ACTIONS = tuple(audit.Action)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are shown."""

    action: audit.Action | None = None
    #: A login on GitHub, or a user of this machine.
    actor: str | None = None
    #: `owner/name`, or None for all.
    repository: str | None = None
    #: Only older entries than this one, or None for the newest.
    before_id: int | None = None


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    entries: tuple[audit.Stored, ...]
    filter: Filter
    #: What the filter can be set to.
    actions: tuple[audit.Action, ...]
    #: Query of the page with older entries, or None on the last.
    older: str | None
    #: Query of the page with the newest entries, or None on the first.
    newest: str | None


def make_context(found: Sequence[audit.Stored], *, chosen: Filter, now: datetime, limit: int = LIMIT) -> Context:
    """:param found: the entries of this page, and one more if there are older ones."""
    shown = tuple(found[:limit])
    given = {"action": chosen.action, "actor": chosen.actor, "repository": chosen.repository}
    kept = {name: str(value) for name, value in given.items() if value is not None}
    return Context(
        now=now,
        entries=shown,
        filter=chosen,
        actions=_ACTIONS,
        older="?" + urlencode({**kept, "before": shown[-1].id}) if len(found) > limit else None,
        newest=None if chosen.before_id is None else "?" + urlencode(kept),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what the query asks for."""
    word = choice(request.query, "action", _ACTIONS)
    repository = request.query.get("repository", "").strip() or None
    if repository is not None and not builds.REPOSITORY.fullmatch(repository):
        raise web.HTTPBadRequest(text="`repository` is a full name like octo/hello.")
    chosen = Filter(
        action=None if word is None else audit.Action(word),
        actor=request.query.get("actor", "").strip() or None,
        repository=repository,
        before_id=number(request.query, "before"),
    )
    found = await sources.store.read(
        entries.list_newest,
        limit=LIMIT + 1,
        before_id=chosen.before_id,
        action=chosen.action,
        actor=chosen.actor,
        repository=chosen.repository,
    )
    return make_context(found, chosen=chosen, now=sources.clock())


PAGE = Page(route="/audit", template="audit.html", context=Context, load=load)
