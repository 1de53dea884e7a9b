"""A job that names an image: this engine has none, so it says what to do instead."""

from __future__ import annotations

import pytest

from bot.simulator import Simulator
from tests.acceptance import process


@pytest.mark.parametrize(
    ("wanted", "key"),
    [("container: python:latest", "container"), ("services: {db: {image: 'postgres:17'}}", "services")],
)
async def test_t114_a_job_that_names_an_image_ends_with_the_reason(
    github: Simulator, service: process.Process, wanted: str, key: str
) -> None:
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    file = f"on: push\njobs:\n  build:\n    {wanted}\n    steps:\n      - run: echo it ran\n"
    head = await github.push(repository, "main", {".buildhook.yml": file})
    await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    (made,) = await service.command("builds", "list")
    shown = await service.command("builds", "show", made["id"])
    (job,) = shown["jobs"]
    assert f"has no containers: delete `{key}`" in job["reason"]
