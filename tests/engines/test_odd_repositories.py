"""Repositories of odd shape: names, histories and sizes that nobody writes by accident (T49, T50, T51, T52)."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import git, mirror, trouble
from tests.engines import gitserver, jobs
from tests.engines.conftest import Open

LONG = [pytest.mark.long, pytest.mark.timeout(800)]
NAMES = (
    ".git",
    ".GIT",
    ".gIt",
    "GIT~1",
    "git~1",
    ".git ",
    ".git.",
    ".git. .",
    ".git:",
    ".git::$INDEX_ALLOCATION",
    ".git:x",
    ".git\\x",
    *(
        f".g{ignored}it"
        for ignored in "\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u206a\u206f\ufeff"
        if ignored != "\u200b"
    ),
    ".git\u200c",
    "\u200c.git",
    "..",
    ".",
    "a/b",
    "/a",
)


def test_t52_names_that_some_file_system_takes_for_git_s_own_never_get_into_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git looks at them as they come, before anything is checked out; here without a server between."""
    repository = gitserver.Repository(tmp_path / "source.git")
    gitserver.run("init", "--quiet", "--bare", repository.path)
    program = git.Git("git", extra_env={"GIT_ALLOW_PROTOCOL": "file"})
    real = git.environment

    def local_too(**rest: object) -> dict[str, str]:
        return {**real(**rest), "GIT_ALLOW_PROTOCOL": "file"}  # type: ignore[arg-type]

    monkeypatch.setattr(git, "environment", local_too)
    (tmp_path / "trash").mkdir()
    place = mirror.Mirror(tmp_path / "1.git", program=program, trash=tmp_path / "trash")
    place.make(is_sha256=False)
    let_in = []
    for number, name in enumerate(NAMES):
        sha = repository.commit_tree(repository.tree([("100644", name, "evil\n")]), branch=f"b{number}")
        arguments = ("-c", "protocol.file.allow=always", f"--git-dir={place.folder}", "fetch", "--quiet", "--no-tags")
        answer = program.run(*arguments, "--end-of-options", f"file://{repository.path}", f"{sha}:refs/x/{number}")
        if answer.code == 0 or "not safe to check out" not in trouble.fetching(answer.stderr, host="x").reason:
            let_in.append((name, answer.stderr))
    assert let_in == []
    sha = repository.commit({"git": "fine", "x.git": "fine", ".github/x": "fine", "git~x": "fine"}, branch="fine")
    answer = program.run(*arguments, "--end-of-options", f"file://{repository.path}", f"{sha}:refs/x/fine")
    assert answer.code == 0, answer.stderr


async def test_t50_a_history_that_the_server_cuts_off_is_refused_and_leaves_no_trace(
    engine: local.Local, code: jobs.Code, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `shallow` file, grafts and replacements change what a history is; none of a server's is ever taken over."""
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0,))
    second = code.repository.commit({"b": "b"}, parent=code.sha)
    third = code.repository.commit({"c": "c"}, parent=second)
    (code.repository.path / "info").mkdir(exist_ok=True)
    (code.repository.path / "info" / "grafts").write_text(f"{third}\n")
    told = await jobs.run(engine, jobs.make(code.source(third, repository_id=2), "git rev-list HEAD"))
    assert told.result == "errored"
    assert told.reason.startswith("Fetching octo/hello: ")
    (code.repository.path / "info" / "grafts").unlink()
    (code.repository.path / "shallow").write_text(f"{third}\n")
    told = await jobs.run(engine, jobs.make(code.source(third, repository_id=2), "git rev-list HEAD"))
    assert (told.result, "a history that is cut off" in told.reason) == ("errored", True)
    (code.repository.path / "shallow").unlink()
    told = await jobs.run(engine, jobs.make(code.source(third, repository_id=2), "git rev-list --count HEAD"))
    assert (told.result, told.log) == ("passed", "3\n")
    gitserver.run(f"--git-dir={code.repository.path}", "update-ref", f"refs/replace/{third}", code.sha)
    told = await jobs.run(engine, jobs.make(code.source(third), "git rev-list --count HEAD; git for-each-ref; ls .git"))
    assert (told.result, told.log.split()[0], "shallow" in told.log) == ("passed", "3", False)
    left = [path.name for path in (data_dir / "engine/mirrors").rglob("*") if path.is_file()]
    assert not {"shallow", "grafts"} & set(left)
    assert not list((data_dir / "engine/mirrors").rglob("refs/replace"))


async def test_t49_what_a_build_does_to_its_objects_no_other_build_meets(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    fork = code.repository.commit({"evil": "evil\n"}, parent=code.sha, branch="fork")
    source = code.source(fork)
    assert (await jobs.run(engine, jobs.make(source, "true"))).result == "passed"
    folder = data_dir / "engine/mirrors"
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}
    script = """
        set +e
        exec 2> /dev/null
        blob=$(git rev-parse HEAD:README.md)
        first=$(echo $blob | cut -c1-2)
        mkdir -p .git/objects/$first .git/info
        echo poison > .git/objects/$first/$(echo $blob | cut -c3-)
        for pack in /run/objects/pack/*; do
            echo poison > $pack; chmod 777 $pack; rm -f $pack; ln -f $pack .git/objects/pack/
        done
        cp -r /run/objects/pack/. .git/objects/pack/
        chmod -R u+w .git
        for file in .git/objects/pack/*; do echo poison > $file; done
        git replace HEAD HEAD^; echo $blob > .git/shallow; echo $blob > .git/info/grafts
        echo /etc > .git/objects/info/alternates
        rm -rf /run/objects /run/objects/*; mount -o remount,rw /run/objects
        true
    """
    assert (await jobs.run(engine, jobs.make(source, script))).result == "passed"
    after = {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}
    assert after == before
    told = await jobs.run(
        engine, jobs.make(source, "git fsck --strict --no-dangling; cat README.md evil; git log --oneline | wc -l")
    )
    assert (told.result, told.log.split()) == ("passed", ["hello", "evil", "2"])


@pytest.mark.parametrize("refs", [20_000, pytest.param(1_000_000, marks=LONG)])
async def test_t51_refs_are_never_listed_however_many_there_are(
    engine: local.Local, code: jobs.Code, refs: int
) -> None:
    lines = "".join(f"{code.sha} refs/heads/many/{number:07}\n" for number in range(refs))
    (code.repository.path / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{lines}")
    told = await jobs.run(engine, jobs.make(code.source(), "cat README.md; git for-each-ref | wc -l"))
    assert (told.result, told.log) == ("passed", "hello\n0\n")
    # What the server can do, and the pack: no list in between.
    assert [path.rpartition("/")[2] for path, _ in code.server.requests] == ["refs", "git-upload-pack"]


async def test_t51_a_path_longer_than_any_is_checked_out_or_told_in_words(engine: local.Local, code: jobs.Code) -> None:
    sha = code.repository.commit({"/".join(["d" * 200] * 30): "deep\n", "x": "x\n"}, parent=code.sha)
    request = jobs.make(code.source(sha), "echo it ran")
    told = await jobs.run(engine, request)
    assert told.result == "errored"
    assert "could not be checked out" in told.reason
    assert "cannot create directory" in told.log
    await engine.remove(request.job_id)
    assert (await jobs.run(engine, jobs.make(code.source(), "echo it ran"))).log == "it ran\n"


@pytest.mark.parametrize("size_bytes", [20 << 20, pytest.param(4 << 30, marks=LONG)])
async def test_t51_a_blob_larger_than_a_job_may_write_ends_the_job_in_words(
    open_engine: Open, code: jobs.Code, tmp_path: Path, size_bytes: int
) -> None:
    engine = await open_engine(job_limits=contract.JobLimits(disk_bytes=8 << 20))
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        os.truncate(file.fileno(), size_bytes)
    place = f"--git-dir={code.repository.path}"
    blob = gitserver.run("-c", "core.bigFileThreshold=1m", place, "hash-object", "-w", str(huge))
    huge.unlink()
    tree = gitserver.run(place, "mktree", stdin=f"100644 blob {blob}\thuge\n".encode())
    sha = code.repository.commit_tree(tree)
    told = await jobs.run(engine, jobs.make(code.source(sha), "echo it ran", timeout_seconds=600.0))
    assert told.result == "failed"
    assert "it wrote more than the 8 MiB or" in told.reason
    assert "it ran" not in told.log
    # Nor is the mirror thrown away for it.
    before = len(code.server.requests)
    assert (await jobs.run(engine, jobs.make(code.source(sha), "true", timeout_seconds=600.0))).result == "failed"
    assert len(code.server.requests) == before


@pytest.mark.parametrize("files", [pytest.param(1_000_000, marks=LONG)])
async def test_t51_a_million_files_end_the_job_where_it_may_have_fewer(
    open_engine: Open, code: jobs.Code, files: int
) -> None:
    blob = gitserver.run(f"--git-dir={code.repository.path}", "hash-object", "-w", "--stdin", stdin=b"x")
    stream = b"commit refs/heads/main\ncommitter a <a@b> 1 +0000\ndata 1\nx"
    stream += b"".join(b"M 100644 %b d%d/f%d\n" % (blob.encode(), n // 1000, n) for n in range(files))
    subprocess.run(
        ["git", f"--git-dir={code.repository.path}", "fast-import", "--quiet", "--force"], input=stream, check=True
    )
    sha = gitserver.run(f"--git-dir={code.repository.path}", "rev-parse", "main")
    engine = await open_engine(job_limits=contract.JobLimits(disk_files=50_000))
    request = jobs.make(code.source(sha), "echo it ran", timeout_seconds=700.0)
    told = await jobs.run(engine, request)
    assert told.result == "failed"
    assert "or 50000 files that a job may have" in told.reason
    await engine.remove(request.job_id)
