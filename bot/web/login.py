"""The routes by which people sign in and out, and the page of what they are signed in with."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web
from yarl import URL

from bot import errors, telemetry
from bot.model import person
from bot.people import places
from bot.proxies import Seen
from bot.visitors import Shares, Visitors
from bot.web import viewing
from bot.web.entering import Way, expect
from bot.web.page import Sources
from bot.web.pages import account
from bot.web.templating import Templates

#: What a browser keeps while somebody is on GitHub's page.
BEGUN_COOKIE = "__Host-buildhook-login"
_BEGUN_SECONDS = 600
_SIGNED_IN_SECONDS = 7 * 24 * 3600
_MOST = 2000
#: Logins that one address may begin: each is a row until it is over.
_BURST, _PER_MINUTE = 20, 30
#: In the address of who was led here from another origin.
_MOVED = "moved"
_log = telemetry.log("web")


def routes(
    sources: Sources,
    *,
    way: Way,
    templates: Templates,
    visitors: Visitors,
) -> list[web.RouteDef]:
    """Those that the dashboard has with `ACCESS=github`, beside the pages.

    :param way: gives how people sign in; as long as it gives None these are like routes that are not there.
    """
    shares = Shares(burst=_BURST, per_minute=_PER_MINUTE)

    async def start(request: web.Request) -> web.Response:
        entry, seen = expect(way), visitors.look(request)
        if not shares.take(seen):
            text = "Too many logins begin from this address. Wait a minute, then sign in again."
            raise web.HTTPTooManyRequests(text=text, headers={"Retry-After": "60"})
        wanted = request.query.get("next", "/")
        if _is_elsewhere(seen, entry.public_url) and _MOVED not in request.query:
            # Once: where the proxy is wrong about it, going on is better than going round.
            there = (
                URL(entry.public_url).with_path("/login/start").with_query({"next": places.after(wanted), _MOVED: "1"})
            )
            raise web.HTTPSeeOther(there)
        begun = await entry.signing_in.begin(wanted)
        response = web.Response(status=303, headers={"Location": begun.url})
        _set(response, BEGUN_COOKIE, begun.secret, seconds=_BEGUN_SECONDS)
        return response

    async def come_back(request: web.Request) -> web.Response:
        entry = expect(way)
        if "error" in request.query:
            # GitHub's own words are not repeated: anybody can write them into a link.
            raise errors.SignInRefused("GitHub did not let you sign in, or you said no. Sign in again if you want to.")
        code, state = request.query.get("code", ""), request.query.get("state", "")
        if not (0 < len(code) <= _MOST and 0 < len(state) <= _MOST):
            raise errors.SignInRefused("This login did not begin here. Sign in again.")
        done = await entry.signing_in.finish(
            code=code,
            state=state,
            secret=request.cookies.get(BEGUN_COOKIE, ""),
            browser=request.headers.get("User-Agent", ""),
        )
        address = visitors.look(request).address
        _log.info("Somebody signed in.", action="sign_in", user_id=done.user_id, login=done.login, address=address)
        response = web.Response(status=303, headers={"Location": places.after(done.next)})
        _set(response, viewing.COOKIE, done.secret, seconds=_SIGNED_IN_SECONDS)
        _forget(response, BEGUN_COOKIE)
        return response

    async def log_out(request: web.Request) -> web.Response:
        viewer = viewing.viewer(request)
        await expect(way).people.end(viewer, viewer.sign_in_id)
        _log.info("Somebody signed out.", action="sign_out", user_id=viewer.user_id, login=viewer.login)
        response = web.Response(status=303, headers={"Location": "/login"})
        _forget(response, viewing.COOKIE)
        return response

    async def end(request: web.Request) -> web.Response:
        await expect(way).people.end(viewing.viewer(request), request.match_info["id"])
        raise web.HTTPSeeOther("/account")

    async def make_token(request: web.Request) -> web.Response:
        given = await request.post()
        days = str(given.get("days", ""))
        if days not in map(str, account.LIVES):
            raise web.HTTPBadRequest(text=f"`days` is one of: {', '.join(map(str, account.LIVES))}.")
        scopes = [str(one) for one in given.getall("scope", [])]
        if not set(scopes) <= set(person.Scope):
            raise web.HTTPBadRequest(text=f"`scope` is one of: {', '.join(person.Scope)}.")
        made = await expect(way).people.make_token(
            viewing.viewer(request),
            name=str(given.get("name", "")),
            scopes=[person.Scope(one) for one in scopes],
            expires_at=sources.clock() + timedelta(days=int(days)),
        )
        context = await account.load(sources, request, made=made)
        text = templates.render("account.html", context, shell=viewing.shell(request))
        return web.Response(text=text, content_type="text/html")

    async def delete_token(request: web.Request) -> web.Response:
        await expect(way).people.delete_token(viewing.viewer(request), request.match_info["id"])
        raise web.HTTPSeeOther("/account")

    return [
        web.get("/login/start", start),
        web.get("/login/callback", come_back),
        web.post("/logout", log_out),
        web.post("/account/sign-ins/{id:[0-9A-Z]{26}}/end", end),
        web.post("/account/tokens", make_token),
        web.post("/account/tokens/{id:[0-9A-Z]{26}}/delete", delete_token),
    ]


def _is_elsewhere(seen: Seen, public_url: str) -> bool:
    """Whether a proxy that is believed says that the browser asked another origin than ours."""
    if seen.scheme is None or seen.host is None:
        return False
    try:
        asked, ours = URL(f"{seen.scheme}://{seen.host}"), URL(public_url)
        return (asked.scheme, asked.host, asked.port) != (ours.scheme, ours.host, ours.port)
    except ValueError:
        return False


def _set(response: web.Response, name: str, value: str, *, seconds: int) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Lax")


def _forget(response: web.Response, name: str) -> None:
    response.del_cookie(name, path="/", secure=True, httponly=True, samesite="Lax")
