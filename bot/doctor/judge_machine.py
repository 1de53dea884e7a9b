"""Checks of the machine that jobs run on: pure."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from bot.doctor.checks import Checks, Finding
from bot.doctor.facts import Facts

CHECKS = Checks()
#: The oldest that this version runs on.
OLDEST_PYTHON = (3, 11)
#: With less a single job may fill the disk, and then nothing more is received.
LEAST_FREE_BYTES = 2 << 30
#: More jobs at once than this for each processor only wait for one another.
_JOBS_PER_PROCESSOR = 2
#: What is gone when the machine starts anew.
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_FOLDER = "BUILDHOOK_DATA_DIR"


@CHECKS.check("Python is new enough.")
def python_version(facts: Facts) -> Iterator[Finding]:
    """A Python that is too old."""
    found = facts.machine.known.python
    if found < OLDEST_PYTHON:
        yield Finding(
            what=f"This is Python {found[0]}.{found[1]}.", where="python", mend="Install Python 3.11 or newer."
        )


@CHECKS.check("The data folder can be written, and by nobody else.")
def data_folder(facts: Facts) -> Iterator[Finding]:
    """A data folder that cannot be written, or that others can write."""
    place = facts.place.known
    if not place.is_writable:
        yield Finding(
            what=f"{place.path} cannot be written by this user.",
            where=_FOLDER,
            mend="Give it to the user that the service runs as, or name another folder.",
        )
    elif place.is_there and place.mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding(
            what=f"Other users of this machine can write to {place.path} (its mode is {place.mode:o}).",
            where=_FOLDER,
            mend=f"Run `chmod 700 {place.path}`.",
        )


@CHECKS.check("The data folder lies on a disk.")
def data_kept(facts: Facts) -> Iterator[Finding]:
    """A data folder in memory: deliveries and logs are gone when the machine starts anew."""
    place = facts.place.known
    if place.filesystem in IN_MEMORY:
        yield Finding(
            what=f"{place.path} lies in memory ({place.filesystem}): all of it is gone when the machine starts anew.",
            where=_FOLDER,
            mend="Name a folder on a disk; in a container, one on a volume.",
        )


@CHECKS.check("The disk has space.")
def disk_space(facts: Facts) -> Iterator[Finding]:
    """A disk of the data folder that is nearly full."""
    place = facts.place.known
    if place.free_bytes < LEAST_FREE_BYTES:
        yield Finding(
            what=f"The disk of {place.path} has only {place.free_bytes / 1e9:.1f} GB left.",
            where=_FOLDER,
            mend="Make room, set BUILDHOOK_RETENTION_DAYS lower, or name a folder on a larger disk.",
        )


@CHECKS.check("git is here and new enough.")
def git(facts: Facts) -> Iterator[Finding]:
    """A git that is missing or too old."""
    if problem := facts.engine.known.git:
        yield Finding(what=problem, where="git")


@CHECKS.check("A sandbox can be made for jobs.")
def sandbox(facts: Facts) -> Iterator[Finding]:
    """A machine on which no sandbox can be made, with the reason; or a service that makes none."""
    if facts.given.known.sandbox == "none":
        yield Finding(
            what="Jobs run without any sandbox, as the user of the service, and may read its secrets.",
            where="BUILDHOOK_SANDBOX",
            mend="Set it to auto, unless everybody who can push here may also log in to this machine.",
        )
    if problem := facts.engine.known.sandbox:
        yield Finding(what=problem, where="BUILDHOOK_SANDBOX")


@CHECKS.check("What jobs use of this machine can be limited.")
def limits(facts: Facts) -> Iterator[Finding]:
    """Control groups that cannot be made, so that one job may take all memory."""
    if problem := facts.engine.known.limits:
        yield Finding(what=problem, where="/sys/fs/cgroup", mend="Ask the doctor in the way that the service is run.")


@CHECKS.check("Containers can be made, or nobody wants one.")
def podman(facts: Facts) -> Iterator[Finding]:
    """A Podman that is missing or cannot make containers, where the settings or the policy want them."""
    if problem := facts.engine.known.podman:
        yield Finding(what=problem, where="BUILDHOOK_SANDBOX or `[images]` of the policy file")


@CHECKS.check("So many jobs at once fit on this machine.")
def job_count(facts: Facts) -> Iterator[Finding]:
    """More jobs at once than the machine has processors or memory for."""
    given, machine = facts.given.known, facts.machine.known
    most = max(2, _JOBS_PER_PROCESSOR * machine.processors)
    if given.max_jobs > most:
        yield Finding(
            what=f"{given.max_jobs} jobs may run at once, and this machine has {machine.processors} processors.",
            where="BUILDHOOK_MAX_JOBS",
            mend=f"Set it to at most {most}.",
        )
    elif given.job_memory_bytes and given.max_jobs * given.job_memory_bytes > machine.memory_bytes:
        yield Finding(
            what=f"{given.max_jobs} jobs of {given.job_memory_bytes / 1e9:.1f} GB each need more than the"
            f" {machine.memory_bytes / 1e9:.1f} GB of this machine.",
            where="BUILDHOOK_MAX_JOBS, BUILDHOOK_JOB_MEMORY",
            mend="Set one of them lower.",
        )
