"""A pull request is tested as it would be merged, by a commit that is the same wherever it is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engines.local import engine as local
from bot.engines.local import merge
from tests.engines import gitserver, jobs


async def test_the_head_is_tested_merged_into_the_base(engine: local.Local, code: jobs.Code) -> None:
    base = code.repository.commit({"base.txt": "base\n"}, parent=code.sha)
    head = code.repository.commit({"head.txt": "head\n"}, parent=code.sha, branch="work")
    script = "ls; git log -1 --format=%P%n%an%n%s; git rev-parse HEAD HEAD^{tree}; git status --porcelain"
    script += "; git merge-base HEAD^1 HEAD^2"
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=base), script))
    lines = told.log.splitlines()
    assert lines[:4] == ["README.md", "base.txt", "head.txt", "src"]
    assert lines[4:7] == [f"{base} {head}", "buildhook", f"Merge {head} into {base}"]
    assert lines[7:9] == [told.prepared.tested_sha, told.prepared.tested_tree]
    assert lines[9:] == [code.sha]


async def test_the_same_base_and_head_give_the_same_commit(engine: local.Local, code: jobs.Code) -> None:
    base = code.repository.commit({"base.txt": "base\n"}, parent=code.sha, at=1_700_000_100)
    head = code.repository.commit({"head.txt": "head\n"}, parent=code.sha, branch="work", at=1_700_000_050)
    found = set()
    for trust in (jobs.TRUSTED, jobs.UNTRUSTED, jobs.TRUSTED):
        request = jobs.make(code.source(head, base_sha=base, trust=trust), "git log -1 --format=%ct")
        told = await jobs.run(engine, request)
        assert told.log == "1700000100\n"
        found.add((told.prepared.tested_sha, told.prepared.tested_tree))
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
async def test_the_commit_is_the_one_that_git_would_make(
    engine: local.Local, server: gitserver.Server, kind: str
) -> None:
    repository = server.repository("octo/other", kind=kind)
    first = repository.commit({"x": "x"})
    base = repository.commit({"base.txt": "base\n"}, parent=first, at=1_700_000_100)
    head = repository.commit({"head.txt": "head\n"}, parent=first, branch="work")
    source = jobs.Code(server, repository, head).source(base_sha=base)
    told = await jobs.run(engine, jobs.make(source, "git fsck --strict && git cat-file commit HEAD"))
    assert told.result == "passed", told.log
    place = f"--git-dir={repository.path}"
    tree = gitserver.run(place, "merge-tree", "--write-tree", base, head)
    who = {f"GIT_{who}_{what}": "buildhook" for who in ("AUTHOR", "COMMITTER") for what in ("NAME",)}
    who |= {f"GIT_{who}_EMAIL": "buildhook@localhost" for who in ("AUTHOR", "COMMITTER")}
    who |= {f"GIT_{who}_DATE": "@1700000100 +0000" for who in ("AUTHOR", "COMMITTER")}
    text = f"Merge {head} into {base}\n"
    made = gitserver.run(place, "commit-tree", "-p", base, "-p", head, "-m", text, tree, env=who)
    assert (told.prepared.tested_sha, told.prepared.tested_tree) == (made, tree)


async def test_a_head_that_holds_the_base_keeps_its_tree(engine: local.Local, code: jobs.Code) -> None:
    head = code.repository.commit({"x": "x"}, parent=code.sha)
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=code.sha), "git diff --stat HEAD^2; ls"))
    assert told.log.split() == ["README.md", "src", "x"]
    assert told.prepared.tested_sha != head


async def test_a_conflict_fails_the_job_and_names_the_files(engine: local.Local, code: jobs.Code) -> None:
    base = code.repository.commit({"README.md": "base\n", "b": "base\n"}, parent=code.sha)
    head = code.repository.commit({"README.md": "head\n", "b": "head\n"}, parent=code.sha, branch="work")
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=base), "true"))
    assert told.result == "failed"
    assert told.reason == "merge conflict in README.md, b: merge the base branch into yours"
    assert "CONFLICT (content): Merge conflict in README.md" in told.log
    assert told.steps == []


async def test_names_in_a_conflict_cannot_forge_lines(engine: local.Local, code: jobs.Code) -> None:
    name = "a\nerror: forged\x1b[2J"
    quoted = '"a\\nerror: forged\\033[2J"'
    base = code.repository.commit({quoted: "base\n"}, parent=code.sha)
    head = code.repository.commit({quoted: "head\n"}, parent=code.sha, branch="work")
    assert (
        name.encode()
        in gitserver.run(f"--git-dir={code.repository.path}", "ls-tree", "-z", "--name-only", head).encode()
    )
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=base), "true"))
    assert told.result == "failed"
    assert "\n" not in told.reason
    assert "\x1b" not in told.reason


async def test_histories_with_nothing_in_common_are_told_so(engine: local.Local, code: jobs.Code) -> None:
    other = code.repository.commit({"x": "x"}, branch="orphan")
    told = await jobs.run(engine, jobs.make(code.source(other, base_sha=code.sha), "true"))
    assert told.result == "failed"
    assert "no commit in common" in told.reason


async def test_a_base_equal_to_the_head_is_merged_too(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, jobs.make(code.source(base_sha=code.sha), "true"))
    assert told.result == "passed"


async def test_merging_writes_nothing_to_the_mirror(engine: local.Local, code: jobs.Code) -> None:
    base = code.repository.commit({"base.txt": "base\n"}, parent=code.sha)
    head = code.repository.commit({"head.txt": "head\n"}, parent=code.sha, branch="work")
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=base), "true"))
    again = await jobs.run(engine, jobs.make(code.source(head), f"git cat-file -e {told.prepared.tested_sha}"))
    assert again.result == "failed"


async def test_f28_dates_that_no_clock_shows_do_not_stop_the_merge(engine: local.Local, code: jobs.Code) -> None:
    head = code.repository.commit({"h": "h"}, parent=code.sha, branch="work", at=9_999_999_999)
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=code.sha), "git log -1 --format=%ct"))
    assert told.result == "passed"
    assert int(told.log) == 1 << 32


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(NAMES, min_size=1, max_size=20, unique=True), st.lists(st.tuples(st.lists(NAMES), NAMES, NAMES)))
def test_a_conflict_is_read_whatever_the_files_are_called(
    names: list[str], messages: list[tuple[list[str], str, str]]
) -> None:
    said = "a" * 40 + "\0" + "".join(f"{name}\0" for name in names) + "\0"
    for paths, kind, text in messages:
        said += f"{len(paths)}\0" + "".join(f"{path}\0" for path in paths) + f"{kind}\0{text}\0"
    ended = merge.conflict(said)
    assert ended.reason.startswith("merge conflict in ")
    assert ("and" in ended.reason) >= (len(names) > 5)
    assert "\n" not in ended.reason
    for _, _, text in messages:
        assert text.rstrip() in ended.log


@pytest.mark.parametrize("said", ["", "\0", "a" * 40, "a" * 40 + "\0\0", "x\0y\0\0" + "999999\0", "x\0y\0\0²\0"])
def test_an_answer_that_is_cut_off_still_gives_a_reason(said: str) -> None:
    assert merge.conflict(said).reason.startswith("merge conflict")
