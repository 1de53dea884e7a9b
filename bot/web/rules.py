"""Which right each route needs, and about what: the one place where that is decided. Pure.

A route that is not named here is there for nobody.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from bot.model.person import Permission


class About(enum.StrEnum):
    """What a route shows or changes; that says whose rights count."""

    #: Nothing that is anybody's: strangers may ask.
    NOTHING = "nothing"
    #: Whoever asks: their own lists, filtered by their rights, and their own account.
    SELF = "self"
    #: The service as a whole: for those whom the policy names as operators.
    SERVICE = "service"
    REPOSITORY = "repository"
    BUILD = "build"
    JOB = "job"
    ARTIFACT = "artifact"
    DELIVERY = "delivery"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody needs for a route."""

    about: About
    #: In the repository that the thing belongs to.
    need: Permission = Permission.READ
    #: Whether it goes on for long, so that the right is looked at again meanwhile.
    is_long: bool = False
    #: Whether whoever does it must have signed in lately: a browser that was left open may not.
    is_grave: bool = False


_ANYBODY = Rule(about=About.NOTHING)
_SELF = Rule(about=About.SELF)
_OPERATORS = Rule(about=About.SERVICE)
_SEE_REPOSITORY = Rule(about=About.REPOSITORY)
_SEE_BUILD, _CHANGE_BUILD = Rule(about=About.BUILD), Rule(about=About.BUILD, need=Permission.WRITE)
# A payload tells more than a page: who pushed, their addresses, what a private branch is called.
_DELIVERY = Rule(about=About.DELIVERY, need=Permission.WRITE)

#: Where programs ask.
API = "/api/v1"

#: By method and by route, as aiohttp writes it without the forms of its parts.
RULES: Mapping[str, Mapping[str, Rule]] = MappingProxyType(
    {
        "GET": {
            "/": _SELF,
            "/account": _SELF,
            "/api/v1/artifacts/{id}": Rule(about=About.ARTIFACT),
            "/api/v1/artifacts/{id}/zip": Rule(about=About.ARTIFACT),
            "/api/v1/builds": _SELF,
            "/api/v1/builds/{id}": _SEE_BUILD,
            "/api/v1/deliveries": _SELF,
            "/api/v1/deliveries/{id}": _DELIVERY,
            "/api/v1/deliveries/{id}/payload": _DELIVERY,
            "/api/v1/engines": _SELF,
            "/api/v1/explain": _SELF,
            "/api/v1/jobs/{id}": Rule(about=About.JOB),
            "/api/v1/jobs/{id}/log": Rule(about=About.JOB, is_long=True),
            "/api/v1/jobs/{id}/results": Rule(about=About.JOB),
            "/api/v1/me": _SELF,
            "/api/v1/openapi.json": _ANYBODY,
            "/api/v1/queue": _SELF,
            "/api/v1/repositories": _SELF,
            "/artifacts/{id}": Rule(about=About.ARTIFACT),
            "/audit": _OPERATORS,
            # What is not public needs the repository's own token, see `bot.web.outside`.
            "/badge/{owner}/{repo}.json": _ANYBODY,
            "/badge/{owner}/{repo}.svg": _ANYBODY,
            "/budget": _OPERATORS,
            "/builds/{id}": _SEE_BUILD,
            "/cc.xml": _SELF,
            "/deliveries": _SELF,
            "/deliveries/{id}": _DELIVERY,
            "/engines": _SELF,
            "/explain": _SELF,
            "/feed/{owner}/{repo}.atom": _ANYBODY,
            "/healthz": _ANYBODY,
            "/jobs/{id}": Rule(about=About.JOB),
            "/jobs/{id}/events": Rule(about=About.JOB, is_long=True),
            "/jobs/{id}/groups": Rule(about=About.JOB),
            "/jobs/{id}/lines": Rule(about=About.JOB),
            "/jobs/{id}/log": Rule(about=About.JOB, is_long=True),
            "/jobs/{id}/search": Rule(about=About.JOB),
            "/jobs/{id}/tests": Rule(about=About.JOB),
            "/livez": _ANYBODY,
            "/login": _ANYBODY,
            "/login/start": _ANYBODY,
            "/login/callback": _ANYBODY,
            "/metrics": _OPERATORS,
            "/queue": _SELF,
            "/readyz": _ANYBODY,
            "/repos/{owner}/{repo}": _SEE_REPOSITORY,
            "/repos/{owner}/{repo}/artifacts": _SEE_REPOSITORY,
            "/repos/{owner}/{repo}/tests/{digest}": _SEE_REPOSITORY,
            "/schema.json": _ANYBODY,
            "/static/{name}": _ANYBODY,
            "/subscribers": _OPERATORS,
            "/version": _SELF,
        },
        "POST": {
            "/account/sign-ins/{id}/end": _SELF,
            "/account/tokens": Rule(about=About.SELF, is_grave=True),
            "/account/tokens/{id}/delete": _SELF,
            "/api/v1/builds/{id}/cancel": _CHANGE_BUILD,
            "/api/v1/builds/{id}/retry": _CHANGE_BUILD,
            "/api/v1/deliveries/{id}/replay": _DELIVERY,
            "/api/v1/repositories/{owner}/{repo}/builds": Rule(about=About.REPOSITORY, need=Permission.WRITE),
            # Whoever lets strangers' code run signed in lately, and GitHub is asked about them once more.
            "/builds/{id}/approve": Rule(about=About.BUILD, need=Permission.WRITE, is_grave=True),
            "/builds/{id}/cancel": _CHANGE_BUILD,
            "/builds/{id}/retry": _CHANGE_BUILD,
            "/builds/{id}/retry-failed": _CHANGE_BUILD,
            "/deliveries/{id}/replay": _DELIVERY,
            "/hooks/{source}": _ANYBODY,
            "/logout": _SELF,
            "/repos/{owner}/{repo}/badge-token": Rule(about=About.REPOSITORY, need=Permission.WRITE),
            "/repos/{owner}/{repo}/start": Rule(about=About.REPOSITORY, need=Permission.WRITE),
            "/webhook": _ANYBODY,
        },
    }
)


def find(method: str, route: str | None) -> Rule | None:
    """The rule of a request, or None where nobody may ask it. HEAD is GET without the answer's body."""
    if route is None:
        return None
    return RULES.get("GET" if method == "HEAD" else method, {}).get(route)


def is_api(path: str) -> bool:
    """Whether a path is one of those for programs."""
    return path == API or path.startswith(f"{API}/")


def seeing(rule: Rule) -> Permission:
    """What somebody needs to be told that the thing is there at all."""
    return rule.need if rule.about is About.DELIVERY else Permission.READ
