"""A build that waits is let run on its page: by whoever may push and signed in lately, and only as it was shown."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.model import approval, build, person
from tests import factories
from tests.web import gate as gates
from tests.web.conftest import Client
from tests.web.gate import Gate
from tests.web.house import House


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gates.gate(tmp_path) as opened:
        yield opened


async def waiting(house: House, *, repository_id: int, consent: approval.Consent) -> build.Build:
    made = factories.make_pull_build(
        repository_id=repository_id,
        repository="octo/hello",
        state=build.State.WAITING,
        proposal=factories.make_proposal(consent=consent, jobs=("lint",), digest="d" * 64),
    )
    await house.add_build(made)
    return made


@pytest.mark.parametrize(("consent", "label"), [("approve", "Approve and run"), ("run-anyway", "Run anyway")])
async def test_t97_the_button_carries_the_commit_and_the_plan_that_were_shown(
    gate: Gate, consent: str, label: str
) -> None:
    for login in ("reader", "writer"):
        await gate.sign_in(login)
    made = await waiting(gate.house, repository_id=gate.hello.id, consent=approval.Consent(consent))
    path = f"/builds/{made.id}"
    assert f"{path}/approve" not in await (await gate.ask("GET", path, login="reader")).text()
    page = await (await gate.ask("GET", path, login="writer")).text()
    assert f"{label} {made.head_sha[:7]}" in page
    form = page.partition(f'action="{path}/approve"')[2].partition("</form>")[0]
    given = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    answer = await gate.ask("POST", f"{path}/approve", login="writer", data=given)
    assert answer.status == 303
    assert answer.headers["Location"].startswith("/deliveries/")
    assert gate.house.asked == [("approve", f"{made.id} {made.head_sha} {'d' * 64}")]
    (by,) = gate.house.actors
    assert (by.via, by.id, by.name) == ("page", gate.github.user("writer").id, "writer")


async def test_t96_whoever_signed_in_long_ago_or_shows_a_token_lets_nothing_run(gate: Gate) -> None:
    await gate.sign_in("writer")
    made = await waiting(gate.house, repository_id=gate.hello.id, consent=approval.Consent.APPROVE)
    path = f"/builds/{made.id}/approve"
    token = await gate.token("writer", person.Scope.READ, person.Scope.WRITE)
    assert (await gate.ask("POST", path, token=token)).status == 403
    gate.house.now += timedelta(hours=2)
    answer = await gate.ask("POST", path, login="writer", headers=gates.HTML)
    assert answer.status == 403
    assert "Sign in once more" in await answer.text()
    assert gate.house.asked == []


async def test_where_nobody_signs_in_the_page_says_how_it_is_done_on_github(house: House, client: Client) -> None:
    made = await waiting(house, repository_id=factories.REPOSITORY_ID, consent=approval.Consent.APPROVE)
    page = await (await client.get(f"/builds/{made.id}", headers=gates.HTML)).text()
    assert "/approve" not in page
    assert "on GitHub: by the button beside the check" in page
