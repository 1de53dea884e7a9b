"""Badges and feeds: what programs are told that do not sign in, of public repositories or by a token of the repository.

Of what may not be told, and of what is not there, the answer is the same to the byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec
from aiohttp import ETag, web
from sqlalchemy.engine import Connection

from bot import errors
from bot.builds import caching
from bot.model import build
from bot.people import proof
from bot.store import branches, builds, newest, repositories, subjects
from bot.web import badge, security, viewing
from bot.web import badge_about as about
from bot.web.actions import Actions, by
from bot.web.page import Sources
from bot.web.pages import repository as repository_page
from bot.web.pages.builds import REPOSITORY
from bot.web.templating import Templates

#: GitHub shows pictures from a copy of its own, which asks again each time and is told whether something changed.
FRESH = {"Cache-Control": "no-cache, max-age=0"}
#: Of so many builds of a branch the newest that says something is told where there are many repositories.
PROJECT_BUILDS = 3
#: Builds in a feed.
ENTRIES = 20
#: Repositories in one list for desktop widgets.
MOST_PROJECTS = 100
_NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
_PATH = "{owner:[A-Za-z0-9._-]{1,100}}/{repo:[A-Za-z0-9._-]{1,100}}"


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed is made of."""

    repository: str
    #: Where people reach this service, or empty: then addresses are relative.
    url: str
    builds: tuple[build.Build, ...]
    updated_at: datetime


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """One repository, as CCTray knows them."""

    name: str
    branch: str
    is_building: bool
    #: `Success`, `Failure`, `Exception` or `Unknown`.
    status: str
    last: branches.Brief | None


class Projects(msgspec.Struct, frozen=True, kw_only=True):
    """What `/cc.xml` is made of."""

    #: As of a feed.
    url: str
    projects: tuple[Project, ...]


def routes(
    sources: Sources, *, actions: Actions, templates: Templates, public_url: Callable[[], str] = str
) -> list[web.RouteDef]:
    """The routes.

    :param public_url: gives where people reach this service; empty where that is not known.
    """

    async def send_badge(request: web.Request) -> web.Response:
        return _fresh(request, badge.svg(await look(request)).encode(), content_type="image/svg+xml")

    async def send_shield(request: web.Request) -> web.Response:
        return _fresh(request, badge.json(await look(request)), content_type="application/json")

    async def look(request: web.Request) -> badge.Look:
        asked = about.read(request.query)
        return badge.look(await sources.store.read(_state, _name(request), asked=asked, **_shown(request)))

    async def send_feed(request: web.Request) -> web.Response:
        name = _name(request)
        found = await sources.store.read(_builds, name, **_shown(request))
        if found is None:
            raise errors.NotFound("There is no such feed; that of a private repository needs its badge token.")
        updated_at = max((one.finished_at or one.created_at for one in found), default=sources.clock())
        feed = Feed(repository=name, url=public_url(), builds=tuple(found), updated_at=updated_at)
        return _fresh(request, _xml(templates.render("_feed.xml", feed)), content_type="application/atom+xml")

    async def send_projects(request: web.Request) -> web.Response:
        found = await sources.store.read(_projects, among=viewing.visible(request))
        text = templates.render("_cc.xml", Projects(url=public_url(), projects=tuple(found)))
        return _fresh(request, _xml(text), content_type="application/xml", is_embeddable=False)

    async def make_token(request: web.Request) -> web.Response:
        secret = await actions.make_badge_token(_name(request), by(request))
        context = await repository_page.load(sources, request, made=secret)
        text = templates.render("repository.html", context, shell=viewing.shell(request))
        return web.Response(text=text, content_type="text/html")

    return [
        web.get(f"/badge/{_PATH}.svg", send_badge),
        web.get(f"/badge/{_PATH}.json", send_shield),
        web.get(f"/feed/{_PATH}.atom", send_feed),
        web.get("/cc.xml", send_projects),
        web.post(f"/repos/{_PATH}/badge-token", make_token),
    ]


def _name(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['repo']}"


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    digest: bytes | None
    is_everything: bool


def _shown(request: web.Request) -> dict[str, _Shown]:
    """What whoever asks shows to be told."""
    token = request.query.get("token", "")
    viewer = viewing.found(request)
    return {
        "shown": _Shown(
            digest=proof.digest(token[:100]) if token else None,
            # With `ACCESS=local` only this machine comes as far as here, and sees everything.
            is_everything=viewer is not None and viewer.visible() is None,
        )
    }


def _find(connection: Connection, name: str, shown: _Shown) -> int | None:
    """The repository, if whoever asks may be told of it."""
    repository_id = subjects.of_name(connection, name) if REPOSITORY.fullmatch(name) else None
    if repository_id is None:
        return None
    is_told = shown.is_everything or repositories.is_told(connection, repository_id, digest=shown.digest)
    return repository_id if is_told else None


def _state(connection: Connection, name: str, *, asked: about.Asked | None, shown: _Shown) -> build.State | None:
    repository_id = _find(connection, name, shown)
    if repository_id is None or asked is None:
        return None
    branch = asked.branch or _default_branch(connection, repository_id)
    return about.state(connection, asked, name=name, repository_id=repository_id, branch=branch)


def _builds(connection: Connection, name: str, *, shown: _Shown) -> list[build.Build] | None:
    repository_id = _find(connection, name, shown)
    if repository_id is None:
        return None
    ended = sorted(build.FINAL)
    return builds.list_newest(connection, limit=ENTRIES, states=ended, among=(repository_id,))


def _projects(connection: Connection, *, among: Collection[int] | None) -> list[Project]:
    heads = builds.list_by_ids(connection, newest.heads(connection, among=among, limit=MOST_PROJECTS))
    return sorted((_project(connection, one) for one in heads), key=lambda one: one.name.lower())


def _project(connection: Connection, head: build.Build) -> Project:
    branch = caching.default_branch(head) or "main"
    ref = f"refs/heads/{branch}"
    # The newest build is mostly of that branch and over: then there is nothing to ask for.
    if head.ref == ref and head.state in badge.TELLING:
        found = [branches.of_build(head)]
    else:
        found = branches.list_of_ref(connection, repository_id=head.repository_id, ref=ref, limit=PROJECT_BUILDS)
    last = next((one for one in found if one.state in badge.TELLING), None)
    status = {build.State.PASSED: "Success", build.State.FAILED: "Failure"}
    return Project(
        name=head.repository,
        branch=branch,
        is_building=bool(found) and found[0].state not in build.FINAL,
        status="Unknown" if last is None else status.get(last.state, "Exception"),
        last=last,
    )


def _default_branch(connection: Connection, repository_id: int) -> str:
    (head,) = builds.list_newest(connection, limit=1, among=(repository_id,)) or (None,)
    return (caching.default_branch(head) if head is not None else None) or "main"


def _fresh(request: web.Request, body: bytes, *, content_type: str, is_embeddable: bool = True) -> web.Response:
    """An answer that is asked for anew each time, and sent only where it changed."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        response = web.Response(status=304, headers=FRESH)
    else:
        response = web.Response(body=body, content_type=content_type, charset="utf-8", headers=FRESH)
    response.etag = ETag(tag)
    if is_embeddable:
        response[security.EMBEDDABLE] = True
    return response


def _xml(text: str) -> bytes:
    """Without what no document of XML may have. https://www.w3.org/TR/xml/#charsets"""
    return _NO_XML.sub("\ufffd", text).encode()
