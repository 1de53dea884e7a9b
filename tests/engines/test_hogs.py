"""T56: six hogs, each of which takes all that it gets for as long as it lives, and what the others notice of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.engines import contract
from bot.engines.local import cgroups
from bot.engines.local import engine as local
from tests.engines import jobs
from tests.engines.conftest import Open
from tests.engines.test_job_limits import _is_there, left, pids_in

MIB = 1 << 20
LIMITS = contract.JobLimits(memory_bytes=64 * MIB, processes=40, cpus=0.5, disk_bytes=16 * MIB, disk_files=800)
LOG_BYTES = 4 * MIB
#: Each goes on for ever, within what it may have or against the bound of it, and says first that it does.
HOGS = {
    "forks": "sh -c 'while :; do sleep 600 & done'",
    "memory": "tail /dev/zero",
    "disk": "for i in 1 2 3 4 5 6; do head -c 2M /dev/zero > $i; done; head -c 1M /dev/zero > ~/a; rm [1-6] ~/a",
    "inodes": "mkdir d; for i in $(seq 500); do ln -s x d/$i; done; rm -r d",
    "descriptors": "for i in 1 2 3; do bash -c 'while { exec {fd}< /dev/null; } 2> /dev/null; do :; done' & done; wait",
    "log": "head -c 8M /dev/zero | tr '\\0' x; head -c 1M /dev/zero | tr '\\0' '\\n'",
}


@pytest.mark.long
@pytest.mark.parametrize("hog", HOGS)
async def test_t56_others_are_served_while_a_hog_takes_all_it_gets_and_the_next_job_is_right(
    open_engine: Open, code: jobs.Code, data_dir: Path, hog: str
) -> None:
    found = await asyncio.to_thread(cgroups.find, data_dir / "engine", LIMITS)
    if found.problem is not None:
        pytest.skip(found.problem)
    await asyncio.to_thread(found.close)
    limits = local.Limits(grace_seconds=0.5, log_bytes=LOG_BYTES)
    engine = await open_engine(job_limits=LIMITS, limits=limits)
    script = f"set +e; exec 2> /dev/null; echo hogging; {HOGS[hog]}; echo again; while :; do {HOGS[hog]}; done"
    request = jobs.make(code.source(), f"{{ {script}\n}}", timeout_seconds=600)
    await engine.start(request)
    following = asyncio.create_task(jobs.follow(engine, request.job_id))
    await jobs.until_output(engine, request.job_id, b"hogging")
    pids = await asyncio.to_thread(pids_in, data_dir, request.job_id)
    # Somebody else's job comes, is right and goes, as often as it likes, and the hog is still there.
    for number in range(3):
        script = f"for i in $(seq 20); do (echo {number} > $i); done; cat * | sort -u | tail -1; echo $HOME"
        neighbour = await jobs.run(engine, jobs.make(code.source(), f"mkdir x; cd x; {script}", timeout_seconds=60))
        assert (neighbour.result, neighbour.log) == ("passed", f"{number}\n/home/build\n")
    assert not following.done()
    await engine.cancel(request.job_id, reason="Enough of it.")
    told = await following
    assert (told.result, told.reason) == ("cancelled", "Enough of it.")
    assert len(told.log_bytes) <= LOG_BYTES
    await jobs.until_true(lambda: not any(_is_there(pid) for pid in pids))
    after = await jobs.run(engine, jobs.make(code.source(), "head -c 1M /dev/zero > a; cat README.md"))
    assert (after.result, after.log) == ("passed", "hello\n")
    await engine.remove(request.job_id)
    assert await asyncio.to_thread(left, data_dir) == []


async def test_t56_a_program_has_only_so_many_descriptors(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine()
    opening = "i=0; while { exec {fd}< /dev/null; } 2> /dev/null; do i=$((i + 1)); done; echo $i"
    told = await jobs.run(engine, jobs.make(code.source(), opening))
    assert told.result == "passed"
    assert 100 < int(told.log.splitlines()[-1]) < 16384
