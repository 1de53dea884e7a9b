"""Primary rate limits, counted for each installation, App and person, and told in each answer.

See https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api.
"""

from __future__ import annotations

import time

from bot.simulator import auth

_WINDOW_SECONDS = 3600


class Rates:
    """How many requests each caller has left in its hour."""

    def __init__(self, limit: int) -> None:
        #: Requests in an hour; may be changed while it runs.
        self.limit = limit
        self._used: dict[str, tuple[int, int]] = {}

    def take(self, principal: auth.Principal) -> bool:
        """Counts one request; false if the limit is reached."""
        reset, used = self._window(principal)
        if used >= self.limit:
            return False
        self._used[principal.label] = (reset, used + 1)
        return True

    def give_back(self, principal: auth.Principal) -> None:
        """A request that counts nothing after all, as one that was answered 304."""
        reset, used = self._window(principal)
        self._used[principal.label] = (reset, max(used - 1, 0))

    def _window(self, principal: auth.Principal) -> tuple[int, int]:
        now = int(time.time())
        reset, used = self._used.get(principal.label, (0, 0))
        return (reset, used) if reset > now else (now + _WINDOW_SECONDS, 0)

    def state(self, principal: auth.Principal) -> dict[str, int]:
        """As `GET /rate_limit` tells it."""
        reset, used = self._window(principal)
        return {"limit": self.limit, "used": used, "remaining": max(self.limit - used, 0), "reset": reset}

    def headers(self, principal: auth.Principal) -> dict[str, str]:
        """As each answer tells it."""
        state = self.state(principal)
        return {f"X-RateLimit-{name.title()}": str(value) for name, value in state.items()} | {
            "X-RateLimit-Resource": "core"
        }
