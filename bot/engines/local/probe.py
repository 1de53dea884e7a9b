"""Whether a sandbox can be made here: found out by making one, the same way as for a job."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bot import telemetry
from bot.engines import contract
from bot.engines.local import containers, folder, launch, sandbox, spawn, stream
from bot.model import build, job

_SECONDS = 20.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the probe found."""

    #: Why no sandbox can be made, and how to mend it; None where one can.
    problem: str | None
    #: Whether bubblewrap is too old to forbid user namespaces inside.
    can_nest: bool = False


def probe(probes: Path, manner: launch.Manner, *, by: spawn.Supervisors) -> Finding:
    """Make a sandbox in a folder below `probes` and run `true` in it. To be called from a thread."""
    problem = sandbox.trouble(manner.tools, reach=manner.reach)
    if problem is not None:
        return Finding(problem=problem)
    said = _try(probes, replace(manner, can_nest=False), by=by)
    if "disable-userns" in said:
        older = _try(probes, replace(manner, can_nest=True), by=by)
        if not older:
            return Finding(problem=None, can_nest=True)
        said = older
    if not said:
        return Finding(problem=None)
    words = telemetry.one_line(said.strip()[:300])
    return Finding(problem=f"This machine does not let us make a sandbox ({words}). To mend it: {sandbox.advice()}.")


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of some steps."""

    #: Why they did not all come to a good end; empty where they did.
    problem: str
    #: By the number of the step: what it printed, and the state that it ended in.
    said: Mapping[int, str] = msgspec.field(default_factory=dict)
    states: Mapping[int, str] = msgspec.field(default_factory=dict)


def _try(probes: Path, manner: launch.Manner, *, by: spawn.Supervisors) -> str:
    """Why it did not work, or nothing where it did."""
    return run(probes, manner, [launch.Step(script="true", env={}, folder=".")], by=by).problem


def run(
    probes: Path,
    manner: launch.Manner,
    steps: list[launch.Step],
    *,
    by: spawn.Supervisors,
    boxes: containers.Boxes | None = None,
    seconds: float = _SECONDS,
) -> Tried:
    """Run steps without a repository, in a folder below `probes`. To be called from a thread."""
    place = folder.Folder(probes, f"probe-{secrets.token_hex(8)}")
    source = contract.Source(
        repository_id=0, url="", head_sha="", base_sha=None, trust=build.Trust.UNTRUSTED, token=None
    )
    plan = job.Plan(key="probe", name="probe", steps=())
    request = contract.JobRequest(job_id=place.job_id, source=source, plan=plan, env={}, timeout_seconds=seconds)
    try:
        place.accept(request)
        claim = place.claim()
        if claim is None:
            return Tried(problem="the probe's folder is in use")
        with claim:
            launch.clean(place)
            launch.write(place, steps, manner=manner, code=None, timeout_seconds=seconds, boxes=boxes)
            supervisor = by.start(place, claim)
        with supervisor:
            supervisor.go()
            # It ends by itself at its time limit.
            supervisor.wait()
        return _told(place)
    except OSError as error:
        return Tried(problem=str(error))
    finally:
        shutil.rmtree(place.path, ignore_errors=True)


def _told(place: folder.Folder) -> Tried:
    found = stream.events((place.path / "stream").read_bytes(), at=0)
    log = b"".join(event.data for event in found if isinstance(event, contract.Output))
    said: dict[int, str] = {}
    states: dict[int, str] = {}
    for event in found:
        if isinstance(event, contract.StepChanged):
            states[event.step.index] = event.step.state
            part = log[event.step.log_start_bytes : event.step.log_end_bytes]
            said[event.step.index] = part.decode("utf-8", "replace")
    last = found[-1] if found else None
    if not isinstance(last, contract.Finished):
        problem = place.last_words() or "the supervisor ended without a word"
    elif last.result is contract.Result.PASSED:
        problem = ""
    else:
        problem = log.decode("utf-8", "replace") or last.reason or "it did not end well"
    return Tried(problem=problem, said=said, states=states)
