"""The App's own credential: a short-lived JWT, signed with a key that is parsed once and never shown.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import jwt
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot import errors, telemetry
from bot.github import classify, client
from bot.github.clock import Clock

T = TypeVar("T")

#: The only algorithm that GitHub takes.
ALGORITHM = "RS256"
_BACKDATED_SECONDS = 60
#: GitHub allows 600.
_LIFE_SECONDS = 540
_KEPT_SECONDS = 300.0
#: Less than this is no reason for a 401.
_TOLERATED_SKEW_SECONDS = 30.0
_MIN_KEY_BITS = 2048
_HOW = "Make a new one on the App's settings page (Private keys) and set BUILDHOOK_PRIVATE_KEY to the whole file."

_log = telemetry.log("github")


class AppAuth:
    """Makes the App's JWTs."""

    def __init__(self, *, app_id: int, private_key: str, clock: Clock | None = None) -> None:
        """`private_key` is PEM.

        :raises errors.SettingsError: if the key cannot sign: it is no PEM, is encrypted, not RSA or too short.
        """
        self.app_id = app_id
        self._key = _parsed(private_key)
        self._clock = clock or Clock()
        self._ahead_seconds = 0.0
        self._jwt: str | None = None
        self._made_at_seconds = 0.0
        self._made_at = self._clock.now()

    def __repr__(self) -> str:
        return f"AppAuth(app_id={self.app_id})"

    def jwt(self) -> str:
        """A JWT that is good for some minutes."""
        passed_seconds = self._clock.monotonic() - self._made_at_seconds
        # The wall clock as well: the monotonic one stands still while a laptop sleeps.
        jumped_seconds = abs((self._clock.now() - self._made_at).total_seconds())
        if self._jwt is None or max(passed_seconds, jumped_seconds) >= _KEPT_SECONDS:
            self._made_at = self._clock.now()
            now = int(self._made_at.timestamp() + self._ahead_seconds)
            claims = {"iat": now - _BACKDATED_SECONDS, "exp": now + _LIFE_SECONDS, "iss": str(self.app_id)}
            self._jwt = jwt.encode(claims, self._key, algorithm=ALGORITHM)
            self._made_at_seconds = self._clock.monotonic()
        return self._jwt

    def correct(self, ahead_seconds: float) -> bool:
        """After a 401: take GitHub's clock for the next JWT. False where the clocks are not the reason."""
        if abs(ahead_seconds - self._ahead_seconds) <= _TOLERATED_SKEW_SECONDS:
            return False
        _log.warning(
            "This machine's clock differs from GitHub's; its own is used for the App's credential. Set the clock.",
            action="clock_skew",
            ahead_seconds=round(ahead_seconds),
        )
        self._ahead_seconds = ahead_seconds
        self._jwt = None
        return True


class AppCalls:
    """Calls that the App makes as itself."""

    def __init__(self, auth: AppAuth, *, transport: client.Client, clock: Clock | None = None) -> None:
        self._auth = auth
        self._transport = transport
        self._clock = clock or Clock()

    def github_now(self) -> datetime:
        """What time it is by GitHub's clock, as its last answer told."""
        return self._clock.now() + timedelta(seconds=self._transport.ahead_seconds)

    async def call(self, method: str, path: str, shape: type[T], *, body: object = None) -> T:
        """The answer as a value of this shape.

        What the App does as itself (asking, taking tokens, having an event sent again) may be done twice.

        :raises errors.GitHubError: if GitHub did not do it; the class says why.
        """
        return await self._with_jwt(lambda: self._transport.call(self._made(method, path, body), shape))

    async def fetch(self, method: str, path: str, *, body: object = None) -> classify.Answer:
        """The answer as it came, a success.

        :raises errors.GitHubError: if GitHub did not do it; the class says why.
        """
        return await self._with_jwt(lambda: self._transport.fetch(self._made(method, path, body)))

    async def _with_jwt(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send it; once more where our clock was the reason for a 401."""
        try:
            return await send()
        except errors.Unauthorized:
            if not self._auth.correct(self._transport.ahead_seconds):
                raise
        return await send()

    def _made(self, method: str, path: str, body: object) -> client.Call:
        return client.Call(
            method=method,
            path=path,
            credential=self._auth.jwt(),
            account="the App",
            scope="app",
            body=body,
            is_repeatable=True,
        )


# The last one is kept: the settings are read again without it.
@functools.lru_cache(maxsize=1)
def _parsed(private_key: str) -> rsa.RSAPrivateKey:
    reason = None
    try:
        # Whether its primes are primes is not asked, which would take 40 ms of each start: it is tried instead.
        key = load_pem_private_key(private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        reason = "is encrypted with a passphrase"
    except (ValueError, UnsupportedAlgorithm):
        reason = "is not a private key in PEM form"
    # Raised outside the handlers: what the parser said may hold parts of the key.
    if reason is not None:
        raise errors.SettingsError(f"The App's private key {reason}. {_HOW}")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise errors.SettingsError(f"The App's private key is not an RSA key. {_HOW}")
    if key.key_size < _MIN_KEY_BITS:
        raise errors.SettingsError(f"The App's private key has only {key.key_size} bits. {_HOW}")
    if not _can_sign(key):
        raise errors.SettingsError(f"The App's private key is damaged: nothing proves what it signs. {_HOW}")
    return key


def _can_sign(key: rsa.RSAPrivateKey) -> bool:
    """Whether GitHub could prove what it signs."""
    try:
        signed = key.sign(b"buildhook", padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signed, b"buildhook", padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True
