"""The way from a stored delivery to what is written for it: the dispatcher, and one module for each GitHub event."""

from __future__ import annotations

from bot.events import (
    check_run,
    check_suite,
    consented,
    hook,
    installation,
    issue_comment,
    labeled,
    merge_group,
    naming,
    ping,
    pull_request,
    push,
    repository,
    started,
)
from bot.events.router import Router

#: Every module of handlers. A new one is added here, and `app.yml` has to subscribe to its event if GitHub sends it.
HANDLERS = (
    check_run,
    check_suite,
    consented,
    hook,
    installation,
    issue_comment,
    labeled,
    merge_group,
    naming,
    ping,
    pull_request,
    push,
    repository,
    started,
)


def make_router() -> Router:
    """All handlers behind one router."""
    return Router(*(module.router for module in HANDLERS))
