"""Images that jobs name: fetched from a real registry, pinned to their digests, refused in words."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot import images as rules
from bot.engines import contract
from bot.engines.local import images as fetching
from bot.engines.local import podman
from bot.model import job
from tests.engines import images, jobs, stores
from tests.engines.conftest import Open

pytestmark = pytest.mark.skipif(not images.is_possible(), reason="podman or busybox is not installed")


@pytest.fixture(autouse=True)
def store(data_dir: Path) -> Iterator[podman.Podman]:
    """Podman of the engine, without any image."""
    with stores.made(data_dir, named={}) as made:
        yield made


@pytest.fixture
async def registry() -> AsyncIterator[images.Registry]:
    """A registry on loopback."""
    async with images.registry() as serving:
        yield serving


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts come at once after another."""
    monkeypatch.setattr(fetching, "_PAUSES", (0.0, 0.0, 0.0))


def named(code: jobs.Code, image: str, *runs: str, **more: object) -> contract.JobRequest:
    """A trusted job in a container of this image."""
    request = jobs.make(code.source(trust=jobs.TRUSTED), *(runs or ("echo ran",)))
    plan = replace(request.plan, container=job.Container(image=image))
    return dataclasses.replace(request, plan=plan, **more)  # type: ignore[arg-type]


async def test_t114_a_tag_that_moves_changes_nothing_for_a_job_and_the_next_one_has_the_new_image(
    open_engine: Open, code: jobs.Code, store: podman.Podman, registry: images.Registry
) -> None:
    engine = await open_engine()
    old, new = (images.make(files=(("etc/which", text),)) for text in ("old\n", "new\n"))
    name = registry.push("own/tool:1", old)
    request = named(
        code, name, "cat /etc/which; echo ready; until test -e $HOME/../build/go; do sleep 0.1; done", "cat /etc/which"
    )
    await engine.start(request)
    said = await jobs.until(
        engine.events(request.job_id), lambda one: isinstance(one, contract.Output) and b"ready" in one.data
    )
    assert isinstance(said, contract.Output)
    registry.push("own/tool:1", new)
    go = engine._disk.job(request.job_id).box / "home/go"
    await asyncio.to_thread(go.touch)
    told = await jobs.follow(engine, request.job_id)
    assert told.result == "passed", told.log
    assert told.log.endswith("old\nready\nold\n")
    assert told.prepared.images == {"container": f"127.0.0.1:{registry.port}/own/tool@{old.digest}"}
    told = await jobs.run(engine, named(code, name, "cat /etc/which"))
    assert told.log.endswith("new\n")
    # By its digest the old one is here still, and nobody is asked for it.
    registry.asked.clear()
    told = await jobs.run(engine, named(code, f"{name}@{old.digest}", "cat /etc/which"))
    assert told.log.endswith("old\n")
    assert registry.asked == []


@pytest.mark.long
async def test_jobs_at_once_fetch_an_image_once(
    open_engine: Open, code: jobs.Code, store: podman.Podman, registry: images.Registry
) -> None:
    engine = await open_engine()
    image = images.make()
    name = f"{registry.push('own/tool:1', image)}@{image.digest}"
    told = await asyncio.gather(*(jobs.run(engine, named(code, name)) for _ in range(3)))
    assert [(one.result, one.reason) for one in told] == [("passed", "")] * 3
    assert sum("/blobs/" in path for path in registry.asked) == 2


@pytest.mark.long
async def test_f74_an_image_that_cannot_be_fetched_is_no_failure_of_the_build(
    open_engine: Open, code: jobs.Code, store: podman.Podman, registry: images.Registry
) -> None:
    engine = await open_engine()
    image = images.make()
    name = registry.push("own/tool:1", image)

    async def ended(of: str) -> jobs.Told:
        told = await jobs.run(engine, named(code, of))
        assert told.result == "errored", told.log
        return told

    missing = await ended(name.replace(":1", ":2"))
    assert "says that there is no image" in missing.reason
    assert "own/tool:2" in missing.reason
    registry.refusals = [401] * 9
    assert "did not let us have the image" in (await ended(name)).reason
    registry.refusals = []
    layer = next(iter(image.blobs))
    registry.blobs[layer] = registry.blobs[layer][:-9] + b"otherwise"
    differs = await ended(name)
    assert "has another digest than it should" in differs.reason, differs.log
    away = await ended("127.0.0.1:9/own/tool:1")
    assert "could not be fetched from 127.0.0.1:9" in away.reason
    assert "podman pull" in away.log
    here = await ended("localhost/tool:1")
    assert "is not on this machine" in here.reason


@pytest.mark.long
async def test_f74_a_registry_that_is_away_for_a_moment_is_asked_again(
    open_engine: Open, code: jobs.Code, store: podman.Podman, registry: images.Registry
) -> None:
    engine = await open_engine()
    name = registry.push("own/tool:1", images.make())
    registry.refusals = [500] * 2
    told = await jobs.run(engine, named(code, name))
    assert told.result == "passed", told.log


@pytest.mark.long
async def test_t114_the_operator_can_want_digests_and_name_the_images(
    open_engine: Open, code: jobs.Code, store: podman.Podman, registry: images.Registry
) -> None:
    engine = await open_engine()
    image = images.make()
    name = registry.push("own/tool:1", image)
    pinned = f"{name.removesuffix(':1')}@{image.digest}"
    digests = rules.Rules(require_digest=True)
    told = await jobs.run(engine, named(code, name, images=digests))
    assert (told.result, "named without a digest" in told.reason) == ("errored", True)
    assert (await jobs.run(engine, named(code, pinned, images=digests))).result == "passed"
    others = rules.Rules(allow=("docker.io/library/*",))
    told = await jobs.run(engine, named(code, pinned, images=others))
    assert (told.result, "none of those that the operator's policy allows" in told.reason) == ("errored", True)
    # A stranger has none that the operator did not name.
    source = dataclasses.replace(code.source(), trust=jobs.UNTRUSTED)
    told = await jobs.run(engine, dataclasses.replace(named(code, pinned), source=source))
    assert (told.result, "code that is not trusted" in told.reason) == ("errored", True)
    allowed = rules.Rules(allow=("127.0.0.1:*/own/tool", f"127.0.0.1:{registry.port}/own/*"))
    told = await jobs.run(engine, dataclasses.replace(named(code, pinned, images=allowed), source=source))
    assert told.result == "passed", told.reason


@pytest.mark.long
async def test_a_job_is_cancelled_while_its_image_is_fetched(
    open_engine: Open, code: jobs.Code, store: podman.Podman, registry: images.Registry
) -> None:
    engine = await open_engine()
    gate = registry.gate = asyncio.Event()
    request = named(code, registry.push("own/tool:1", images.make()))
    await engine.start(request)
    await registry.reached.wait()
    await engine.cancel(request.job_id, reason="enough")
    told = await jobs.follow(engine, request.job_id)
    assert (told.result, told.reason) == ("cancelled", "enough")
    gate.set()


@pytest.mark.long
async def test_images_that_no_job_used_for_long_are_deleted_and_those_of_the_operator_stay(
    open_engine: Open, code: jobs.Code, store: podman.Podman, registry: images.Registry
) -> None:
    engine = await open_engine()
    name = registry.push("own/tool:1", images.make())
    assert (await jobs.run(engine, named(code, name))).result == "passed"
    await asyncio.to_thread(images.put, store.command, store.env, images.make(has_git=True), stores.TOOLS)
    told = await jobs.run(engine, named(code, stores.TOOLS))
    assert told.result == "passed"

    def listed() -> set[str]:
        return set(store.run("images", "--format", "{{.Repository}}").split())

    now = datetime.now(UTC)
    await engine.sweep(keep={1}, before=now)
    assert await asyncio.to_thread(listed) == {name.removesuffix(":1"), "localhost/tools"}
    long_ago = (now - timedelta(days=15)).timestamp()
    used = list(store._used.iterdir())
    assert len(used) == 2
    for one in used:
        os.utime(one, (long_ago, long_ago))
    await engine.sweep(keep={1}, before=now)
    assert await asyncio.to_thread(listed) == {"localhost/tools"}
