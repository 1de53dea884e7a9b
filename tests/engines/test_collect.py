"""Result files of a job: found by globs, taken without following anything, bounded, and told before the end."""

from __future__ import annotations

import asyncio
import marshal
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import errors
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import results, stream
from bot.engines.local.supervisor import collect, output
from bot.model import job
from bot.pipelines import globs
from tests.engines import jobs
from tests.engines.conftest import Open

JUNIT = job.Reports(junit=("**/*.xml",))


def request(code: jobs.Code, *runs: str, reports: job.Reports = JUNIT) -> contract.JobRequest:
    """A job with these steps."""
    made = jobs.make(code.source(trust=jobs.TRUSTED), *runs)
    plan = job.Plan(key="test", name="test", steps=made.plan.steps, reports=reports)
    return contract.JobRequest(
        job_id=made.job_id, source=made.source, plan=plan, env={}, timeout_seconds=made.timeout_seconds
    )


def files(told: jobs.Told) -> list[contract.ResultFile]:
    return [event for event in told.events if isinstance(event, contract.ResultFile)]


async def contents(told: jobs.Told) -> dict[tuple[str, str], bytes]:
    """What was collected, by kind and path."""
    return {(one.kind, one.path): await one.read() for one in files(told) if one.read is not None}


def problems(told: jobs.Told) -> dict[str, str]:
    return {one.path: one.problem for one in files(told) if one.problem is not None}


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_what_the_plan_names_and_the_results_folder_are_collected(
    open_engine: Open, code: jobs.Code, sandbox: str
) -> None:
    engine = await open_engine(sandbox=sandbox)
    told = await jobs.run(
        engine,
        request(
            code,
            "mkdir -p a/b; echo one > a/b/1.xml; echo two > 2.xml; echo cov > lcov.info; echo no > a/no.txt",
            'mkdir "$BUILDHOOK_RESULTS/d"; echo all is well > "$BUILDHOOK_RESULTS/summary.md"; '
            'echo x > "$BUILDHOOK_RESULTS/d/x"; exit 3',
            reports=job.Reports(junit=("**/*.xml", "!2.xml"), coverage=("lcov.info",)),
        ),
    )
    assert told.result == "failed"
    assert await contents(told) == {
        ("results", "summary.md"): b"all is well\n",
        ("results", "d/x"): b"x\n",
        ("junit", "a/b/1.xml"): b"one\n",
        ("coverage", "lcov.info"): b"cov\n",
    }
    assert not problems(told)
    kinds = [type(event) for event in told.events]
    first = kinds.index(contract.ResultFile)
    assert kinds[first:] == [contract.ResultFile] * 4 + [contract.Finished]


async def test_they_are_told_again_from_any_offset_also_after_a_restart(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine()
    wanted = request(code, "for n in 1 2 3; do echo $n > $n.xml; done")
    told = await jobs.run(engine, wanted)
    assert len(files(told)) == 3
    await engine.close()
    again = await open_engine()
    for event in told.events:
        rest = await jobs.follow(again, wanted.job_id, offset=event.offset) if event != told.end else None
        if rest is not None:
            assert rest.events[-1] == told.end
            assert files(rest) == [one for one in files(told) if one.offset > event.offset]
    await again.remove(wanted.job_id)
    read = files(told)[0].read
    assert read is not None
    with pytest.raises(errors.EngineError, match="cannot be read any more"):
        await read()


async def test_a_job_that_is_cut_off_by_its_limit_still_leaves_its_files(engine: local.Local, code: jobs.Code) -> None:
    made = request(code, "echo early > 1.xml; sleep 600")
    quick = contract.JobRequest(job_id=made.job_id, source=made.source, plan=made.plan, env={}, timeout_seconds=1.0)
    told = await jobs.run(engine, quick)
    assert told.result == "timed_out"
    assert await contents(told) == {("junit", "1.xml"): b"early\n"}


async def test_without_results_nothing_is_told(engine: local.Local, code: jobs.Code) -> None:
    assert not files(await jobs.run(engine, request(code, "echo > a.xml", reports=job.Reports())))


async def test_a_glob_that_is_none_ends_the_job_with_the_reason(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, request(code, "true", reports=job.Reports(sarif=("[",))))
    assert told.result == "errored"
    assert "A glob of `reports` or `artifacts` is none" in told.reason


async def test_t108_nothing_outside_of_the_workspace_is_read_and_no_trick_hangs_the_end(
    engine: local.Local, code: jobs.Code, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text("secret")
    told = await jobs.run(
        engine,
        request(
            code,
            "ln -s /etc/passwd link.xml; ln -s /proc/1/environ proc.xml; ln -s ../../../request.json up.xml; "
            f"ln -s {secret} outside.xml; ln -s {tmp_path} folder.xml; ln -s /etc etc; ln -s .. up; "
            "mkfifo pipe.xml; mkdir dir.xml; echo in > dir.xml/in.xml; echo > hard.xml; ln hard.xml harder.xml; "
            "truncate -s 1T sparse.xml; ln -s link.xml link2.xml; ln -s loop.xml loop.xml; "
            'ln -s /etc "$BUILDHOOK_RESULTS/etc"; ln -s summary.md "$BUILDHOOK_RESULTS/summary.md"; '
            "echo locked > locked.xml; chmod 000 locked.xml; mkdir shut; echo > shut/a.xml; chmod 000 shut",
        ),
    )
    assert told.result == "passed"
    got = await contents(told)
    assert {path for _, path in got} <= {"dir.xml/in.xml", "locked.xml", "shut/a.xml"}
    assert got["junit", "dir.xml/in.xml"] == b"in\n"
    said = problems(told)
    links = {
        "link.xml",
        "proc.xml",
        "up.xml",
        "outside.xml",
        "folder.xml",
        "link2.xml",
        "loop.xml",
        "etc",
        "summary.md",
    }
    assert {path for path, why in said.items() if "symbolic link" in why} == links
    assert "no regular file" in said["pipe.xml"]
    assert "hard links" in said["hard.xml"]
    assert "hard links" in said["harder.xml"]
    assert "1099511627776 bytes" in said["sparse.xml"]


async def test_hostile_names_are_told_as_they_are_or_nearly(engine: local.Local, code: jobs.Code) -> None:
    run = r"""printf 1 > "$(printf 'a\nb.xml')"; printf 2 > "$(printf '\377.xml')"; printf 3 > ' $(x).xml'"""
    told = await jobs.run(engine, request(code, run))
    assert await contents(told) == {("junit", "a\nb.xml"): b"1", ("junit", "?.xml"): b"2", ("junit", " $(x).xml"): b"3"}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job, in which a supervisor is."""
    for name in (collect.WORKSPACE, collect.RESULTS):
        (tmp_path / "box" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "box"


def collected(reports: job.Reports = JUNIT, **limits: float) -> list[contract.ResultFile]:
    """What is told of the folder of a job."""
    wanted = {**results.wanted(reports), **limits}
    path = Path("stream")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    collect.collect(output.Stream(fd, log_limit_bytes=1000), marshal.loads(marshal.dumps(wanted)))
    os.close(fd)
    return [event for event in stream.events(path.read_bytes(), at=0) if isinstance(event, contract.ResultFile)]


def fill(box: Path, count: int, *, size: int = 1) -> None:
    for number in range(count):
        (box / "workspace" / f"{number:04}.xml").write_bytes(b"x" * size)


def test_files_are_bounded_in_number_and_what_is_left_out_is_said(box: Path) -> None:
    fill(box, 8)
    told = collected(files=5)
    assert [one.path for one in told if one.problem is None] == [f"{number:04}.xml" for number in range(5)]
    assert told[-1].path == "0005.xml"
    assert told[-1].problem == "it and all behind it are left out: a job may have 5 result files."
    assert len(told) == 6


def test_what_cannot_be_taken_counts_as_well(box: Path) -> None:
    for number in range(8):
        (box / "workspace" / f"{number}.xml").symlink_to("/etc/passwd")
    assert len(collected(files=5)) == 6


def test_files_are_bounded_in_size_each_and_together(box: Path) -> None:
    fill(box, 4, size=300)
    (box / "workspace" / "0001.xml").write_bytes(b"x" * 501)
    told = collected(file_bytes=500, total_bytes=700)
    assert [one.problem for one in told] == [
        None,
        "it has 501 bytes, and at most 500 are taken.",
        None,
        "it is left out: the result files of a job may have 700 bytes together.",
    ]
    assert [one.size_bytes for one in told if one.problem is None] == [300, 300]


def test_the_search_is_bounded_in_names_and_time(box: Path) -> None:
    fill(box, 30)
    assert collected(entries=10)[-1].problem == "the search for result files ended here, after 10 names."
    Path("stream").unlink()
    assert collected(seconds=-1.0)[-1].problem == "the search for result files ended here, after -1 seconds."


def test_folders_are_not_followed_without_end_and_not_where_nothing_can_match(box: Path) -> None:
    deep = box / "workspace" / "/".join(["d"] * 100)
    deep.mkdir(parents=True)
    (deep / "a.xml").write_text("x")
    (box / "workspace" / "out").mkdir()
    (box / "workspace" / "out" / "a.xml").write_text("x")
    (box / "workspace" / ".git").mkdir()
    (box / "workspace" / ".git" / "a.xml").write_text("x")
    assert [one.path for one in collected()] == ["out/a.xml"]
    Path("stream").unlink()
    # One of `out` and `d` alone, and what is in `out`.
    assert [one.path for one in collected(job.Reports(junit=("out/*.xml",)), entries=4)] == ["out/a.xml"]


def test_a_file_that_grows_while_it_is_read_is_cut_off(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (box / "workspace" / "a.xml").write_bytes(b"x" * 10)
    real = os.read

    def growing(fd: int, size: int) -> bytes:
        return real(fd, size) or b"y" * size

    monkeypatch.setattr(os, "read", growing)
    (told,) = collected(file_bytes=1000)
    assert told.problem == "it grew beyond 1000 bytes while it was read."
    assert not list(Path(collect.KEPT).iterdir())


def test_a_file_that_is_exchanged_behind_the_first_look_is_refused(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = box / "workspace" / "a.xml"
    victim.write_bytes(b"x")
    real = os.stat

    def exchanging(*args: object, **kwargs: object) -> os.stat_result:
        found = real(*args, **kwargs)  # type: ignore[arg-type]
        victim.unlink()
        os.mkfifo(victim)
        return found

    monkeypatch.setattr(os, "stat", exchanging)
    (told,) = collected()
    assert told.problem == "it is no regular file."


def test_a_missing_folder_is_said(box: Path) -> None:
    (box / "workspace").rmdir()
    (box / "workspace").symlink_to("/etc")
    (told,) = collected()
    assert "the job's workspace cannot be opened" in (told.problem or "")


def test_a_copy_that_was_damaged_is_not_given(box: Path) -> None:
    fill(box, 1)
    (told,) = collected()

    async def read() -> bytes:
        assert told.read is not None
        return await told.read()

    assert asyncio.run(read()) == b"x"
    (Path(collect.KEPT) / "0").write_bytes(b"y")
    with pytest.raises(errors.EngineError, match="damaged"):
        asyncio.run(read())


_PART = st.sampled_from(["a", "b", "ab", "*", "**", "?", "+", "[ab]", "/", "**/", "\\*", ".x"])
_PATTERNS = st.lists(st.lists(_PART, min_size=1, max_size=6).map("".join), min_size=1, max_size=3)


_PARTS = st.lists(st.text("ab*.x", min_size=1, max_size=3), min_size=1, max_size=4)


@settings(max_examples=500, deadline=None)
@given(_PATTERNS, st.lists(st.booleans(), min_size=3, max_size=3), _PARTS)
def test_a_supervisor_matches_as_the_pipeline_file_does(
    patterns: list[str], negative: list[bool], parts: list[str]
) -> None:
    try:
        whole = [("!" if is_so else "") + pattern for pattern, is_so in zip(patterns, negative, strict=False)]
        matches = globs.compiled_all(whole)
    except globs.PatternError:
        return
    selection = collect.Selection(
        {"kind": "junit", "folder": "workspace", "globs": [results.automaton(one) for one in whole]}
    )
    states, is_alive = selection.begin(), True
    for part in parts[:-1]:
        states = selection.feed(selection.feed(states, part), "/")
        is_alive = is_alive and selection.is_alive(states)
    is_taken = selection.takes(selection.feed(states, parts[-1]))
    assert is_taken == matches("/".join(parts))
    assert is_alive or not is_taken


def _without_comments() -> Iterator[str]:
    for line in Path(collect.__file__).read_text().splitlines():
        if line.startswith(("import ", "from ")):
            yield line


def test_the_supervisor_still_starts_with_nothing_but_the_quickest_modules() -> None:
    assert set(_without_comments()) == {
        "from __future__ import annotations",
        "import os",
        "import time",
        "from stat import S_ISLNK, S_ISREG",
        "from . import frames, output",
    }
