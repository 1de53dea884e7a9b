"""Jobs that name images, through the whole service: pulled from a real registry, pinned, run, and told everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from bot.simulator import Simulator
from tests.acceptance import process
from tests.engines import images, stores

pytestmark = [
    pytest.mark.skipif(not images.is_possible(), reason="podman or busybox is not installed"),
    pytest.mark.long,
]


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[None]:
    """Nothing of the service's containers stays behind."""
    with stores.made(tmp_path / "data", named={}):
        yield


@pytest.fixture
async def registry() -> AsyncIterator[images.Registry]:
    """A registry on loopback."""
    async with images.registry() as serving:
        yield serving


@pytest.fixture
def environment(environment: Mapping[str, str], tmp_path: Path) -> Mapping[str, str]:
    """With a policy of the operator."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[images]\nrequire_digest = true\n")
    return {**environment, "BUILDHOOK_POLICY_FILE": str(policy)}


def pipeline(image: str, *, service: str | None = None) -> dict[str, str]:
    """A file whose only job runs in this image."""
    beside = f"    services: {{web: {{image: '{service}'}}}}\n" if service else ""
    return {
        ".buildhook.yml": f"on: push\njobs:\n  build:\n    container: {image}\n{beside}"
        "    steps:\n      - run: cat README.md; cat /etc/which\n",
        "README.md": "# hello\n",
    }


async def test_t114_the_digest_of_an_image_is_told_with_the_build(
    github: Simulator, service: process.Process, registry: images.Registry
) -> None:
    image = images.make(files=(("etc/which", "this one\n"),))
    name = f"{registry.push('own/tool:1', image)}@{image.digest}"
    pinned = name.replace(":1@", "@")
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    head = await github.push(repository, "main", pipeline(name, service=name))
    check = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    assert f"Image of `container`: `{pinned}`" in (check.summary or "")
    (made,) = await service.command("builds", "list")
    (job,) = (await service.command("builds", "show", made["id"]))["jobs"]
    assert job["images"] == {"container": pinned, "web": pinned}
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}/jobs/{job['id']}") as answer:
        page = await answer.text()
    assert f"Image of web: <code>{pinned}</code>" in page
    assert "this one" in page


async def test_t114_an_image_that_may_not_be_had_ends_the_job_in_words(
    github: Simulator, service: process.Process, registry: images.Registry
) -> None:
    name = registry.push("own/tool:1", images.make())
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    head = await github.push(repository, "main", pipeline(name))
    check = await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    assert "named without a digest" in (check.summary or "").replace("\\", "")
    (made,) = await service.command("builds", "list")
    (job,) = (await service.command("builds", "show", made["id"]))["jobs"]
    assert (job["state"], job["images"]) == ("errored", {})
    assert "wants one: write `127.0.0.1" in job["reason"]
    assert registry.asked == []
