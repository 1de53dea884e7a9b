"""The images of jobs: each is fetched and pinned to its digest once, before a job starts, or it ends in words."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
import weakref
from collections.abc import Mapping
from typing import Any

import msgspec

from bot import images
from bot.engines.local import podman, threads, trouble
from bot.model import build, job

#: How long fetching one may take.
_SECONDS = 900.0
#: Waits before each attempt.
_PAUSES = (0.0, 1.0, 5.0)
_MISSING = re.compile(r"manifest unknown|name unknown|not found|no such (?:image|manifest)|StatusCode: 404|status 404")
_REFUSED = re.compile(r"unauthorized|authentication required|denied|forbidden|40[13]\b|no basic auth", re.IGNORECASE)
_DIFFERS = re.compile(r"digest|does not match|checksum|corrupt", re.IGNORECASE)
_FULL = re.compile(r"no space left|disk quota", re.IGNORECASE)
_LOOPBACK = re.compile(r"(?:127\.\d+\.\d+\.\d+|localhost)(?::\d+)?")


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that is here, and will be the same whatever its tag means by then."""

    #: `registry/path@sha256:...`; of an image that was made here the id stands for the digest.
    pinned: str
    id: str
    #: What its processes have in their environment.
    env: Mapping[str, str]
    #: What runs in it where nobody says something else.
    command: tuple[str, ...]
    #: Its own way to find out whether it is ready: a command for its shell, or arguments; empty where it has none.
    health: tuple[str, ...] = ()


class Images:
    """The images of one engine."""

    def __init__(self, program: podman.Podman, *, pool: threads.Threads) -> None:
        self._podman = program
        self._pool = pool
        #: One is fetched at a time, by its name.
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def provide(self, name: str, *, rules: images.Rules, trust: build.Trust, is_ours: bool = False) -> Image:
        """Have an image here.

        :param is_ours: whether the operator named it, so that no rule counts.
        :raises trouble.Ended: if the job may not have it, or it cannot be had.
        """
        wanted = images.parse(name)
        if wanted is None:
            raise trouble.Ended(f"{name[:80]!r} is not the name of an image, e.g. `python:3.13-slim`.")
        refusal = images.refusal(wanted, rules, is_trusted=trust is build.Trust.TRUSTED)
        if refusal is not None and not is_ours:
            raise trouble.Ended(refusal)
        lock = self._locks.setdefault(wanted.name, asyncio.Lock())
        async with lock:
            # A name with a digest means the same for ever; all others are asked for anew.
            found = await self._look(str(wanted), wanted) if wanted.digest or wanted.is_here else None
            if found is None:
                if wanted.is_here:
                    raise trouble.Ended(
                        f"The image {wanted} is not on this machine, and an image of `localhost` is never fetched: see "
                        "docs/engines.md for how to put one there."
                    )
                # By its id: whatever a tag means by then.
                found = await self._look(await self._pull(wanted), wanted)
        if found is None:
            raise trouble.Ended(f"The image {wanted} went away while it was looked at: run the job again.")
        await self._pool.run(lambda: self._podman.use(found.id))
        return found

    async def _look(self, name: str, wanted: images.Reference) -> Image | None:
        try:
            said = await self._pool.run(lambda: self._podman.run("image", "inspect", "--format", "json", name))
        except podman.PodmanError:
            return None
        found = json.loads(said)[0]
        return _image(found, wanted)

    async def _pull(self, wanted: images.Reference) -> str:
        """Fetch it; gives its id.

        :raises trouble.Ended: if it cannot be fetched.
        """
        arguments = ["pull", "--quiet"]
        # As Docker does: nobody else hears what goes over the loopback.
        arguments += ["--tls-verify=false"] if _LOOPBACK.fullmatch(wanted.registry) else []
        until = time.monotonic() + _SECONDS
        error = ""
        for pause_seconds in _PAUSES:
            await asyncio.sleep(pause_seconds)
            try:
                said = await self._fetch([*arguments, str(wanted)], seconds=max(1.0, until - time.monotonic()))
                return said.strip().splitlines()[-1]
            except podman.PodmanError as failed:
                error = str(failed)
            if not _is_passing(error) or time.monotonic() >= until:
                break
        raise _told(wanted, error)

    async def _fetch(self, arguments: list[str], *, seconds: float) -> str:
        started: list[subprocess.Popen[str]] = []
        working = asyncio.ensure_future(
            self._pool.run(lambda: self._podman.run(*arguments, seconds=seconds, on_start=started.append))
        )
        try:
            return await asyncio.shield(working)
        finally:
            # The thread waits for it.
            for one in started if not working.done() else ():
                one.terminate()


def names(plan: job.Plan) -> dict[str, str]:
    """The images that a job names, by what they are for."""
    found = {name: one.image for name, one in plan.services.items()}
    return ({"container": plan.container.image} if plan.container is not None else {}) | found


def _image(found: dict[str, Any], wanted: images.Reference) -> Image:
    config = found.get("Config") or {}
    pairs = [str(one).partition("=") for one in config.get("Env") or []]
    digest = wanted.digest or f"sha256:{found['Id']}"
    if not wanted.is_here and not wanted.digest:
        digest = str(found.get("Digest") or digest)
    test = [str(one) for one in (found.get("HealthCheck") or config.get("Healthcheck") or {}).get("Test") or []]
    kind = test[0] if test else ""
    health = tuple(test[1:]) if kind == "CMD" else ("sh", "-c", *test[1:]) if kind == "CMD-SHELL" else ()
    return Image(
        pinned=f"{wanted.name}@{digest}",
        id=str(found["Id"]),
        env={name: value for name, _, value in pairs},
        command=tuple(str(one) for one in [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]),
        health=health,
    )


def _is_passing(error: str) -> bool:
    return not any(pattern.search(error) for pattern in (_MISSING, _REFUSED, _DIFFERS, _FULL))


def _told(wanted: images.Reference, error: str) -> trouble.Ended:
    where = wanted.registry
    log = f"podman pull {wanted}:\n{error}\n"
    if _FULL.search(error):
        return trouble.Ended(f"The disk is full while the image {wanted} is fetched: make room.", log=log)
    if _MISSING.search(error):
        return trouble.Ended(f"{where} says that there is no image {wanted}: check its name and its tag.", log=log)
    if _REFUSED.search(error):
        return trouble.Ended(
            f"{where} did not let us have the image {wanted}: is it private, or its name wrong? The user of the "
            "service can log in with `podman login`.",
            log=log,
        )
    if _DIFFERS.search(error):
        return trouble.Ended(
            f"What {where} gave for the image {wanted} has another digest than it should, so it is not used.", log=log
        )
    return trouble.Ended(f"The image {wanted} could not be fetched from {where}; the log says why.", log=log)


def note(pinned: Mapping[str, str], asked: Mapping[str, str]) -> str:
    """Lines for the beginning of a job's log: which images it has of those that it named."""
    return "\n".join(f"Image of {what}: {pinned[what]} (asked for as {name})" for what, name in asked.items())


def told(found: Mapping[str, Image]) -> dict[str, str]:
    """The images by what they are for, each with its digest."""
    return {what: one.pinned for what, one in found.items()}
