"""The launch: lays a job's workspace out, writes down what its supervisor is to do, and starts it."""

from __future__ import annotations

import dataclasses
import marshal
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

import bot
from bot.choices import Network
from bot.engines import contract
from bot.engines.local import (
    caches,
    cgroups,
    containers,
    extras,
    folder,
    git,
    late,
    merge,
    mirror,
    reach,
    results,
    sandbox,
    seccomp,
    trouble,
)
from bot.engines.local.supervisor import files, spaces
from bot.model import job
from bot.pipelines import globs

_OWN = ("workspace", "home", "tmp")


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a job is run."""

    tools: sandbox.Tools
    #: Files for /etc of a sandbox.
    etc: Path
    is_sandboxed: bool
    #: What the job reaches of the network, and which hosts where that is a list.
    reach: Network
    egress: contract.Egress
    #: Whether bubblewrap is too old to forbid user namespaces inside.
    can_nest: bool
    #: What a job may use, and where that can be held.
    job_limits: contract.JobLimits
    held: cgroups.Cgroups
    grace_seconds: float
    log_limit_bytes: int
    #: Where caches lie.
    caches: Path
    #: Whether containers stand for the sandbox, also of what is ours.
    is_in_containers: bool = False


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code of a job."""

    #: The mirror that it is in.
    found: mirror.Mirror
    #: The commit to test.
    tested: mirror.Commit
    #: For a pull request: what the commit is to be merged into first.
    base: mirror.Commit | None = None
    #: What is checked out besides its own files.
    more: extras.Extras = msgspec.field(default_factory=extras.Extras)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step, ready to run."""

    script: str
    env: Mapping[str, str]
    folder: str
    shell: str | None = None
    timeout_seconds: float | None = None
    may_fail: bool = False
    #: Variable -> name of the secret that it holds; the values are not here.
    secrets: Mapping[str, str] = msgspec.field(default_factory=dict)


def steps(request: contract.JobRequest) -> list[Step]:
    """The steps with their environments; a step's own wins over the job's, the job's over the request's.

    :raises trouble.Ended: if one cannot be run as it is written.
    """
    plan = request.plan
    found = []
    for number, step in enumerate(plan.steps):
        # Its tools' spans belong to its own; what an image says of another trace is none of this one's.
        traced = {"TRACEPARENT": request.trace_parents[number], "TRACESTATE": ""} if request.trace_parents else {}
        # What expressions make comes when the step's turn comes.
        env = {**traced, **request.env, **late.split(request.plan.env)[0], **late.split(step.env)[0]}
        wrong = [name for name, value in env.items() if not name or "=" in name or "\0" in name + value]
        if wrong:
            raise trouble.Ended(f"The environment variable {wrong[0][:80]!r} has no possible name or value.")
        parts = Path(step.working_directory).parts
        if "\0" in step.working_directory + step.run or ".." in parts or parts[:1] == ("/",):
            raise trouble.Ended(f"The step {step.name[:80]!r} has a command or working-directory that is not possible.")
        secrets = {name: secret for name, secret in plan.secrets.items() if name not in step.env}
        found.append(
            Step(
                script=step.run,
                env=env,
                folder=step.working_directory,
                shell=step.shell,
                timeout_seconds=None if step.timeout_minutes is None else step.timeout_minutes * 60,
                may_fail=step.continue_on_error,
                secrets=secrets,
            )
        )
    return found


def lay_out(place: folder.Folder, source: contract.Source, *, code: Code, program: git.Git, objects: str) -> Code:
    """Make the workspace, still without its files; gives the code back with the base merged in.

    The repository in it is a real one, so that a build can ask git; its objects are the mirror's, which it only reads.

    :param objects: where the mirror's objects are for the job.
    :raises trouble.Ended: if the base and the head do not merge.
    """
    made = own_objects(place)
    made.mkdir(parents=True)
    if code.base is not None:
        merged = merge.merge(code.found, program=program, base=code.base, head=code.tested, objects=made)
        code = Code(found=code.found, tested=merged)
    extras.make(made.parent, sha=code.tested.sha, url=source.url, objects=objects)
    return code


def own_objects(place: folder.Folder) -> Path:
    """Where git keeps what of a job's code is in no mirror."""
    return place.box / "workspace" / ".git" / "objects"


def clean(place: folder.Folder) -> None:
    """Take away what an attempt left that came to nothing; no process of the job ever ran in there."""
    shutil.rmtree(place.box, ignore_errors=True)
    place.box.mkdir()
    place.box.chmod(0o755)
    for name in (*_OWN, results.FOLDER):
        (place.box / name).mkdir(mode=0o755)


def write(
    place: folder.Folder,
    found: list[Step],
    *,
    manner: Manner,
    code: Code | None,
    timeout_seconds: float,
    request: contract.JobRequest | None = None,
    boxes: containers.Boxes | None = None,
) -> None:
    """Write the scripts and the launch, and give the job's own folders to the user that it runs as.

    :param request: what is asked for; None where the steps are all that there is.
    :param boxes: the containers that it has; None where it has none.
    :raises trouble.Ended: if it cannot be told which files are to be collected.
    """
    uid = sandbox.uid(place.job_id) if manner.is_sandboxed else None
    scripts = place.box / "steps"
    scripts.mkdir()
    scripts.chmod(0o755)
    for number, step in enumerate(found):
        (scripts / f"{number}.sh").write_text(f"{step.script}\n", encoding="utf-8", errors="surrogateescape")
        (scripts / f"{number}.sh").chmod(0o644)
    places = {"box": str(place.box), "etc": str(manner.etc)}
    if code is not None:
        places |= {extras.OBJECTS: str(code.found.objects), **code.more.places()}
    if code is not None and code.more:

        def inside(name: str) -> str:
            if name == "steps":
                return sandbox.STEPS if manner.is_sandboxed else str(scripts)
            return f"{sandbox.PLACES}/{name}" if manner.is_sandboxed else places[name]

        extras.lay_out(own_objects(place).parent, scripts, code.more, inside=inside)
    shown = places if uid is None else {name: f"{spaces.PLACES}/{name}" for name in places}
    space = room(place.path, manner.job_limits)
    tools = manner.tools
    network = {"slirp": [tools.slirp4netns], "ip": [tools.ip], "forbidden": list(sandbox.FORBIDDEN)}
    values = {
        "steps": [_step(place, number, step, manner, code, shown, boxes) for number, step in enumerate(found)],
        "program": tools.bubblewrap if manner.is_sandboxed else tools.sh,
        "is_sandboxed": manner.is_sandboxed,
        "calls": seccomp.program(os.uname().machine),
        "uid": uid,
        "places": places if uid is not None and boxes is None else {},
        "network": network if manner.is_sandboxed and manner.reach is Network.FULL else None,
        "egress": reach.given(manner.reach, manner.egress) if manner.is_sandboxed else None,
        "group": (cgroups.given if boxes is None else containers.group)(manner.held, place.job_id, manner.job_limits),
        "containers": None,
        "images": dict(boxes.pinned) if boxes is not None else {},
        **space,
        "timeout_seconds": float(timeout_seconds),
        "grace_seconds": float(manner.grace_seconds),
        "log_limit_bytes": _log_limit(request, manner),
        "results": _results(request.plan if request is not None else None),
        "tested_sha": code.tested.sha if code else "",
        "tested_tree": code.tested.tree if code else "",
        "mirrors": [str(found.folder) for found in (code.found, *(part.found for part in code.more.parts))]
        if code
        else [],
        "checkout": code.tested.sha if code else "",
        "checkout_at": sandbox.CHECKOUT_AT + (1 if manner.is_sandboxed else 0),
        "late": _late(request, code, manner, containers.path(boxes)) if request is not None else None,
        "is_late": request is not None and late.is_needed(request.plan),
        "caches": _caches(place, request, manner, code, shown) if request is not None else None,
        "library": str(Path(bot.__file__).parent.parent),
    }
    if boxes is not None:
        told = containers.told(
            place,
            request.plan if request is not None else containers.NO_PLAN,
            boxes,
            places=places,
            uid=uid,
            reach=manner.reach,
            held=manner.held,
            limits=manner.job_limits,
            file_bytes=space["file_bytes"],
            timeout_seconds=timeout_seconds,
        )
        checkout = _program(place, manner, code, shown, "-c", ":")
        values["containers"] = {**told, "places": places if uid is not None else None, "checkout": checkout}
    (place.path / "launch").write_bytes(marshal.dumps(values))
    if uid is not None:
        _give(place.box, uid)


def _step(
    place: folder.Folder,
    number: int,
    step: Step,
    manner: Manner,
    code: Code | None,
    shown: Mapping[str, str],
    boxes: containers.Boxes | None,
) -> dict[str, Any]:
    if manner.is_sandboxed:
        workspace, home, temporary, scripts = sandbox.WORKSPACE, sandbox.HOME, "/tmp", sandbox.STEPS  # noqa: S108
    else:
        workspace, home, temporary, scripts = (str(place.box / name) for name in (*_OWN, "steps"))
    tools = manner.tools
    told = {
        f"GITHUB_{kind.upper()}": f"{temporary}/{files.name(kind, number)}"
        for kind in (files.OUTPUT, files.ENV, files.PATH)
    }
    own = {**told, "RUNNER_TEMP": temporary, "RUNNER_OS": "Linux", "RUNNER_ARCH": architecture()}
    own |= {"GITHUB_SHA": code.tested.sha} if code is not None else {}
    own |= reach.environment(manner.reach) if manner.is_sandboxed else {}
    own["PATH"] = containers.path(boxes)
    own[results.VARIABLE] = sandbox.RESULTS if manner.is_sandboxed else str(place.box / results.FOLDER)
    env = sandbox.environment(own, step.env, home=home, temporary=temporary, workspace=workspace, shell=tools.shell)
    command = sandbox.command(
        tools=tools,
        workspace=workspace,
        folder=step.folder,
        script=f"{scripts}/{number}.sh",
        shell=step.shell,
        more=_list(place, manner, code),
    )
    rest: dict[str, Any] = {
        "timeout_seconds": step.timeout_seconds,
        "may_fail": step.may_fail,
        "secrets": [f"{name}={secret}" for name, secret in step.secrets.items()],
    }
    is_inside = boxes is not None and boxes.container is not None
    if is_inside:
        env |= {"SHELL": step.env.get("SHELL", "/bin/sh")}
        command = containers.command(workspace, step.folder, f"{scripts}/{number}.sh", shell=step.shell)
    if is_inside or not manner.is_sandboxed:
        return {"options": [], "command": command, "env": [f"{name}={value}" for name, value in env.items()], **rest}
    options = sandbox.options(places=shown, env=env, reach=manner.reach, can_nest=manner.can_nest)
    options = containers.beside(options, shown) if boxes is not None else options
    return {"options": options, "command": [tools.sh, *command], "env": [], **rest}


def _log_limit(request: contract.JobRequest | None, manner: Manner) -> int:
    asked = request.log_bytes if request is not None else None
    return manner.log_limit_bytes if asked is None else min(asked, manner.log_limit_bytes)


def _list(place: folder.Folder, manner: Manner, code: Code | None) -> str:
    """Where a job finds the list of what is checked out besides, or nothing."""
    if code is None or not code.more:
        return ""
    return f"{sandbox.STEPS if manner.is_sandboxed else place.box / 'steps'}/{extras.LIST}"


def _caches(
    place: folder.Folder,
    request: contract.JobRequest,
    manner: Manner,
    code: Code | None,
    shown: Mapping[str, str],
) -> dict[str, Any] | None:
    found = caches.wanted(request, folder=manner.caches, is_sandboxed=manner.is_sandboxed)
    if found is None:
        return None
    base = "/" if manner.is_sandboxed else str(place.box)
    temporary = "/tmp" if manner.is_sandboxed else str(place.box / "tmp")  # noqa: S108 (the job's own)
    for number, entry in enumerate(found["entries"]):
        packed = f"{temporary}/{caches.PACKED}-{number}"
        save = ("-c", caches.SAVE, "cache", packed, base, *entry["paths"])
        entry["save"] = _program(place, manner, code, shown, *save)
    return {**found, "restore": _program(place, manner, code, shown, "-c", caches.RESTORE, "cache", base)}


def _program(
    place: folder.Folder, manner: Manner, code: Code | None, shown: Mapping[str, str], *arguments: str
) -> dict[str, Any]:
    """What is run in the job's sandbox besides its steps, with nothing of the repository's in its environment."""
    inside = manner.is_sandboxed
    workspace, home = (sandbox.WORKSPACE, sandbox.HOME) if inside else (str(place.box / name) for name in _OWN[:2])
    temporary = "/tmp" if inside else str(place.box / "tmp")  # noqa: S108 (the job's own)
    tools = manner.tools
    env = sandbox.environment({}, home=home, temporary=temporary, workspace=workspace, shell=tools.shell)
    command = sandbox.beside(
        tools=replace(tools, git="git") if manner.is_in_containers else tools,
        workspace=workspace,
        more=_list(place, manner, code),
        program=["sh" if manner.is_in_containers else tools.sh, *arguments],
    )
    command = ["sh", *command] if manner.is_in_containers else command
    if not inside or manner.is_in_containers:
        return {"options": [], "command": command, "env": [f"{name}={value}" for name, value in env.items()]}
    options = sandbox.options(places=shown, env=env, reach=Network.NONE, can_nest=manner.can_nest)
    return {"options": options, "command": [tools.sh, *command], "env": []}


def _late(request: contract.JobRequest, code: Code | None, manner: Manner, path: str) -> dict[str, Any]:
    temporary = "/tmp" if manner.is_sandboxed else ""  # noqa: S108 (the job's own)
    runner = {"os": "Linux", "arch": architecture(), "temp": temporary, "environment": "self-hosted"}
    github = dict(request.contexts.get("github", {}))
    if code is not None:
        github["sha"] = code.tested.sha
    if manner.is_sandboxed:
        github["workspace"] = sandbox.WORKSPACE
    known = dataclasses.replace(request, contexts={**request.contexts, "github": github})
    return late.make(known, path=path, runner=runner)


def architecture() -> str:
    """The machine's, in Actions' words.

    https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#runner-context
    """
    machine = os.uname().machine
    return {"x86_64": "X64", "aarch64": "ARM64", "armv7l": "ARM"}.get(machine, machine.upper())


def _results(plan: job.Plan | None) -> dict[str, object]:
    if plan is None:
        return results.wanted(job.Reports())
    try:
        return results.wanted(plan.reports, plan.artifacts)
    except globs.PatternError as error:
        raise trouble.Ended(f"A glob of `reports` or `artifacts` is none: {error}") from error


def room(folder: Path, limits: contract.JobLimits) -> dict[str, int]:
    """How much of the disk a job may have: half of what is free, where nobody said."""
    free = os.statvfs(folder)
    size_bytes = limits.disk_bytes or free.f_bavail * free.f_frsize // 2
    # A file system such as btrfs counts no files.
    return {
        "disk_bytes": size_bytes,
        "disk_files": limits.disk_files or free.f_favail // 2,
        # What is not written of a file with holes takes no room; whoever set a limit wants to know at once.
        "file_bytes": limits.disk_bytes or 0,
    }


def _give(box: Path, uid: int) -> None:
    for name in (*_OWN, results.FOLDER):
        for path, _, inner in os.walk(box / name):
            os.chown(path, uid, uid)
            for file in inner:
                os.chown(os.path.join(path, file), uid, uid, follow_symlinks=False)
