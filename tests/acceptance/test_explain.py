"""`buildhook explain` beside the running service, for each usual cause of "it did not build"; its texts are the docs.

`pytest tests/acceptance/test_explain.py --write-docs` writes them into `docs/explain.md`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

import pytest

from bot.model import delivery
from bot.simulator import Repository, Simulator
from bot.store import Store, inbox_list
from tests.acceptance import process

PAGE = Path(__file__).parent.parent.parent / "docs" / "explain.md"
JOBS = "jobs:\n  test:\n    steps:\n      - run: echo ok\n"
ALL = {".buildhook.yml": f"on: [push, pull_request]\n{JOBS}"}
#: A push waits so long for the delivery of its pull request.
SETTLED = frozenset(delivery.State) - delivery.UNFINISHED


@dataclass(frozen=True, kw_only=True)
class Place:
    """A simulated GitHub, a service that it delivers to, and a look into its database."""

    github: Simulator
    service: process.Process
    store: Store

    async def repository(self, **changes: object) -> Repository:
        return await self.github.create_repository("octo/hello", files=ALL, **changes)  # type: ignore[arg-type]

    async def settled(self, count: int = 1, *, event: str = "push") -> list[delivery.Delivery]:
        """So many deliveries of this event, handled or put off."""
        found: list[delivery.Delivery] = []

        async def is_there() -> bool:
            nonlocal found
            found = await self.store.read(inbox_list.list_newest, limit=99, event=event)
            return len(found) >= count and all(one.state in {*SETTLED, delivery.State.RETRYING} for one in found)

        await wait_for(is_there)
        return found


async def wait_for(is_true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(40):
        while not await is_true():
            await asyncio.sleep(0.05)


@pytest.fixture
async def place(github: Simulator, service: process.Process, environment: Mapping[str, str]) -> AsyncIterator[Place]:
    store = await Store(f"sqlite:///{environment['BUILDHOOK_DATA_DIR']}/buildhook.db").open()
    yield Place(github=github, service=service, store=store)
    await store.close()


async def no_file(place: Place) -> str:
    """There is no pipeline file."""
    repository = await place.github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    head = await place.github.push(repository, "main", {"a.txt": "a"})
    await place.settled()
    return head


async def other_event(place: Place) -> str:
    """`on` does not name the event."""
    files = {".buildhook.yml": f"on: pull_request\n{JOBS}"}
    repository = await place.github.create_repository("octo/hello", files=files)
    head = await place.github.push(repository, "main", {"a.txt": "a"})
    await place.settled()
    return head


async def other_branch(place: Place) -> str:
    """The filter leaves the branch out."""
    files = {".buildhook.yml": f"on:\n  push:\n    branches: [main, 'release/**']\n{JOBS}"}
    repository = await place.github.create_repository("octo/hello", files=files)
    head = await place.github.push(repository, "topic", {"a.txt": "a"})
    await place.settled()
    return head


async def fork(place: Place) -> str:
    """A pull request of a fork waits for approval."""
    repository = await place.repository()
    copy = await place.github.fork(repository, "stranger")
    await place.github.commit(copy, "topic", {"a.txt": "a"}, author="stranger")
    await place.github.open_pull_request(repository, "topic", from_fork=copy)
    await place.settled(event="pull_request")
    return "octo/hello#1"


async def no_permission(place: Place) -> str:
    """The author may not push to the repository."""
    repository = await place.repository()
    await place.github.commit(repository, "topic", {"a.txt": "a"})
    place.github.create_user("reader")
    place.github.set_permission(repository, "reader", "read")
    await place.github.open_pull_request(repository, "topic", author="reader")
    await place.settled(event="pull_request")
    return "octo/hello#1"


async def broken(place: Place) -> str:
    """The pipeline file has a mistake."""
    files = {".buildhook.yml": "on: push\njobs:\n  test:\n    step:\n      - run: echo ok\n"}
    repository = await place.github.create_repository("octo/hello", files=files)
    head = await place.github.push(repository, "main", {"a.txt": "a"})
    await place.settled()
    return head


async def covered(place: Place) -> str:
    """Another build covers the commit."""
    repository = await place.repository()
    head = await place.github.push(repository, "main", {"a.txt": "a"})
    await place.github.wait_for_check(repository, head, conclusion="success")
    await place.github.push(repository, "release", start=head)
    return (await place.settled(2))[0].id


async def late(place: Place) -> str:
    """It came hours late, and the branch has moved on."""
    repository = await place.repository()
    url, place.github.webhook_url = place.github.webhook_url, None
    place.github.clock.advance(-2 * 3600)
    head = await place.github.push(repository, "main", {"a.txt": "a"})
    missed = next(one for one in place.github.deliveries if one.event == "push")
    place.github.clock.advance(2 * 3600)
    place.github.webhook_url = url
    await place.github.push(repository, "main", {"a.txt": "b"})
    await place.settled()
    place.github.redeliver(missed.id)
    await place.settled(2)
    return head


async def suspended(place: Place) -> str:
    """The App is suspended."""
    repository = await place.repository()
    await place.github.push(repository, "main", {"a.txt": "a"})
    await place.settled()
    place.github.suspend("octo")
    await place.settled(event="installation")
    await place.github.commit(repository, "topic", {"a.txt": "b"})
    await place.github.open_pull_request(repository, "topic")
    return "octo/hello#1"


async def not_installed(place: Place) -> str:
    """The App is not installed, so that no delivery ever came."""
    await place.github.create_repository("octo/hello", files=ALL)
    repository = await place.github.create_repository("octo/other", files=ALL, installed=False)
    return await place.github.push(repository, "main", {"a.txt": "a"})


async def parked(place: Place) -> str:
    """GitHub refuses what the decision needs, and the delivery is parked."""
    repository = await place.repository()
    text = {"message": "Resource not accessible by integration"}
    place.github.faults.add(path="/contents/", status=403, body=text, times=None)
    await place.github.push(repository, "main", {"a.txt": "a"})
    return (await place.settled())[0].id


async def limited(place: Place) -> str:
    """GitHub asked the App to wait."""
    repository = await place.repository()
    text = {"message": "You have exceeded a secondary rate limit."}
    headers = {"retry-after": "120"}
    place.github.faults.add(path="/contents/", status=403, body=text, headers=headers, times=None)
    head = await place.github.push(repository, "main", {"a.txt": "a"})
    await place.settled()
    return head


async def queue(place: Place) -> str:
    """All places for jobs are taken."""
    files = {".buildhook.yml": "on: push\njobs: {a: {steps: [{run: sleep 99}]}, b: {steps: [{run: sleep 99}]}}\n"}
    repository = await place.github.create_repository("octo/hello", files=files)
    await place.github.push(repository, "main", {"a.txt": "a"})
    await place.settled()
    head = await place.github.push(repository, "topic", {"a.txt": "b"})
    await place.settled(2)

    async def is_running() -> bool:
        states = [one["state"] for one in await place.service.command("builds", "list")]
        return states == ["queued", "running"]

    await wait_for(is_running)
    return head


CAUSES = {
    one.__name__: one
    for one in (
        no_file,
        other_event,
        other_branch,
        fork,
        no_permission,
        broken,
        covered,
        late,
        suspended,
        not_installed,
        parked,
        limited,
        queue,
    )
}
#: The word for programs.
WORDS = {
    "no_file": "ignored",
    "other_event": "ignored",
    "other_branch": "skipped",
    "fork": "waits_for_approval",
    "no_permission": "waits_for_approval",
    "broken": "broken_file",
    "covered": "nothing_follows",
    "late": "nothing_follows",
    "suspended": "suspended",
    "not_installed": "no_delivery",
    "parked": "parked",
    "limited": "retrying",
    "queue": "queued",
}


@pytest.fixture
def environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Two places for jobs, as on a small machine."""
    return {**environment, "BUILDHOOK_MAX_JOBS": "2"}


def stable(text: str) -> str:
    """The text with ids and times that are the same in every run."""

    def numbered(pattern: str, make: Callable[[int], str], text: str) -> str:
        seen: dict[str, str] = {}
        return re.sub(pattern, lambda found: seen.setdefault(found[0], make(len(seen) + 1)), text)

    shas: dict[str, str] = {}
    for sha in re.findall(r"\b[0-9a-f]{40}\b", text):
        shas.setdefault(sha, sha1(b"%d" % len(shas)).hexdigest())
    for sha, made in shas.items():
        text = re.sub(rf"\b{sha}\b", made, text)
        text = re.sub(rf"(?<= ){sha[:7]}(?= )", made[:7], text)
    guid = r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    text = numbered(guid, lambda number: f"72d3162e-cc78-11e3-81ab-{number:012x}", text)
    text = numbered(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b", lambda number: f"01K{number:023d}", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-03-04 05:06:07 UTC", text)
    return re.sub(r"http://127\.0\.0\.1:\d+", "https://api.github.com", text)


@pytest.mark.parametrize("name", CAUSES)
async def test_each_usual_cause_is_explained_as_the_docs_show_it(
    place: Place, name: str, pytestconfig: pytest.Config
) -> None:
    subject = await CAUSES[name](place)
    status, out, err = await process.run("explain", subject, environment=place.service.environment)
    assert status == 0, err
    told = await place.service.command("explain", subject)
    assert told["cause"] == WORDS[name]
    assert told["untrusted"]["answer"] == out.partition("\n")[0]
    block = stable(f"$ buildhook explain {subject}\n{out}")
    shown = f"### {CAUSES[name].__doc__}\n\n```console\n{block}```"
    begin, end = f"<!-- generated: {name} -->\n", f"\n<!-- end of generated: {name} -->"
    page = PAGE.read_text()
    before, _, rest = page.partition(begin)
    written, _, after = rest.partition(end)
    if pytestconfig.getoption("write_docs"):
        PAGE.write_text(f"{before}{begin}{shown}{end}{after}")
    else:
        assert written == shown


def test_the_docs_show_every_cause_once() -> None:
    assert re.findall(r"<!-- generated: (\w+) -->", PAGE.read_text()) == list(CAUSES)
