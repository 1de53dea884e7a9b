"""The pages' routes: each GET shows something, each POST does what a button says, and no other site can press it."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from bot.simulator import git, github, origin, registering, signing_in, values, world
from bot.simulator.pages import render, views

_STATIC = pathlib.Path(__file__).with_name("static")

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

#: The pages of a repository that have buttons, without the repository.
_WITH_BUTTONS = re.compile(r"/(?:pull|runs|commit)/[0-9a-f]+")

#: A page of this site, to lead back to.
_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~%/-]*")

#: The name of a person or a bot.
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}(?:\[bot\])?")

#: Remembers as whom a browser acts.
_COOKIE = "simulator_person"

#: What our forms are sent as.
_FORM = "application/x-www-form-urlencoded"

Act = Callable[[web.Request], Awaitable[str]]

#: An operation of the world on a pull request.
ActOnPull = Callable[..., Awaitable[object]]


class Pages:
    """Serves the pages; everyone who sees them acts as whom they choose, at first as `mona`."""

    def __init__(self, its_world: github.GitHub, *, host: str) -> None:
        self._world = its_world
        self._must_be_loopback = origin.is_loopback(host)
        self._renderer = render.Renderer()
        self._static = {path.name: path.read_bytes() for path in _STATIC.iterdir()}

    def add_to(self, router: web.UrlDispatcher) -> None:
        repository = "/{owner:[^/]+}/{repo:[^/]+}"
        router.add_get("/", self._page(self._home))
        router.add_get("/_deliveries", self._page(self._deliveries))
        router.add_get("/_deliveries/{id:[0-9]{1,18}}", self._page(self._delivery))
        router.add_post("/_deliveries/{id:[0-9]{1,18}}/redeliver", self._act(self._redeliver))
        router.add_post("/_person", self._act(self._remember))
        router.add_get("/_static/{name}", self._asset)
        router.add_get("/_avatars/{id:[0-9]{1,18}}.svg", self._avatar)
        router.add_get("/login/oauth/authorize", self._page(self._asked))
        router.add_post("/login/oauth/authorize", self._act(self._sign_in))
        for new in ("/settings/apps/new", "/organizations/{org:[^/]+}/settings/apps/new"):
            # Other sites send their manifests here. It only shows a page, whose own form does something.
            router.add_post(new, self._page(self._wanted))
        router.add_post("/settings/apps", self._act(self._register))
        router.add_get("/apps/{slug:[^/]+}/installations/new", self._page(self._installing))
        router.add_post("/apps/{slug:[^/]+}/installations/new", self._act(self._install))
        router.add_get(repository, self._page(self._repository))
        router.add_get(repository + "/pull/{number:[0-9]{1,18}}", self._page(self._pull))
        router.add_post(repository + "/pull/{number:[0-9]{1,18}}/{act}", self._act(self._act_on_pull))
        router.add_get(repository + "/runs/{id:[0-9]{1,18}}", self._page(self._run))
        router.add_post(repository + "/runs/{id:[0-9]{1,18}}/rerequest", self._act(self._rerequest))
        router.add_post(repository + "/runs/{id:[0-9]{1,18}}/actions", self._act(self._press))
        router.add_post(repository + "/suites/{id:[0-9]{1,18}}/rerequest", self._act(self._rerequest_suite))
        router.add_get(repository + "/commit/{sha:[0-9a-f]{40}}", self._page(self._commit))
        router.add_get(repository + "/blob/{sha:[0-9a-f]{40}}/{path:.+}", self._page(self._blob))
        # What nobody else takes: this must stay the last route of the server.
        router.add_route("*", "/{tail:(?s:.*)}", self._page(self._nothing))

    # Around every page

    def _page(self, view: Callable[[web.Request], Awaitable[views.Page]]) -> Callable[..., Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            if self._must_be_loopback and not origin.is_loopback(origin.host_name(request.host)):
                return web.Response(status=403, text="This site has another name.\n", headers=render.HEADERS)
            try:
                page = await view(request)
            except (KeyError, world.SimulatorError, git.GitError):
                page = views.lost()
            path = request.rel_url.raw_path
            text = self._renderer.render(page, its_world=self._world, person=_remembered(request), path=path)
            headers = render.headers(page.leads_to)
            return web.Response(status=page.status, text=text, content_type="text/html", headers=headers)

        return serve

    def _act(self, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            if not origin.is_same_origin(request.headers, must_be_loopback=self._must_be_loopback):
                return web.Response(status=403, text="Only a form of this site may do that.\n", headers=render.HEADERS)
            if not await _is_form(request):  # before the act, which a broken form must not set off
                return web.Response(status=400, text="That is not a form.\n", headers=render.HEADERS)
            try:
                location = await act(request)
            except KeyError:
                return web.Response(status=404, text="There is nothing here.\n", headers=render.HEADERS)
            except (world.SimulatorError, git.GitError) as error:
                return web.Response(status=409, text=f"{error}\n", headers=render.HEADERS)
            response = web.Response(status=303, headers={**render.HEADERS, "Location": location})
            if request.path == "/_person":
                response.set_cookie(_COOKIE, await _sender(request), httponly=True, samesite="Strict")
            return response

        return serve

    async def _asset(self, request: web.Request) -> web.Response:
        content = self._static.get(request.match_info["name"])
        if content is None:
            return web.Response(status=404, text="There is nothing here.\n", headers=render.HEADERS)
        kind = _TYPES[pathlib.PurePath(request.match_info["name"]).suffix]
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=render.HEADERS)

    async def _avatar(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        user = next((user for user in self._world.users.values() if user.id == number), None)
        text = render.avatar(number, user.login if user else "?")
        return web.Response(text=text, content_type="image/svg+xml", headers=render.HEADERS)

    # What there is to see

    def _found(self, request: web.Request) -> values.Repository:
        """:raises KeyError: if there is no such repository"""
        full_name = f"{request.match_info['owner']}/{request.match_info['repo']}"
        found = self._world.find_repository(full_name) or self._world.find_renamed(full_name)
        if found is None:
            raise KeyError(full_name)
        return found

    def _found_pull(self, request: web.Request) -> values.PullRequest:
        return self._world.pulls[self._found(request).id, int(request.match_info["number"])]

    def _found_run(self, request: web.Request) -> values.CheckRun:
        return self._world.check_run(self._found(request), int(request.match_info["id"]))

    async def _nothing(self, request: web.Request) -> views.Page:
        return views.lost()

    async def _home(self, request: web.Request) -> views.Page:
        return views.home(self._world)

    async def _asked(self, request: web.Request) -> views.Page:
        return views.sign_in(self._world, request.query)

    async def _wanted(self, request: web.Request) -> views.Page:
        form = await request.post()
        manifest = {"manifest": str(form.get("manifest", ""))}
        owner = self._owner(request.match_info.get("org", ""), person=_remembered(request))
        return views.register(self._world, manifest, owner=owner, state=request.query.get("state", ""))

    def _owner(self, organization: str, *, person: str) -> values.User:
        """Whose an App becomes.

        :raises KeyError: if there is no such organization
        """
        if not organization:
            return self._world.user(person)
        found = self._world.users[organization.lower()]
        if found.type != "Organization":
            raise KeyError(organization)
        return found

    async def _installing(self, request: web.Request) -> views.Page:
        if request.match_info["slug"] != self._world.app.slug:
            raise KeyError(request.match_info["slug"])
        return views.install(self._world)

    async def _repository(self, request: web.Request) -> views.Page:
        return await views.repository(self._world, self._found(request))

    async def _pull(self, request: web.Request) -> views.Page:
        return await views.pull(self._world, self._found_pull(request))

    async def _run(self, request: web.Request) -> views.Page:
        return views.run(self._world, self._found_run(request))

    async def _commit(self, request: web.Request) -> views.Page:
        return await views.commit(self._world, self._found(request), request.match_info["sha"])

    async def _blob(self, request: web.Request) -> views.Page:
        where = request.match_info
        return await views.blob(self._world, self._found(request), where["sha"], where["path"])

    async def _deliveries(self, request: web.Request) -> views.Page:
        return views.deliveries(self._world)

    async def _delivery(self, request: web.Request) -> views.Page:
        found = self._world.hooks.find(int(request.match_info["id"]))
        if found is None:
            raise KeyError(request.match_info["id"])
        return views.delivery(self._world, found)

    # What can be done

    async def _redeliver(self, request: web.Request) -> str:
        delivery = self._world.redeliver(int(request.match_info["id"]))
        await delivery.done.wait()
        return f"/_deliveries/{delivery.id}"

    async def _rerequest(self, request: web.Request) -> str:
        run = self._found_run(request)
        self._world.rerequest_check_run(run.repository, run.id, sender=await _sender(request))
        return await _back(request, run.repository)

    async def _press(self, request: web.Request) -> str:
        run = self._found_run(request)
        form = await request.post()
        self._world.press_action(run, str(form.get("identifier", "")), sender=await _sender(request))
        return await _back(request, run.repository)

    async def _rerequest_suite(self, request: web.Request) -> str:
        repository, sender = self._found(request), await _sender(request)
        self._world.rerequest_check_suite(repository, int(request.match_info["id"]), sender=sender)
        return await _back(request, repository)

    async def _act_on_pull(self, request: web.Request) -> str:
        its, pull, act = self._world, self._found_pull(request), request.match_info["act"]
        sender = await _sender(request)
        if act == "comment":
            if body := str((await request.post()).get("body", "")).strip():
                its.comment(pull, body, author=sender)
        else:
            acts: dict[str, ActOnPull] = {
                "merge": its.merge,
                "enqueue": its.enqueue,
                "dequeue": its.dequeue,
                "close": its.close,
                "reopen": its.reopen,
                "ready": its.ready_for_review,
                "draft": its.convert_to_draft,
            }
            await acts[act](pull, sender=sender)
        return await _back(request, pull.repository)

    async def _sign_in(self, request: web.Request) -> str:
        """Signs in to an App as somebody, or does not; gives where the App wanted them back."""
        form, its = await request.post(), self._world.sign_ins
        try:
            wish = its.wish({name: value for name, value in form.items() if isinstance(value, str)})
        except signing_in.NotAsked as error:
            raise world.SimulatorError(str(error)) from None
        return its.authorize(wish, await _sender(request)) if form.get("answer") == "yes" else its.deny(wish)

    async def _register(self, request: web.Request) -> str:
        """Registers an App by its manifest; gives where its maker is sent, with a code."""
        form, its = await request.post(), self._world.registrations
        given = {name: value for name, value in form.items() if isinstance(value, str)}
        owner = self._owner(given.get("owner", ""), person=_remembered(request))
        try:
            wish = its.wish(given, owner=owner, state=given.get("state", ""))
            location = its.register(wish, name=given.get("name", ""))
        except registering.NotRegistered as error:
            raise world.SimulatorError(str(error)) from None
        if self._world.webhook_url is not None:
            self._world.ping()
        return location

    async def _install(self, request: web.Request) -> str:
        """Installs the App on the repositories that the form names."""
        form, its = await request.post(), self._world
        if request.match_info["slug"] != its.app.slug:
            raise KeyError(request.match_info["slug"])
        chosen = [its.repository(str(name)) for name in form.getall("repository", [])]
        for login in dict.fromkeys(one.owner.login for one in chosen):
            its.install(login, [one for one in chosen if one.owner.login == login])
        return "/"

    async def _remember(self, request: web.Request) -> str:
        """Acts as somebody else from now on; gives the page that the form was on."""
        self._world.user(await _sender(request))
        back = str((await request.post()).get("back", ""))
        return back if _PATH.fullmatch(back) else "/"


def _remembered(request: web.Request) -> str:
    """As whom whoever asks has chosen to act."""
    login = request.cookies.get(_COOKIE, "")
    return login if _LOGIN.fullmatch(login) else world.SOMEONE


async def _sender(request: web.Request) -> str:
    """Who presses a button: whom the form names, or as whom its sender has chosen to act.

    :raises SimulatorError: if the form names what is no account's name
    """
    login = str((await request.post()).get("sender", "")) or _remembered(request)
    if not _LOGIN.fullmatch(login):
        raise world.SimulatorError(f"{login!r} is no account's name")
    return login


async def _is_form(request: web.Request) -> bool:
    """Whether the body is a form as a browser sends ours; what it says is kept."""
    if request.content_type != _FORM:
        return False
    try:
        await request.post()
    except (LookupError, ValueError):
        return False
    return True


async def _back(request: web.Request, repository: values.Repository) -> str:
    """The page that the button was on: the form names it, and only one of the same repository with buttons counts."""
    back = str((await request.post()).get("back", ""))
    home = f"/{quote(repository.full_name)}"
    return back if back.startswith(home) and _WITH_BUTTONS.fullmatch(back.removeprefix(home)) else home
