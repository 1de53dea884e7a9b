"""Who looks at a page: noted on the request by whoever guards it, read by the pages, and what stands around them."""

from __future__ import annotations

import msgspec
from aiohttp import web
from markupsafe import Markup

from bot.model.person import Permission
from bot.people import proof
from bot.people.viewer import LOCAL, Viewer

#: Sent over TLS only, to this host only, never to a script; not with what other sites cause, but with a link to us.
#: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
COOKIE = "__Host-buildhook"
FORM_FIELD = "form"
_NOTHING = Markup("")
_VIEWER: web.RequestKey[Viewer] = web.RequestKey("viewer", Viewer)
_REPOSITORY: web.RequestKey[int] = web.RequestKey("repository", int)


class Shell(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around a page's own content."""

    #: Whether it is known who looks; a stranger is led nowhere but in.
    is_known: bool = False
    #: A label; empty where nobody signs in.
    login: str = ""
    #: Whether the service's own pages are shown to them.
    is_operator: bool = False
    #: Whether they may change what the page is about.
    may_write: bool = False
    #: What our forms carry, for the template.
    field: Markup = _NOTHING


#: Around a page that anybody may see.
BARE = Shell()


def note(request: web.Request, viewer: Viewer, *, repository_id: int | None = None) -> None:
    """Say who asks, and about which repository."""
    request[_VIEWER] = viewer
    if repository_id is not None:
        request[_REPOSITORY] = repository_id


def viewer(request: web.Request) -> Viewer:
    """Who asks. :raises KeyError: if nobody guarded the route, which is a mistake of ours."""
    return request[_VIEWER]


def found(request: web.Request) -> Viewer | None:
    """Who asks, where that was found out: strangers may ask for some things."""
    return request.get(_VIEWER)


def visible(request: web.Request, need: Permission = Permission.READ) -> frozenset[int] | None:
    """The repositories that lists may show to who asks; None for all."""
    return viewer(request).visible(need)


def shell(request: web.Request) -> Shell:
    """What stands around the page that is asked for."""
    one = request.get(_VIEWER)
    if one is None:
        return BARE
    cookie = request.cookies.get(COOKIE, "") if one.sign_in_id is not None else ""
    field = Markup('<input type="hidden" name="{}" value="{}">').format(FORM_FIELD, proof.form_token(cookie))
    return Shell(
        is_known=True,
        login=one.login,
        is_operator=one.is_operator,
        may_write=one is LOCAL or one.may(Permission.WRITE, request.get(_REPOSITORY)),
        field=field if cookie else _NOTHING,
    )
