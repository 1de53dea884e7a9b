"""Rate limits, primary and secondary, counted for each installation, App and person; the primary one is told each time.

See https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bot.simulator import auth, clock, values

#: What GitHub says of its secondary limits.
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."

READS = ("GET", "HEAD", "OPTIONS")

#: REST and GraphQL have each a budget of their own.
CORE, GRAPHQL = "core", "graphql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secondary:
    """How much one account may do in a while, and what it hears when it does more."""

    #: Of REST: a read costs 1, a write 5.
    points: int = 900
    #: Of GraphQL: a query costs 1, a mutation 5, however many fields it has.
    graphql_points: int = 2000
    #: Requests that create content: every write here.
    writes: int = 80
    #: Points and writes are counted for so long; after that, whoever was refused may go on.
    window_seconds: float = 60.0
    #: 403 or 429.
    status: int = 403
    #: Whether `Retry-After` tells how long to wait; without it GitHub's documents ask for a minute.
    tells_when: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A call that is over a limit, as GitHub answers it."""

    status: int
    message: str
    headers: Mapping[str, str]
    #: Whether it is the limit of an hour.
    is_primary: bool = False


@dataclass(slots=True)
class _Window:
    """What one account has done since its window began."""

    ends_at: float
    points: int = 0
    graphql_points: int = 0
    writes: int = 0
    is_over: bool = False


class Rates:
    """How much each account has left."""

    def __init__(self, limit: int, its_clock: clock.Clock) -> None:
        #: Requests in a window; may be changed while it runs.
        self.limit = limit
        #: Points of GraphQL in a window, for those who are limited apart from REST.
        self.graphql_limit = 5000
        #: How long a window is: an hour on GitHub. One that has begun keeps its end.
        self.window_seconds = 3600.0
        #: None: there are no secondary limits.
        self.secondary: Secondary | None = None
        self._clock = its_clock
        self._used: dict[str, tuple[int, int]] = {}
        self._windows: dict[str, _Window] = {}

    def take(self, principal: auth.Principal, *, resource: str, is_read: bool) -> Refusal | None:
        """Counts one request, or gives what it is refused with."""
        if (refusal := self._secondary(principal.label, resource=resource, is_read=is_read)) is not None:
            return refusal
        key = _key(principal.label, resource)
        reset, used = self._window(key)
        if used >= self._limit(resource):
            text = f"API rate limit exceeded for {principal.label}."
            return Refusal(status=403, message=text, headers={}, is_primary=True)
        self._used[key] = (reset, used + 1)
        return None

    def give_back(self, principal: auth.Principal) -> None:
        """A request that counts nothing after all, as one that was answered 304."""
        reset, used = self._window(principal.label)
        self._used[principal.label] = (reset, max(used - 1, 0))

    def use_up(self, account: values.Installation | str, *, resource: str = CORE) -> None:
        """Leaves an account nothing until its window ends: an installation, or a label such as `app 1001`."""
        key = _key(account if isinstance(account, str) else auth.label(account), resource)
        reset, _ = self._window(key)
        self._used[key] = (reset, self._limit(resource))

    def _limit(self, resource: str) -> int:
        return self.graphql_limit if resource == GRAPHQL else self.limit

    def _secondary(self, label: str, *, resource: str, is_read: bool) -> Refusal | None:
        rule, now = self.secondary, self._clock.seconds()
        if rule is None:
            return None
        window = self._windows.get(label)
        if window is None or window.ends_at <= now:
            window = self._windows[label] = _Window(now + rule.window_seconds)
        points = 1 if is_read else 5
        if resource == GRAPHQL:
            window.graphql_points += points
        else:
            window.points += points
        window.writes += not is_read
        is_much = window.points > rule.points or window.graphql_points > rule.graphql_points
        if not window.is_over and (is_much or window.writes > rule.writes):
            window.is_over, window.ends_at = True, now + rule.window_seconds
        if not window.is_over:
            return None
        headers = {"Retry-After": str(math.ceil(window.ends_at - now))} if rule.tells_when else {}
        return Refusal(status=rule.status, message=SECONDARY, headers=headers)

    def _window(self, label: str) -> tuple[int, int]:
        now = self._clock.seconds()
        reset, used = self._used.get(label, (0, 0))
        return (reset, used) if reset > now else (math.ceil(now + self.window_seconds), 0)

    def state(self, principal: auth.Principal, resource: str = CORE) -> dict[str, int]:
        """As `GET /rate_limit` tells it."""
        reset, used = self._window(_key(principal.label, resource))
        limit = self._limit(resource)
        return {"limit": limit, "used": used, "remaining": max(limit - used, 0), "reset": reset}

    def headers(self, principal: auth.Principal, resource: str = CORE) -> dict[str, str]:
        """As each answer tells it."""
        state = self.state(principal, resource)
        return {f"X-RateLimit-{name.title()}": str(value) for name, value in state.items()} | {
            "X-RateLimit-Resource": resource
        }


def _key(label: str, resource: str) -> str:
    return label if resource == CORE else f"{label} {resource}"
