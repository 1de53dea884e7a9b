"""F60: one log with ten thousand viewers beside five thousand queued builds: it is read once, and builds go on."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.engine import Connection

from bot import clock
from bot import web as dashboard
from bot.engines import contract, scripted
from bot.listener import Listener, raise_files
from bot.model import job, outcome
from bot.store import builds, outcomes
from bot.web import fanout
from tests import factories
from tests.builds.conftest import Yard
from tests.databases import on_sqlite
from tests.web import viewers

BUILDS, RUNNING, VIEWERS = 5_000, 500, 10_000
PIECES, LINES_OF_PIECE = 40, 100
ROOT = Path(__file__).parent.parent.parent
#: Of a viewer, in the service: its connection, its request, its task. Measured were 24 KiB.
BYTES_OF_VIEWER = 64 * 1024


def _memory() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


async def _never(*_: Any) -> Any:
    raise AssertionError("nobody presses a button here")


NOTHING: dict[str, Any] = dict.fromkeys(dashboard.Actions.__struct_fields__, _never)


def _create(connection: Connection, some: Sequence[outcome.NewBuild]) -> None:
    for one in some:
        outcomes.create(connection, one, now=clock.now())


async def _fill(yard: Yard) -> list[str]:
    """The queued builds; gives their jobs, the oldest first."""
    made = []
    for number in range(BUILDS):
        of = factories.make_build(head_sha=f"{number:040x}", cause=f"push {number}")
        made.append(factories.make_new_build(of, factories.make_job()))
    for start in range(0, BUILDS, 500):
        some = made[start : start + 500]
        await yard.store.write(_create, some)
    return [one.jobs[0].id for one in made]


@pytest.mark.long
@pytest.mark.timeout(900)
@on_sqlite
async def test_f60_ten_thousand_viewers_of_one_log_beside_five_thousand_queued_builds(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = raise_files()
    most = min(VIEWERS, dashboard.room(files), resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1_000)
    if most < VIEWERS:
        pytest.skip(
            f"this process may open {files} files: too few for {VIEWERS} viewers. Raise the hard limit (nofile)"
        )
    pieces: list[int] = []
    plain = fanout._piece

    def counted(place: fanout.Place, data: bytes) -> fanout.Piece:
        pieces.append(len(data))
        return plain(place, data)

    monkeypatch.setattr(fanout, "_piece", counted)
    app = web.Application()
    streams = dashboard.add_to(
        app,
        store=yard.store,
        logs=yard.logs,
        kept=yard.artifacts,
        metrics=yard.metrics,
        readiness=dashboard.Readiness({}),
        actions=dashboard.Actions(**NOTHING),
        max_streams=dashboard.room(files),
    )
    listener = Listener(app, host="127.0.0.1", port=0, besides=lambda: len(streams))
    yard.max_jobs = RUNNING
    watched, *others = await _fill(yard)
    text = [
        "".join(f"{viewers.line_of(number + 1)}\n" for number in range(at, at + LINES_OF_PIECE)).encode()
        for at in range(0, PIECES * LINES_OF_PIECE, LINES_OF_PIECE)
    ]
    await listener.open()
    async with yard.running():
        yard.engine.tell(watched, scripted.prepared(), scripted.output(text[0]))
        await yard.until_job(watched, job.State.RUNNING)
        before = _memory()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.web.viewers", str(listener.port), f"/jobs/{watched}/events?from=0"),
            *(str(VIEWERS), str(PIECES * LINES_OF_PIECE)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        assert json.loads(await child.stdout.readline()) == {"begun": VIEWERS}
        assert len(streams) == VIEWERS
        ended = 0
        for piece in text[1:]:
            yard.engine.tell(watched, scripted.output(piece))
            # Builds go on beside them: what runs ends, and others take the places.
            for one in others[ended : ended + 25]:
                yard.engine.tell(one, scripted.prepared(), scripted.finished(contract.Result.PASSED))
            ended += 25
            await asyncio.sleep(0.5)
        more = _memory() - before
        yard.engine.tell(watched, scripted.finished(contract.Result.PASSED))
        told = json.loads(await child.stdout.readline())
        await child.wait()
        done = await yard.store.read(builds.count_jobs_by_state)
    await listener.close()
    assert told["ended"] == {"whole": VIEWERS - VIEWERS // viewers.STALLS}
    # Each piece was made once for all who stood at its place, not once for each of them.
    assert len(pieces) < 4 * PIECES
    assert told["distinct"] <= len(pieces)
    assert more < VIEWERS * BYTES_OF_VIEWER
    assert done[job.State.QUEUED] <= BUILDS - RUNNING - ended
