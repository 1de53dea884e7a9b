"""Consent and pushes in every order, late, twice or lost: nothing runs that nobody let run at that very commit."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot import clock
from bot.model import build
from bot.simulator import PullRequest, Repository
from bot.store import approvals, builds, checks, jobs
from tests.databases import on_sqlite
from tests.events.conftest import PIPELINE, House


@dataclass
class Race:
    """One pull request of a stranger; what GitHub tells about it may arrive in any order."""

    house: House
    repository: Repository
    fork: Repository
    pull: PullRequest
    chance: random.Random
    branch: str
    #: Told by GitHub and not yet heard of.
    on_the_way: list[Any] = field(default_factory=list)
    #: The commits whose button a person with write access pressed.
    consented: set[str] = field(default_factory=set)
    heads: list[str] = field(default_factory=list)
    _seen: int = 0

    def collect(self) -> None:
        """Take what GitHub told since the last time."""
        told = self.house.simulator.deliveries
        self.on_the_way += [one for one in told[self._seen :] if one.event in {"pull_request", "check_run"}]
        self._seen = len(told)

    async def push(self) -> None:
        """The stranger pushes something new, or goes back to an older head."""
        git = self.house.simulator
        if len(self.heads) > 1 and self.chance.random() < 0.4:
            start = self.chance.choice(self.heads)
            await git.push(self.fork, self.branch, {}, start=start, force=True, author="stranger")
        else:
            text = str(self.chance.random())
            await git.push(self.fork, self.branch, {"a.txt": text}, author="stranger")
        self.heads.append(self.pull.head_sha)
        self.collect()

    async def press(self) -> None:
        """Somebody who may push presses a button that GitHub shows, perhaps of an old commit."""
        waiting = [one for one in await self.builds() if one.state == build.State.WAITING]
        if not waiting:
            return
        chosen = self.chance.choice(waiting)
        run = await self.show(chosen)
        self.house.simulator.press_action(run, "approve", sender="octo")
        self.consented.add(chosen.head_sha)
        self.collect()

    async def show(self, made: build.Build) -> Any:
        """The check run of a build that waits."""
        (one,) = await self.house.store.read(checks.list_of_build, made.id)
        if one.github_id is not None:
            return self.house.simulator.check_run(self.repository, one.github_id)
        body = {
            "name": one.name,
            "head_sha": one.head_sha,
            "status": "completed",
            "conclusion": "action_required",
            "actions": [{"label": "Approve", "description": "Run it", "identifier": "approve"}],
        }
        commit = await self.house.simulator.git_of(self.fork).commit(one.head_sha)
        run = self.house.simulator.create_check_run(self.repository, commit, body, app=self.house.simulator.app)
        version = one.desired_version
        await self.house.store.write(
            checks.acknowledge, one, version=version, github_id=run.id, status="completed", now=clock.now()
        )
        return run

    async def change(self) -> None:
        """Something else about it changes."""
        github = self.house.simulator
        if self.pull.state == "closed":
            await github.reopen(self.pull)
        elif self.chance.random() < 0.5:
            await github.close(self.pull)
        elif self.pull.is_draft:
            await github.ready_for_review(self.pull)
        else:
            await github.convert_to_draft(self.pull)
        self.collect()

    async def hear(self) -> None:
        """One delivery arrives: mostly the oldest, at times another, at times one that came before or never comes."""
        if not self.on_the_way:
            return
        number = 0 if self.chance.random() < 0.6 else self.chance.randrange(len(self.on_the_way))
        sent = self.on_the_way[number]
        if self.chance.random() < 0.85:
            del self.on_the_way[number]
        if self.chance.random() < 0.95:
            ran = {one.id for one in await self.builds() if one.state != build.State.WAITING}
            guid = f"{self.branch}-{self.chance.getrandbits(60)}" if self.chance.random() < 0.3 else None
            await self.house.deliver(sent, guid=guid)
            await self.judge(ran)

    async def judge(self, ran: set[str]) -> None:
        """No build that began by this delivery is of a commit that nobody let run, or that GitHub has no more."""
        for one in await self.builds():
            own = await self.house.store.read(jobs.list_of_builds, [one.id])
            if not own:
                continue
            assert one.trust == build.Trust.UNTRUSTED
            assert one.head_sha in self.consented
            if one.id not in ran:
                given = await self.house.store.read(approvals.find_of_build, one)
                assert given is not None
                assert one.head_sha == self.pull.head_sha, "it was the head when it began"
                assert self.pull.state == "open"

    async def builds(self) -> list[build.Build]:
        """The builds of this pull request."""
        found = await self.house.store.read(builds.list_newest, limit=100)
        return [one for one in found if one.pull_number == self.pull.number]


async def _race(house: House, repository: Repository, fork: Repository, seed: int) -> int:
    chance, branch = random.Random(seed), f"topic-{seed}"
    await house.simulator.commit(fork, branch, {"a.txt": str(seed)})
    seen = len(house.simulator.deliveries)
    pull = await house.simulator.open_pull_request(repository, branch, from_fork=fork, author="stranger")
    race = Race(house, repository, fork, pull, chance, branch, heads=[pull.head_sha], _seen=seen)
    race.collect()
    await race.hear()
    for _ in range(12):
        await chance.choices([race.push, race.press, race.change, race.hear], weights=[2, 3, 1, 6])[0]()
    while race.on_the_way:
        await race.hear()
    return sum(bool(one.plan_digest) for one in await race.builds())


@on_sqlite
@pytest.mark.parametrize(
    "seeds",
    [
        range(25),
        *(
            pytest.param(range(first, first + 250), marks=[pytest.mark.long, pytest.mark.timeout(900)])
            for first in range(0, 2000, 250)
        ),
    ],
    ids=lambda seeds: f"races {seeds.start} to {seeds.stop}",
)
async def test_t22_t29_no_commit_runs_without_consent_whatever_comes_in_which_order(house: House, seeds: range) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    fork = await house.simulator.fork(repository, "stranger")
    ran = 0
    for seed in seeds:
        ran += await _race(house, repository, fork, seed)
    # Else it would prove nothing.
    assert ran > len(seeds) / 5
