"""The self-test against the simulator: what comes of asking for the ping again, in words that say what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp.test_utils
import pytest
from aiohttp import web

from bot import telemetry
from bot.github import GitHub
from bot.github.deliveries import Attempt
from bot.onboarding import proving
from bot.simulator import Simulator
from tests import factories


@pytest.fixture
async def github() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def app(github: Simulator, metrics: telemetry.Metrics) -> AsyncIterator[GitHub]:
    async with GitHub(
        api_url=github.api_url, app_id=github.app_id, private_key=github.private_key, metrics=metrics
    ) as its:
        yield its


class Receiver:
    """Answers the webhook; where it is ours, a ping is heard."""

    def __init__(self, pings: proving.Pings, *, status: int, is_ours: bool) -> None:
        self._pings, self._status, self._is_ours = pings, status, is_ours

    async def take(self, request: web.Request) -> web.Response:
        if self._is_ours:
            self._pings.hear(request.headers["X-GitHub-Event"])
        return web.Response(status=self._status)


async def _proved(app: GitHub, github: Simulator, *, status: int, is_ours: bool) -> proving.Verdict:
    pings = proving.Pings()
    served = web.Application()
    served.router.add_post("/webhook", Receiver(pings, status=status, is_ours=is_ours).take)
    async with aiohttp.test_utils.TestServer(served) as server:
        github.webhook_url = str(server.make_url("/webhook"))
        # The first one finds a service that knows no secret yet.
        github.hooks.is_down = True
        github.ping()
        await github.hooks.settle()
        github.hooks.is_down = False
        return await proving.prove(app, pings, webhook_url=github.webhook_url, patience_seconds=5.0 if is_ours else 0.3)


async def test_a_ping_that_comes_again_proves_the_webhook(app: GitHub, github: Simulator) -> None:
    assert await _proved(app, github, status=202, is_ours=True) == proving.PROVED
    assert [one.redelivery for one in github.deliveries] == [False, True]


@pytest.mark.parametrize(
    ("status", "text", "mend"),
    [
        (200, "it was not this service", "leads to this service"),
        (401, "answered with 401", "the same secret"),
        (404, "answered with 404", "the path is /webhook"),
        (502, "answered with 502", "let GitHub in"),
        (418, "answered with 418", "the service's log"),
    ],
)
async def test_what_does_not_come_is_told_with_what_to_do(
    app: GitHub, github: Simulator, status: int, text: str, mend: str
) -> None:
    found = await _proved(app, github, status=status, is_ours=False)
    assert not found.is_proved
    assert text in found.text
    assert str(github.webhook_url) in found.text
    assert mend in found.mend


async def test_without_a_ping_that_github_kept_it_says_so(app: GitHub, github: Simulator) -> None:
    found = await proving.prove(app, proving.Pings(), webhook_url=None, patience_seconds=0.1)
    assert "has not sent a ping" in found.text


async def test_a_github_that_does_not_answer_is_told(app: GitHub, github: Simulator) -> None:
    github.faults.add(path="/app/hook/deliveries", status=403)
    found = await proving.prove(app, proving.Pings(), webhook_url=None)
    assert (found.is_proved, "GitHub does not say" in found.text) == (False, True)


def test_another_event_is_no_ping() -> None:
    pings = proving.Pings()
    pings.hear("push")
    assert not pings.is_any


def test_a_ping_that_github_has_not_sent_yet_is_waited_for() -> None:
    first = Attempt(
        id=1,
        guid="g",
        delivered_at=factories.NOW - timedelta(days=1),
        is_redelivery=False,
        status="OK",
        status_code=503,
        event="ping",
        action=None,
        installation_id=None,
        repository_id=None,
    )
    assert "has not done it yet" in proving.judge([first], after=first, webhook_url="https://a.example").text
