"""Submodules by the operator's setting: exact commits of repositories of the same server, and none of their tricks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.choices import Submodules
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import git, submodules, trouble
from tests.engines import gitserver, jobs
from tests.engines.conftest import Open

URL = "https://github.com/octo/hello.git"
TOP = contract.Checkout(submodules=Submodules.TOP)
RECURSIVE = contract.Checkout(submodules=Submodules.RECURSIVE)
Files = Mapping[str, str | gitserver.Entry]


def modules(**paths: str) -> str:
    """A `.gitmodules`: path -> URL."""
    return "".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n' for path, url in paths.items())


def link(sha: str) -> gitserver.Entry:
    return gitserver.Entry(sha, mode="160000")


def library(server: gitserver.Server, name: str, files: Files) -> str:
    """A repository with one commit."""
    return server.repository(name).commit(files)


@pytest.fixture
async def top(open_engine: Open) -> local.Local:
    """An engine that checks out what the repository itself names."""
    return await open_engine(checkout=TOP)


@pytest.fixture
async def recursive(open_engine: Open) -> local.Local:
    """An engine that checks out submodules of submodules as well."""
    return await open_engine(checkout=RECURSIVE)


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_a_submodule_is_checked_out_as_a_repository_of_its_own(
    open_engine: Open, code: jobs.Code, sandbox: str
) -> None:
    lib = library(code.server, "octo/lib", {"lib.c": "one\n", "deep/x": "x\n"})
    files: Files = {".gitmodules": modules(**{"third party/lib": "../lib.git"}), "third party/lib": link(lib)}
    sha = code.repository.commit(files, parent=code.sha)
    engine = await open_engine(checkout=TOP, sandbox=sandbox)
    script = (
        "cat 'third party/lib/lib.c' 'third party/lib/deep/x'; git status --porcelain; git submodule status; "
        "cd 'third party/lib'; git rev-parse HEAD; git status --porcelain; git log --format=%an; "
        "git config remote.origin.url"
    )
    told = await jobs.run(engine, jobs.make(code.source(sha, trust=jobs.TRUSTED), script))
    assert told.result == "passed", told.log
    said = told.log.splitlines()
    assert said[:2] == ["one", "x"]
    assert said[2].startswith(f" {lib} third party/lib")
    assert said[3:] == [lib, "mona", code.server.address("octo/lib")]


async def test_without_the_setting_the_folder_stays_empty(engine: local.Local, code: jobs.Code) -> None:
    files: Files = {".gitmodules": modules(lib="../lib.git"), "lib": link("1" * 40)}
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(engine, jobs.make(code.source(sha), "ls -A lib"))
    assert (told.result, told.log) == ("passed", "")


async def test_submodules_of_submodules_come_where_the_setting_says_so(
    top: local.Local, recursive: local.Local, code: jobs.Code
) -> None:
    inner = library(code.server, "octo/inner", {"inner.c": "inner\n"})
    middle = library(
        code.server,
        "other/middle",
        {".gitmodules": modules(inner="../../octo/inner"), "inner": link(inner), "m": "m\n"},
    )
    files: Files = {".gitmodules": modules(lib="../../other/middle"), "lib": link(middle)}
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(top, jobs.make(code.source(sha), "cat lib/m; ls lib/inner"))
    assert (told.result, told.log) == ("passed", "m\n")
    script = "cat lib/m lib/inner/inner.c; git submodule status --recursive; git status --porcelain"
    told = await jobs.run(recursive, jobs.make(code.source(sha), script))
    assert told.log.splitlines()[:2] == ["m", "inner"]
    assert [line.split()[:2] for line in told.log.splitlines()[2:]] == [[middle, "lib"], [inner, "lib/inner"]]


async def test_the_submodules_of_a_merge_are_those_that_it_has(top: local.Local, code: jobs.Code) -> None:
    lib = library(code.server, "octo/lib", {"lib.c": "one\n"})
    with_lib: Files = {".gitmodules": modules(lib="../lib.git"), "lib": link(lib)}
    base = code.repository.commit(with_lib, parent=code.sha, branch="base")
    head = code.repository.commit({"head": "head\n"}, parent=code.sha, branch="work")
    told = await jobs.run(
        top, jobs.make(code.source(head, base_sha=base), "cat head lib/lib.c; git status --porcelain")
    )
    assert (told.result, told.log) == ("passed", "head\none\n")


async def test_a_submodule_is_fetched_once_for_all_jobs_and_comes_with_the_caches(
    top: local.Local, code: jobs.Code
) -> None:
    lib = library(code.server, "octo/lib", {"lib.c": "one\n"})
    files: Files = {".gitmodules": modules(a="../lib", b="../lib.git"), "a": link(lib), "b": link(lib)}
    sha = code.repository.commit(files, parent=code.sha)
    requests = [jobs.make(code.source(sha), "cat a/lib.c b/lib.c") for _ in range(5)]
    for request in requests:
        await top.start(request)
    told = await asyncio.gather(*(jobs.follow(top, request.job_id) for request in requests))
    assert {one.log for one in told} == {"one\none\n"}
    packs = [path for path, _ in code.server.requests if path.endswith("/git-upload-pack")]
    assert sum("lib" in path for path in packs) <= 2  # one request to ask, one for the pack
    assert sum("hello" in path for path in packs) <= 2


async def test_t49_t66_a_submodule_s_mirror_is_of_one_repository_and_trust(
    top: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    lib = library(code.server, "octo/lib", {"lib.c": "one\n"})
    sha = code.repository.commit({".gitmodules": modules(lib="../lib"), "lib": link(lib)}, parent=code.sha)
    for number, trust in ((1, jobs.UNTRUSTED), (1, jobs.TRUSTED), (2, jobs.UNTRUSTED)):
        request = jobs.make(code.source(sha, trust=trust, repository_id=number), "cat lib/lib.c")
        assert (await jobs.run(top, request)).log == "one\n"
    found = sorted(str(path.parent.relative_to(data_dir / "engine/mirrors")) for path in _mirrors(data_dir))
    assert found == ["trusted/1.submodules", "untrusted/1.submodules", "untrusted/2.submodules"]


def _mirrors(data_dir: Path) -> list[Path]:
    return list((data_dir / "engine/mirrors").glob("*/*.submodules/*.git"))


async def test_a_submodule_s_mirror_goes_when_no_job_needs_it(
    top: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    lib = library(code.server, "octo/lib", {"lib.c": "one\n"})
    sha = code.repository.commit({".gitmodules": modules(lib="../lib"), "lib": link(lib)}, parent=code.sha)
    assert (await jobs.run(top, jobs.make(code.source(sha), "true"))).result == "passed"
    (mirror,) = _mirrors(data_dir)
    await top.sweep(keep={1}, before=datetime.now(UTC) + timedelta(days=1))
    assert mirror.exists()
    old = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    os.utime(mirror, (old, old))
    await top.sweep(keep={1}, before=datetime.now(UTC) - timedelta(days=40))
    assert mirror.exists()
    await top.sweep(keep={1}, before=datetime.now(UTC) + timedelta(days=1))
    assert not mirror.exists()


async def test_f72_a_damaged_mirror_of_a_submodule_is_made_anew(
    top: local.Local, code: jobs.Code, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    lib = library(code.server, "octo/lib", {"lib.c": "one\n"})
    sha = code.repository.commit({".gitmodules": modules(lib="../lib"), "lib": link(lib)}, parent=code.sha)
    assert (await jobs.run(top, jobs.make(code.source(sha), "true"))).result == "passed"
    (mirror,) = _mirrors(data_dir)
    for path in [*mirror.glob("objects/pack/*"), *mirror.glob("objects/??/*")]:
        path.chmod(0o644)
        path.write_bytes(b"")
    results = [(await jobs.run(top, jobs.make(code.source(sha), "cat lib/lib.c"))).result for _ in range(2)]
    assert results[-1] == "passed"


async def test_f72_a_mirror_that_cannot_be_read_for_submodules_is_made_anew_by_the_next_job(
    top: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    lib = library(code.server, "octo/lib", {"lib.c": "one\n"})
    sha = code.repository.commit({".gitmodules": modules(lib="../lib"), "lib": link(lib)}, parent=code.sha)
    assert (await jobs.run(top, jobs.make(code.source(sha), "true"))).result == "passed"
    for pack in (data_dir / "engine/mirrors/untrusted/1.git").glob("objects/pack/*.pack"):
        # In the middle and unseen from outside: neither its size nor its time says so.
        known, data = pack.stat(), pack.read_bytes()
        pack.chmod(0o644)
        pack.write_bytes(data[:12] + bytes(len(data) - 32) + data[-20:])
        os.utime(pack, ns=(known.st_atime_ns, known.st_mtime_ns))
    first = await jobs.run(top, jobs.make(code.source(sha), "true"))
    assert (first.result, "could not be read" in first.reason) == ("errored", True)
    assert (await jobs.run(top, jobs.make(code.source(sha), "cat lib/lib.c"))).log == "one\n"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("../lib.git", "octo/lib"),
        ("../lib", "octo/lib"),
        ("../../other/lib", "other/lib"),
        ("./../lib/", "octo/lib"),
        ("https://github.com/octo/lib", "octo/lib"),
        ("https://GitHub.com/octo/lib.git", "octo/lib"),
        ("git@github.com:octo/lib.git", "octo/lib"),
        ("ssh://git@github.com/octo/lib", "octo/lib"),
    ],
)
def test_an_address_is_made_of_our_own_server_and_a_name(given: str, meant: str) -> None:
    assert submodules.address(given, name="lib", url=URL) == f"https://github.com/{meant}.git"


ADDRESSES = (
    "",
    "-u./evil",
    "--upload-pack=touch x",
    "-c core.sshCommand=x",
    "ext::sh -c touch% x",
    "fd::3",
    "file:///etc",
    "/etc",
    "lib",
    "./lib",
    "..",
    "../",
    "../..",
    "../../..",
    "../../../lib",
    "../../../../etc/lib",
    "../-x/../lib",
    "../a/b",
    "../..lib/../x",
    "../.git",
    "../.",
    "http://github.com/octo/lib",
    "git://github.com/octo/lib",
    "https://example.com/octo/lib",
    "https://github.com.example.com/octo/lib",
    "https://github.com@example.com/octo/lib",
    "https://user:pass@github.com/octo/lib",
    "https://github.com:444/octo/lib",
    "https://github.com/octo/lib/x",
    "https://github.com/octo",
    "https://github.com/octo/../lib",
    "https://github.com/octo/lib?x=1",
    "https://github.com/octo/lib#x",
    "https://github.com/octo/lib\n",
    "https://github.com/octo/$(x)",
    "https://github.com/octo/%2e%2e",
    "https://github.com//octo/lib",
    "git@example.com:octo/lib",
    "git@github.com:/../lib",
    "evil@github.com:octo/lib",
    "ssh://-oProxyCommand=x/octo/lib",
    "ssh://git@github.com:22/octo/lib",
    "git@github.com:octo/lib -x",
)


@pytest.mark.parametrize("given", ADDRESSES)
def test_t42_t44_every_other_address_is_refused_in_words(given: str) -> None:
    """CVE-2018-17456 and its like, other hosts, other protocols, what climbs out of the server."""
    with pytest.raises(trouble.Ended, match="which is not fetched from"):
        submodules.address(given, name="lib", url=URL)


@given(st.text(max_size=60))
def test_t42_no_text_at_all_leads_elsewhere(given_text: str) -> None:
    try:
        found = submodules.address(given_text, name="lib", url=URL)
    except trouble.Ended:
        return
    server, owner, name = found.rsplit("/", 2)
    assert (server, bool(owner.strip(".")), name != ".git") == ("https://github.com", True, True)
    git.check_url(found)


NAMES = (
    "../../evil",
    "..",
    "a/../../b",
    "a\\..\\b",
    "/abs",
    "-x",
    "--upload-pack=x",
    "a\rb",
    "x" * 256,
    "a\x00"[:1] + "\x1b",
)
PATHS = (
    "-x",
    "",
    ".",
    "..",
    "../x",
    "a/../../x",
    "/etc",
    "a//b",
    "a/",
    "./a",
    ".git",
    ".git/modules/x",
    ".GIT/hooks",
    ".git /hooks",
    ".git./hooks",
    ".git::$INDEX_ALLOCATION/hooks",
    "git~1/hooks",
    "a/.git/hooks",
    "sub\r",
    "a\nb",
    "a\\b",
    "a\tb",
    "x" * 1025,
)


@pytest.mark.parametrize("name", NAMES)
def test_t44_names_that_climb_or_are_options_are_refused(name: str) -> None:
    """CVE-2018-11235: a name was a folder in git's own."""
    listed = f"submodule.{name}.path\nlib\0submodule.{name}.url\n../lib\0"
    with pytest.raises(trouble.Ended, match="no possible name"):
        submodules.parse(listed, url=URL)


@pytest.mark.parametrize("path", PATHS)
def test_t44_paths_that_lead_into_git_or_out_are_refused(path: str) -> None:
    """CVE-2025-48384 (a carriage return at the end), CVE-2024-32002 and their like."""
    listed = f"submodule.lib.path\n{path}\0submodule.lib.url\n../lib\0"
    with pytest.raises(trouble.Ended, match="no possible one"):
        submodules.parse(listed, url=URL)


def test_t44_what_is_said_twice_or_of_two_is_refused() -> None:
    one = "submodule.a.path\nlib\0submodule.a.url\n../lib\0"
    with pytest.raises(trouble.Ended, match="its url twice"):
        submodules.parse(f"{one}submodule.a.url\n../other\0", url=URL)
    with pytest.raises(trouble.Ended, match="two submodules at the path"):
        submodules.parse(f"{one}submodule.b.path\nlib\0submodule.b.url\n../lib\0", url=URL)


def test_t44_nothing_else_that_the_file_says_counts() -> None:
    listed = "submodule.a.path\nlib\0submodule.a.url\n../lib\0submodule.a.update\n!touch x\0submodule.a.branch\n--x\0"
    listed += "include.path\n/etc/passwd\0core.fsmonitor\n./evil\0submodule.recurse\ntrue\0alias.x\n!touch x\0"
    assert submodules.parse(listed, url=URL) == {"lib": ("a", "https://github.com/octo/lib.git")}


def test_t44_the_number_of_submodules_is_bounded() -> None:
    listed = "".join(f"submodule.{n}.path\np{n}\0submodule.{n}.url\n../lib\0" for n in range(201))
    with pytest.raises(trouble.Ended, match="more than 200 submodules"):
        submodules.parse(listed, url=URL)


EXPLOITS = {
    "an option for an address": '[submodule "x"]\n\tpath = lib\n\turl = -u./evil\n',
    "a command for an address": '[submodule "x"]\n\tpath = lib\n\turl = ext::sh -c touch% canary\n',
    "a name that climbs": '[submodule "../../evil"]\n\tpath = lib\n\turl = ../lib\n',
    "a carriage return": '[submodule "x"]\n\tpath = "lib\\r"\n\turl = ../lib\n',
    "a command to update": '[submodule "x"]\n\tpath = lib\n\turl = ../lib\n\tupdate = !touch canary\n',
    "another host": '[submodule "x"]\n\tpath = lib\n\turl = https://example.com/octo/lib\n',
    "no text": "[submodule\n",
}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            text, id=what, marks=() if what in ("another host", "a command for an address") else pytest.mark.long
        )
        for what, text in EXPLOITS.items()
    ],
)
async def test_t44_exploits_end_the_job_in_words_and_run_nothing(
    recursive: local.Local, code: jobs.Code, text: str, tmp_path: Path
) -> None:
    lib = library(code.server, "octo/lib", {"lib.c": "one\n"})
    files: Files = {".gitmodules": text.replace("canary", str(tmp_path / "canary")), "lib": link(lib)}
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(recursive, jobs.make(code.source(sha), "echo it ran"))
    assert told.result in ("failed", "errored")
    assert "ubmodule" in told.reason or "not safe" in told.reason or ".gitmodules" in told.reason
    assert "it ran" not in told.log
    assert not (tmp_path / "canary").exists()


async def test_t44_a_link_where_the_submodule_goes_leads_nowhere(recursive: local.Local, code: jobs.Code) -> None:
    """CVE-2024-32002: `a` is a link to git's own folder, and below `A` is a submodule with what would become a hook."""
    evil = gitserver.Entry("#!/bin/sh\ntouch /workspace/canary\n", mode="100755")
    lib = library(code.server, "octo/lib", {"y/hooks/post-checkout": evil})
    files: Files = {
        ".gitmodules": modules(**{"A/modules/x": "../lib"}),
        "A/modules/x": link(lib),
        "a": gitserver.Entry(".git", mode="120000"),
    }
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(recursive, jobs.make(code.source(sha), "test ! -e canary; ls A/modules/x; ls .git/modules"))
    assert (told.result, told.log) == ("passed", "y\n1\n")


async def test_t44_the_file_is_no_link(top: local.Local, code: jobs.Code) -> None:
    files: Files = {".gitmodules": gitserver.Entry("/etc/passwd", mode="120000"), "lib": link("1" * 40)}
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(top, jobs.make(code.source(sha), "echo it ran"))
    assert told.result in ("failed", "errored")
    assert "it ran" not in told.log


async def test_t44_a_path_that_is_none_of_the_tree_s_submodules_is_left_alone(
    top: local.Local, code: jobs.Code
) -> None:
    text = modules(src="../lib", gone="../lib", **{":(top)src": "../lib", "s*": "../lib"})
    sha = code.repository.commit({".gitmodules": text}, parent=code.sha)
    told = await jobs.run(top, jobs.make(code.source(sha), "ls src; git status --porcelain"))
    assert (told.result, told.log) == ("passed", "main.c\n")
    assert not any("lib" in path for path, _ in code.server.requests)


async def test_t44_nesting_is_bounded(recursive: local.Local, code: jobs.Code, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submodules, "MAX_DEPTH", 3)
    sha = library(code.server, "octo/m0", {"x": "x"})
    for number in range(1, 5):
        files: Files = {".gitmodules": modules(m=f"../m{number - 1}"), "m": link(sha)}
        sha = library(code.server, f"octo/m{number}", files)
    files = {".gitmodules": modules(m="../m4"), "m": link(sha)}
    told = await jobs.run(recursive, jobs.make(code.source(code.repository.commit(files, parent=code.sha)), "true"))
    assert (told.result, told.reason) == ("failed", "Submodules lie more than 3 deep in each other, at 'm/m/m'.")


async def test_t44_a_repository_that_names_itself_comes_to_an_end(recursive: local.Local, code: jobs.Code) -> None:
    first = code.repository.commit({".gitmodules": modules(me="../hello"), "me": link(code.sha)}, parent=code.sha)
    second = code.repository.commit({"me": link(first)}, parent=first)
    told = await jobs.run(recursive, jobs.make(code.source(second), "cat me/me/README.md; ls me/me"))
    assert (told.result, told.log) == ("passed", "hello\nREADME.md\nsrc\n")


async def test_t42_a_submodule_that_is_redirected_is_not_followed_and_the_token_stays(
    top: local.Local, code: jobs.Code, tmp_path: Path
) -> None:
    canary = "ghs_0123456789abcdefCANARYcanary"

    async def token() -> str:
        return canary

    async with gitserver.serve(tmp_path / "git") as elsewhere:
        code.server.moved = {"/octo/lib": elsewhere.url}
        files: Files = {".gitmodules": modules(lib="../lib"), "lib": link("1" * 40)}
        sha = code.repository.commit(files, parent=code.sha)
        told = await jobs.run(top, jobs.make(code.source(sha, token=token), "true"))
        assert elsewhere.requests == []
    assert told.result == "errored"
    assert told.reason == (
        "Fetching the submodule 'lib' (octo/lib): octo/lib is not there, has moved, or may not be read from here: a "
        "build reads its own repository and public ones."
    )
    assert canary not in told.log + told.reason


async def test_f76_a_submodule_whose_commit_is_gone_is_told_by_its_name(top: local.Local, code: jobs.Code) -> None:
    library(code.server, "octo/lib", {"x": "x"})
    files: Files = {".gitmodules": modules(lib="../lib"), "lib": link("1" * 40)}
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(top, jobs.make(code.source(sha), "true"))
    assert told.result == "errored"
    assert told.reason.startswith(
        "Fetching the submodule 'lib' (octo/lib): the commit is not in the repository any more"
    )


async def test_t51_a_job_with_many_submodules_ends_where_it_is_bounded(top: local.Local, code: jobs.Code) -> None:
    lib = library(code.server, "octo/lib", {"x": "x\n"})
    files: dict[str, str | gitserver.Entry] = {f"m/{number}": link(lib) for number in range(60)}
    files[".gitmodules"] = modules(**dict.fromkeys(files, "../lib"))
    sha = code.repository.commit(files, parent=code.sha)
    told = await jobs.run(top, jobs.make(code.source(sha), "cat m/*/x | wc -l"))
    assert (told.result, told.log.strip()) == ("passed", "60")
