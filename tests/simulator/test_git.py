"""What is written into git comes out again, whatever it is; and what git tells is read right."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.simulator import GitError, Simulator, git, git_text, values

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and not name.lower().startswith(".git")
)
CONTENTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=2_000))
MESSAGES = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]))


async def round_trip(files: dict[str, str | bytes], message: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repository = git.Git(Path(folder) / "r.git")
        await repository.create("main", objects=Path(folder) / "objects")
        author = values.Signature(name=name, email="a@b.example", at=datetime.now(UTC).replace(microsecond=0))
        new = values.NewCommit(ref="refs/heads/main", parent=None, files=files, message=message, author=author)
        (sha,) = await repository.write([new])
        for path, content in files.items():
            found = await repository.object(f"{sha}:{path}")
            assert found is not None
            assert found[2] == (content.encode() if isinstance(content, str) else content)
        (commit,) = git_text.parse_log(await repository.git("log", *git_text.LOG_ARGUMENTS, sha))
        assert sorted(change.path for change in commit.changes) == sorted(files)
        assert {change.status for change in commit.changes} <= {"added"}
        assert commit.message == message.rstrip("\n")
        changes = await repository.changes(await repository.empty_tree(), sha)
        assert sorted(change.path for change in changes) == sorted(files)
        await repository.close()


@settings(max_examples=25, deadline=None)
@example({"\r": "the end of a line", "a\r": "b", "a": "c", "a\nb": "d"}, "", "")
@given(st.dictionaries(NAMES, CONTENTS, max_size=4), MESSAGES, st.text(max_size=20))
def test_any_file_and_message_survive(files: dict[str, str | bytes], message: str, name: str) -> None:
    asyncio.run(round_trip(files, message, name))


@given(st.text(), st.text())
def test_no_name_breaks_out_of_its_line(name: str, email: str) -> None:
    line = git_text.signature(values.Signature(name=name, email=email, at=datetime.now(UTC).replace(microsecond=0)))
    assert "\n" not in line
    assert (line.count("<"), line.count(">")) == (1, 1)


async def test_the_reader_survives_its_own_death(tmp_path: Path) -> None:
    async with Simulator(folder=tmp_path) as github:
        repository = await github.create_repository("octo/hello", {"a.txt": "a"})
        its_git = github.git_of(repository)
        assert its_git._reader is not None
        its_git._reader.kill()
        await its_git._reader.wait()
        its_git._blobs.clear()
        assert (await its_git.object(f"{repository.heads['main']}:a.txt") or ("", "", b""))[2] == b"a"


async def test_a_git_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "OLDEST", (99, 0))
    with pytest.raises(GitError, match=r"needs git 99\.0 or later; this is git version"):
        async with Simulator(folder=tmp_path):
            pass


async def test_nothing_of_the_users_git_has_an_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text("[init]\n\tdefaultBranch = wrong\n[core]\n\tnotes = x\n[broken\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    async with Simulator(folder=tmp_path / "github") as github:
        repository = await github.create_repository("octo/hello")
        assert list(repository.heads) == ["main"]
