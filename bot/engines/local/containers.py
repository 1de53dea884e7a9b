"""What a supervisor is told of a job's containers: every argument of Podman is written here, none by a repository."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bot.choices import Network
from bot.engines import contract
from bot.engines.local import cgroups, folder, images, late, podman, sandbox, trouble
from bot.engines.local.supervisor import container, groups
from bot.model import job
from bot.pipelines import container_words

#: Name of the operator's image among those of a job.
OURS = "sandbox"
#: Of a job: files for its containers, which it cannot write.
_HOSTS = "hosts"
_MOUNTS = "/proc/self/mountinfo"
#: What the processes of a service may do where its root is nobody: what an image needs to become its own user.
_OF_SERVICE = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
#: Of a job of which only the steps are known.
NO_PLAN = job.Plan(key="", name="", steps=())
#: What begins a step in a container. Its arguments: the folder to be in, then the program.
_STEP = 'cd -- "$1" || exit 1\nshift\nprintf b >&3\nexec "$@" 3>&-'
#: The program of a step that names none.
_ANY_SHELL = 'if command -v bash > /dev/null 2>&1; then exec bash -e "$0"; fi\nexec sh -e "$0"'
_ANY_PYTHON = 'if command -v python > /dev/null 2>&1; then exec python "$0"; fi\nexec python3 "$0"'


class Boxes(msgspec.Struct, frozen=True, kw_only=True):
    """The containers of one job, with the images that they are made of."""

    podman: podman.Podman
    has_layers: bool
    #: That of the steps; None where they run in a sandbox.
    container: images.Image | None = None
    #: That of the checkout and the caches, where it is not the same; None where they run in a sandbox.
    tools: images.Image | None = None
    services: Mapping[str, images.Image]
    #: Each that was named, by what it is for.
    pinned: Mapping[str, str]
    #: Whether all that is ours runs in a container too.
    is_all_inside: bool = False


def planned(plan: job.Plan) -> job.Plan:
    """The plan with the environment of its container, which the job's own comes before.

    :raises trouble.Ended: if it asks for what cannot be had.
    """
    try:
        for one in plan.services.values():
            container_words.health(one.options)
        for one in (*plan.services.values(), *([plan.container] if plan.container is not None else [])):
            for text in one.ports:
                container_words.port(text)
            for text in one.volumes:
                container_words.volume(text)
    except container_words.WordProblem as error:
        raise trouble.Ended(str(error)) from None
    if plan.container is None:
        return plan
    if plan.container.options:
        raise trouble.Ended("`options` of a job's own container cannot be given: delete it.")
    return replace(plan, env={**plan.container.env, **plan.env})


def command(workspace: str, step_folder: str, script: str, *, shell: str | None) -> list[str]:
    """What runs inside for one step."""
    match shell:
        case None:
            program = ["sh", "-c", _ANY_SHELL, script]
        case "python":
            program = ["sh", "-c", _ANY_PYTHON, script]
        case _:
            program = sandbox.shell_command(shell, script, tools=sandbox.find_tools())
    return ["sh", "-c", _STEP, "buildhook", os.path.join(workspace, step_folder), *program]


def beside(options: list[str], places: Mapping[str, str]) -> list[str]:
    """Arguments of bubblewrap for a job whose services are in its network, and have names there."""
    hosts = {f"{places['etc']}/hosts": f"{places['box']}/{_HOSTS}"}
    return [hosts.get(one, one) for one in options if one != "--unshare-net"]


def path(boxes: Boxes | None) -> str:
    """`PATH` of a step that does not say otherwise."""
    if boxes is None or boxes.container is None:
        return sandbox.SEARCH_PATH
    return boxes.container.env.get("PATH", sandbox.SEARCH_PATH)


def told(
    place: folder.Folder,
    plan: job.Plan,
    boxes: Boxes,
    *,
    places: Mapping[str, str],
    uid: int | None,
    reach: Network,
    held: cgroups.Cgroups,
    limits: contract.JobLimits,
    file_bytes: int,
    timeout_seconds: float,
) -> dict[str, Any]:
    """The values, of kinds that `marshal` takes; makes the folders that the containers share.

    :param places: `box`, `etc`, and what it only reads -> folder.
    :param reach: what the job reaches of the network.
    :param uid: who the job is; None where it stays who we are.
    """
    user = "0:0" if uid is None else f"{uid}:{uid}"
    found = _groups(held, place.job_id)
    common = _common(place, boxes, user=user, file_bytes=file_bytes)
    common += ["--timeout", str(int(timeout_seconds) + 3600)]
    if found is not None:
        common += ["--cgroup-parent", found[0]]
    elif uid is not None:
        # Who is not root has no other groups than those that were handed down to him; the log of the start says it.
        common += _limits(limits)
    _write_hosts(place.box, plan)
    shared = _shared(places, has_names=reach is Network.FULL)
    own = [*_volumes(place.box, "job", plan.container, uid), *_mounts(places)]
    names = {kind: f"buildhook-{place.job_id}-{kind}" for kind in ("job", "tools")}
    held_open = ["--workdir", "/", "--preserve-fds", "1", "--entrypoint", json.dumps(["sh", "-c", container.HOLD])]
    made = []
    for kind, image, mounts in (("job", boxes.container, own), ("tools", boxes.tools, _mounts(places))):
        if image is not None:
            arguments = [*common, "--cap-drop", "all", *shared, *mounts, *held_open, image.id]
            what = "the job" if kind == "job" else "the checkout"
            made.append({"name": names[kind], "what": what, "arguments": arguments})
    return {
        "podman": boxes.podman.command,
        "env": [f"{name}={value}" for name, value in boxes.podman.env.items()],
        "containers": made,
        "services": [
            _service(place, number, host, one, boxes.services[host], [*common, *shared], uid)
            for number, (host, one) in enumerate(plan.services.items())
        ],
        "steps_in": names["job"] if boxes.container is not None else "",
        "beside_in": names["tools" if boxes.tools is not None else "job"] if boxes.is_all_inside else "",
        # Without a container of its own the job is in our network, and so are its services.
        "is_in_ours": reach is not Network.NONE or boxes.container is None,
        "has_layers": boxes.has_layers,
        "places": None,
        "groups": list(found[1]) if found is not None else [],
    }


def group(held: cgroups.Cgroups, job_id: str, limits: contract.JobLimits) -> dict[str, Any] | None:
    """A job's control groups where containers have some of their own in them; None where there can be none."""
    found = podman.parent(held.folders, mounts=_mountinfo())
    if found is None:
        return None
    for made in found[1].values():
        os.makedirs(made, mode=0o755, exist_ok=True)
    given = cgroups.given(replace(held, folders=found[1]), job_id, limits)
    return {**given, "leaf": "job"} if given is not None else None


def clear(program: podman.Podman, held: cgroups.Cgroups, job_id: str) -> None:
    """Kill and take away what is left of a job."""
    program.clear(job_id)
    if program.is_there and (found := _groups(held, job_id)) is not None:
        groups.remove(found[1])


def close(held: cgroups.Cgroups) -> None:
    """Leave nothing behind, unless jobs go on."""
    mounts = _mountinfo()
    found = podman.parent(held.folders, mounts=mounts)
    for point, _ in groups.mounted(mounts) if found is not None else ():
        with contextlib.suppress(OSError):
            os.rmdir(f"{point}{found[0] if found is not None else ''}")


def _groups(held: cgroups.Cgroups, job_id: str) -> tuple[str, list[str]] | None:
    """The parent of the groups of a job's containers, and where that is for every kind, also those without a limit."""
    mounts = _mountinfo()
    found = podman.parent(held.folders, mounts=mounts)
    if found is None:
        return None
    name = f"{found[0]}/{job_id}"
    return name, [f"{point}{name}" for point, _ in groups.mounted(mounts)]


def _mountinfo() -> str:
    return Path(_MOUNTS).read_text(encoding="utf-8", errors="surrogateescape")


def _common(place: folder.Folder, boxes: Boxes, *, user: str, file_bytes: int) -> list[str]:
    found = ["--pull", "never", "--label", f"{podman.LABEL}={place.job_id}", "--user", user, "--cgroupns", "private"]
    for option in ("no-new-privileges", f"seccomp={boxes.podman.calls}", "mask=/sys", "label=disable"):
        found += ["--security-opt", option]
    found += ["--no-hosts", "--hostname", "buildhook", "--http-proxy=false", "--image-volume", "ignore"]
    found += ["--no-healthcheck", "--oom-score-adj", "500"]
    for one in podman.limits_of_processes():
        found += ["--ulimit", one]
    found += ["--ulimit", f"fsize={file_bytes}:{file_bytes}"] if file_bytes else []
    # What is written over an image counts; where that cannot be measured, nothing is.
    return found if boxes.has_layers else [*found, "--read-only", "--read-only-tmpfs=false"]


def _limits(limits: contract.JobLimits) -> list[str]:
    found = []
    if limits.memory_bytes:
        found += ["--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)]
    if limits.processes:
        found += ["--pids-limit", str(limits.processes)]
    return [*found, "--cpus", f"{limits.cpus:g}"] if limits.cpus else found


def _shared(places: Mapping[str, str], *, has_names: bool) -> list[str]:
    resolver = f"{places['etc']}/resolv.conf{'.full' if has_names else ''}"
    return [
        *("--volume", f"{resolver}:/etc/resolv.conf:ro"),
        *("--volume", f"{places['box']}/{_HOSTS}:/etc/hosts:ro"),
    ]


def _mounts(places: Mapping[str, str]) -> list[str]:
    box = places["box"]
    found = []
    for name, target in (("workspace", sandbox.WORKSPACE), ("home", sandbox.HOME), ("tmp", "/tmp")):  # noqa: S108
        found += ["--volume", f"{box}/{name}:{target}:rw,nosuid,nodev"]
    found += ["--volume", f"{box}/results:{sandbox.RESULTS}:rw,nosuid,nodev"]
    found += ["--volume", f"{box}/steps:{sandbox.STEPS}:ro"]
    for name in sorted(places.keys() - {"box", "etc"}):
        found += ["--volume", f"{places[name]}:{sandbox.PLACES}/{name}:ro"]
    return found


def _volumes(box: Path, prefix: str, one: job.Container | None, uid: int | None) -> list[str]:
    """The volumes of a container: folders of the job's own, made here, so that no link leads out of them."""
    found = []
    for number, text in enumerate(one.volumes if one is not None else ()):
        wanted = container_words.volume(text)
        made = box / "volumes" / (f"named-{wanted.name}" if wanted.name is not None else f"{prefix}-{number}")
        made.mkdir(mode=0o755, parents=True, exist_ok=True)
        # A service may be another user of its image.
        made.chmod(0o777)
        if uid is not None:
            os.chown(made, uid, uid)
        access = "ro" if wanted.is_read_only else "rw"
        found += ["--volume", f"{made}:{wanted.target}:{access},nosuid,nodev"]
    return found


def _write_hosts(box: Path, plan: job.Plan) -> None:
    lines = [sandbox.HOSTS, *(f"127.0.0.1 {name}\n" for name in plan.services)]
    (box / _HOSTS).write_text("".join(lines), encoding="ascii")
    (box / _HOSTS).chmod(0o644)


def _service(
    place: folder.Folder,
    number: int,
    host: str,
    one: job.Container,
    image: images.Image,
    common: list[str],
    uid: int | None,
) -> dict[str, Any]:
    plain, compiled = late.split(one.env)
    arguments = [*common, "--cap-drop", "all"]
    if uid is None:
        # Its root is our own user and nobody else's, in a namespace of users.
        arguments += ["--cap-add", ",".join(_OF_SERVICE)]
    for name, value in plain.items():
        arguments += ["--env", f"{name}={value}"]
    arguments += _volumes(place.box, f"service-{number}", one, uid)
    if compiled:
        enter = ["sh", "-c", container.ENTER_SERVICE, "buildhook", *image.command]
        arguments += ["--preserve-fds", "1", "--entrypoint", json.dumps(enter)]
    health = container_words.health(one.options)
    probe = ["sh", "-c", health.command] if health.command is not None else list(image.health)
    return {
        "name": f"buildhook-{place.job_id}{podman.SERVICE}{number}",
        "host": host,
        "what": f"the service {host}",
        "arguments": [*arguments, image.id],
        "late_env": compiled,
        "health": None
        if not probe or health.command == "none"
        else {
            "command": probe,
            "interval_seconds": health.interval_seconds,
            "timeout_seconds": health.timeout_seconds,
            "retries": health.retries,
            "start_seconds": health.start_seconds,
        },
    }
