"""The sweep: every failpoint, each action, both databases, five scenarios; all five invariants after each."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import failpoint
from bot.simulator import Simulator
from tests import postgresql
from tests.crash import harness
from tests.crash.harness import Case
from tests.crash.scenarios import SCENARIOS

DATABASES = ("sqlite", "postgresql")
ACTIONS = ("kill", "exception", "delay=2")
#: Places that a pull request passes once more for its newer push.
TWICE = (
    "recv.after_verify",
    "inbox.before_commit",
    "inbox.after_commit",
    "dispatch.after_claim",
    "dispatch.mid_handler",
    "plan.after_config_fetch",
    "build.after_row",
    "engine.before_submit",
    "engine.after_submit_before_record",
    "result.before_commit",
    "result.after_commit",
    "outbox.before_http",
    "outbox.after_http_before_mark",
)
#: Statements of the migrations: in the first, between the two, in the second, the last but a few.
STEPS = (1, 7, 16, 21, 24)
#: After a kill between these and the answer, GitHub gets half a minute to show what may have been made.
WAITED_FOR = ("outbox.after_claim", "outbox.before_http", "answer.before_http")
#: Places that only other scenarios than the push pass, and that every run of the tests goes through.
QUICK_ELSEWHERE = ("cancel.after_mark", "answer.after_http_before_mark")
QUICK_TOGETHER = ("outbox.after_http_before_mark", "kill")
#: Where many checks are on their way at once: after the first, and after all of them.
TOGETHER = ("outbox.after_http_before_mark", "outbox.after_mark", "outbox.before_http")
#: Longer than GitHub waits for an answer, than a replica may be silent, than the door waits for the database.
PATIENCE = (
    "recv.after_verify",
    "inbox.before_commit",
    "inbox.after_commit",
    "dispatch.mid_handler",
    "build.after_row",
    "engine.before_submit",
    "result.before_commit",
    "outbox.after_http_before_mark",
)


def cases() -> Iterator[Case]:
    """The whole sweep."""
    for scenario, point, does, database in itertools.product(SCENARIOS, failpoint.POINTS, ACTIONS, DATABASES):
        if point not in SCENARIOS[scenario].misses:
            yield Case(point=point, does=does, database=database, scenario=scenario)
    for point, does, database in itertools.product(TWICE, ("kill", "exception"), DATABASES):
        yield Case(point=point, does=does, database=database, scenario="pull_request_newer_push", nth=2)
    for point, does, nth, database in itertools.product(TOGETHER, ACTIONS, (2, 3), DATABASES):
        yield Case(point=point, does=does, database=database, scenario="several_jobs", nth=nth)
    for step, database in itertools.product(STEPS[1:], DATABASES):
        yield Case(point="migrate.each_step", does="kill", database=database, scenario="push", nth=step)
    for point, database in itertools.product(PATIENCE, DATABASES):
        yield Case(point=point, does="delay", database=database, scenario="push")


def is_quick(case: Case) -> bool:
    """Whether a case is one of those that every run of the tests goes through: the points, the databases in turn."""
    if case.point in WAITED_FOR:
        return False
    if case.scenario == "several_jobs":
        return (case.point, case.does, case.nth, case.database) == (*QUICK_TOGETHER, 2, "sqlite")
    if (case.scenario, case.nth) != ("push", 1):
        return case.point in QUICK_ELSEWHERE and case.does == "kill"
    turn = list(failpoint.POINTS).index(case.point) % 2
    return case.does == "kill" and DATABASES[turn] == case.database


def parameters() -> Iterator[object]:
    """The cases with their marks."""
    for case in cases():
        yield pytest.param(case, id=str(case), marks=[] if is_quick(case) else pytest.mark.long)


@pytest.fixture
def database(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database for one case: with this version's tables, except where making them is the case."""
    is_migrated = case.point != "migrate.each_step"
    if case.database == "postgresql":
        with postgresql.cleared() if is_migrated else postgresql.empty(is_migrated=False) as url:
            yield url
        return
    path = tmp_path / "data" / "buildhook.db"
    path.parent.mkdir()
    if is_migrated:
        shutil.copyfile(request.getfixturevalue("empty_database"), path)
    yield f"sqlite:///{path}"


@pytest.mark.crash
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", list(parameters()))
async def test_f4_f5_f7_f83_a_service_that_meets_a_failpoint_loses_nothing_and_does_nothing_twice(
    case: Case, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = SCENARIOS[case.scenario]
    async with Simulator(
        folder=tmp_path / "github", webhook_secret=harness.WEBHOOK_SECRET, events=scenario.events
    ) as github:
        stage = harness.Harness(case, github=github, database_url=database, folder=tmp_path)
        try:
            state, expected = await scenario.play(stage)
        except TimeoutError as error:
            found = [str(error)]
        else:
            found = stage.verdict(await stage.sweep(state), expected)
    request.node.user_properties.append(
        ("crash", [case.point, case.action.value, case.database, case.scenario, len(found)])
    )
    assert found == [], f"{case}\n{stage.log.read_text()}"
