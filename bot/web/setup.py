"""The page `/setup` of a service that has no App yet: for whoever shows the token that was printed at the start.

Whoever sends its form first is the one who sets the service up; for all others, and once it is done, it is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from bot import errors, telemetry
from bot.onboarding import SettingUp, manifest, setting_up
from bot.onboarding import wish as wishes
from bot.onboarding.proving import Verdict
from bot.web import security, viewing
from bot.web.templating import Templates

PATH = "/setup"
#: Of its three pages: the forms, what goes to GitHub, and what became of it.
ASK, SEND, DONE = "setup.html", "setup_github.html", "setup_done.html"
#: What the browser keeps of whoever sets the service up. `Lax`, as GitHub sends them back here.
COOKIE = "buildhook-setup"
#: Both forms have these; what was typed into them is shown again, and no secret is.
_SHOWN = ("account", "organization", "name", "public_url", "webhook", "app_id", "client_id")
_MOST = 2000
_log = telemetry.log("web")


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What the page with the two forms shows."""

    #: For the forms, where this browser has not claimed anything yet.
    token: str
    github: str
    file: str
    asked: tuple[manifest.Need, ...]
    heard: tuple[manifest.Need, ...]
    longest_name: int
    #: What was typed, by the names of the fields.
    typed: Mapping[str, str]
    #: What is wrong with it, by the names of the fields of one of the forms.
    problems: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Whether it is the form of an App that is there already.
    is_existing: bool = False
    #: What went wrong as a whole.
    trouble: str | None = None


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows whose form goes to GitHub."""

    sent: setting_up.Sent
    github: str
    asked: tuple[manifest.Need, ...]


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows once it is done."""

    done: setting_up.Done
    verdict: Verdict
    file: str
    is_signing_in: bool


def is_of_it(request: web.Request) -> bool:
    """Whether the request is for one of the routes of the set-up."""
    resource = request.match_info.route.resource
    return resource is not None and (resource.canonical == PATH or resource.canonical.startswith(f"{PATH}/"))


def link(setting_up: SettingUp) -> str:
    """The page with the token, below the service's address: for whoever started the service, and nobody else."""
    return f"{PATH}?token={setting_up.claim.token}"


def routes(setting_up: SettingUp, *, templates: Templates) -> list[web.RouteDef]:
    """Those that a service without an App has."""
    desk = _Desk(setting_up, templates=templates)
    return [
        web.get(PATH, desk.show),
        web.post(f"{PATH}/register", desk.register),
        web.get(f"{PATH}/callback", desk.come_back),
        web.post(f"{PATH}/existing", desk.take_existing),
        web.post(f"{PATH}/test", desk.try_again),
    ]


class _Desk:
    """Answers the requests."""

    def __init__(self, setting_up: SettingUp, *, templates: Templates) -> None:
        self._setting_up = setting_up
        self._templates = templates

    async def show(self, request: web.Request) -> web.Response:
        """The forms, or what became of them."""
        its = self._setting_up
        if its.done is not None:
            self._expect_holder(request)
            return await self._show_finished(request, its.done)
        token = request.query.get("token", "")
        if self._is_holder(request):
            return self._ask(request, {})
        if not (its.is_open and its.claim.is_open_to(token)):
            raise web.HTTPNotFound
        return self._ask(request, {}, token=token)

    async def register(self, request: web.Request) -> web.Response:
        """What is to be registered was typed: the next page sends it to GitHub."""
        given = await _typed(request)
        kept = self._claim(request, given)
        try:
            wish = wishes.read(given, is_public=self._setting_up.is_public)
            sent = await self._setting_up.begin(wish, back=f"{request.scheme}://{request.host}{PATH}/callback")
        except wishes.Wrong as wrong:
            return _keeping(self._ask(request, given, problems=wrong.problems, status=422), kept)
        except errors.BuildhookError as error:
            return _keeping(self._ask(request, given, trouble=str(error), status=409), kept)
        parts = urlsplit(sent.url)
        request[security.LEADS_TO] = f"{parts.scheme}://{parts.netloc}"
        context = Sending(sent=sent, github=self._setting_up.place.web, asked=manifest.ASKED)
        return _keeping(self._render(request, SEND, context), kept)

    async def come_back(self, request: web.Request) -> web.Response:
        """GitHub sends whoever registered the App back, with a code."""
        self._expect_holder(request)
        code, state = request.query.get("code", ""), request.query.get("state", "")
        try:
            if not (0 < len(code) <= _MOST and 0 < len(state) <= _MOST):
                raise errors.SetUpRefused("GitHub sends back a code and a state, and this is neither. Begin again.")
            await self._setting_up.finish(code=code, state=state)
        except errors.BuildhookError as error:
            return self._ask(request, {}, trouble=str(error), status=409)
        raise web.HTTPSeeOther(PATH)

    async def take_existing(self, request: web.Request) -> web.Response:
        """An App that is registered already was typed."""
        given = await _typed(request)
        kept = self._claim(request, given)
        try:
            await self._setting_up.take(wishes.read_existing(given))
        except wishes.Wrong as wrong:
            shown = self._ask(request, given, problems=wrong.problems, is_existing=True, status=422)
            return _keeping(shown, kept)
        except errors.BuildhookError as error:
            shown = self._ask(request, given, trouble=str(error), is_existing=True, status=409)
            return _keeping(shown, kept)
        return _keeping(web.Response(status=303, headers={"Location": PATH}), kept)

    async def try_again(self, request: web.Request) -> web.Response:
        """Make the self-test anew."""
        self._expect_holder(request)
        self._setting_up.try_again()
        raise web.HTTPSeeOther(PATH)

    def _is_holder(self, request: web.Request) -> bool:
        its = self._setting_up
        return (its.is_open or its.done is not None) and its.claim.is_holder(request.cookies.get(COOKIE, ""))

    def _expect_holder(self, request: web.Request) -> None:
        if not self._is_holder(request):
            raise web.HTTPNotFound

    def _claim(self, request: web.Request, given: Mapping[str, str]) -> str | None:
        """Claim the set-up for this browser; gives what it keeps from now on, None where it has that already.

        :raises web.HTTPNotFound: if it may not.
        """
        if not self._setting_up.is_open:
            raise web.HTTPNotFound
        if self._is_holder(request):
            return None
        kept = self._setting_up.claim.take(given.get("token", ""))
        if kept is None:
            raise web.HTTPNotFound
        _log.info("Somebody with the token sets the service up.", action="claim_set_up")
        return kept

    def _ask(
        self,
        request: web.Request,
        given: Mapping[str, str],
        *,
        token: str = "",
        problems: Mapping[str, str] | None = None,
        trouble: str | None = None,
        is_existing: bool = False,
        status: int = 200,
    ) -> web.Response:
        its = self._setting_up
        usual = {"account": "person", "name": manifest.NAME}
        usual |= {"public_url": its.public_url or "", "webhook": its.relay_url or ""}
        context = Asking(
            token=token,
            github=its.place.web,
            file=str(its.file),
            asked=manifest.ASKED,
            heard=manifest.HEARD,
            longest_name=wishes.LONGEST_NAME,
            typed={name: given.get(name, usual.get(name, "")) for name in _SHOWN},
            problems=problems or {},
            is_existing=is_existing,
            trouble=trouble,
        )
        return self._render(request, ASK, context, status=status)

    async def _show_finished(self, request: web.Request, done: setting_up.Done) -> web.Response:
        its = self._setting_up
        verdict = await its.verdict()
        context = Finished(done=done, verdict=verdict, file=str(its.file), is_signing_in=its.is_signing_in)
        response = self._render(request, DONE, context)
        if verdict.is_proved:
            its.is_told.set()
        return response

    def _render(self, request: web.Request, template: str, context: object, *, status: int = 200) -> web.Response:
        text = self._templates.render(template, context, shell=viewing.shell(request))
        return web.Response(status=status, text=text, content_type="text/html")


async def _typed(request: web.Request) -> Mapping[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _keeping(response: web.Response, kept: str | None) -> web.Response:
    if kept is not None:
        response.set_cookie(COOKIE, kept, path=PATH, httponly=True, samesite="Lax")
    return response
