"""T48: whatever an archive holds, it is unpacked inside the sandbox alone; and those that we make harm nobody."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
import stat
import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot.engines import contract
from bot.engines.local import caches
from bot.engines.local import engine as local
from bot.engines.local.supervisor import caching
from bot.model import job
from tests import hostile_archives
from tests.engines import jobs

LONG = [pytest.mark.long, pytest.mark.timeout(400)]
SCOPES = contract.CacheScopes(write="main", read=("main",))


def test_t48_there_are_sixty_of_them_and_more(tmp_path: Path) -> None:
    assert len(hostile_archives.corpus(tmp_path)) >= 60


@pytest.mark.parametrize("part", [pytest.param(part, marks=[] if part == 0 else LONG) for part in range(6)])
async def test_t48_a_hostile_cache_is_unpacked_where_it_harms_nobody(
    engine: local.Local, code: jobs.Code, data_dir: Path, tmp_path: Path, part: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(b"canary of the host")
    entries = 2000 if part == 0 else 20_000
    archives = list(hostile_archives.corpus(outside, below="workspace/deps/", entries=entries).items())[part::6]
    paths = ("deps",)
    folder = data_dir / "engine/caches/1" / caches.digest("main") / caches.digest("workspace/deps")
    folder.mkdir(parents=True)
    for number, (_, data) in enumerate(archives):
        name = hashlib.sha256(f"key-{number}".encode()).hexdigest()
        (folder / f"{name}{caching.DATA}").write_bytes(data)
        (folder / f"{name}{caching.KEY}").write_text(f"key-{number}")
    script = (
        "test ! -w /etc/passwd; test ! -e /run/steps/new; find / -xdev -perm /6000 -user 0 -path '*su' ! -path '/usr/*'"
    )
    made = jobs.make(code.source(trust=jobs.TRUSTED), script)
    wanted = tuple(job.Cache(key=f"key-{number}", restore_keys=(), paths=paths) for number in range(len(archives)))
    plan = replace(made.plan, caches=wanted)
    request = dataclasses.replace(made, plan=plan, cache_scopes=SCOPES, timeout_seconds=300.0)
    before = _all_of(outside, folder, data_dir / "engine/mirrors")
    told = await jobs.run(engine, request)
    # Each was tried, none ended the job, and nothing changed but in the job's own folder.
    tried = re.findall(r"^Cache: `key-\d+`(?:,| could not be unpacked)", told.log, re.MULTILINE)
    assert len(tried) == len(archives), told.log
    assert told.result == "passed", told.log
    after = _all_of(outside, folder, data_dir / "engine/mirrors")
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after.keys() - before.keys() if "mirrors" not in path]
    box = data_dir / "engine/jobs" / request.job_id / "box"
    # Not what a link leads to: that may be closed to whoever looks.
    modes = {path: path.lstat().st_mode for path in box.rglob("*")}
    assert not [path for path, mode in modes.items() if stat.S_ISBLK(mode) or stat.S_ISCHR(mode)]
    await engine.remove(request.job_id)
    assert not box.exists()


def _all_of(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


async def test_t48_an_artifact_has_nothing_but_files_below_its_top(engine: local.Local, code: jobs.Code) -> None:
    script = r"""
        mkdir -p out/sub; cd out
        for name in '..\..\evil' 'C:evil' 'a\b' 'sub/..\x' '...' '-rf' ' ' 'a:b'; do echo x > "$name"; done
        printf x > "$(printf 'a\nb')"; printf x > "$(printf '\033[2J')"; printf x > "$(printf '\377')"; printf x > 'a_b'
        ln -s /etc/passwd link; ln -s / root; mkfifo pipe; printf x > su; chmod 6755 su; ln su hard
        ln -s .. up; ln -s loop loop
    """
    made = jobs.make(code.source(trust=jobs.TRUSTED), script)
    plan = replace(made.plan, artifacts=(job.Artifact(name="all", paths=("out/**",)),))
    told = await jobs.run(engine, dataclasses.replace(made, plan=plan))
    assert told.result == "passed", told.log
    (file,) = [event for event in told.events if isinstance(event, contract.ResultFile)]
    assert file.read is not None, file.problem
    with zipfile.ZipFile(io.BytesIO(await file.read())) as archive:
        infos = archive.infolist()
    names = [info.filename for info in infos]
    assert len(set(names)) == len(names) >= 14
    for info in infos:
        parts = info.filename.split("/")
        assert parts[0] == "out"
        assert not {"", ".", ".."} & set(parts)
        assert not any(one < " " or one in "\\:\x7f" for one in info.filename), info.filename
        assert info.external_attr >> 16 in (0o100644, 0o100755)
    assert not {"out/link", "out/root", "out/pipe", "out/up", "out/loop"} & set(names)
    assert os.path.basename(file.path) == "all"
