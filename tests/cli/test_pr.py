"""`buildhook pr checks`: the checks of the pull request that is meant, and of no stranger's."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.app import running
from bot.model import build, job
from bot.settings import Settings
from bot.store import Store, builds, jobs, outcomes
from tests import factories
from tests.acceptance import process, starter
from tests.cli import terminal

URL = "https://x-access-token:secret@github.com/octo/hello.git"


@dataclass
class Place:
    """A working tree on the branch `fix`, and the database of a service that has heard of its pull requests."""

    folder: Path
    data_dir: Path
    store: Store

    def git(self, *arguments: str) -> str:
        """Run git there."""
        identity = ("-c", "user.name=mona", "-c", "user.email=mona@example.com")
        done = subprocess.run(
            ("git", *identity, *arguments), cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self) -> str:
        """A new commit; gives its SHA."""
        self.git("commit", "-q", "--allow-empty", "-m", "Fix it")
        return self.git("rev-parse", "HEAD")

    async def add(self, number: int, head_sha: str, **changes: Any) -> build.Build:
        """A build of a pull request from a branch called `fix`."""
        state = changes.pop("state", build.State.PASSED)
        wanted = {"head_ref": "fix", "repository": "octo/hello", **changes}
        made = factories.make_pull_build(pull_number=number, head_sha=head_sha, state=state, **wanted)
        its_state = job.State.PASSED if state == build.State.PASSED else job.State.WAITING
        new = factories.make_new_build(made, factories.make_job(state=its_state))
        await self.store.write(outcomes.create, new, now=factories.NOW)
        await self.store.write(
            builds.save_state, made.id, state=state, started_at=factories.NOW, finished_at=factories.NOW
        )
        return made

    async def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """Run `buildhook pr checks` there."""
        environment = {**process.environment(self.data_dir), **more}
        return await run_in(self.folder, "pr", "checks", *arguments, environment=environment)

    async def number(self, *arguments: str, **more: str) -> int:
        """Which pull request is shown."""
        status, out, err = await self.run("--json", *arguments, **more)
        assert status == 0, err
        number: int = json.loads(out)["pull_number"]
        return number


async def run_in(folder: Path, *arguments: str, environment: dict[str, str]) -> tuple[int, str, str]:
    """As `process.run`, in a folder."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with open("/dev/null", "rb") as nothing:
            child = starter.start(
                arguments, env=environment, cwd=folder, fds=(nothing.fileno(), out.fileno(), err.fileno())
            )
        status = await child.wait()
        out.seek(0)
        err.seek(0)
        return status, out.read().decode(), err.read().decode()


@pytest.fixture
async def place(tmp_path: Path, empty_database: Path) -> AsyncIterator[Place]:
    data, folder = tmp_path / "data", tmp_path / "checkout"
    data.mkdir()
    folder.mkdir()
    (data / "buildhook.db").write_bytes(empty_database.read_bytes())
    store = await Store(f"sqlite:///{data / 'buildhook.db'}").open()
    here = Place(folder, data, store)
    here.git("init", "-q", "-b", "fix")
    here.git("remote", "add", "origin", URL)
    yield here
    await store.close()


async def test_the_pull_request_of_the_branch_is_found_here_and_at_a_service(place: Place) -> None:
    sha = place.commit()
    await place.add(7, sha)
    await place.add(8, factories.HEAD_SHA, head_ref="other")
    await place.add(9, factories.HEAD_SHA, repository="octo/elsewhere", repository_id=2)
    # What is not pushed yet does not matter.
    place.commit()
    assert await place.number() == 7
    status, out, _ = await place.run("--exit-status")
    assert (status, out.splitlines()[0]) == (0, f"octo/hello #7 at {sha[:7]} passed 0.0s")
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [["check", "state"], ["buildhook", "passed"]]
    async with running(Settings(data_dir=place.data_dir, port=0)) as service:
        assert await place.number(BUILDHOOK_SERVER=service.url) == 7
        assert await place.number("9", "--repo", "octo/elsewhere", BUILDHOOK_SERVER=service.url) == 9


async def test_the_newest_build_is_shown_and_its_end_is_the_status(place: Place) -> None:
    sha = place.commit()
    await place.add(7, sha, state=build.State.FAILED)
    assert (await place.run("--exit-status"))[0] == 3
    newer = await place.add(7, sha, generation=2, state=build.State.RUNNING)
    status, out, err = await place.run("--exit-status")
    assert (status, newer.id in out, "has not ended" in err) == (1, True, True)
    assert (await place.run())[0] == 0


async def test_a_push_meanwhile_is_watched_in_its_turn(place: Place) -> None:
    await place.add(7, place.commit(), state=build.State.RUNNING)
    environment = process.environment(place.data_dir)
    command = ("pr", "checks", "--watch", "--exit-status")
    async with terminal.running(*command, environment=environment, folder=place.folder) as shown:
        await shown.until("#7 at")
        sha = place.commit()
        newer = await place.add(7, sha, state=build.State.RUNNING)
        await shown.until(sha[:7])
        await place.store.write(
            builds.save_state, newer.id, state=build.State.CANCELLED, started_at=None, finished_at=factories.NOW
        )
        assert await shown.end() == 6
    assert terminal.DRAWN.fullmatch(shown.text)


async def test_what_was_pushed_just_now_is_waited_for(place: Place) -> None:
    """Else the end of the build before it would be taken for its own."""
    await place.add(7, place.commit())
    pushed = place.commit()
    place.git("config", "branch.fix.remote", "origin")
    place.git("config", "branch.fix.merge", "refs/heads/fix")
    place.git("update-ref", "refs/remotes/origin/fix", pushed)
    environment = process.environment(place.data_dir)
    command = ("pr", "checks", "--watch", "--exit-status", "--json")
    asking = asyncio.create_task(run_in(place.folder, *command, environment=environment))
    # Whoever only asks is told what there is.
    assert await place.number() == 7
    assert not asking.done()
    newer = await place.add(7, pushed, state=build.State.FAILED)
    status, out, err = await asking
    assert (status, json.loads(out.splitlines()[0])["build"]) == (3, newer.id), err
    # What is not pushed yet has no build to wait for.
    place.commit()
    assert (await place.run("--watch", "--exit-status"))[0] == 3


async def test_a_strangers_branch_of_the_same_name_is_not_taken_for_yours(place: Place) -> None:
    sha = place.commit()
    await place.add(66, "6" * 40)
    status, _, err = await place.run()
    assert (status, "#66" in err, "none of their commits is here" in err) == (1, True, True)
    await place.add(7, sha)
    assert await place.number() == 7
    # It even holds your commit: then you say which.
    await place.add(67, sha, repository_id=3)
    status, _, err = await place.run()
    assert (status, "octo/hello#7, octo/hello#67" in err) == (1, True)
    assert await place.number("67") == 67


async def test_a_branch_whose_name_is_used_again_means_the_pull_request_of_what_is_checked_out(place: Place) -> None:
    await place.add(7, place.commit())
    await place.add(8, place.commit())
    assert await place.number() == 8


async def test_a_fork_finds_the_pull_request_where_it_was_opened(place: Place) -> None:
    place.git("remote", "set-url", "origin", "git@github.com:mona/hello.git")
    place.git("remote", "add", "upstream", "ssh://git@github.com/octo/hello.git")
    await place.add(7, place.commit())
    assert await place.number() == 7


async def test_a_branch_that_has_another_name_there_or_is_a_pull_request_itself(place: Place) -> None:
    place.commit()
    place.git("branch", "-m", "--", "mine")
    place.git("config", "branch.mine.remote", "origin")
    place.git("config", "branch.mine.merge", "refs/heads/fix")
    await place.add(7, place.git("rev-parse", "HEAD"))
    assert await place.number() == 7
    await place.add(8, factories.HEAD_SHA)
    place.git("config", "branch.mine.merge", "refs/pull/8/head")
    assert await place.number() == 8


async def test_what_is_not_known_is_a_sentence(place: Place) -> None:
    place.commit()
    for arguments, said in (
        ((), "no build of a pull request from the branch `fix` of octo/hello"),
        (("3",), "`buildhook explain octo/hello#3` says why"),
        (("0",), "greater than or equal to 1"),
    ):
        status, out, err = await place.run(*arguments)
        assert (out, said in err) == ("", True), err
        assert status in (1, 2)
        assert "secret" not in err
    place.git("checkout", "-q", "--detach")
    assert "No branch is checked out here" in (await place.run())[2]
    place.git("remote", "remove", "origin")
    assert "say --repo OWNER/NAME" in (await place.run())[2]


async def test_t41_names_of_branches_and_remotes_are_no_options_and_no_commands(place: Place, tmp_path: Path) -> None:
    sha = place.commit()
    marker = tmp_path / "marker"
    # git refuses such a name where it makes one; a repository that was copied may have it.
    (place.folder / ".git/HEAD").write_text(f"ref: refs/heads/--output={marker}\n")
    (place.folder / f".git/refs/heads/--output={str(marker).replace('/', '_')}").write_text(f"{sha}\n")
    place.git("config", "remote.--upload-pack=touch.url", f"$(touch {marker})")
    assert (await place.run())[0] == 1
    assert not marker.exists()


async def test_every_check_has_its_row_with_its_reason(place: Place) -> None:
    made = factories.make_pull_build(pull_number=7, repository="octo/hello")
    plans = [factories.make_plan(key=name, name=name) for name in ("lint", "test")]
    new = factories.make_new_build(made, *(factories.make_job(plan=plan) for plan in plans))
    await place.store.write(outcomes.create, new, now=factories.NOW)
    assert len(await place.store.read(jobs.list_of_builds, [made.id])) == 2
    _, out, _ = await place.run("7")
    rows = [line.rsplit(maxsplit=2)[0].strip() for line in out.splitlines()[2:-1]]
    assert rows == ["buildhook", "buildhook / lint", "buildhook / test"]
