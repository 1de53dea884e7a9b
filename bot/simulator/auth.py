"""Who asks, and what they may do: the App's JWTs, installation tokens, tokens of people.

See https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app.
"""

from __future__ import annotations

import base64
import functools
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives import serialization

from bot.simulator import values, world

#: GitHub's limit for `exp`, from now.
LONGEST_JWT_SECONDS = 600

#: How far `iat` may lie ahead of our clock.
CLOCK_DRIFT_SECONDS = 60


class Refused(Exception):
    """The request is refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a request comes from."""

    #: `app`, `installation`, `user`, `client` (an App by its client secret) or `anonymous`.
    kind: str
    #: e.g. `installation 50000001`.
    label: str
    installation: values.Installation | None = None
    #: Of an installation token: what it may do.
    permissions: Mapping[str, str] = field(default_factory=dict)
    #: Of an installation token: the repositories that it is narrowed to; None for all of the installation.
    repository_ids: frozenset[int] | None = None
    user: values.User | None = None
    #: Of a client, and of the token of somebody who signed in through an App.
    app: values.App | None = None


ANONYMOUS = Principal(kind="anonymous", label="anonymous")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token stands for."""

    principal: Principal
    expires_at: datetime | None


@functools.lru_cache(maxsize=8)
def _public_key(private_key: str) -> bytes:
    # Kept, because to check a key takes longer than to start a simulator.
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Tokens:
    """Every token that was given out."""

    def __init__(self, its_world: world.World, *, lifetime: timedelta) -> None:
        self._world = its_world
        self._lifetime = lifetime
        self._tokens: dict[str, Token] = {}

    # Making

    def for_installation(
        self,
        installation: values.Installation,
        *,
        permissions: Mapping[str, str] | None = None,
        repository_ids: frozenset[int] | None = None,
    ) -> tuple[str, Token]:
        """A new installation token of the long form, `ghs_<app id>_<JWT>`."""
        now = self._world.clock.now()
        expires_at = now + self._lifetime
        claims = {
            "iss": "simulator",
            "sub": f"installation:{installation.id}",
            "jti": secrets.token_hex(16),
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        text = f"ghs_{self._world.app.id}_{jwt.encode(claims, secrets.token_bytes(32), algorithm='HS256')}"
        granted = {**permissions, "metadata": "read"} if permissions is not None else dict(installation.permissions)
        principal = Principal(
            kind="installation",
            label=label(installation),
            installation=installation,
            permissions=granted,
            repository_ids=repository_ids,
        )
        token = self._tokens[text] = Token(principal=principal, expires_at=expires_at)
        return text, token

    def for_user(self, user: values.User) -> str:
        """A personal access token that can do what its owner can; it does not end."""
        text = f"ghp_{secrets.token_hex(18)}"
        principal = Principal(kind="user", label=f"user {user.login}", user=user)
        self._tokens[text] = Token(principal=principal, expires_at=None)
        return text

    def keep_for_user(self, text: str, app: values.App, user: values.User, *, expires_at: datetime | None) -> None:
        """From now on the text is the token of somebody who signed in through an App."""
        principal = Principal(kind="user", label=f"user {user.login}", user=user, app=app)
        self._tokens[text] = Token(principal=principal, expires_at=expires_at)

    def find_signed_in(self, text: str, app: values.App) -> Token | None:
        """The token of somebody who signed in through this App, if it is one that has not ended."""
        token = self._tokens.get(text)
        if token is None or token.principal.app is not app or self._is_over(token):
            return None
        return token

    def revoke_of(self, app: values.App, user: values.User) -> None:
        """Ends every token that this person gave the App."""
        for text, token in list(self._tokens.items()):
            if token.principal.app is app and token.principal.user is user:
                del self._tokens[text]

    def revoke(self, text: str) -> None:
        """Ends one token."""
        self._tokens.pop(text, None)

    def revoke_all(self) -> None:
        """Ends every token at once, as if all had expired."""
        self._tokens.clear()

    # Knowing

    def principal(self, authorization: str | None) -> Principal:
        """Who sends this `Authorization` header.

        :raises Refused: with 401, 403 or 404 and GitHub's sentence, if it is not good
        """
        text = credential(authorization)
        if text is None:
            return ANONYMOUS
        if (client := self._client(authorization, text)) is not None:
            return client
        if text.count(".") == 2 and not text.startswith(("ghs_", "ghp_")):
            return self._app(text)
        token = self._tokens.get(text)
        if token is None or self._is_over(token):
            raise Refused(401, "Bad credentials")
        installation = token.principal.installation
        if installation is not None:
            if installation.id not in self._world.installations:
                raise Refused(401, "Bad credentials")
            if installation.suspended_at is not None:
                raise Refused(403, "This installation has been suspended")
        return token.principal

    def _is_over(self, token: Token) -> bool:
        return token.expires_at is not None and token.expires_at <= self._world.clock.now()

    def _client(self, authorization: str | None, password: str) -> Principal | None:
        """An App that asks about tokens: its client id and its secret, by basic authentication."""
        app = self._world.find_app(user_name(authorization))
        if app is None or not hmac.compare_digest(app.client_secret.encode(), password.encode()):
            return None
        return Principal(kind="client", label=f"client {app.client_id}", app=app)

    def _app(self, text: str) -> Principal:
        try:
            claims = jwt.decode(
                text,
                _public_key(self._world.private_key),
                algorithms=["RS256"],
                # The times are judged below, with GitHub's sentences.
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False},
            )
        except jwt.PyJWTError:
            raise Refused(401, "A JSON web token could not be decoded") from None
        now = self._world.clock.seconds()
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or issued > now + CLOCK_DRIFT_SECONDS:
            raise Refused(
                401,
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            )
        if not isinstance(expires, int) or expires <= now:
            raise Refused(
                401,
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the "
                "assertion expires",
            )
        if expires > now + LONGEST_JWT_SECONDS:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
        app = self._world.app
        if str(claims.get("iss")) not in (str(app.id), app.client_id):
            raise Refused(404, "Integration not found")
        return Principal(kind="app", label=f"app {app.id}")


def label(installation: values.Installation) -> str:
    """What the calls of an installation are counted by."""
    return f"installation {installation.id}"


def credential(authorization: str | None) -> str | None:
    """The token in an `Authorization` header: bearer, GitHub's `token`, or the password of basic authentication."""
    if not authorization:
        return None
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


def user_name(authorization: str | None) -> str:
    """The name in basic authentication; empty where there is none."""
    scheme, _, rest = (authorization or "").partition(" ")
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[0] if scheme.lower() == "basic" else ""
    except ValueError:
        return ""


def reaches(principal: Principal, repository: values.Repository) -> bool:
    """Whether an installation token is for this repository."""
    installation = principal.installation
    if installation is None or repository.id not in installation.repository_ids:
        return False
    return principal.repository_ids is None or repository.id in principal.repository_ids


def sees(principal: Principal, repository: values.Repository, its_world: world.World) -> bool:
    """Whether the repository is there at all for whoever asks.

    GitHub shows a public repository to every token. This is stricter where the App is installed: a token that was
    narrowed to other repositories finds nothing, so that a client that uses the wrong token is noticed.
    """
    if principal.kind == "installation":
        is_ours = its_world.installation_for(repository) is not None
        return reaches(principal, repository) or (not repository.is_private and not is_ours)
    if principal.kind == "app":
        return not repository.is_private or its_world.installation_for(repository) is not None
    if principal.user is not None and not its_world.may(repository, principal.user, "read"):
        return False
    if principal.user is not None:
        is_signed_in = principal.app is not None and repository.is_private
        return not is_signed_in or gives(repository, principal.app, its_world)
    return not repository.is_private


def gives(repository: values.Repository, app: values.App | None, its_world: world.World) -> bool:
    """Whether an installation of this App reaches the repository and is not suspended."""
    installation = its_world.installation_for(repository) if app is its_world.app else None
    return installation is not None and installation.suspended_at is None


#: What everyone who sees a repository may take part in.
_FOR_READERS = ("issues", "pull_requests")


def may(principal: Principal, repository: values.Repository, its_world: world.World, permission: str) -> bool:
    """Whether whoever asks may do what needs a permission such as `checks:write` in a repository that they see.

    `issues:write or pull_requests:write` is one of them: about a pull request either suffices.
    """
    return any(_may(principal, repository, its_world, one) for one in permission.split(" or "))


def _may(principal: Principal, repository: values.Repository, its_world: world.World, permission: str) -> bool:
    name, _, level = permission.partition(":")
    if principal.kind == "installation":
        if not reaches(principal, repository):
            return level == "read"
        granted = principal.permissions.get(name)
        return granted in ("write", "admin") or (granted is not None and level == "read")
    if principal.user is not None:
        if principal.app is not None and level != "read" and not _allows(principal.app, repository, its_world, name):
            return False
        needed = "read" if name in _FOR_READERS else "write"
        return level == "read" or (name != "checks" and its_world.may(repository, principal.user, needed))
    return level == "read" and principal.kind == "anonymous"


def _allows(app: values.App, repository: values.Repository, its_world: world.World, name: str) -> bool:
    """Whether what an App was granted lets those who signed in through it write this."""
    installation = its_world.installation_for(repository)
    if installation is None or not gives(repository, app, its_world):
        return False
    return installation.permissions.get(name) in ("write", "admin")
