"""What a job leaves behind is read before its end is written, once, whatever happens in between."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import Connection

from bot import errors
from bot.engines import contract, scripted
from bot.model import job, report
from bot.reports import reading
from bot.store import results
from tests import factories
from tests.builds.conftest import Yard

JUNIT = b"""<testsuite><testcase classname="c" name="bad"><failure message="no"/></testcase>
<testcase classname="c" name="good"/></testsuite>"""
MATCHERS = b"""{"problemMatcher": [{"owner": "mine", "pattern":
[{"regexp": "^(\\\\S+)!(\\\\d+) (.*)$", "file": 1, "line": 2, "message": 3}]}]}"""
LEFT = (
    scripted.result_file("junit", "a.xml", JUNIT),
    scripted.result_file("sarif", "a.sarif", b"["),
    scripted.result_file("coverage", "lcov.info", b"SF:a\nLF:4\nLH:3\nend_of_record\n"),
    scripted.result_file("matchers", "m.json", MATCHERS),
    scripted.result_file("results", "summary.md", b"# Well"),
    scripted.result_file("results", "huge.bin", problem="it has 11 bytes, and at most 10 are taken."),
)


async def started(yard: Yard, *events: contract.Event) -> job.Job:
    """A job that is followed, after these events."""
    made = factories.make_new_build(None, factories.make_job())
    await yard.create(made)
    one = made.jobs[0]
    yard.engine.tell(
        one.id, scripted.prepared(), scripted.step(0, "running"), scripted.output(b"src/a.x!3 odd\n"), *events
    )
    return one


async def found(yard: Yard, one: job.Job) -> report.Results | None:
    def query(connection: Connection) -> report.Results | None:
        return results.find(connection, one.id, most_cases=9, most_findings=9)

    return await yard.store.read(query)


async def test_what_files_say_is_there_with_the_end_of_the_job(yard: Yard) -> None:
    one = await started(yard, *LEFT, scripted.finished(contract.Result.FAILED, reason="exit status 1"))
    async with yard.running():
        await yard.until_job(one.id, job.State.FAILED)
    made = await found(yard, one)
    assert made is not None
    assert (made.totals.passed, made.totals.failed, made.summary) == (1, 1, "# Well")
    assert [case.full_name for case in made.cases] == ["c::bad"]
    assert made.coverage == report.Coverage(lines_covered=3, lines_total=4)
    assert [(one.tool, one.path, one.line, one.text) for one in made.findings] == [("mine", "src/a.x", 3, "odd")]
    assert made.problems == (
        "`a.sarif`: it is no SARIF: Expected `object`, got `array`.",
        "`huge.bin`: it has 11 bytes, and at most 10 are taken.",
    )


async def test_a_job_that_leaves_nothing_of_ours_has_no_results(yard: Yard) -> None:
    left = scripted.result_file("results", "something.bin", b"x")
    one = await started(yard, scripted.step(0, "passed"), left, scripted.finished(contract.Result.PASSED))
    async with yard.running():
        await yard.until_job(one.id, job.State.PASSED)
    assert await found(yard, one) is None


async def test_a_restart_between_the_files_and_the_end_reads_them_again(yard: Yard) -> None:
    one = await started(yard, *LEFT)
    async with yard.running():
        # Behind the pause, all that was told is taken.
        await yard.until_job(one.id, job.State.RUNNING)
        await yard.store.write(results.clear, await yard.get_job(one.id))
    stored = await yard.get_job(one.id)
    async with yard.running() as again:
        yard.engine.tell(one.id, scripted.step(0, "passed"), scripted.finished(contract.Result.PASSED))
        await yard.until_job(one.id, job.State.PASSED)
    del again
    made = await found(yard, one)
    assert made is not None
    assert (made.totals.total, len(made.problems)) == (2, 2)
    assert stored.engine_offset <= 3


async def test_a_file_that_is_gone_or_breaks_the_reader_does_not_hold_the_job_up(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> bytes:
        raise errors.EngineError("it cannot be read any more: gone.")

    def broken(*_: object) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(reading.Reader, "take", broken)
    lost = contract.ResultFile(offset=0, kind="junit", path="a.xml", sha256="0" * 64, read=gone)
    large = scripted.result_file("junit", "b.xml", b" " * 20_000)
    one = await started(
        yard, scripted.step(0, "passed"), lost, large, LEFT[0], scripted.finished(contract.Result.PASSED)
    )
    async with yard.running():
        await yard.until_job(one.id, job.State.PASSED)
    made = await found(yard, one)
    assert made is not None
    assert made.problems == (
        "`a.xml`: it cannot be read any more: gone.",
        "`b.xml`: it could not be read: a mistake of ours, see the service's log.",
        "`a.xml`: it could not be read: a mistake of ours, see the service's log.",
    )


async def test_many_test_cases_are_written_a_part_at_a_time(yard: Yard) -> None:
    cases = b"".join(b'<testcase classname="c" name="t%d"/>' % number for number in range(2_500))
    left = scripted.result_file("junit", "a.xml", b"<testsuite>" + cases + b"</testsuite>")
    one = await started(yard, scripted.step(0, "passed"), left, scripted.finished(contract.Result.PASSED))
    async with yard.running():
        await yard.until_job(one.id, job.State.PASSED)
    made = await found(yard, one)
    assert made is not None
    assert made.totals.passed == 2_500
