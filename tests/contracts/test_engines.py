"""The promises that every engine keeps, shown by each engine present: naming one in `BENCHES` runs all of them on it.

A bench makes jobs that behave in the ways that the promises speak of, on a real engine by real commands.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from bot import engines, errors
from bot.engines import contract, fleet, scripted
from bot.engines.local import engine as local
from tests.engines import gitserver, jobs


class Way(enum.Enum):
    """How a job of a test behaves."""

    PASSES = "passes"
    FAILS = "fails with status 3 in the first of two steps"
    #: Says `ready`, and then runs until it is cancelled.
    STAYS = "stays"
    #: Is cut off by its time limit.
    OVERRUNS = "overruns"
    #: Says the numbers 1 to 2000.
    COUNTS = "counts"
    #: Leaves the file `summary.md` with the text `left` in its results folder, and fails.
    LEAVES = "leaves a file"
    #: Nobody knows what it would do: it must not come so far.
    UNKNOWN = "unknown"


COUNTED = b"".join(b"%d\n" % number for number in range(1, 2001))


class Bench(Protocol):
    """An engine at work, and a way to give it jobs."""

    @property
    def engine(self) -> contract.Engine:
        """The engine of now; a restart may make another one."""

    def request(self, way: Way) -> contract.JobRequest:
        """A job that behaves like that."""

    async def restart(self) -> None:
        """Stop the service and start it again."""

    async def close(self) -> None:
        """Put everything away."""


SCRIPTS = {
    Way.PASSES: ("echo passes", "true"),
    Way.FAILS: ("echo fails; exit 3", "true"),
    Way.STAYS: ("echo ready; sleep 600",),
    Way.OVERRUNS: ("sleep 600",),
    Way.COUNTS: ("seq 2000",),
    Way.LEAVES: ('printf left > "$BUILDHOOK_RESULTS/summary.md"; exit 3',),
    Way.UNKNOWN: ("echo it ran",),
}


class LocalBench:
    """The local engine with real repositories and real processes."""

    def __init__(self, data_dir: Path, code: jobs.Code) -> None:
        self._data_dir = data_dir
        self._code = code
        self._engine = self._make()

    @property
    def engine(self) -> contract.Engine:
        return self._engine

    def _make(self) -> contract.Engine:
        return local.Local(self._data_dir, limits=local.Limits(grace_seconds=0.5))

    def request(self, way: Way) -> contract.JobRequest:
        limit_seconds = 0.4 if way is Way.OVERRUNS else 60.0
        return jobs.make(self._code.source(), *SCRIPTS[way], timeout_seconds=limit_seconds)

    async def restart(self) -> None:
        await self._engine.close()
        self._engine = self._make()
        await self._engine.open()

    async def close(self) -> None:
        await self.engine.close()


class ScriptedBench:
    """The engine of tests: what happens is written down when the job is made."""

    def __init__(self) -> None:
        self._engine = scripted.Scripted()
        self._source = contract.Source(
            repository_id=1,
            url="https://github.com/octo/hello.git",
            head_sha="a" * 40,
            base_sha=None,
            trust=jobs.TRUSTED,
        )

    @property
    def engine(self) -> contract.Engine:
        return self._engine

    def request(self, way: Way) -> contract.JobRequest:
        request = jobs.make(self._source, "one", "two")
        begun = (scripted.prepared(), scripted.step(0, "running"))
        result = contract.Result
        told: dict[Way, tuple[contract.Event, ...]] = {
            Way.PASSES: (
                *begun,
                scripted.output(b"passes\n"),
                scripted.step(0, "passed", exit_code=0),
                scripted.finished(result.PASSED, exit_code=0),
            ),
            Way.FAILS: (
                *begun,
                scripted.step(0, "failed", exit_code=3),
                scripted.step(1, "skipped"),
                scripted.finished(result.FAILED, reason="exit status 3", exit_code=3),
            ),
            Way.STAYS: (*begun, scripted.output(b"ready\n")),
            Way.OVERRUNS: (
                *begun,
                scripted.step(0, "timed_out"),
                scripted.finished(result.TIMED_OUT, reason="It ran longer than 0.4 seconds, its time limit."),
            ),
            Way.COUNTS: (
                *begun,
                *(scripted.output(COUNTED[start : start + 1000]) for start in range(0, len(COUNTED), 1000)),
                scripted.finished(result.PASSED),
            ),
            Way.LEAVES: (
                *begun,
                scripted.step(0, "failed", exit_code=3),
                scripted.result_file("results", "summary.md", b"left"),
                scripted.finished(result.FAILED, reason="exit status 3", exit_code=3),
            ),
            Way.UNKNOWN: (),
        }
        self._engine.tell(request.job_id, *told[way])
        return request

    async def restart(self) -> None:
        await self.engine.close()
        await self.engine.open()

    async def close(self) -> None:
        await self.engine.close()


class FleetBench(LocalBench):
    """Two engines as one; every job comes to the second."""

    def _make(self) -> contract.Engine:
        return fleet.Fleet({"spare": scripted.Scripted(), "local": super()._make()})


BENCHES = ("local", "fleet", "scripted")


@pytest.fixture(params=BENCHES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """An open engine of each kind."""
    if request.param == "scripted":
        made: Bench = ScriptedBench()
        await made.engine.open()
        yield made
        await made.close()
        return
    async with gitserver.serve(tmp_path / "git") as server:
        repository = server.repository()
        code = jobs.Code(server, repository, repository.commit({"a.txt": "a"}))
        kind = FleetBench if request.param == "fleet" else LocalBench
        made = kind(tmp_path / "data", code)
        await made.engine.open()
        yield made
        await made.close()


def test_every_engine_is_on_a_bench_and_can_be_loaded_by_name(tmp_path: Path) -> None:
    assert set(engines.ENGINES) | {"scripted", "fleet"} == set(BENCHES)
    for name in engines.ENGINES:
        assert engines.load(name, data_dir=tmp_path, sandbox="auto", network="none").name == name
    with pytest.raises(errors.SettingsError, match="there are: local"):
        engines.load("lokal", data_dir=tmp_path, sandbox="auto", network="none")


async def test_a_passing_job_ends_passed_with_its_events_in_order(bench: Bench) -> None:
    told = await jobs.run(bench.engine, bench.request(Way.PASSES))
    assert (told.result, told.reason) == ("passed", "")
    assert told.log == "passes\n"
    assert told.prepared is told.events[0]
    assert told.steps[:2] == [(0, "running"), (0, "passed")]
    offsets = [event.offset for event in told.events]
    assert offsets == sorted(set(offsets))
    assert sum(isinstance(event, contract.Finished) for event in told.events) == 1


async def test_a_failing_job_says_how_it_failed(bench: Bench) -> None:
    told = await jobs.run(bench.engine, bench.request(Way.FAILS))
    assert (told.result, told.reason, told.end.exit_code) == ("failed", "exit status 3", 3)
    assert told.steps == [(0, "running"), (0, "failed"), (1, "skipped")]


async def test_a_job_that_overruns_ends_timed_out_once(bench: Bench) -> None:
    told = await jobs.run(bench.engine, bench.request(Way.OVERRUNS))
    assert told.result == "timed_out"
    # On a busy machine the limit may be reached before the step is.
    assert told.steps[-1:] in ([], [(0, "timed_out")])
    assert "0.4 seconds" in told.reason


async def test_a_second_start_does_nothing_before_and_after_the_end_and_a_restart(bench: Bench) -> None:
    request = bench.request(Way.PASSES)
    await asyncio.gather(*(bench.engine.start(request) for _ in range(5)))
    first = await jobs.follow(bench.engine, request.job_id)
    await bench.engine.start(request)
    await bench.restart()
    await bench.engine.start(request)
    again = await jobs.follow(bench.engine, request.job_id)
    assert (again.log_bytes, again.steps, again.end) == (first.log_bytes, first.steps, first.end)


async def test_events_can_be_read_from_behind_each_of_them(bench: Bench) -> None:
    request = bench.request(Way.COUNTS)
    told = await jobs.run(bench.engine, request)
    assert told.log_bytes == COUNTED
    await bench.restart()
    for seen in range(len(told.events)):
        offset = told.events[seen - 1].offset if seen else 0
        rest = await jobs.follow(bench.engine, request.job_id, offset=offset)
        log = b"".join(event.data for event in told.events[:seen] if isinstance(event, contract.Output))
        log += b"".join(event.data for event in rest.events if isinstance(event, contract.Output))
        assert log == COUNTED
        assert rest.events[-1] == told.events[-1]


async def test_what_a_job_leaves_is_told_before_its_end_and_can_be_read_until_it_is_removed(bench: Bench) -> None:
    request = bench.request(Way.LEAVES)
    told = await jobs.run(bench.engine, request)
    left = told.events[-2]
    assert isinstance(left, contract.ResultFile)
    assert (left.kind, left.path, left.size_bytes, left.problem) == ("results", "summary.md", 4, None)
    assert left.sha256 == hashlib.sha256(b"left").hexdigest()
    await bench.restart()
    again = await jobs.follow(bench.engine, request.job_id, offset=told.events[-3].offset)
    assert again.events == [left, told.end]
    assert isinstance(again.events[0], contract.ResultFile)
    assert again.events[0].read is not None
    assert await again.events[0].read() == b"left"
    assert (await jobs.follow(bench.engine, request.job_id, offset=left.offset)).events == [told.end]


async def test_several_can_follow_one_job_while_it_runs(bench: Bench) -> None:
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    await jobs.until_output(bench.engine, request.job_id, b"ready")
    following = [asyncio.create_task(jobs.follow(bench.engine, request.job_id)) for _ in range(3)]
    await jobs.until_output(bench.engine, request.job_id, b"ready")
    await bench.engine.cancel(request.job_id, reason="seen enough")
    told = [await task for task in following]
    assert told[0].events[-1] == told[1].events[-1] == told[2].events[-1]
    assert {one.log for one in told} == {"ready\n"}


async def test_a_follower_that_leaves_disturbs_nobody(bench: Bench) -> None:
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    leaving = asyncio.create_task(jobs.follow(bench.engine, request.job_id))
    await jobs.until_output(bench.engine, request.job_id, b"ready")
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await bench.engine.cancel(request.job_id, reason="seen enough")
    assert (await jobs.follow(bench.engine, request.job_id)).result == "cancelled"


async def test_a_running_job_goes_on_while_the_service_is_away(bench: Bench) -> None:
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    await jobs.until_output(bench.engine, request.job_id, b"ready")
    await bench.restart()
    assert await bench.engine.find(request.job_id)
    await bench.engine.cancel(request.job_id, reason="back again")
    told = await jobs.follow(bench.engine, request.job_id)
    assert (told.result, told.reason, told.log) == ("cancelled", "back again", "ready\n")


async def test_an_unknown_job_is_not_found_and_has_no_events(bench: Bench) -> None:
    assert not await bench.engine.find(jobs.new_id())
    with pytest.raises(errors.NotFound):
        await jobs.follow(bench.engine, jobs.new_id())
    await bench.engine.remove(jobs.new_id())


async def test_f69_a_cancellation_before_the_start_is_remembered(bench: Bench) -> None:
    request = bench.request(Way.UNKNOWN)
    await bench.engine.cancel(request.job_id, reason="the pull request was closed")
    assert not await bench.engine.find(request.job_id)
    await bench.restart()
    told = await jobs.run(bench.engine, request)
    assert (told.result, told.reason) == ("cancelled", "the pull request was closed")
    assert told.log == ""
    assert told.steps == []


async def test_f69_a_cancellation_after_the_end_or_repeated_changes_nothing(bench: Bench) -> None:
    request = bench.request(Way.PASSES)
    first = await jobs.run(bench.engine, request)
    for _ in range(3):
        await bench.engine.cancel(request.job_id, reason="too late")
    assert (await jobs.follow(bench.engine, request.job_id)).end == first.end
    staying = bench.request(Way.STAYS)
    await bench.engine.start(staying)
    await jobs.until_output(bench.engine, staying.job_id, b"ready")
    await asyncio.gather(*(bench.engine.cancel(staying.job_id, reason="now") for _ in range(5)))
    told = await jobs.follow(bench.engine, staying.job_id)
    assert (told.result, told.reason) == ("cancelled", "now")
    assert sum(isinstance(event, contract.Finished) for event in told.events) == 1


async def test_f69_a_cancellation_at_once_after_the_start_ends_the_job(bench: Bench) -> None:
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    await bench.engine.cancel(request.job_id, reason="at once")
    told = await jobs.follow(bench.engine, request.job_id)
    assert (told.result, told.reason) == ("cancelled", "at once")


async def test_what_is_swept_is_had_again_and_disturbs_no_job(bench: Bench) -> None:
    now = datetime.now(UTC)
    staying = bench.request(Way.STAYS)
    await bench.engine.start(staying)
    await jobs.until_output(bench.engine, staying.job_id, b"ready")
    # It used its repository since then, whoever is to be kept.
    await bench.engine.sweep(keep=(), before=now)
    await bench.engine.cancel(staying.job_id, reason="seen enough")
    assert (await jobs.follow(bench.engine, staying.job_id)).result == "cancelled"
    for keep in (frozenset({1}), frozenset[int]()):
        await bench.engine.sweep(keep=keep, before=now + timedelta(days=1))
        assert (await jobs.run(bench.engine, bench.request(Way.PASSES))).result == "passed"


async def test_a_removed_job_is_forgotten(bench: Bench) -> None:
    request = bench.request(Way.PASSES)
    await jobs.run(bench.engine, request)
    await bench.engine.remove(request.job_id)
    await bench.engine.remove(request.job_id)
    assert not await bench.engine.find(request.job_id)
    with pytest.raises(errors.NotFound):
        await jobs.follow(bench.engine, request.job_id)
