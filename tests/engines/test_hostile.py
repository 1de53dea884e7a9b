"""Repositories made to harm who checks them out: refused in words, or built without any of their tricks working."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.engines.local import engine as local
from bot.model import job
from tests.engines import gitserver, jobs

ZERO_WIDTH = "\u200c"


@pytest.mark.parametrize(
    "name",
    [
        ".git",
        ".GIT",
        ".Git",
        "git~1",
        f".g{ZERO_WIDTH}it",
        ".git ",
        ".git...",
        ".git::$INDEX_ALLOCATION",
        "..",
        ".",
        "a/b",
    ],
)
async def test_t52_names_that_some_file_system_takes_for_git_s_own_are_refused(
    engine: local.Local, server: gitserver.Server, name: str
) -> None:
    repository = server.repository()
    sha = repository.commit_tree(repository.tree([("100644", name, "evil\n"), ("100644", "ok", "ok\n")]))
    told = await jobs.run(engine, jobs.make(jobs.Code(server, repository, sha).source(), "echo it ran; cat .git/HEAD"))
    assert told.result == "errored"
    assert "it ran" not in told.log


@pytest.mark.parametrize(
    "modules",
    [
        '[submodule "x"]\n\tpath = -x\n\turl = https://example.com/x\n',
        '[submodule "x"]\n\tpath = x\n\turl = -u./evil\n',
        '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% canary\n',
        '[submodule "../../evil"]\n\tpath = x\n\turl = https://example.com/x\n',
        '[submodule "x"]\n\tpath = "x\\r"\n\turl = https://example.com/x\n',
        '[submodule "x"]\n\tpath = x\n\turl = https://example.com/x\n\tupdate = !touch canary\n',
        '[submodule "x"]\n\tpath = x\n\turl = {address}\n\tbranch = main\n\tfetchRecurseSubmodules = true\n',
    ],
)
async def test_t44_submodules_are_never_fetched_and_nothing_of_theirs_runs(
    engine: local.Local, code: jobs.Code, modules: str
) -> None:
    files: dict[str, str | gitserver.Entry] = {
        ".gitmodules": modules.replace("{address}", code.server.address("octo/other")),
        "x": gitserver.Entry(code.sha, mode="160000"),
    }
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(engine, jobs.make(code.source(sha), "ls -A x; test ! -e canary"))
    assert told.result == "passed" or "not safe" in told.reason
    assert told.log == "" or told.result == "errored"
    assert not any("other" in path for path, _ in code.server.requests)


async def test_t43_filters_drivers_and_hooks_named_by_a_repository_do_not_run(
    engine: local.Local, code: jobs.Code, tmp_path: Path
) -> None:
    evil = f"#!/bin/sh\ntouch {tmp_path}/canary /workspace/canary\n"
    files: dict[str, str | gitserver.Entry] = {
        ".gitattributes": "* filter=evil diff=evil merge=evil ident\n*.bin filter=lfs diff=lfs merge=lfs -text\n",
        ".gitconfig": '[filter "evil"]\n\tsmudge = ./evil\n\tclean = ./evil\n[include]\n\tpath = evil.conf\n',
        ".lfsconfig": "[lfs]\n\turl = https://example.com/evil\n",
        "evil": gitserver.Entry(evil, mode="100755"),
        "git": gitserver.Entry(evil, mode="100755"),
        "hooks/post-checkout": gitserver.Entry(evil, mode="100755"),
        "x.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 99999999999\n",
    }
    base = code.repository.commit(files, parent=code.sha)
    head = code.repository.commit({"x.bin": "other\n", "README.md": "$Id$\n"}, parent=base, branch="work")
    base = code.repository.commit({"src/main.c": "other\n"}, parent=base)
    script = "git config -l --show-scope; test ! -e canary; git status --porcelain; cat x.bin"
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=base), script))
    assert told.result == "passed"
    assert "evil" not in told.log
    assert not (tmp_path / "canary").exists()


async def test_t46_links_in_a_repository_are_only_links(engine: local.Local, code: jobs.Code, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary of the host")
    targets = {
        "absolute": str(tmp_path / "secret"),
        "shadow": "/etc/shadow",
        "up": "../../../../../../../../../etc/hostname",
        "self": "self",
        "environ": "/proc/1/environ",
        "supervisor": "/proc/self/root",
        "into-git": ".git/config",
        "folder": "/",
        "dangling": "no/such/file",
    }
    files = {name: gitserver.Entry(target, mode="120000") for name, target in targets.items()}
    sha = code.repository.commit(files, parent=code.sha)
    script = (
        "for link in " + " ".join(targets) + "; do readlink $link; (cat $link || :) 2>/dev/null | tr -d '\\0'; done"
    )
    told = await jobs.run(engine, jobs.make(code.source(sha), script))
    assert told.result == "passed"
    assert "canary" not in told.log
    assert all(target in told.log for target in targets.values())


async def test_t44_a_link_and_a_folder_of_one_name_lead_nowhere(engine: local.Local, code: jobs.Code) -> None:
    # The tree has the link `a` to git's own folder, and below `A` what would become a hook where cases are one.
    files = {
        "a": gitserver.Entry(".git", mode="120000"),
        "A/hooks/post-checkout": gitserver.Entry("#!/bin/sh\ntouch /workspace/canary\n", mode="100755"),
    }
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(engine, jobs.make(code.source(sha), "test ! -e canary; test ! -e .git/hooks; ls A"))
    assert (told.result, told.log) == ("passed", "hooks\n")


async def test_t50_replacements_and_grafts_of_a_repository_count_for_nothing(
    engine: local.Local, code: jobs.Code
) -> None:
    other = code.repository.commit({"README.md": "replaced\n"}, branch="other")
    git_dir = f"--git-dir={code.repository.path}"
    gitserver.run(git_dir, "update-ref", f"refs/replace/{code.sha}", other)
    (code.repository.path / "info").mkdir(exist_ok=True)
    told = await jobs.run(engine, jobs.make(code.source(), "cat README.md; git for-each-ref"))
    assert told.log == "hello\n"


async def test_t51_many_files_long_names_and_deep_folders_are_checked_out(engine: local.Local, code: jobs.Code) -> None:
    files = {f"many/{number}": "x" for number in range(1000)}
    files |= {"n" * 255: "long", "/".join(["d"] * 500): "deep"}
    sha = code.repository.commit(files, parent=code.sha)
    request = jobs.make(code.source(sha), "ls many | wc -l; find d -type f | wc -l")
    assert (await jobs.run(engine, request)).log.split() == ["1000", "1"]
    await engine.remove(request.job_id)


async def test_t51_a_name_that_no_file_can_have_ends_the_job_in_words(
    engine: local.Local, server: gitserver.Server
) -> None:
    repository = server.repository()
    sha = repository.commit_tree(repository.tree([("100644", "n" * 300, "x")]))
    code = jobs.Code(server, repository, sha)
    told = await jobs.run(engine, jobs.make(code.source(), "echo it ran"))
    assert told.result == "errored"
    assert "could not be checked out" in told.reason
    assert "File name too long" in told.log
    # Nor is the mirror thrown away for it.
    before = len(server.requests)
    assert (await jobs.run(engine, jobs.make(code.source(), "echo it ran"))).result == "errored"
    assert len(server.requests) == before


@pytest.mark.parametrize(
    "text", ["$(touch x)", "`touch x`", "a; touch x", "a\ntouch x", "' \" \\", "-e", "--help", "\x1b[2J", "💥"]
)
async def test_t33_names_and_values_from_outside_are_data(engine: local.Local, code: jobs.Code, text: str) -> None:
    step = job.Step(name=text, run='printf %s "$GITHUB_HEAD_REF"; test ! -e x')
    told = await jobs.run(engine, jobs.make(code.source(), step, env={"GITHUB_HEAD_REF": text, "GITHUB_ACTOR": text}))
    assert (told.result, told.log) == ("passed", text)
