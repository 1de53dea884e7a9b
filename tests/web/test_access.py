"""Only this machine sees the pages, only our own pages cause changes, and no route is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bot.web import access, rules
from tests import factories
from tests.web.conftest import Client
from tests.web.house import HTML, House

FORWARDING = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "x-forwarded-anything",
    "X-Real-IP",
    "Via",
    "CF-Connecting-IP",
    "CF-Ray",
    "True-Client-IP",
    "X-Client-IP",
    "X-Original-Forwarded-For",
    "Tailscale-User-Login",
    "Fastly-Client-IP",
)
FOREIGN_HOSTS = (
    "example.com",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "localhost.",
    "192.168.1.5:8080",
    "0.0.0.0",
    "[::2]",
    "[::1]x",
    "[::1%lo]",
    "localhost:x",
    "127.0.0.1:80:80",
    "user@localhost",
    "",
    "[",
    "２７.0.0.1",
)
PUBLIC_REQUESTS = {("POST", "/webhook"), ("POST", "/hooks/{source}")} | {
    (method, path) for method in ("GET", "HEAD") for path in ("/livez", "/readyz", "/healthz")
}


class Peer:
    """A connection from somewhere."""

    def __init__(self, peername: Any) -> None:
        self._peername = peername

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._peername if name == "peername" else default


def request_from(peername: Any, **headers: str) -> web.Request:
    headers = {"Host": "localhost:8080", **headers}
    return make_mocked_request("GET", "/", headers, transport=Peer(peername))


def all_routes(app: web.Application) -> list[tuple[str, str]]:
    """Method and canonical path of every route, read from the router itself."""
    return [(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None]


def filled(path: str) -> str:
    return (
        path.replace("{id}", factories.new_id())
        .replace("{owner}/{repo}", "octo/hello")
        .replace("{name}", "site.css")
        .replace("{source}", "demo")
    )


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::", False),
        ("0.0.0.0", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("localhost", False),
        ("", False),
        ("2130706433", False),
    ],
)
def test_loopback_addresses_are_told_from_others(address: str, is_own: bool) -> None:
    assert access.is_loopback(address) is is_own


@pytest.mark.parametrize("peername", [("10.0.0.7", 4711), ("fe80::2", 1, 0, 0), "", "/run/proxy.sock", None, ()])
def test_a_peer_elsewhere_is_not_local(peername: Any) -> None:
    request = request_from(peername or "")
    assert not access.is_local(request)


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1", "127.0.0.1", "127.1.2.3:8080", "[::1]", "[::1]:8080"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_this_machine_is_local(host: str, peer: str) -> None:
    assert access.is_local(request_from((peer, 4711), Host=host))


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_t16_a_name_that_is_not_loopback_is_not_local(host: str) -> None:
    assert not access.is_local(request_from(("127.0.0.1", 4711), Host=host))


@pytest.mark.parametrize("name", FORWARDING)
def test_t16_a_forwarding_header_is_never_believed(name: str) -> None:
    assert not access.is_local(request_from(("127.0.0.1", 4711), **{name: "127.0.0.1"}))


async def test_t89_every_route_has_a_policy_and_only_these_are_public(house: House) -> None:
    routes = all_routes(house.app)
    assert len(routes) > 20
    public = {(method, path) for method, path in routes if method in access.PUBLIC.get(path, ())}
    assert public == PUBLIC_REQUESTS
    named_but_absent = set(access.PUBLIC) - {path for _, path in routes}
    assert not named_but_absent


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-For": "127.0.0.1"}, {"Host": "example.com"}, {"Via": "1.1 proxy"}], ids=str
)
async def test_t89_strangers_get_the_answer_of_an_unknown_route_on_every_route(
    house: House, client: Client, headers: Mapping[str, str]
) -> None:
    unknown = await client.get("/there-is-no-such-route", headers=headers)
    expected = await unknown.read()
    assert unknown.status == 404
    told = await (await client.get(f"{rules.API}/there-is-no-such-route", headers=headers)).read()
    for method, path in all_routes(house.app):
        answer = await client.request(method, filled(path), headers=headers, allow_redirects=False)
        if (method, path) in PUBLIC_REQUESTS:
            assert answer.status in (200, 202), path
        else:
            assert answer.status == 404, path
            absent = told if rules.is_api(path) else expected
            assert await answer.read() == (b"" if method == "HEAD" else absent), path
            assert "Allow" not in answer.headers


async def test_strangers_learn_nothing_from_another_method_either(client: Client) -> None:
    for path in ("/", "/webhook", "/builds/x/cancel", "/metrics"):
        answer = await client.delete(path, headers={"Host": "example.com"})
        assert answer.status == 404
        assert "Allow" not in answer.headers


async def test_t104_metrics_are_not_for_strangers(client: Client) -> None:
    assert (await client.get("/metrics")).status == 200
    assert (await client.get("/metrics", headers={"X-Real-IP": "127.0.0.1"})).status == 404


async def test_an_existing_thing_is_as_absent_to_a_stranger_as_one_that_never_was(house: House, client: Client) -> None:
    new = await house.add_build()
    there = await client.get(f"/builds/{new.build.id}", headers={"Host": "example.com"})
    never = await client.get(f"/builds/{factories.new_id()}", headers={"Host": "example.com"})
    assert (there.status, await there.read()) == (never.status, await never.read()) == (404, await never.read())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://example.com"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1.example.com"},
        {"Origin": "http://localhost:1"},
        {"Origin": "https://OWN"},
        {"Origin": "http://OWN", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://OWN", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://example.com", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Referer": "http://OWN/"},
    ],
    ids=str,
)
async def test_t97_changes_from_elsewhere_are_refused_on_every_route(
    house: House, client: Client, headers: Mapping[str, str]
) -> None:
    own = f"{client.host}:{client.port}"
    sent = {name: value.replace("OWN", own) for name, value in headers.items()}
    changing = [(method, path) for method, path in all_routes(house.app) if method not in ("GET", "HEAD")]
    assert len(changing) >= 3
    for method, path in changing:
        if (method, path) in PUBLIC_REQUESTS:
            continue
        answer = await client.request(method, filled(path), headers=sent, allow_redirects=False)
        # Whoever says nothing of where they come from is no browser; the API takes JSON of those.
        is_program = rules.is_api(path) and not {"Origin", "Sec-Fetch-Site"} & set(headers)
        assert answer.status == (415 if is_program else 403), path
    assert house.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://OWN"},
        {"Origin": "HTTP://OWN"},
        {"Origin": "http://OWN", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
async def test_our_own_pages_cause_changes(house: House, client: Client, headers: Mapping[str, str]) -> None:
    sent = {name: value.replace("OWN", f"{client.host}:{client.port}") for name, value in headers.items()}
    answer = await client.post(f"/builds/{factories.new_id()}/cancel", headers=sent, allow_redirects=False)
    assert answer.status == 303
    assert len(house.asked) == 1


async def test_t97_nothing_changes_on_get(house: House, client: Client) -> None:
    for method, path in all_routes(house.app):
        if method == "POST" and (method, path) not in PUBLIC_REQUESTS:
            answer = await client.get(filled(path), headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status == 405
            assert answer.headers["Allow"] == "POST"
    assert house.asked == []


async def test_t101_another_site_may_link_here_but_not_read_a_stream(house: House, client: Client) -> None:
    one = await house.add_job()
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await client.get(f"/jobs/{one.id}", headers=link)).status == 200
    reading = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    assert (await client.get(f"/jobs/{one.id}/events", headers=reading)).status == 403
    assert (await client.get(f"/jobs/{one.id}/log", headers=reading)).status == 403


async def test_t98_every_answer_forbids_framing_scripts_and_guessing(house: House, client: Client) -> None:
    one = await house.add_job(log=b"x\n")
    paths = [
        "/",
        "/deliveries",
        f"/jobs/{one.id}",
        f"/jobs/{one.id}/log",
        "/livez",
        "/metrics",
        "/nothing",
        "/?state=x",
    ]
    for path in paths:
        answer = await client.get(path, headers=HTML)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert "base-uri 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "aiohttp" not in answer.headers["Server"]


async def test_t16_the_host_is_never_reflected(house: House, client: Client) -> None:
    one = await house.add_job(log=b"x\n")
    for path in ("/", "/deliveries", f"/jobs/{one.id}", f"/builds/{one.build_id}", "/nothing"):
        answer = await client.get(path, headers={**HTML, "Host": "127.66.77.88:4321"})
        assert "127.66.77.88" not in await answer.text()
        assert "127.66.77.88" not in str(answer.headers)
