"""What a job may use of this machine, held by the kernel's real control groups: memory, processes, processors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.engines import contract
from bot.engines.local import cgroups
from bot.engines.local import engine as local
from bot.engines.local.supervisor import groups
from tests.engines import jobs
from tests.engines.conftest import Open
from tests.engines.jobs import launched_pid

MIB = 1 << 20
LIMITS = contract.JobLimits(memory_bytes=64 * MIB, processes=40, cpus=0.5)


@pytest.fixture
async def limited(open_engine: Open, data_dir: Path) -> local.Local:
    """An engine whose jobs have little."""
    found = await asyncio.to_thread(cgroups.find, data_dir / "engine", LIMITS)
    if found.problem is not None:
        pytest.skip(found.problem)
    await asyncio.to_thread(found.close)
    return await open_engine(job_limits=LIMITS)


def left(data_dir: Path) -> list[str]:
    """The groups of jobs that are there."""
    found = cgroups.find(data_dir / "engine", LIMITS)
    return sorted({path.name for folder in found.folders.values() for path in Path(folder).iterdir() if path.is_dir()})


HOGS = {
    "memory in one program": ("tail /dev/zero", "killed: memory ran out, of which a job has 64 MiB"),
    "memory in a child": ("tail /dev/zero || exit 3", "exit status 3: memory ran out, of which a job has 64 MiB"),
    "memory in shared files": ("head -c 200M /dev/zero > /dev/shm/a", "memory ran out, of which a job has 64 MiB"),
    "forks": (
        "sh -c 'i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i + 1)); done' || exit 3",
        "it wanted more than the 40 processes that a job may have at once",
    ),
    "a fork bomb": (
        "sh -c 'bomb() { bomb | bomb & }; bomb; sleep 0.5; exit 3'",
        "it wanted more than the 40 processes that a job may have at once",
    ),
}


@pytest.mark.parametrize("hog", HOGS)
async def test_t56_who_takes_too_much_fails_in_words_and_the_next_job_is_right(
    limited: local.Local, code: jobs.Code, data_dir: Path, hog: str
) -> None:
    script, reason = HOGS[hog]
    told = await jobs.run(limited, jobs.make(code.source(), script, "echo never"))
    assert told.result == "failed"
    assert reason in told.reason
    assert told.steps[-1] == (1, "skipped")
    after = await jobs.run(limited, jobs.make(code.source(), "echo well"))
    assert (after.result, after.log) == ("passed", "well\n")
    assert await asyncio.to_thread(left, data_dir) == []


async def test_t56_what_a_step_survived_is_not_held_against_the_next(limited: local.Local, code: jobs.Code) -> None:
    steps = ("tail /dev/zero || true", "exit 3")
    told = await jobs.run(limited, jobs.make(code.source(), *steps))
    assert (told.result, told.reason) == ("failed", "exit status 3")


async def test_t56_the_limits_are_the_kernels_own(limited: local.Local, code: jobs.Code, data_dir: Path) -> None:
    request = jobs.make(code.source(), "echo ready; until test -e go; do sleep 0.01; done")
    await limited.start(request)
    await jobs.until_output(limited, request.job_id, b"ready")
    found = await asyncio.to_thread(cgroups.find, data_dir / "engine", LIMITS)
    folders = {kind: Path(folder, request.job_id) for kind, folder in found.folders.items()}

    def told(kind: str, *names: str) -> str:
        return next((path.read_text() for name in names if (path := folders[kind] / name).exists()), "").strip()

    assert told("memory", "memory.max", "memory.limit_in_bytes") == str(64 * MIB)
    assert told("pids", "pids.max") == "40"
    assert told("cpu", "cpu.max", "cpu.cfs_quota_us").split()[0] == "50000"
    assert all(path.joinpath("cgroup.procs").read_text() for path in folders.values())
    (jobs.stream_path(data_dir, request.job_id).parent / "box" / "workspace" / "go").touch()
    assert (await jobs.follow(limited, request.job_id)).result == "passed"


async def test_t57_what_goes_on_behind_a_job_without_a_sandbox_ends_with_it(
    open_engine: Open, limited: local.Local, code: jobs.Code, tmp_path: Path, data_dir: Path
) -> None:
    engine = await open_engine(sandbox="none", job_limits=LIMITS)
    path = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {path}; exec sleep 600' & until test -s {path}; do sleep 0.01; done"
    told = await jobs.run(engine, jobs.make(code.source(trust=jobs.TRUSTED), script))
    assert told.result == "passed"
    assert not _is_there(int(path.read_text()))
    assert await asyncio.to_thread(left, data_dir) == []


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_f8_what_a_killed_supervisor_leaves_is_killed_and_taken_away(
    open_engine: Open, limited: local.Local, code: jobs.Code, data_dir: Path, sandbox: str
) -> None:
    engine = await open_engine(sandbox=sandbox, job_limits=LIMITS)
    request = jobs.make(code.source(trust=jobs.TRUSTED), "setsid sleep 600 & echo ready; sleep 600")
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"ready")
    pids = await asyncio.to_thread(pids_in, data_dir, request.job_id)
    os.kill(launched_pid(data_dir, request.job_id), signal.SIGKILL)
    told = await jobs.follow(engine, request.job_id)
    assert told.result == "errored"
    assert "supervisor was lost" in told.reason
    assert not any(_is_there(pid) for pid in pids)
    assert await asyncio.to_thread(left, data_dir) == []


async def test_f13_what_is_left_of_jobs_that_are_gone_is_taken_away_at_the_start(
    open_engine: Open, limited: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    request = jobs.make(code.source(), "echo ready; sleep 600")
    await limited.start(request)
    await jobs.until_output(limited, request.job_id, b"ready")
    found = await asyncio.to_thread(cgroups.find, data_dir / "engine", LIMITS)
    for folder in set(found.folders.values()):
        Path(folder, "01JGONE").mkdir()
    async with _program(found, "01JGONE") as gone:
        await open_engine(job_limits=LIMITS)
        assert await asyncio.wait_for(gone.wait(), 10) == -signal.SIGKILL
    assert await asyncio.to_thread(left, data_dir) == [request.job_id]
    await limited.cancel(request.job_id, reason="enough")
    assert (await jobs.follow(limited, request.job_id)).result == "cancelled"


DISK = contract.JobLimits(disk_bytes=8 * MIB, disk_files=500)
FILLS = {
    "one file": ("head -c 20M /dev/zero > a; sleep 600", "exit status 153: "),
    "many files": ("for i in $(seq 20); do head -c 1M /dev/zero > $i; done; sleep 600", "killed: "),
    "many inodes": ("mkdir d; for i in $(seq 1000); do ln -s x d/$i; done; sleep 600", "killed: "),
    "far down": (
        "for i in $(seq 100); do mkdir -p $(printf 'd%.0s' $(seq 100)); cd d*; done; head -c 7M /dev/zero > a;"
        " head -c 7M /dev/zero > b; sleep 600",
        "killed: ",
    ),
    "beside the code": ('head -c 7M /dev/zero > "$HOME/a"; head -c 7M /dev/zero > /tmp/a; sleep 600', "killed: "),
}


@pytest.mark.parametrize("fill", FILLS)
async def test_t56_who_fills_the_disk_fails_in_words_and_the_next_job_is_right(
    open_engine: Open, code: jobs.Code, fill: str
) -> None:
    engine = await open_engine(job_limits=DISK)
    script, how = FILLS[fill]
    told = await jobs.run(engine, jobs.make(code.source(), script, "echo never"))
    assert (told.result, told.reason) == (
        "failed",
        f"{how}it wrote more than the 8 MiB or 500 files that a job may have",
    )
    after = await jobs.run(engine, jobs.make(code.source(), "head -c 1M /dev/zero > a; echo well"))
    assert (after.result, after.log) == ("passed", "well\n")


async def test_t56_what_is_freed_again_is_not_held_against_a_job(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine(job_limits=DISK)
    script = "for i in $(seq 10); do head -c 4M /dev/zero > a; sleep 0.1; rm a; done"
    assert (await jobs.run(engine, jobs.make(code.source(), script))).result == "passed"


async def test_where_there_are_no_limits_to_hold_nobody_looks(data_dir: Path, tmp_path: Path) -> None:
    assert cgroups.find(data_dir, contract.JobLimits(), proc=tmp_path / "nowhere") == cgroups.Cgroups()


# Version 2, where this machine's kernel has its controllers elsewhere: a tree of plain files stands for it.


class Tree:
    """A control group file system of version 2 in plain files, and what the kernel tells of it."""

    def __init__(self, folder: Path, *, path: str = "/system.slice/buildhook.service", root: str = "/") -> None:
        self.folder, self.proc = folder / "cgroup", folder / "proc"
        self.own = self.folder / path.removeprefix(root).strip("/")
        self.proc.mkdir(parents=True)
        (self.proc / "cgroup").write_text(f"0::{path}\n")
        (self.proc / "mountinfo").write_text(f"30 23 0:26 {root} {self.folder} rw,relatime - cgroup2 cgroup2 rw\n")
        self.own.mkdir(parents=True)
        self.fill(self.own, pids=[os.getpid()])

    @staticmethod
    def fill(folder: Path, *, pids: list[int]) -> None:
        """The files that the kernel makes in a new group."""
        for name in ("cgroup.subtree_control", "cgroup.type"):
            (folder / name).write_text("")
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


@pytest.mark.parametrize(("path", "root"), [("/system.slice/buildhook.service", "/"), ("/docker/1c", "/docker/1c")])
def test_in_version_2_our_own_processes_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, root: str
) -> None:
    tree = Tree(tmp_path, path=path, root=root)
    made: list[dict[str, object]] = []
    mkdir = Path.mkdir

    def make(self: Path, *args: object, **kwargs: object) -> None:
        is_new = tree.folder in self.parents and not self.exists()
        mkdir(self, *args, **kwargs)  # type: ignore[arg-type]
        if is_new:
            Tree.fill(self, pids=[])

    class Noted:
        def __init__(self, **given: object) -> None:
            made.append(given)

        def end(self) -> None:
            """Nothing."""

    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(groups, "Group", Noted)
    found = cgroups.find(tmp_path, LIMITS, proc=tree.proc)
    assert found.problem is None
    assert set(found.folders) == {"memory", "pids", "cpu"}
    (folder,) = {Path(one) for one in found.folders.values()}
    assert folder.parent == tree.own
    assert (tree.own / "buildhook-service" / "cgroup.procs").read_text() == str(os.getpid())
    assert {kind for one in made for kind in one["folders"]} == set(found.folders)  # type: ignore[attr-defined]


def test_in_version_2_other_programs_are_left_where_they_are(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.own / "cgroup.procs").write_text(f"{os.getpid()}\n{os.getppid()}\n")
    found = cgroups.find(tmp_path, LIMITS, proc=tree.proc)
    assert found.folders == {}
    assert found.problem is not None
    assert "memory and processes and time of the processors cannot be limited here" in found.problem
    assert "other programs are in our control group" in found.problem
    assert "Delegate=yes" in found.problem
    assert not (tree.own / "buildhook-service").exists()


@pytest.mark.parametrize("mountinfo", ["", "torn", "30 23 0:26 /other /nowhere rw - cgroup2 cgroup2 rw\n"])
def test_a_kernel_without_control_groups_is_told_of_and_nothing_else(tmp_path: Path, mountinfo: str) -> None:
    tree = Tree(tmp_path)
    (tree.proc / "mountinfo").write_text(mountinfo)
    found = cgroups.find(tmp_path, LIMITS, proc=tree.proc)
    assert (found.folders, found.problem is not None) == ({}, True)


def test_a_group_of_version_2_is_written_and_read_as_the_kernel_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "01J"
    folder.mkdir()
    Tree.fill(folder, pids=[])
    for name in ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"):
        (folder / name).write_text("")
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    (folder / "pids.events").write_text("max 0\n")
    made = groups.Group(
        dict.fromkeys(("memory", "pids", "cpu"), str(tmp_path)), "01J", memory_bytes=MIB, processes=7, cpus=1.5
    )
    written = {name: (folder / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max")}
    assert written == {
        "memory.max": str(MIB),
        "memory.swap.max": "0",
        "pids.max": "7",
        "cpu.max": "150000 100000",
    }
    assert len(made.doors) == 1
    assert made.ran_out() == {"memory"}
    assert made.ran_out() == set()


def _is_there(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def pids_in(data_dir: Path, job_id: str) -> list[int]:
    """Who is in a job's groups."""
    folders = cgroups.find(data_dir / "engine", LIMITS).folders
    return [int(pid) for pid in Path(folders["pids"], job_id, "cgroup.procs").read_text().split()]


@contextlib.asynccontextmanager
async def _program(found: cgroups.Cgroups, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program in the groups of that name."""
    started = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        for folder in set(found.folders.values()):
            Path(folder, name, "cgroup.procs").write_text(str(started.pid))
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()
