"""Git LFS by the operator's setting: the right content from the right server, proved, and put in place in there."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.choices import Submodules
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import lfs_client, pointers, trouble
from tests.engines import gitserver, jobs, lfsserver
from tests.engines.conftest import Open

LONG = pytest.mark.long
CANARY = "ghs_0123456789abcdefCANARYcanary"
LFS = contract.Checkout(has_lfs=True)
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
DATA = bytes(range(256)) * 300
Files = Mapping[str, str | gitserver.Entry]


async def canary() -> str:
    """A token that goes to the repository's server alone."""
    return CANARY


@pytest.fixture
async def large(server: gitserver.Server) -> AsyncIterator[lfsserver.Large]:
    """A server of LFS at the git server's address."""
    async with lfsserver.serve(server) as serving:
        yield serving


@pytest.fixture
async def lfs(open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> local.Local:
    """An engine that downloads what LFS keeps."""
    monkeypatch.setattr("bot.engines.local.lfs._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    return await open_engine(checkout=LFS)


def commit(code: jobs.Code, **files: str | gitserver.Entry) -> str:
    """A commit with files that LFS keeps."""
    named: Files = {".gitattributes": ATTRIBUTES, **{name.replace("_", "."): text for name, text in files.items()}}
    return code.repository.commit(named, parent=code.sha)


def store(data_dir: Path, trust: str = "untrusted", number: int = 1) -> Path:
    return data_dir / "engine" / "lfs" / trust / str(number)


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_t45_what_lfs_keeps_is_downloaded_proved_and_put_in_place(
    open_engine: Open, code: jobs.Code, large: lfsserver.Large, data_dir: Path, sandbox: str
) -> None:
    files: Files = {
        ".gitattributes": ATTRIBUTES,
        "sub/.gitattributes": "data filter=lfs -text\n*.bin !filter\n",
        "x.bin": large.put(DATA),
        "a b/-x.bin": gitserver.Entry(large.put(b"#!/bin/sh\necho I run\n"), mode="100755"),
        "sub/data": large.put(b"second"),
        # No attribute, no pointer, no file: all of them stay as they are.
        "sub/example.bin": large.put(b"an example of a pointer"),
        "README.bin": "not a pointer\n",
        "link.bin": gitserver.Entry("x.bin", mode="120000"),
    }
    sha = code.repository.commit(files, parent=code.sha)
    engine = await open_engine(checkout=LFS, sandbox=sandbox)
    script = (
        "sha256sum x.bin link.bin | cut -d' ' -f1; ./a\\ b/-x.bin; cat sub/data; echo; grep -c ^oid sub/example.bin; "
        "cat README.bin; git status --porcelain"
    )
    told = await jobs.run(engine, jobs.make(code.source(sha, trust=jobs.TRUSTED, token=canary), script))
    assert told.result == "passed", told.log
    digest = hashlib.sha256(DATA).hexdigest()
    assert told.log.splitlines() == [digest, digest, "I run", "second", "1", "not a pointer"]
    assert {hashlib.sha256(data).hexdigest() for data in kept(store(data_dir, "trusted")).values()} == {
        one["oid"] for one in large.asked[0][2]["objects"]
    }
    assert (len(large.asked), len(large.downloads)) == (1, 3)


async def test_without_the_setting_pointers_stay(engine: local.Local, code: jobs.Code, large: lfsserver.Large) -> None:
    sha = commit(code, x_bin=large.put(DATA))
    told = await jobs.run(engine, jobs.make(code.source(sha), "head -1 x.bin"))
    assert told.log == "version https://git-lfs.github.com/spec/v1\n"
    assert large.asked == []


async def test_t45_the_token_goes_to_the_repository_s_server_and_a_download_gets_what_was_said(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, data_dir: Path
) -> None:
    large.token = CANARY
    sha = commit(code, x_bin=large.put(DATA))
    told = await jobs.run(lfs, jobs.make(code.source(sha, token=canary), "wc -c < x.bin; env; cat .git/config"))
    assert told.result == "passed"
    ((path, headers),) = large.downloads
    assert path.endswith("?signed=a%2Fb")
    assert headers["Authorization"] == lfsserver.PROOF
    assert CANARY not in str(headers)
    assert CANARY not in told.log
    assert not any(CANARY.encode() in data for data in kept(data_dir).values())


async def test_t45_what_a_repository_says_of_its_server_counts_for_nothing(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, tmp_path: Path
) -> None:
    seen: list[str] = []

    async def elsewhere(request: Any) -> Any:
        seen.append(request.path)
        raise AssertionError

    async with gitserver.listening(elsewhere) as url:
        said = f'[lfs]\n\turl = {url}\n\tpushurl = {url}\n[remote "origin"]\n\tlfsurl = {url}\n'
        files: Files = {
            ".lfsconfig": said,
            ".gitconfig": f'{said}[url "{url}"]\n\tinsteadOf = {code.server.url}\n',
            ".gitattributes": ATTRIBUTES,
            "x.bin": large.put(DATA),
        }
        sha = code.repository.commit(files, parent=code.sha)
        told = await jobs.run(lfs, jobs.make(code.source(sha, token=canary), "wc -c < x.bin"))
    assert (told.result, told.log.strip(), seen) == ("passed", str(len(DATA)), [])
    assert {path for path, _, _ in large.asked} == {"/octo/hello.git/info/lfs/objects/batch"}


@pytest.mark.parametrize(
    "href",
    [
        "http://example.com/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://127.0.0.1.example.com/x",
        "http://user:pass@127.0.0.1/x",
        "https://a@example.com/x",
        "//example.com/x",
        "https://",
        "https://[::1",
        "https://example.com:x/",
        "https://example.com/\r\nX: y",
        "",
    ],
)
def test_t42_t45_an_address_of_another_kind_is_not_downloaded_from(href: str) -> None:
    with pytest.raises(trouble.Ended, match="an address that nothing is downloaded from"):
        lfs_client._checked(href, url="http://127.0.0.1:8080/octo/hello.git")


@pytest.mark.parametrize("href", ["http://127.0.0.1:9/x", "http://localhost/x"])
def test_t42_t45_plain_http_is_for_this_machine_and_a_server_that_is_reached_so(href: str) -> None:
    assert str(lfs_client._checked(href, url="http://127.0.0.1:8080/octo/hello.git")) == href
    with pytest.raises(trouble.Ended):
        lfs_client._checked(href, url="https://github.com/octo/hello.git")


async def test_t42_t45_what_the_server_names_is_looked_at_before_it_is_asked(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large
) -> None:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        answer["objects"][0]["actions"]["download"]["href"] = "http://example.com/x"
        return answer

    large.change = change
    told = await jobs.run(lfs, jobs.make(code.source(commit(code, x_bin=large.put(DATA))), "true"))
    assert told.result == "errored"
    assert "an address that nothing is downloaded from" in told.reason
    assert large.downloads == []


async def test_t42_t45_redirects_are_not_followed(lfs: local.Local, code: jobs.Code, large: lfsserver.Large) -> None:
    sha = commit(code, x_bin=large.put(DATA))
    large.refusals = [302]
    told = await jobs.run(lfs, jobs.make(code.source(sha, token=canary), "true"))
    assert (told.result, "redirect, which is not followed" in told.reason) == ("errored", True)
    large.faults = [302] * 3
    told = await jobs.run(lfs, jobs.make(code.source(sha, token=canary), "true"))
    assert (told.result, "127.0.0.1 answered 302 for x.bin" in told.reason) == ("errored", True)


async def test_t45_headers_that_break_out_are_not_sent(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large
) -> None:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        wrong = {
            "X\r\nEvil": "1",
            "X-Evil": "1\r\nX-More: 2",
            "Host": "evil",
            "Content-Length": "9",
            "Range": "bytes=0-",
        }
        answer["objects"][0]["actions"]["download"]["header"] |= wrong
        return answer

    large.change = change
    told = await jobs.run(lfs, jobs.make(code.source(commit(code, x_bin=large.put(DATA))), "true"))
    assert told.result == "passed"
    ((_, headers),) = large.downloads
    assert {name.lower() for name in headers} <= {"host", "accept", "accept-encoding", "authorization", "user-agent"}
    assert headers["Host"].startswith("127.0.0.1")


async def test_t45_more_than_the_operator_allows_is_not_downloaded(
    open_engine: Open, code: jobs.Code, large: lfsserver.Large
) -> None:
    engine = await open_engine(checkout=contract.Checkout(has_lfs=True, lfs_bytes=1000))
    sha = commit(code, x_bin=lfsserver.pointer("0" * 64, 999_999_999_999))
    told = await jobs.run(engine, jobs.make(code.source(sha), "true"))
    assert told.result == "failed"
    assert "999999999999 bytes together, and a job of this service may have 1000" in told.reason
    assert large.asked == []
    other = await open_engine(checkout=LFS, job_limits=contract.JobLimits(disk_bytes=1 << 20))
    told = await jobs.run(other, jobs.make(code.source(sha), "true"))
    assert f"may have {1 << 20}" in told.reason


async def test_t45_the_number_of_files_is_bounded(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointers, "MAX_FILES", 2)
    sha = commit(code, a_bin=large.put(b"a"), b_bin=large.put(b"b"), c_bin=large.put(b"c"))
    told = await jobs.run(lfs, jobs.make(code.source(sha), "true"))
    assert (told.result, "Too many files of the commit are kept by Git LFS" in told.reason) == ("failed", True)


async def test_t45_more_bytes_than_the_pointer_says_are_not_taken(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, data_dir: Path
) -> None:
    oid = hashlib.sha256(DATA).hexdigest()
    large.put(DATA)
    told = await jobs.run(lfs, jobs.make(code.source(commit(code, x_bin=lfsserver.pointer(oid, 10))), "true"))
    assert told.result == "errored"
    assert told.reason == (
        "Downloading LFS objects of octo/hello: 127.0.0.1 gave another content for x.bin "
        f"({oid[:12]}) than its pointer says."
    )
    assert kept(store(data_dir)) == {}


async def test_f76_an_object_that_is_not_there_is_told_by_its_file(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large
) -> None:
    sha = commit(code, x_bin=lfsserver.pointer("1" * 64, 5), y_bin=large.put(DATA))
    told = await jobs.run(lfs, jobs.make(code.source(sha), "true"))
    assert (told.result, told.reason) == (
        "failed",
        "Downloading LFS objects of octo/hello: 127.0.0.1 does not have x.bin (111111111111): push it with `git lfs "
        "push --all`.",
    )


@pytest.mark.parametrize("faults", [[0, 1], *(pytest.param(some, marks=LONG) for some in ([500, 503], [429]))])
async def test_f76_a_download_that_fails_is_made_anew_and_only_that_one(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, faults: list[int], data_dir: Path
) -> None:
    large.faults = list(faults)
    sha = commit(code, x_bin=large.put(DATA), y_bin=large.put(b"other"))
    told = await jobs.run(lfs, jobs.make(code.source(sha), "sha256sum x.bin | cut -c1-64; cat y.bin"))
    assert (told.result, told.log) == ("passed", f"{hashlib.sha256(DATA).hexdigest()}\nother")
    assert len(large.downloads) == 2 + len(faults)
    assert all(not name.startswith(".new") for name in kept(store(data_dir)))


@pytest.mark.parametrize(
    ("refusals", "faults", "words"),
    [
        ([500] * 3, [], "127.0.0.1 answered 500."),
        ([404], [], "127.0.0.1 answered 404: there is no Git LFS for the repository, or the App may not read it."),
        ([], [1] * 3, "127.0.0.1 gave another content for x.bin"),
        pytest.param([401], [], "127.0.0.1 answered 401: there is no Git LFS for the repository", marks=LONG),
        pytest.param([], [503] * 3, "127.0.0.1 answered 503 for x.bin", marks=LONG),
        pytest.param([], [0] * 3, "127.0.0.1 did not send x.bin", marks=LONG),
    ],
)
async def test_f76_a_server_that_stays_away_ends_the_job_with_the_phase(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, refusals: list[int], faults: list[int], words: str
) -> None:
    large.refusals, large.faults = refusals, faults
    told = await jobs.run(lfs, jobs.make(code.source(commit(code, x_bin=large.put(DATA))), "true"))
    assert told.result == "errored"
    assert told.reason.startswith(f"Downloading LFS objects of octo/hello: {words}")


async def test_f76_a_server_that_hangs_ends_the_job_at_the_time_limit(
    open_engine: Open, engine: local.Local, code: jobs.Code, large: lfsserver.Large
) -> None:
    sha = commit(code, x_bin=large.put(DATA))
    assert (await jobs.run(engine, jobs.make(code.source(sha), "true"))).result == "passed"
    engine = await open_engine(checkout=LFS, limits=local.Limits(fetch_seconds=0.3))
    large.is_open.clear()
    told = await jobs.run(engine, jobs.make(code.source(sha), "true"))
    assert (told.result, told.reason) == (
        "errored",
        "Downloading LFS objects of octo/hello: 127.0.0.1 took longer than 0.3 seconds, the time limit.",
    )


async def test_jobs_that_need_the_same_objects_download_them_once(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large
) -> None:
    sha = commit(code, x_bin=large.put(DATA))
    large.is_open.clear()
    requests = [jobs.make(code.source(sha), "wc -c < x.bin") for _ in range(6)]
    for request in requests:
        await lfs.start(request)
    await jobs.until_true(lambda: bool(large.downloads))
    large.is_open.set()
    told = await asyncio.gather(*(jobs.follow(lfs, request.job_id) for request in requests))
    assert {one.log.strip() for one in told} == {str(len(DATA))}
    assert len(large.downloads) == 1


async def test_a_job_that_waits_for_a_download_can_be_cancelled(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, data_dir: Path
) -> None:
    large.is_open.clear()
    request = jobs.make(code.source(commit(code, x_bin=large.put(DATA))), "true")
    await lfs.start(request)
    await jobs.until_true(lambda: bool(large.downloads))
    await lfs.cancel(request.job_id, reason="enough")
    told = await jobs.follow(lfs, request.job_id)
    assert (told.result, told.reason) == ("cancelled", "enough")
    assert kept(store(data_dir)) == {}


async def test_t45_t66_objects_of_one_repository_or_trust_are_never_another_s(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, data_dir: Path
) -> None:
    """A pointer is easy to write: whoever may not have the object from the server does not get it from us."""
    sha = commit(code, x_bin=large.put(DATA))
    assert (await jobs.run(lfs, jobs.make(code.source(sha, trust=jobs.TRUSTED), "true"))).result == "passed"
    large.objects.clear()
    again = await jobs.run(lfs, jobs.make(code.source(sha, trust=jobs.TRUSTED), "wc -c < x.bin"))
    assert again.log.strip() == str(len(DATA))
    for source in (code.source(sha), code.source(sha, trust=jobs.TRUSTED, repository_id=2)):
        told = await jobs.run(lfs, jobs.make(source, "true"))
        assert (told.result, "does not have x.bin" in told.reason) == ("failed", True)
    script = (
        "ls -A /run; ls /run/lfs-0/*; (echo evil > /run/lfs-0/x) 2>&1; find / -size +70k -name '??????*' -path '*lfs*'"
    )
    told = await jobs.run(lfs, jobs.make(code.source(sha, trust=jobs.TRUSTED), script))
    assert "Read-only file system" in told.log
    assert set(kept(data_dir / "engine" / "lfs").values()) == {DATA}


async def test_f72_an_object_that_was_cut_off_on_the_disk_is_downloaded_anew(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, data_dir: Path
) -> None:
    request = jobs.make(code.source(commit(code, x_bin=large.put(DATA))), "wc -c < x.bin")
    await jobs.run(lfs, request)
    (path,) = [path for path in store(data_dir).rglob("*") if path.is_file()]
    path.write_bytes(b"")
    told = await jobs.run(lfs, jobs.make(request.source, "wc -c < x.bin"))
    assert told.log.strip() == str(len(DATA))


async def test_objects_are_swept_where_no_job_needs_them(
    lfs: local.Local, code: jobs.Code, large: lfsserver.Large, data_dir: Path
) -> None:
    sha = commit(code, x_bin=large.put(DATA))
    for number in (1, 2):
        assert (await jobs.run(lfs, jobs.make(code.source(sha, repository_id=number), "true"))).result == "passed"
    month = datetime.now(UTC) - timedelta(days=31)
    now = datetime.now(UTC) + timedelta(days=1)
    await lfs.sweep(keep={1}, before=month)
    assert (len(kept(store(data_dir))), len(kept(store(data_dir, number=2)))) == (1, 1)
    await lfs.sweep(keep={1}, before=now)
    assert (len(kept(store(data_dir))), len(kept(store(data_dir, number=2)))) == (1, 0)
    (path,) = [path for path in store(data_dir).rglob("*") if path.is_file()]
    os.utime(path, (month.timestamp(), month.timestamp()))
    await lfs.sweep(keep={1}, before=now)
    assert kept(store(data_dir)) == {}


async def test_the_files_of_a_merge_and_of_submodules_come_as_well(
    open_engine: Open, code: jobs.Code, large: lfsserver.Large
) -> None:
    engine = await open_engine(checkout=contract.Checkout(submodules=Submodules.TOP, has_lfs=True))
    lib = code.server.repository("octo/lib").commit({".gitattributes": ATTRIBUTES, "l.bin": large.put(b"of lib\n")})
    files: Files = {
        ".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ../lib\n',
        "lib": gitserver.Entry(lib, mode="160000"),
        ".gitattributes": ATTRIBUTES,
    }
    base = code.repository.commit(files, parent=code.sha, branch="base")
    head = code.repository.commit({"h.bin": large.put(b"of head\n")}, parent=code.sha, branch="work")
    script = "cat h.bin lib/l.bin; git status --porcelain; git -C lib status --porcelain"
    told = await jobs.run(engine, jobs.make(code.source(head, base_sha=base), script))
    assert (told.result, told.log) == ("passed", "of head\nof lib\n")
    assert {path.split("/")[2] for path, _, _ in large.asked} == {"hello.git", "lib.git"}


GOOD = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD + b"x" * 1100,
        GOOD + GOOD,
        GOOD.replace(b"spec/v1", b"spec/v2"),
        GOOD.replace(b"sha256:", b"sha1:"),
        GOOD.replace(b"a" * 64, b"A" * 64),
        GOOD.replace(b"a" * 64, b"../" + b"a" * 61),
        GOOD.replace(b"size 12", b"size -12"),
        GOOD.replace(b"size 12", b"size 012"),
        GOOD.replace(b"size 12", b"size 9999999999999999999"),
        GOOD.replace(b"size 12\n", b""),
        GOOD.replace(b"size 12", b"size 12\nsize 13"),
        GOOD.replace(b"\n", b"\r\n"),
        b"\xff" * 100,
    ],
)
def test_t45_what_is_no_pointer_is_the_file_itself(data: bytes) -> None:
    assert pointers.parse(data) is None


def test_a_pointer_is_read() -> None:
    assert pointers.parse(GOOD) == pointers.Pointer(oid="a" * 64, size_bytes=12)
    assert pointers.parse(GOOD.replace(b"oid", b"ext-0-foo sha256:" + b"b" * 64 + b"\noid")) is not None


@given(st.binary(max_size=200))
def test_t45_no_bytes_at_all_make_a_pointer_to_elsewhere(data: bytes) -> None:
    found = pointers.parse(GOOD[:43] + data)
    assert found is None or (len(found.oid) == 64 and set(found.oid) <= set("0123456789abcdef"))
