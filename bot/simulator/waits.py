"""Who was told to wait, and who called all the same: what a client's good manners are judged by.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import multidict

from bot.simulator import clock, limits, values

#: How long to wait after a refusal that names no time.
UNNAMED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Wait:
    told_at: float
    until: float


class Waits:
    """Every account's wait, as its answers told it, and each call that came inside of one."""

    def __init__(self, its_clock: clock.Clock) -> None:
        #: A call that comes so soon after the answer was on its way before the answer was read.
        self.grace_seconds = 0.5
        #: Oldest first.
        self.broken: list[values.CallInsideWait] = []
        self._clock = its_clock
        self._waits: dict[str, _Wait] = {}

    def told(self, account: str, *, resource: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Notes what an answer that is about to go out says about waiting."""
        now = self._clock.seconds()
        if resource != limits.CORE and limits.SECONDARY.encode() not in body:
            # What is used up of one of the two leaves the other alone.
            account = f"{account} {resource}"
        until = _until(status, multidict.CIMultiDict(headers), body, now=now)
        known = self._waits.get(account)
        if until is None or until <= now or (known is not None and known.until >= until):
            return
        # Whoever goes on waiting was told when it began.
        told_at = known.told_at if known is not None and known.until > now else now
        self._waits[account] = _Wait(told_at=told_at, until=until)

    def came(self, account: str, *, resource: str, method: str, path: str) -> None:
        """Notes a call, if its account was told to wait; asking for the limit is always allowed."""
        known = {account, account if resource == limits.CORE else f"{account} {resource}"}
        now = self._clock.seconds()
        wait = max((self._waits[one] for one in known & self._waits.keys()), key=lambda one: one.until, default=None)
        if wait is None or now >= wait.until or now < wait.told_at + self.grace_seconds or path == "/rate_limit":
            return
        self.broken.append(
            values.CallInsideWait(
                account=account,
                method=method,
                path=path,
                seconds_after=now - wait.told_at,
                seconds_early=wait.until - now,
            )
        )


def _until(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> float | None:
    """The end of the wait that an answer asks for."""
    is_refused = status in (403, 429)
    after = headers.get("Retry-After", "")
    if is_refused and after.isdecimal():
        return now + int(after)
    reset = headers.get("X-RateLimit-Reset", "")
    if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return float(reset)
    if is_refused and (status == 429 or b"rate limit" in body.lower()):
        return now + UNNAMED_SECONDS
    return None
