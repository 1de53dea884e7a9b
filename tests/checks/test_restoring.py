"""What comes again after a restore: GitHub is asked about it for some days, and only about what happened before."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from bot import clock
from bot.checks import comparing, restoring
from bot.model import delivery
from bot.store import pauses
from tests import factories
from tests.checks.conftest import Desk


def make(desk: Desk) -> restoring.Restoring:
    async def end_running(_reason: str) -> None:
        raise AssertionError("nothing was restored")

    return restoring.Restoring(
        desk.store,
        github=desk.reporter._github,
        end_running=end_running,
        end_jobs=lambda *_arguments, **_names: None,
        owner="test",
        now=desk.now,
    )


def push(desk: Desk, *, at: datetime) -> delivery.Delivery:
    """A push of the desk's head."""
    installation = desk.simulator.installation_of("octo")
    assert installation is not None
    body = json.dumps({"after": desk.head_sha, "repository": {"pushed_at": int(at.timestamp())}}).encode()
    return factories.make_delivery(
        body=body,
        installation_id=installation.id,
        repository_id=desk.repository.id,
        repository=desk.repository.full_name,
    )


async def show_unknown_run(desk: Desk) -> None:
    """A check run on GitHub that the database knows nothing of."""
    commit = await desk.simulator.git_of(desk.repository).commit(desk.head_sha)
    body = {"name": "buildhook", "external_id": "lost", "status": "completed", "conclusion": "success"}
    desk.simulator.create_check_run(desk.repository, commit, body, app=desk.simulator.app)


async def test_where_nothing_was_restored_github_is_never_asked(desk: Desk) -> None:
    await show_unknown_run(desk)
    made = make(desk)
    await made.wait()
    before = len(desk.simulator.requests)
    assert await made.why_done(push(desk, at=clock.now())) is None
    assert len(desk.simulator.requests) == before


async def test_what_comes_again_after_a_restore_is_done_where_github_shows_more_than_we_know(desk: Desk) -> None:
    resumed_at = clock.now()
    await desk.store.write(pauses.end, now=resumed_at)
    made = make(desk)
    await made.wait()
    earlier, later = (push(desk, at=resumed_at + timedelta(minutes=minutes)) for minutes in (-1, 1))
    assert await made.why_done(earlier) is None
    await show_unknown_run(desk)
    assert await made.why_done(earlier) == comparing.HANDLED
    assert await made.why_done(later) is None
    # Events that build nothing are not looked at.
    assert await made.why_done(factories.make_delivery(event="installation")) is None
    desk.advance(timedelta(days=5).total_seconds())
    assert await made.why_done(earlier) is None
