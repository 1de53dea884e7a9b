"""Submodules on the whole way: the operator's setting, a job's token, and what it may read with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.simulator import Simulator
from tests.acceptance import process
from tests.acceptance.conftest import pipeline
from tests.engines import gitserver


@pytest.fixture
def environment(github: Simulator, tmp_path: Path) -> Mapping[str, str]:
    """The settings of a service that checks submodules out."""
    made = process.for_github(
        github,
        tmp_path / "data",
    )
    return {**made, "BUILDHOOK_SUBMODULES": "top"}


@pytest.mark.parametrize(
    "is_private", [pytest.param(False, id="public"), pytest.param(True, id="private", marks=pytest.mark.long)]
)
async def test_a_job_reads_public_submodules_and_is_told_of_private_ones(
    github: Simulator, service: process.Process, is_private: bool
) -> None:
    # The simulator shows a narrowed token no other repository of the installation, be it public.
    library = {"lib.c": "one\n"}
    lib = await github.create_repository("octo/lib", files=library, private=is_private, installed=is_private)
    hello = await github.create_repository("octo/hello", files=pipeline("cat lib/lib.c"))
    place = gitserver.Repository(github.folder / f"{hello.id}.git")
    files: dict[str, str | gitserver.Entry] = {
        ".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n',
        "lib": gitserver.Entry(lib.heads["main"], mode="160000"),
    }
    sha = place.commit(files, parent=hello.heads["main"], branch="made-elsewhere")
    await github.push(hello, "main", start=sha)
    conclusion = "failure" if is_private else "success"
    check = await github.wait_for_check(hello, sha, name="buildhook", conclusion=conclusion)
    if is_private:
        assert "Fetching the submodule" in str(check)
        assert "a build reads its own repository and public ones" in str(check)
