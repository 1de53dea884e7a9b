"""A budget: what GitHub lets one installation do, as all replicas learnt it.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

from datetime import datetime

import msgspec

#: What GitHub lets an account spend in a minute; beyond that it may answer with a secondary limit.
POINTS_A_MINUTE = 900
READ_POINTS = 1
WRITE_POINTS = 5


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """GitHub asked an account to wait."""

    #: From now on; seconds, because clocks differ.
    seconds: float
    #: Why, for people.
    text: str
    is_secondary: bool = False
    #: How many secondary limits came in a row.
    streak: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of an answer tell of the primary limit."""

    limit: int
    remaining: int
    #: From now on until it is full again.
    reset_seconds: float


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one installation."""

    installation_id: int
    #: Calls that GitHub allows in an hour, and how many of them are left until `reset_at`.
    limit_points: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    #: No call is made before then.
    blocked_until: datetime | None = None
    blocked_text: str | None = None
    is_secondary: bool = False
    streak: int = 0
    #: When the minute began in which `minute_points` were spent.
    minute_at: datetime | None = None
    minute_points: int = 0
    updated_at: datetime
