"""Signed webhooks, the whole way: a source has a ref built by the running service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from bot import clock
from bot.simulator import Simulator
from tests import forgeries
from tests.acceptance.conftest import pipeline
from tests.acceptance.process import Process

POLICY = """\
[sources.shop]
secret_file = "shop.secret"
repository = "octo/hello"
ref = "refs/heads/main"
"""


@pytest.fixture
def environment(environment: Mapping[str, str], tmp_path: Path) -> Mapping[str, str]:
    """The settings of a service with a policy."""
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "shop.secret").write_text(forgeries.SECRET + "\n")
    return {**environment, "BUILDHOOK_POLICY_FILE": str(tmp_path / "policy.toml")}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody else's HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def send(
    http: aiohttp.ClientSession, service: Process, sent: forgeries.Sent, headers: Mapping[str, str]
) -> tuple[int, str]:
    """Send it as a service behind our proxy would; gives status and text of the answer."""
    given = {"Content-Type": "application/json", **sent.headers, **headers}
    async with http.post(f"{service.url}/hooks/shop", data=sent.body, headers=given) as answer:
        return answer.status, await answer.text()


async def test_a_webhook_from_outside_becomes_a_green_check(
    github: Simulator, service: Process, http: aiohttp.ClientSession
) -> None:
    text = pipeline("echo ok")[".buildhook.yml"].replace("[push, pull_request]", "hook")
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": text})
    head = repository.heads["main"]
    sent = forgeries.right(clock.now())
    outside = {"X-Forwarded-For": "203.0.113.7", "Host": "builds.example.org"}
    assert (await send(http, service, forgeries.Sent(sent.headers, b"{}"), outside))[0] == 401
    for _ in range(3):
        status, text = await send(http, service, sent, outside)
        assert status == 202, text
    await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    (made,) = await service.command("builds", "list")
    assert (made["event"], made["head_sha"], made["sender"]) == ("hook", head, "shop")
    (told,) = await service.command("deliveries", "list", "--event", "hook")
    assert (told["state"], told["action"], told["repository"]) == ("handled", "order.paid", "octo/hello")
    assert len(github.check_runs(repository, head)) == 1
    async with http.get(f"{service.url}/deliveries/{told['id']}") as page:
        shown = await page.text()
    assert "It came, signed, to /hooks/shop." in shown
    assert sent.headers["webhook-signature"] not in shown


async def test_what_the_policy_does_not_name_looks_like_any_page_that_is_not_there(
    service: Process, http: aiohttp.ClientSession
) -> None:
    outside = {"X-Forwarded-For": "203.0.113.7"}
    answers = []
    for path in ("/hooks/nobody", "/nothing/here"):
        async with http.post(f"{service.url}{path}", data=b"{}", headers=outside) as answer:
            answers.append((answer.status, await answer.text()))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
