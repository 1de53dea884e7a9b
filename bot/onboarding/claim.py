"""Who may set this service up: whoever shows the token first, and nobody else until the service is started again.

Nothing here waits, so of two who come at once one is first. All comparisons take the same time, whatever is shown.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.onboarding.wish import Wish

#: As long as GitHub's code is good.
STATE_SECONDS = 3600.0
_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A registration that somebody went to GitHub with."""

    wish: Wish
    digest: bytes = field(repr=False)
    ends_at: float


class Claim:
    """The one right to set this service up."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """:param clock: gives seconds."""
        #: Shown once, to whoever started the service.
        self.token = _new()
        self._token: bytes | None = _digest(self.token)
        self._holder: bytes | None = None
        self._begun: _Begun | None = None
        self._clock = clock

    def is_open_to(self, token: str) -> bool:
        """Whether this token may still be claimed with."""
        return _is(token, self._token)

    def take(self, token: str) -> str | None:
        """Claim with a token; gives what the browser keeps from now on, None where the token is wrong or was used."""
        if not _is(token, self._token):
            return None
        kept = _new()
        self._token, self._holder = None, _digest(kept)
        return kept

    def is_holder(self, kept: str) -> bool:
        """Whether this browser has claimed it."""
        return _is(kept, self._holder)

    def begin(self, wish: Wish) -> str:
        """Somebody goes to GitHub; gives the state that they have to come back with. What was begun before is void."""
        state = _new()
        self._begun = _Begun(wish=wish, digest=_digest(state), ends_at=self._clock() + STATE_SECONDS)
        return state

    def finish(self, state: str) -> Wish | None:
        """Somebody comes back; None where the state is none of ours, was used, or is too old. It is void then."""
        begun = self._begun
        if begun is None or not _is(state, begun.digest):
            return None
        self._begun = None
        return begun.wish if begun.ends_at > self._clock() else None

    def give_back(self, wish: Wish, state: str) -> None:
        """What somebody came back with could not be used, and may be once more."""
        self._begun = _Begun(wish=wish, digest=_digest(state), ends_at=self._clock() + STATE_SECONDS)


def _new() -> str:
    return secrets.token_urlsafe(_BYTES)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _is(given: str, digest: bytes | None) -> bool:
    # A comparison in any case: how long it takes does not tell whether there is something to be compared with.
    return hmac.compare_digest(_digest(given), digest if digest is not None else bytes(32)) and digest is not None
