"""Whether jobs can run on this machine, tried in a folder apart: what an operator asks before the first job does."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bot import errors
from bot.choices import Network
from bot.engines import contract
from bot.engines.local import cgroups, disk, git, launch, limits, podman, probe, reach, sandbox, spawn


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; each is why it does not work and how to mend it, or None where it works."""

    git: str | None
    #: Setting limits of memory, processes and processors.
    limits: str | None
    #: Making a sandbox with bubblewrap; None too where the settings want another.
    sandbox: str | None
    #: Making a container; None too where nobody wants one.
    podman: str | None


def examine(folder: Path, setup: contract.Setup, *, wants_podman: bool) -> Checkup:
    """Try everything in a folder that is ours alone and deleted afterwards. It blocks, for some seconds.

    :raises errors.SettingsError: if the set-up itself is wrong.
    :raises OSError: if the folder cannot be written.
    """
    given, egress = setup.job_limits, setup.egress
    reached = reach.of_setting(setup.network, egress)
    place = disk.Disk(folder)
    place.make()
    tools = sandbox.find_tools()
    held = cgroups.find(place.data_dir, given)
    try:
        manner = launch.Manner(
            tools=tools,
            etc=place.etc,
            is_sandboxed=True,
            reach=reached,
            egress=egress,
            can_nest=False,
            job_limits=given,
            held=held,
            grace_seconds=limits.Limits().grace_seconds,
            log_limit_bytes=limits.Limits().log_bytes,
            caches=place.caches,
        )
        return Checkup(
            git=_git(tools),
            limits=held.problem,
            sandbox=_sandbox(place, manner) if setup.sandbox in {"auto", "bubblewrap"} else None,
            podman=_podman(place) if wants_podman or setup.sandbox == "podman" else None,
        )
    finally:
        held.close()


def _git(tools: sandbox.Tools) -> str | None:
    if tools.git is None:
        return "git is not installed: install it (apt-get install git)."
    program = git.Git(tools.git, extra_env={})
    try:
        program.check()
    except errors.EngineError as error:
        return str(error)
    finally:
        program.close()
    return None


def _sandbox(place: disk.Disk, manner: launch.Manner) -> str | None:
    supervisors = spawn.Supervisors()
    try:
        for found in dict.fromkeys((Network.NONE, manner.reach)):
            problem = probe.probe(place.probes, replace(manner, reach=found), by=supervisors).problem
            if problem is not None:
                return problem
        return None
    finally:
        supervisors.close()


def _podman(place: disk.Disk) -> str | None:
    program = podman.Podman(place.data_dir, extra_env={})
    try:
        return program.look().problem
    finally:
        shutil.rmtree(program.run_dir, ignore_errors=True)
