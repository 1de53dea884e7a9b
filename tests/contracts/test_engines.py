"""The promises of the engine contract, kept by each engine present: naming one in `BENCHES` runs all of them on it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bot import conformance, engines, errors
from bot.conformance import Way
from bot.engines import contract, fleet, scripted
from bot.engines.local import engine as local
from tests.engines import gitserver, images, jobs, stores


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
        source = self._code.source("f" * 40 if way is Way.LACKS else None)
        return jobs.make(source, *conformance.SCRIPTS[way], timeout_seconds=limit_seconds)

    async def restart(self) -> None:
        await self._engine.close()
        self._engine = self._make()
        await self._engine.open()

    async def lose(self, job_id: str) -> None:
        os.kill(jobs.launched_pid(self._data_dir, job_id), signal.SIGKILL)


class FleetBench(LocalBench):
    """Two engines as one; every job comes to the second."""

    def _make(self) -> contract.Engine:
        return fleet.Fleet({"spare": scripted.Scripted(), "local": super()._make()})


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
        counted = conformance.COUNTED
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
                *(scripted.output(counted[start : start + 1000]) for start in range(0, len(counted), 1000)),
                scripted.finished(result.PASSED),
            ),
            Way.BABBLES: (*begun, scripted.output(conformance.BABBLED), scripted.finished(result.PASSED)),
            Way.LEAVES: (
                *begun,
                scripted.step(0, "failed", exit_code=3),
                scripted.result_file("results", "summary.md", b"left"),
                scripted.finished(result.FAILED, reason="exit status 3", exit_code=3),
            ),
            Way.LACKS: (scripted.finished(result.ERRORED, reason="The commit is not there."),),
            Way.UNKNOWN: (),
        }
        self._engine.tell(request.job_id, *told[way])
        return request

    async def restart(self) -> None:
        await self.engine.close()
        await self.engine.open()

    async def lose(self, job_id: str) -> None:
        self._engine.tell(job_id, scripted.finished(contract.Result.ERRORED, reason="Its supervisor was lost."))


class PodmanBench(LocalBench):
    """The local engine whose jobs run in containers."""

    def _make(self) -> contract.Engine:
        limits = local.Limits(grace_seconds=0.5)
        return local.Local(self._data_dir, limits=limits, sandbox="podman", image=stores.TOOLS)


BENCHES = ("local", "fleet", "scripted", "podman")
_KINDS = {"local": LocalBench, "fleet": FleetBench, "podman": PodmanBench}
_NEEDS_PODMAN = pytest.mark.skipif(not images.is_possible(), reason="podman or busybox is not installed")


@pytest.fixture(
    params=[pytest.param(one, marks=[pytest.mark.long, _NEEDS_PODMAN] if one == "podman" else []) for one in BENCHES]
)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[conformance.Bench]:
    """An open engine of each kind."""
    if request.param == "scripted":
        scripts = ScriptedBench()
        await scripts.engine.open()
        yield scripts
        await scripts.engine.close()
        return
    async with gitserver.serve(tmp_path / "git") as server:
        repository = server.repository()
        code = jobs.Code(server, repository, repository.commit({"a.txt": "a"}))
        with contextlib.ExitStack() as stack:
            if request.param == "podman":
                tools = {stores.TOOLS: images.make(has_git=True)}
                stack.enter_context(stores.made(tmp_path / "data", named=tools))
            made = _KINDS[request.param](tmp_path / "data", code)
            await made.engine.open()
            yield made
            await made.engine.close()


def test_every_engine_is_on_a_bench_and_can_be_loaded_by_name(tmp_path: Path) -> None:
    assert set(engines.ENGINES) | {"scripted", "fleet", "podman"} == set(BENCHES)
    for name in engines.ENGINES:
        assert engines.load(name, data_dir=tmp_path, setup=contract.Setup()).name == name
    with pytest.raises(errors.SettingsError, match="there are: local"):
        engines.load("lokal", data_dir=tmp_path, setup=contract.Setup())


def test_no_promise_is_left_out() -> None:
    groups = (*conformance.STARTING, *conformance.RUNNING, *conformance.CANCELLING, *conformance.ENDING)
    assert groups == conformance.PROMISES
    assert len(set(groups)) == len(groups)
    named = {one for one in vars(conformance.promises).values() if getattr(one, "__module__", "").endswith("promises")}
    assert {one for one in named if not one.__name__.startswith("_")} - {conformance.name} == set(groups)


@pytest.mark.parametrize("promise", conformance.STARTING, ids=conformance.name)
async def test_a_job_is_started_once(bench: conformance.Bench, promise: conformance.Promise) -> None:
    await promise(bench)


@pytest.mark.parametrize("promise", conformance.RUNNING, ids=conformance.name)
async def test_what_happens_is_told_whole_and_in_order(bench: conformance.Bench, promise: conformance.Promise) -> None:
    await promise(bench)


@pytest.mark.parametrize("promise", conformance.CANCELLING, ids=conformance.name)
async def test_f69_a_job_is_cancelled_at_any_moment_and_ends_once(
    bench: conformance.Bench, promise: conformance.Promise
) -> None:
    await promise(bench)


@pytest.mark.parametrize("promise", conformance.ENDING, ids=conformance.name)
async def test_f8_how_a_job_ended_is_told_apart(bench: conformance.Bench, promise: conformance.Promise) -> None:
    await promise(bench)


class Lying(scripted.Scripted):
    """An engine that breaks what it is told to break."""

    def __init__(self, lie: str) -> None:
        super().__init__()
        self._lie = lie

    def tell(self, job_id: str, *events: contract.Event) -> None:
        """Tell it, but not as it was."""
        super().tell(job_id, *(self._bent(event) for event in events))

    def _bent(self, event: contract.Event) -> contract.Event:
        match event:
            case contract.Output() if self._lie == "decodes":
                return msgspec.structs.replace(event, data=event.data.decode("utf-8", "replace").encode())
            case contract.Finished() if self._lie == "knows no loss" and event.result == contract.Result.ERRORED:
                return msgspec.structs.replace(event, result=contract.Result.FAILED)
            case _:
                return event

    async def start(self, request: contract.JobRequest) -> None:
        if self._lie != "forgets wishes":
            return await super().start(request)
        marks, self._marks = self._marks, {}
        await super().start(request)
        self._marks = marks
        if request.job_id in marks and not self._of(request.job_id).events:
            self.tell(request.job_id, scripted.output(b"it ran\n"), scripted.finished(contract.Result.PASSED))
        return None

    async def events(self, job_id: str, *, offset: int = 0) -> AsyncIterator[contract.Event]:
        async for event in super().events(job_id, offset=offset + (1 if self._lie == "skips" and offset else 0)):
            yield event

    async def find(self, job_id: str) -> bool:
        return self._lie == "knows all" or await super().find(job_id)


class LyingBench(ScriptedBench):
    """A bench with such an engine."""

    def __init__(self, lie: str) -> None:
        super().__init__()
        self._engine = Lying(lie)


@pytest.mark.parametrize(
    ("lie", "broken"),
    [
        ("decodes", "output is bytes as they were written"),
        ("knows no loss", "a lost job is no failed job"),
        ("forgets wishes", "a cancellation before the start is remembered"),
        ("skips", "events can be read from behind each of them"),
        ("knows all", "an unknown job is not found and has no events"),
    ],
)
async def test_the_kit_finds_an_engine_that_breaks_a_promise(lie: str, broken: str) -> None:
    found = set()
    for promise in conformance.PROMISES:
        try:
            await promise(LyingBench(lie))
        except conformance.Broken:
            found.add(conformance.name(promise))
    assert broken in found
