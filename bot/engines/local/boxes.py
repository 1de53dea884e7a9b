"""Which containers a job gets: what it may have here, and the images that they are made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bot import images as rules
from bot.choices import Network
from bot.engines import contract
from bot.engines.local import containers, disk, images, launch, podman, threads, trouble
from bot.model import build

_AS_ROOT = "the service has to run as root for that"


class Boxer:
    """Provides the images of jobs, and knows what containers can do here."""

    def __init__(self, program: podman.Podman, *, pool: threads.Threads, image: str, is_all_inside: bool) -> None:
        """:param image: the operator's, for what is not in an image of the job's own; may be empty.
        :param is_all_inside: whether all jobs run in containers.
        """
        self.podman = program
        self._pool = pool
        self._images = images.Images(program, pool=pool)
        self._image = image
        self._is_all_inside = is_all_inside

    async def look(self) -> podman.Look:
        """Whether containers can be made here."""
        return await self._pool.run(self.podman.look)

    async def provide(self, request: contract.JobRequest, *, is_sandboxed: bool, reach: Network) -> containers.Boxes:
        """Have the images of a job.

        :raises trouble.Ended: if it cannot have what it names.
        """
        plan = request.plan
        if not is_sandboxed:
            raise trouble.Ended("SANDBOX=none makes no containers: set SANDBOX=auto, or SANDBOX=podman.")
        look = await self.look()
        if look.problem is not None:
            raise trouble.Ended(look.problem)
        if os.geteuid() != 0:
            if plan.services and plan.container is None and not self._is_all_inside:
                raise trouble.Ended(
                    f"`services` beside a job that is in no container: {_AS_ROOT}. Give the job a `container`."
                )
            if reach is not Network.NONE:
                told = f"A container with the setting NETWORK={reach.value}"
                raise trouble.Ended(f"{told}: {_AS_ROOT}, or set NETWORK=none.")
        ours = await self._ours(request.source.trust) if self._is_all_inside else None
        found = {
            what: await self._images.provide(name, rules=request.images, trust=request.source.trust)
            for what, name in images.names(plan).items()
        }
        own = found.get("container")
        return containers.Boxes(
            podman=self.podman,
            has_layers=look.has_layers,
            container=own or ours,
            tools=ours if own is not None else None,
            services={host: found[host] for host in plan.services},
            pinned={**images.told(found), **({containers.OURS: ours.pinned} if ours is not None else {})},
            is_all_inside=self._is_all_inside,
        )

    async def ours(self) -> containers.Boxes:
        """The container of a job that names no image.

        :raises trouble.Ended: if it cannot be had.
        """
        look = await self.look()
        if look.problem is not None:
            raise trouble.Ended(look.problem)
        found = await self._ours(build.Trust.UNTRUSTED)
        return containers.Boxes(
            podman=self.podman,
            has_layers=look.has_layers,
            container=found,
            services={},
            pinned={containers.OURS: found.pinned},
            is_all_inside=True,
        )

    async def _ours(self, trust: build.Trust) -> images.Image:
        if not self._image:
            raise trouble.Ended("SANDBOX=podman needs an image with git and sh: name one by BUILDHOOK_SANDBOX_IMAGE.")
        return await self._images.provide(self._image, rules=rules.DEFAULT, trust=trust, is_ours=True)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says of containers."""

    #: For what is not in an image of a job's own; may be empty.
    image: str
    #: The data folder of another engine, whose images are used; None for this one's own.
    images_dir: Path | None
    #: Variables for fetching images.
    env: Mapping[str, str]


def make(place: disk.Disk, manner: launch.Manner, given: Given, *, pool: threads.Threads) -> Boxer:
    """The one of an engine. Blocks."""
    of = disk.Disk(given.images_dir) if given.images_dir is not None else place
    program = podman.Podman(of.data_dir, extra_env=given.env, is_ours=of is place)
    return Boxer(program, pool=pool, image=given.image, is_all_inside=manner.is_in_containers)
