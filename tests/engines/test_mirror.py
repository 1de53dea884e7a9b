"""Fetching: exactly the commits asked for, once, from one place, and mended by itself where it broke."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import errors
from bot.engines.local import engine as local
from bot.engines.local import git, trouble
from tests.engines import gitserver, jobs
from tests.engines.conftest import Open

CANARY = "ghs_0123456789abcdefCANARYcanary"


async def canary() -> str:
    """A token that must not be found anywhere."""
    return CANARY


def mirror(data_dir: Path, trust: str = "untrusted") -> Path:
    """The mirror of repository 1."""
    return data_dir / "engine" / "mirrors" / trust / "1.git"


async def test_a_commit_that_is_there_is_not_fetched_again(engine: local.Local, code: jobs.Code) -> None:
    await jobs.run(engine, jobs.make(code.source(), "true"))
    before = len(code.server.requests)
    await jobs.run(engine, jobs.make(code.source(), "true"))
    assert len(code.server.requests) == before


async def test_t49_t66_trusted_and_untrusted_code_never_share_a_mirror(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    fork_sha = code.repository.commit({"evil": "x"}, branch="fork")
    assert (await jobs.run(engine, jobs.make(code.source(fork_sha), "true"))).result == "passed"
    told = await jobs.run(
        engine, jobs.make(code.source(trust=jobs.TRUSTED), f"git cat-file -e {fork_sha} && echo here")
    )
    assert "here" not in told.log
    assert mirror(data_dir, "trusted").exists()
    assert mirror(data_dir, "untrusted").exists()


async def test_jobs_that_wait_for_one_mirror_share_a_fetch(engine: local.Local, code: jobs.Code) -> None:
    shas = [code.sha]
    for number in range(5):
        shas.append(code.repository.commit({"n": str(number)}, parent=shas[-1]))
    code.server.is_open.clear()
    first = jobs.make(code.source(shas[0]), "cat README.md")
    await engine.start(first)
    await jobs.until_true(lambda: bool(code.server.requests))
    others = [jobs.make(code.source(sha), "cat n") for sha in shas[1:]]
    for request in others:
        await engine.start(request)
    code.server.is_open.set()
    told = await asyncio.gather(*(jobs.follow(engine, request.job_id) for request in (first, *others)))
    assert [one.log.strip() for one in told] == ["hello", "0", "1", "2", "3", "4"]
    assert sum(path.endswith("/info/refs") for path, _ in code.server.requests) <= 3


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What git was asked by the service, by its commands."""
    asked: list[str] = []
    real = git.Git.run

    def counting(self: git.Git, *arguments: str | Path, **rest: Any) -> git.Answer:
        asked.append(next(str(one) for one in arguments if not str(one).startswith("-")))
        return real(self, *arguments, **rest)

    monkeypatch.setattr(git.Git, "run", counting)
    return asked


async def test_twenty_jobs_of_a_repository_that_is_not_here_yet_cause_one_fetch(
    engine: local.Local, code: jobs.Code, calls: list[str]
) -> None:
    calls.clear()
    requests = [jobs.make(code.source(), "cat README.md") for _ in range(20)]
    for request in requests:
        await engine.start(request)
    told = await asyncio.gather(*(jobs.follow(engine, request.job_id) for request in requests))
    assert {one.log for one in told} == {"hello\n"}
    assert code.server.fetches == 1
    assert calls.count("fetch") == 1
    # Those that looked before the first one began to wait, and one that proves what came.
    assert len(calls) <= 10


async def test_what_is_here_needs_no_process_of_the_service_s_and_a_merge_one(
    engine: local.Local, code: jobs.Code, calls: list[str]
) -> None:
    base = code.repository.commit({"b": "b"}, parent=code.sha, branch="base")
    head = code.repository.commit({"h": "h"}, parent=code.sha, branch="head")
    push, pull = code.source(), code.source(head, base_sha=base)
    for source in (push, pull):
        await jobs.run(engine, jobs.make(source, "true"))
    for source, most in ((push, []), (pull, ["merge-tree"])):
        calls.clear()
        assert (await jobs.run(engine, jobs.make(source, "true"))).result == "passed"
        assert calls == most


@pytest.mark.parametrize("is_packed", [False, True], ids=["loose", "packed"])
async def test_a_new_commit_is_fetched_unasked_and_a_known_one_is_found_again_after_a_restart(
    open_engine: Open, code: jobs.Code, data_dir: Path, calls: list[str], is_packed: bool
) -> None:
    first = await open_engine()
    calls.clear()
    assert (await jobs.run(first, jobs.make(code.source(), "true"))).result == "passed"
    # One that fetches and one that proves what came; that nothing was there is seen without git.
    assert calls == ["fetch", "rev-list"]
    await first.close()
    if is_packed:
        gitserver.run(f"--git-dir={mirror(data_dir)}", "pack-refs", "--all")
    second = await open_engine()
    calls.clear()
    assert (await jobs.run(second, jobs.make(code.source(), "cat README.md"))).log == "hello\n"
    assert calls == ["rev-list"]


async def test_the_code_is_on_its_way_before_the_job_is_written_down(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    # Nothing can be written down: the folder of all jobs is a file.
    folder = data_dir / "engine" / "jobs"
    folder.rmdir()
    folder.touch()
    with pytest.raises(errors.EngineError):
        await engine.start(jobs.make(code.source(), "true"))
    await jobs.until_true(lambda: code.server.fetches == 1)
    folder.unlink()
    folder.mkdir()
    assert (await jobs.run(engine, jobs.make(code.source(), "cat README.md"))).log == "hello\n"
    assert code.server.fetches == 1


async def test_why_code_could_not_be_had_in_advance_is_told_to_the_job_that_needs_it_and_not_to_the_next(
    engine: local.Local, code: jobs.Code
) -> None:
    gone = code.source("0123456789" * 4)
    told = await jobs.run(engine, jobs.make(gone, "true"))
    assert (told.result, "0123456789" in told.reason or "force-push" in told.reason) == ("errored", True), told.reason
    asked = len(code.server.requests)
    again = await jobs.run(engine, jobs.make(gone, "true"))
    assert again.reason == told.reason
    assert len(code.server.requests) == 2 * asked


@pytest.mark.parametrize("damage", ["emptied", "removed", "touched"])
async def test_f72_what_is_remembered_of_a_mirror_counts_only_while_its_packs_stay(
    engine: local.Local, code: jobs.Code, data_dir: Path, calls: list[str], damage: str
) -> None:
    assert (await jobs.run(engine, jobs.make(code.source(), "true"))).result == "passed"
    calls.clear()
    for path in mirror(data_dir).glob("objects/pack/*"):
        path.chmod(0o644)
        if damage == "emptied":
            path.write_bytes(b"")
        elif damage == "removed":
            path.unlink()
        else:
            os.utime(path, (1, 1))
    told = await jobs.run(engine, jobs.make(code.source(), "cat README.md"))
    assert (told.result, told.log) == ("passed", "hello\n")
    assert ("fetch" in calls) == (damage != "touched")
    assert "rev-list" in calls


async def test_of_several_that_wait_only_the_missing_commit_fails(engine: local.Local, code: jobs.Code) -> None:
    code.server.is_open.clear()
    first = jobs.make(code.source(), "true")
    await engine.start(first)
    await jobs.until_true(lambda: bool(code.server.requests))
    second = code.repository.commit({"b": "b"}, parent=code.sha)
    there, gone = jobs.make(code.source(second), "true"), jobs.make(code.source("0" * 39 + "1"), "true")
    await engine.start(there)
    await engine.start(gone)
    code.server.is_open.set()
    told = await asyncio.gather(*(jobs.follow(engine, request.job_id) for request in (first, there, gone)))
    assert [one.result for one in told] == ["passed", "passed", "errored"]
    assert "not in the repository any more" in told[2].reason


async def test_f42_a_commit_that_was_force_pushed_away_is_told_in_words(engine: local.Local, code: jobs.Code) -> None:
    sha = code.repository.commit({"x": "x"}, branch="gone")
    code.repository.forget("gone")
    told = await jobs.run(engine, jobs.make(code.source(sha), "true"))
    assert told.result == "errored"
    assert "not in the repository any more" in told.reason


async def test_t23_a_ref_that_moves_changes_nothing_because_the_commit_is_fetched(
    engine: local.Local, code: jobs.Code
) -> None:
    code.repository.commit({"README.md": "moved\n"}, parent=code.sha)
    told = await jobs.run(engine, jobs.make(code.source(), "git rev-parse HEAD; cat README.md"))
    assert told.log == f"{code.sha}\nhello\n"


@pytest.mark.parametrize(
    "wrong", ["abc1234", "HEAD", "main", "0" * 39, "A" * 40, "--upload-pack=x", "g" * 40, "0" * 41, ""]
)
async def test_t24_t41_only_whole_commit_ids_are_fetched(engine: local.Local, code: jobs.Code, wrong: str) -> None:
    before = len(code.server.requests)
    told = await jobs.run(engine, jobs.make(code.source(wrong or " "), "true"))
    assert told.result == "errored"
    assert "commit id" in told.reason
    assert len(code.server.requests) == before


OPTIONS = (
    "--upload-pack=touch {canary}",
    "-utouch {canary}",
    "--exec=touch {canary}",
    "-c",
    "--config-env=a=b",
    "--output={canary}",
)
ADDRESSES = (
    *OPTIONS,
    "ext::sh -c touch% {canary}",
    "file:///etc",
    "/etc",
    "../x",
    "ssh://-oProxyCommand=touch {canary}/x",
    "git@github.com:octo/hello.git",
    "git://github.com/octo/hello.git",
    "http://github.com/octo/hello.git",
    "http://127.0.0.1.example.com/octo/hello.git",
    "http://127.0.0.1@example.com/x",
    "https://user:password@github.com/octo/hello.git",
    "https://github.com/octo/hello.git?x=--upload-pack",
    "https://github.com/octo/hello.git#x",
    "https://github.com/octo/hello.git\nfile:///etc",
    "https://-oProxyCommand=x/y",
    "https://github.com/$(touch {canary})",
    "https:///x",
    "fd::17/foo",
    "https://github.com/a b",
    "",
)


@pytest.mark.parametrize("address", ADDRESSES)
async def test_t41_t42_only_addresses_of_the_server_are_fetched_from(
    engine: local.Local, code: jobs.Code, address: str, tmp_path: Path
) -> None:
    touched = tmp_path / "canary"
    source = code.source(url=address.replace("{canary}", str(touched)) or " ")
    told = await jobs.run(engine, jobs.make(source, "true"))
    assert told.result == "errored"
    assert "not an address" in told.reason
    assert not touched.exists()


async def test_t41_no_argument_of_git_is_ever_an_option_from_outside(
    data_dir: Path, code: jobs.Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A git that writes its arguments and its environment down, and then is git.
    real, seen = shutil.which("git"), tmp_path / "seen"
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(
        f"#!/bin/sh\n{{ printf '%s\\0' \"$@\"; printf '\\n'; }} >> {seen}\nexec {real} \"$@\"\n", encoding="utf-8"
    )
    script.chmod(0o755)
    monkeypatch.setattr("bot.engines.local.sandbox.SEARCH_PATH", f"{script.parent}:/usr/local/bin:/usr/bin:/bin")
    engine = local.Local(data_dir)
    await engine.open()
    base = code.repository.commit({"b": "b"}, parent=code.sha, branch="base")
    head = code.repository.commit({"h": "h"}, parent=code.sha, branch="head")
    await jobs.run(engine, jobs.make(code.source(head, base_sha=base, token=canary), "true"))
    await engine.close()
    calls = [line.split("\0")[:-1] for line in seen.read_text().splitlines()]
    outside = {code.server.address(), base, head}
    for call in calls:
        given = [
            number for number, argument in enumerate(call) if argument.split(":")[0] in outside or argument in outside
        ]
        if "fetch" in call or "rev-list" in call or "merge-tree" in call:
            assert min(given) > call.index("--end-of-options")
        assert not any(CANARY in argument for argument in call)
    assert {"fetch", "rev-list", "merge-tree"} <= {word for call in calls for word in call}


async def test_t42_a_redirect_is_not_followed_and_the_token_stays_with_its_server(
    engine: local.Local, code: jobs.Code, tmp_path: Path
) -> None:
    async with gitserver.serve(tmp_path / "git") as elsewhere:
        code.server.redirect_to = elsewhere.url
        told = await jobs.run(engine, jobs.make(code.source(token=canary), "true"))
        assert told.result == "errored"
        assert "redirect" in told.reason
        assert elsewhere.requests == []
    assert CANARY not in told.log + told.reason


@pytest.mark.parametrize("is_gone", [False, True], ids=["redirected", "not found"])
async def test_f40_a_repository_that_moved_is_fetched_from_where_it_is_by_now(
    engine: local.Local, code: jobs.Code, is_gone: bool
) -> None:
    """Where it is is asked from GitHub's API, never taken from the redirect."""
    asked = []

    async def locate() -> str:
        asked.append(True)
        return code.source().url

    old = code.server.address("octo/old")
    code.server.moved = {} if is_gone else {"/octo/old": "http://127.0.0.1:1/elsewhere"}
    told = await jobs.run(engine, jobs.make(code.source(token=canary, url=old, locate=locate), "true"))
    assert (told.result, asked) == ("passed", [True])


async def test_f40_a_repository_that_is_nowhere_else_ends_its_job_with_the_reason(
    engine: local.Local, code: jobs.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    old = code.server.address("octo/old")

    async def locate() -> str:
        return old

    told = await jobs.run(engine, jobs.make(code.source(url=old, locate=locate), "true"))
    assert told.result == "errored"
    assert "no such repository" in told.reason


async def test_f39_code_that_was_out_of_sight_for_a_moment_is_fetched_with_another_token(
    engine: local.Local, code: jobs.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    tokens = ["old"]

    async def token() -> str:
        return tokens[-1]

    async def locate() -> str:
        tokens.append("new")
        return code.source().url

    code.server.refusals = 1
    told = await jobs.run(engine, jobs.make(code.source(token=token, locate=locate), "true"))
    assert (told.result, tokens) == ("passed", ["old", "new"])
    given = [value for _, value in code.server.requests]
    assert given[0] != given[-1]


async def test_f39_code_that_gets_out_of_sight_before_the_last_attempt_is_looked_for_all_the_same(
    engine: local.Local, code: jobs.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    asked = []

    async def locate() -> str:
        asked.append(True)
        return code.source().url

    code.server.refusals = 9
    told = await jobs.run(engine, jobs.make(code.source(token=canary, locate=locate), "true"))
    assert (told.result, "permission" in told.reason, len(asked)) == ("errored", True, 3)


async def test_f39_code_that_stays_out_of_sight_ends_its_job_with_what_was_said_when_it_was_looked_for(
    engine: local.Local, code: jobs.Code
) -> None:
    async def locate() -> str:
        raise errors.Suspended("The installation is suspended.", status=403)

    code.server.refusals = 9
    told = await jobs.run(engine, jobs.make(code.source(token=canary, locate=locate), "true"))
    assert (told.result, "suspended" in told.reason) == ("errored", True)
    assert code.server.fetches == 0


async def test_a_private_repository_is_read_with_the_token_and_told_in_words_without(
    engine: local.Local, code: jobs.Code
) -> None:
    code.server.token = CANARY
    refused = await jobs.run(engine, jobs.make(code.source(), "true"))
    assert refused.result == "errored"
    assert "permission" in refused.reason
    told = await jobs.run(engine, jobs.make(code.source(token=canary), "true"))
    assert told.result == "passed"
    given = {value for _, value in code.server.requests if value}
    assert len(given) == 1
    assert next(iter(given)).startswith("basic ")


async def test_t74_t76_the_token_is_nowhere_but_on_its_way(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    # Of this test alone: others run beside it, and their git has theirs.
    token = f"ghs_{secrets.token_hex(18)}"
    code.server.token = token

    async def give() -> str:
        return token

    script = "cat .git/config /proc/*/environ /proc/*/cmdline; grep -r ghs_ . ~ /tmp || :; echo ready; sleep 600"
    request = jobs.make(code.source(token=give), script)
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"ready")
    needles = (token.encode(), git.environment(url=code.server.address(), token=token)[_header_key()].encode())
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            try:
                data = (process / name).read_bytes()
            except OSError:
                continue
            assert not any(needle in data for needle in needles)
    await engine.cancel(request.job_id, reason="seen")
    told = await jobs.follow(engine, request.job_id)
    found = [path for path in data_dir.rglob("*") if path.is_file() and any(n in path.read_bytes() for n in needles)]
    assert found == []
    assert token not in told.log


def _header_key() -> str:
    env = git.environment(url="http://127.0.0.1:1/x", token="t")
    (number,) = [key.removeprefix("GIT_CONFIG_KEY_") for key, value in env.items() if value.endswith(".extraHeader")]
    return f"GIT_CONFIG_VALUE_{number}"


@pytest.mark.parametrize("cut_packs", [1, 2])
async def test_f76_a_pack_that_is_cut_off_is_fetched_anew(
    engine: local.Local, code: jobs.Code, cut_packs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    code.server.cut_packs = cut_packs
    assert (await jobs.run(engine, jobs.make(code.source(), "true"))).result == "passed"


async def test_f76_a_server_that_answers_nothing_ends_the_job_at_the_time_limit(
    open_engine: Open, code: jobs.Code
) -> None:
    engine = await open_engine(limits=local.Limits(fetch_seconds=0.3))
    code.server.is_open.clear()
    told = await jobs.run(engine, jobs.make(code.source(), "true"))
    assert (told.result, told.reason) == (
        "errored",
        "Fetching octo/hello: 127.0.0.1 took longer than 0.3 seconds, the time limit.",
    )


def _empty_packs(folder: Path) -> None:
    for path in [*folder.glob("objects/pack/*"), *folder.glob("objects/??/*")]:
        path.chmod(0o644)
        path.write_bytes(b"")


def _garble_head(folder: Path) -> None:
    (folder / "HEAD").write_bytes(b"\0\0\0")


def _garble_config(folder: Path) -> None:
    (folder / "config").write_text("[core\n")


def _remove_objects(folder: Path) -> None:
    shutil.rmtree(folder / "objects")


@pytest.mark.parametrize("damage", [_empty_packs, _garble_head, _garble_config, _remove_objects])
async def test_f72_a_damaged_mirror_is_made_anew(
    engine: local.Local, code: jobs.Code, data_dir: Path, damage: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    await jobs.run(engine, jobs.make(code.source(), "true"))
    assert callable(damage)
    damage(mirror(data_dir))
    second = code.repository.commit({"README.md": "second\n"}, parent=code.sha)
    told = await jobs.run(engine, jobs.make(code.source(second), "cat README.md"))
    assert (told.result, told.log) == ("passed", "second\n")
    assert all(path.stat().st_size for path in mirror(data_dir).rglob("*") if path.is_file())


async def test_f72_a_mirror_whose_files_are_damaged_is_found_out_by_the_job_that_needs_them(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    await jobs.run(engine, jobs.make(code.source(), "true"))
    for pack in mirror(data_dir).glob("objects/pack/*.pack"):
        packed = pack.rename(data_dir / "pack").read_bytes()
        gitserver.run(f"--git-dir={mirror(data_dir)}", "unpack-objects", "-q", stdin=packed)
    blob = gitserver.run(f"--git-dir={code.repository.path}", "rev-parse", f"{code.sha}:README.md")
    path = mirror(data_dir) / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"no object")
    first = await jobs.run(engine, jobs.make(code.source(), "true"))
    assert (first.result, first.steps) == ("errored", [])
    assert "checked out" in first.reason
    assert (await jobs.run(engine, jobs.make(code.source(), "cat README.md"))).log == "hello\n"


async def test_a_lock_left_by_a_killed_fetch_does_not_stay_in_the_way(
    engine: local.Local, code: jobs.Code, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    await jobs.run(engine, jobs.make(code.source(), "true"))
    second = code.repository.commit({"x": "x"}, parent=code.sha)
    (month,) = (mirror(data_dir) / "refs" / "kept").iterdir()
    (month / f"{second}.lock").touch()
    assert (await jobs.run(engine, jobs.make(code.source(second), "true"))).result == "passed"


async def test_a_mirror_is_tidied_and_forgets_what_nobody_built_for_long(
    engine: local.Local, code: jobs.Code, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engines.local.mirrors._TIDY_EVERY", 1)
    await jobs.run(engine, jobs.make(code.source(), "true"))
    old = f"refs/kept/202001/{code.sha}"
    gitserver.run(f"--git-dir={mirror(data_dir)}", "update-ref", old, code.sha)
    second = code.repository.commit({"x": "x"}, parent=code.sha)
    assert (await jobs.run(engine, jobs.make(code.source(second), "true"))).result == "passed"
    third = code.repository.commit({"x": "y"}, parent=second)
    assert (await jobs.run(engine, jobs.make(code.source(third), "true"))).result == "passed"
    refs = gitserver.run(f"--git-dir={mirror(data_dir)}", "for-each-ref", "--format=%(refname)")
    assert old not in refs
    assert third in refs


async def test_sha256_repositories_are_built(engine: local.Local, server: gitserver.Server) -> None:
    repository = server.repository("octo/newer", kind="sha256")
    code = jobs.Code(server, repository, repository.commit({"a": "a\n"}))
    told = await jobs.run(engine, jobs.make(code.source(), "cat a; git log --format=%H"))
    assert told.log == f"a\n{code.sha}\n"


def test_gits_words_are_told_apart() -> None:
    table = json.loads(Path(__file__).with_name("git_words.json").read_text(encoding="utf-8"))
    for row in table:
        found = trouble.fetching(row["stderr"], host="github.com")
        assert row["reason"] in found.reason, row
        assert (found.is_passing, found.is_damaged) == (row["is_passing"], row["is_damaged"]), row


def test_a_git_without_the_right_url_has_no_protocol_at_all() -> None:
    assert git.environment()["GIT_ALLOW_PROTOCOL"] == "none"
    with pytest.raises(errors.EngineError):
        git.environment(url="file:///etc")


async def test_a_mirror_is_swept_where_it_is_not_kept_and_was_of_no_use_for_long(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    for number in (1, 2):
        await jobs.run(engine, jobs.make(code.source(repository_id=number), "true"))
    old = datetime.now(UTC) - timedelta(days=9)
    for number in (1, 2):
        os.utime(mirror(data_dir).with_name(f"{number}.git"), (old.timestamp(), old.timestamp()))
    await engine.sweep(keep={1}, before=old - timedelta(seconds=1))
    assert mirror(data_dir).with_name("2.git").exists()
    # Looking into it counts, also where nothing had to be fetched.
    await jobs.run(engine, jobs.make(code.source(repository_id=2), "true"))
    await engine.sweep(keep={1}, before=old + timedelta(days=1))
    assert mirror(data_dir).with_name("2.git").exists()
    await engine.sweep(keep={1}, before=datetime.now(UTC) + timedelta(days=1))
    assert [path.name for path in mirror(data_dir).parent.iterdir()] == ["1.git"]
    assert list((data_dir / "engine" / "trash").iterdir()) == []
