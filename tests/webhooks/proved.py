"""Proved deliveries for tests of what lies behind the door, made the only way there is: by `parse.delivery`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.model import delivery
from bot.webhooks import parse
from tests import recorded

NOW = datetime(2026, 5, 15, 15, 20, 30, tzinfo=UTC)


def proved(
    guid: str,
    *,
    event: str = "push",
    action: str | None = None,
    changes: Mapping[str, Any] | None = None,
    body: bytes | None = None,
    hook_id: int = recorded.HOOK_ID,
    received_at: datetime = NOW,
) -> delivery.VerifiedDelivery:
    """A recorded delivery under a new id, with changes."""
    one = recorded.resigned(recorded.load(event, action), changes=changes, body=body, guid=guid)
    read, _ = parse.delivery(
        {**one.lower_headers, "x-github-hook-id": str(hook_id)},
        body=one.body,
        received_at=received_at,
        secrets=[recorded.SECRET],
        app_id=recorded.APP_ID,
    )
    return read
