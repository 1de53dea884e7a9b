"""T93-T96, T99, T103: signing in and out with a browser, what a stolen cookie is good for, and API tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot import proxies
from bot.model import person
from bot.people import proof
from bot.store.people_tables import accounts, api_tokens, logins, sign_ins
from bot.web import viewing
from bot.web.login import BEGUN_COOKIE
from tests.web import gate as gates
from tests.web.gate import HTML, Gate


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gates.gate(tmp_path) as opened:
        yield opened


async def _begin(gate: Gate, login: str = "reader") -> tuple[dict[str, str], str]:
    """What GitHub's page leads back with, and what the browser keeps meanwhile."""
    started = await gate.client.get("/login/start", params={"next": "/"}, allow_redirects=False)
    back = urlsplit(gate.github.sign_in(login, started.headers["Location"]))
    return {name: values[0] for name, values in parse_qs(back.query).items()}, started.cookies[BEGUN_COOKIE].value


def _count(connection: Connection) -> list[int]:
    return [
        connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in (logins, accounts, sign_ins, api_tokens)
    ]


async def test_a_page_that_was_wanted_comes_after_signing_in(gate: Gate) -> None:
    answer = await gate.client.get("/repos/octo/hello?state=failed", headers=HTML, allow_redirects=False)
    assert answer.status == 303
    assert answer.headers["Location"] == "/login?next=/repos/octo/hello?state%3Dfailed"
    page = await (await gate.client.get(answer.headers["Location"])).text()
    assert 'href="/login/start?next=/repos/octo/hello%3Fstate%3Dfailed"' in page
    await gate.sign_in("reader", wanted="/repos/octo/hello?state=failed")
    shown = await (await gate.ask("GET", "/", login="reader")).text()
    assert ">reader</a>" in shown
    assert "/budget" not in shown


async def test_t96_cookies_are_for_this_host_over_tls_and_no_script(gate: Gate) -> None:
    query, begun = await _begin(gate)
    answer = await gate.come_back(query, begun=begun)
    for name, lives in ((viewing.COOKIE, "604800"), (BEGUN_COOKIE, "0")):
        one = answer.cookies[name]
        assert name.startswith("__Host-")
        assert (one["secure"], one["httponly"], one["samesite"], one["path"], one["domain"]) == (
            True,
            True,
            "Lax",
            "/",
            "",
        )
        assert one["max-age"] == lives
    assert answer.headers["Cache-Control"] == "no-store"


async def test_t93_github_is_asked_with_a_state_and_a_challenge_for_one_address(gate: Gate) -> None:
    started = await gate.client.get("/login/start", allow_redirects=False)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(started.headers["Location"]).query).items()}
    assert asked["redirect_uri"] == gates.BACK
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) == len(asked["code_challenge"]) == 43
    assert started.cookies[BEGUN_COOKIE].value not in started.headers["Location"]


@pytest.mark.parametrize(
    "how",
    [
        "no cookie",
        "another browser's cookie",
        "no state",
        "another login's state",
        "a made up state",
        "no code",
        "a made up code",
        "twice",
        "too late",
        "said no",
    ],
)
async def test_t93_only_a_login_that_began_here_in_this_browser_comes_back(gate: Gate, how: str) -> None:
    query, begun = await _begin(gate)
    other_query, other_begun = await _begin(gate, "writer")
    cookie: str | None = begun
    match how:
        case "no cookie":
            cookie = None
        case "another browser's cookie":
            cookie = other_begun
        case "no state":
            del query["state"]
        case "another login's state":
            query["state"] = other_query["state"]
        case "a made up state":
            query["state"] = proof.new()
        case "no code":
            del query["code"]
        case "a made up code":
            query["code"] = "0" * 20
        case "twice":
            assert (await gate.come_back(query, begun=begun)).status == 303
        case "too late":
            gate.house.now += person.LOGIN
        case "said no":
            query = {"error": "access_denied", "error_description": "<b>GitHub</b>", "state": query["state"]}
    signed_in = (await gate.house.store.read(_count))[2]
    answer = await gate.come_back(query, begun=cookie)
    assert answer.status == 403
    assert viewing.COOKIE not in answer.cookies
    text = await answer.text()
    assert "ign in" in text
    assert "<b>GitHub" not in text
    assert (await gate.house.store.read(_count))[2] == signed_in


async def test_t94_a_code_of_somebody_elses_login_signs_nobody_in_as_them(gate: Gate) -> None:
    """An attacker's code in the victim's browser: the challenge is that of another verifier."""
    query, begun = await _begin(gate, "reader")
    attack, _ = await _begin(gate, "admin")
    answer = await gate.come_back({**query, "code": attack["code"]}, begun=begun)
    assert answer.status == 403


async def test_t96_each_login_has_a_cookie_of_its_own_and_old_ones_say_nothing_new(gate: Gate) -> None:
    first = await gate.sign_in("reader")
    second = await gate.sign_in("reader")
    assert first != second
    assert (await gate.house.store.read(_count))[1:3] == [1, 2]
    kept = await gate.house.store.read(lambda c: list(c.execute(sa.select(sign_ins.c.digest)).scalars()))
    assert set(kept) == {proof.digest(first), proof.digest(second)}


async def test_t96_a_stolen_cookie_is_good_for_nothing_after_signing_out(gate: Gate) -> None:
    stolen = await gate.sign_in("reader")
    assert (await gate.ask("GET", "/", login="reader")).status == 200
    answer = await gate.ask("POST", "/logout", login="reader")
    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert answer.cookies[viewing.COOKIE].value == ""
    gate.cookies["reader"] = stolen
    assert (await gate.ask("GET", "/", login="reader", headers=HTML)).status == 303
    # Nothing is left of who has no other sign-in, here and at GitHub.
    assert await gate.house.store.read(_count) == [0, 0, 0, 0]


async def test_t96_a_sign_in_ends_unused_and_by_its_time(gate: Gate) -> None:
    await gate.sign_in("reader")
    gate.house.now += person.IDLE - timedelta(minutes=1)
    assert (await gate.ask("GET", "/", login="reader")).status == 200
    gate.house.now += person.IDLE
    assert (await gate.ask("GET", "/", login="reader")).status == 401


async def test_another_browser_is_signed_out_from_the_page_of_the_account(gate: Gate) -> None:
    lost = await gate.sign_in("reader")
    await gate.sign_in("reader")
    page = await (await gate.ask("GET", "/account", login="reader")).text()
    assert page.count('/end"') == 2
    (lost_id,) = await gate.house.store.read(
        lambda c: list(c.execute(sa.select(sign_ins.c.id).where(sign_ins.c.digest == proof.digest(lost))).scalars())
    )
    assert (await gate.ask("POST", f"/account/sign-ins/{lost_id}/end", login="reader")).status == 303
    assert (await gate.ask("GET", "/", login="reader")).status == 200
    gate.cookies["reader"] = lost
    assert (await gate.ask("GET", "/", login="reader")).status == 401


async def test_nobody_ends_what_is_somebody_elses(gate: Gate) -> None:
    await gate.sign_in("reader")
    await gate.sign_in("writer")
    await gate.token("reader", person.Scope.READ)
    ids = await gate.house.store.read(
        lambda c: [
            *c.execute(sa.select(sign_ins.c.id).order_by(sign_ins.c.id).limit(1)).scalars(),
            *c.execute(sa.select(api_tokens.c.id)).scalars(),
        ]
    )
    await gate.ask("POST", f"/account/sign-ins/{ids[0]}/end", login="writer")
    await gate.ask("POST", f"/account/tokens/{ids[1]}/delete", login="writer")
    assert (await gate.house.store.read(_count))[1:] == [2, 2, 1]


async def test_who_takes_it_back_on_github_is_signed_out_here(gate: Gate) -> None:
    await gate.sign_in("reader")
    gate.github.revoke_sign_in("reader")
    gate.pass_seconds(60)
    assert (await gate.ask("GET", "/", login="reader")).status == 401
    assert await gate.house.store.read(_count) == [0, 0, 0, 0]


async def test_githubs_token_is_sealed_and_renewed_before_it_ends(gate: Gate) -> None:
    await gate.sign_in("reader")

    def row(connection: Connection) -> Any:
        return connection.execute(sa.select(accounts.c.token, accounts.c.refresh_token)).one()

    before = await gate.house.store.read(row)
    assert b"ghu_" not in before.token
    assert b"ghr_" not in (before.refresh_token or b"")
    ends = await gate.house.store.read(lambda c: c.execute(sa.select(accounts.c.token_expires_at)).scalar_one())
    # The clock of pages stands still, that of GitHub's tokens does not.
    await gate.house.store.write(
        lambda c: c.execute(sa.update(sign_ins).values(seen_at=ends, expires_at=ends + timedelta(days=1)))
    )
    gate.house.now = ends - timedelta(minutes=10)
    gate.pass_seconds(60)
    assert (await gate.ask("GET", "/", login="reader")).status == 200
    after = await gate.house.store.read(row)
    assert after.token != before.token


async def test_t103_a_token_is_shown_once_and_lives_for_its_time(gate: Gate) -> None:
    await gate.sign_in("writer")
    form = {"name": "laptop", "scope": "read", "days": "7"}
    answer = await gate.ask("POST", "/account/tokens", login="writer", data=form)
    page = await answer.text()
    assert answer.status == 200
    assert "no-store" in answer.headers["Cache-Control"]
    token = next(one for one in page.replace("<", " ").replace(">", " ").split() if one.startswith("bhk_"))
    assert (await gate.ask("GET", "/repos/octo/hello", token=token)).status in (200, 404)
    assert (await gate.ask("GET", "/", token=token)).status == 200
    assert token not in await (await gate.ask("GET", "/account", login="writer")).text()
    dump = await gate.house.store.read(lambda c: str(c.execute(sa.select(api_tokens)).all()))
    assert token not in dump
    gate.house.now += timedelta(days=7)
    assert (await gate.ask("GET", "/", token=token)).status == 401


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"name": "", "scope": "read", "days": "7"}, 409),
        ({"name": "x" * 101, "scope": "read", "days": "7"}, 409),
        ({"name": "x\u202e", "scope": "read", "days": "7"}, 409),
        ({"name": "x", "days": "7"}, 409),
        ({"name": "x", "scope": "admin", "days": "7"}, 400),
        ({"name": "x", "scope": "read", "days": "9999"}, 400),
        ({"name": "x", "scope": "read"}, 400),
    ],
)
async def test_t103_a_token_that_cannot_be_is_refused_with_the_reason(
    gate: Gate, form: dict[str, str], status: int
) -> None:
    await gate.sign_in("writer")
    assert (await gate.ask("POST", "/account/tokens", login="writer", data=form)).status == status
    assert (await gate.house.store.read(_count))[3] == 0


async def test_t96_what_is_grave_needs_a_login_of_the_last_hour(gate: Gate) -> None:
    await gate.sign_in("writer")
    gate.house.now += timedelta(hours=1, minutes=1)
    form = {"name": "laptop", "scope": "read", "days": "7"}
    answer = await gate.ask("POST", "/account/tokens", login="writer", data=form)
    assert answer.status == 403
    assert "once more" in await answer.text()


async def test_a_wrong_token_beside_a_good_cookie_is_wrong(gate: Gate) -> None:
    await gate.sign_in("reader")
    for given in ("Bearer bhk_nothing", "Bearer ", "Basic abc", "bhk_nothing"):
        answer = await gate.ask("GET", "/", login="reader", headers={"Authorization": given})
        assert answer.status == 401, given
        assert answer.headers.get("WWW-Authenticate", "").startswith("Bearer")


async def test_t16_a_believed_proxy_says_from_where_and_to_where_somebody_signs_in(tmp_path: Path) -> None:
    async def start(gate: Gate, query: str = "", **headers: str) -> Any:
        named = {f"X-Forwarded-{name}": value for name, value in headers.items()}
        return await gate.client.get(f"/login/start{query}", headers=named, allow_redirects=False)

    async with gates.gate(tmp_path, trusted=proxies.parse("127.0.0.1")) as gate:
        elsewhere = {"Proto": "http", "Host": "builds.example.com"}
        answer = await start(gate, "?next=/queue", For="203.0.113.9", **elsewhere)
        # Where GitHub sends people back to, and nowhere that the request named.
        assert answer.headers["Location"] == f"{gates.URL}/login/start?next=/queue&moved=1"
        assert BEGUN_COOKIE not in answer.cookies
        hostile = await start(gate, "?next=//evil.example", Proto="https", Host="evil.example")
        assert hostile.headers["Location"] == f"{gates.URL}/login/start?next=/&moved=1"
        # A proxy that is wrong about it leads nobody round.
        answer = await start(gate, "?next=/queue&moved=1", For="203.0.113.9", **elsewhere)
        assert answer.headers["Location"].startswith(gate.github.url)
        answer = await start(gate, For="203.0.113.9", Proto="https", Host="Builds.example.com:443")
        assert answer.headers["Location"].startswith(gate.github.url)
        statuses = [(await start(gate, For="198.51.100.7")).status for _ in range(21)]
        assert statuses == [303] * 20 + [429]
        assert (await start(gate, For="198.51.100.8")).status == 303


async def test_t16_nobody_else_is_believed_of_it(gate: Gate) -> None:
    headers = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "203.0.113.9"}
    answer = await gate.client.get("/login/start", headers=headers, allow_redirects=False)
    assert answer.headers["Location"].startswith(gate.github.url)
    assert "evil" not in answer.headers["Location"]
