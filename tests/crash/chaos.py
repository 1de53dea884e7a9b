"""Some minutes of random faults: two replicas on PostgreSQL, the simulator of GitHub, the local engine; then the judge.

python -m tests.crash.chaos --seed 7 --minutes 3

The seed decides what happens, in which order and how long between; how far each thing got by then is the machine's
own chance. Prints the seed, what it did, and the verdict; the exit status is 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import random
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import sqlalchemy as sa

from bot.simulator import Simulator, limits, values
from bot.simulator.world import SimulatorError
from bot.store import Store
from tests import postgresql
from tests.acceptance import cluster
from tests.acceptance.conftest import pipeline
from tests.crash import judge

REPLICAS = 2
#: How long everything may take to come to rest after the last fault.
REST_SECONDS = 300.0
#: Between two things that happen.
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.1, 1.2
_LINES = tuple(f"line {number}" for number in range(1, 6))
_COMMAND = "for i in $(seq 5); do echo line $i; done"
_SLOW = "for i in $(seq 5); do echo line $i; sleep 0.4; done"


class Chaos:
    """One run."""

    def __init__(self, seed: int, *, github: Simulator, replicas: cluster.Cluster, database: str) -> None:
        self._random = random.Random(seed)
        self._github = github
        self._replicas = replicas
        self._database = database
        self._repositories: list[values.Repository] = []
        self._branches: list[tuple[values.Repository, str]] = []
        self._pulls: list[values.PullRequest] = []
        self._tasks: set[asyncio.Task[None]] = set()
        #: Commits that are pushed once and asked for once, so that each has exactly one build.
        self.plain: set[str] = set()
        self.heads: set[str] = set()
        self.counts: collections.Counter[str] = collections.Counter()

    async def prepare(self) -> None:
        """Some repositories."""
        for name in ("octo/hello", "octo/world", "hubot/tools"):
            files = pipeline(self._random.choice((_COMMAND, _SLOW)))
            repository = await self._github.create_repository(name, files=files)
            self.heads.add(repository.heads["main"])
            self._repositories.append(repository)

    async def run(self, seconds: float) -> None:
        """Let things happen for so long, then heal everything."""
        what: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (30, self.push),
            (10, self.open_pull),
            (10, self.push_to_pull),
            (4, self.close_pull),
            (6, self.run_again),
            (4, self.send_again),
            (5, self.lose_answers),
            (5, self.fail_calls),
            (3, self.lag),
            (2, self.limit),
            (4, self.lose_deliveries),
            (6, self.kill),
            (2, self.pause),
            (4, self.cut_database),
        ]
        weights = [weight for weight, _ in what]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ((_, act),) = self._random.choices(what, weights)
            pause = self._random.uniform(_SHORTEST_SECONDS, _LONGEST_SECONDS)
            try:
                await act()
                self.counts[act.__name__] += 1
            except SimulatorError:
                # What it wanted to change had changed already.
                self.counts["nothing"] += 1
            await asyncio.sleep(pause)
        await self._heal()

    async def _heal(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)
        for task in self._tasks:
            task.result()
        self._github.faults.clear()
        self._github.lag_reads(0)
        self._github.rates.secondary = None
        self._github.hooks.is_down = False

    def _later(self, work: Awaitable[None]) -> None:
        async def go_on() -> None:
            await work

        self._tasks.add(asyncio.create_task(go_on()))

    # What people do

    async def push(self) -> None:
        """A commit on a new branch, or on one that is there."""
        repository = self._random.choice(self._repositories)
        known = [branch for of, branch in self._branches if of is repository]
        is_new = not known or self._random.random() < 0.7
        branch = f"topic-{len(self._branches)}" if is_new else self._random.choice(known)
        head = await self._github.push(repository, branch, {"a.txt": str(self._random.random())})
        if is_new:
            self._branches.append((repository, branch))
        self.heads.add(head)
        self.plain.add(head)

    async def open_pull(self) -> None:
        """A pull request of a branch."""
        if not self._branches:
            return
        repository, branch = self._random.choice(self._branches)
        pull = await self._github.open_pull_request(repository, branch)
        self._pulls.append(pull)
        self.plain.discard(pull.head_sha)

    async def push_to_pull(self) -> None:
        """A commit on a pull request's branch, at times by force."""
        if not self._pulls:
            return
        pull = self._random.choice(self._pulls)
        files = {"b.txt": str(self._random.random())}
        is_forced = self._random.random() < 0.3
        self.heads.add(await self._github.push(pull.repository, pull.head_branch, files, force=is_forced))

    async def close_pull(self) -> None:
        """A pull request is closed, or opened again."""
        if not self._pulls:
            return
        pull = self._random.choice(self._pulls)
        if pull.state == "open":
            await self._github.close(pull)
        else:
            await self._github.reopen(pull)

    async def run_again(self) -> None:
        """A check that has ended is asked for again."""
        ended = [run for run in self._github.check_runs_by_id.values() if run.status == "completed"]
        if not ended:
            return
        run = self._random.choice(ended)
        self.plain.discard(run.head_sha)
        self._github.rerequest_check_run(run.repository, run.id)

    # What goes wrong

    async def send_again(self) -> None:
        """GitHub sends a delivery twice."""
        known = [one for one in self._github.deliveries if one.done.is_set() and one.url is not None]
        if known:
            self._github.redeliver(self._random.choice(known).id)

    async def lose_answers(self) -> None:
        """Some writes are done, and their answers lost."""
        is_cut = self._random.random() < 0.5
        self._for_a_while(
            method=["POST", "PATCH"],
            probability=0.4,
            drop_response_after_applying=not is_cut,
            truncate=is_cut,
        )

    async def fail_calls(self) -> None:
        """Some calls are answered 5xx, or by a page for people."""
        status = self._random.choice((500, 502, 503))
        self._for_a_while(probability=0.5, status=status, html=self._random.random() < 0.3)

    def _for_a_while(self, **fault: object) -> None:
        seconds = self._random.uniform(1, 6)
        set_fault = self._github.faults.add(times=None, **fault)  # type: ignore[arg-type]

        async def end() -> None:
            await asyncio.sleep(seconds)
            set_fault.times = 0

        self._later(end())

    async def lag(self) -> None:
        """Reads lag behind writes."""
        self._github.lag_reads(self._random.uniform(0, 8))

    async def limit(self) -> None:
        """A secondary limit is low for a while."""
        self._github.rates.secondary = limits.Secondary(
            points=150,
            writes=30,
            window_seconds=4.0,
            status=self._random.choice((403, 429)),
        )

        async def end() -> None:
            await asyncio.sleep(5)
            self._github.rates.secondary = None

        self._later(end())

    async def lose_deliveries(self) -> None:
        """Deliveries do not arrive for a while."""
        seconds = self._random.uniform(0.5, 3)
        self._github.hooks.is_down = True

        async def end() -> None:
            await asyncio.sleep(seconds)
            self._github.hooks.is_down = False

        self._later(end())

    async def kill(self) -> None:
        """`kill -9` of a replica."""
        self._later(self._replicas.kill(self._random.randrange(REPLICAS)))

    async def pause(self) -> None:
        """A replica stands still for longer than its lease, and goes on as if nothing had been."""
        number = self._random.randrange(REPLICAS)
        seconds = self._random.uniform(5, 25)

        async def stand_still() -> None:
            await self._replicas.wait_for(number)
            self._replicas.signal(number, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            self._replicas.signal(number, signal.SIGCONT)

        self._later(stand_still())

    async def cut_database(self) -> None:
        """Every connection to the database breaks."""
        await asyncio.to_thread(_cut, self._database)


def _cut(database: str) -> None:
    engine = postgresql.engine(database)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


async def run(seed: int, *, minutes: float, folder: Path) -> list[str]:
    """One run; gives the promises that were broken."""
    with postgresql.empty() as url:
        async with Simulator(folder=folder / "github") as github:
            environments = cluster.environments(github, url, folder, count=REPLICAS)
            async with cluster.running(environments, folder=folder) as replicas:
                github.webhook_url = replicas.webhook_url
                database = sa.make_url(url).database or ""
                chaos = Chaos(seed, github=github, replicas=replicas, database=database)
                await chaos.prepare()
                await chaos.run(minutes * 60)
                store = await Store(url).open(upgrade=False)
                try:
                    state = await judge.settle(store, github, timeout_seconds=REST_SECONDS)
                finally:
                    await store.close()
            built = collections.Counter(one.head_sha for one in state.builds)
            # A pull request and a re-run make generations; how many is theirs. What was pushed once is built once.
            counts = {sha: count for sha, count in built.items() if sha not in chaos.plain}
            broken = judge.violations(
                state,
                github,
                expected=judge.Expected(trusted=chaos.heads, builds=counts, lines=_LINES),
                evidence=judge.Evidence(
                    job_logs=[folder / f"data-{number}" / "logs" for number in range(REPLICAS)],
                    service_logs=[replicas.log(number) for number in range(REPLICAS)],
                ),
            )
            did = ", ".join(f"{name} {count}" for name, count in sorted(chaos.counts.items()))
            print(f"did: {did}; deaths: {replicas.kills}")
            print(f"deliveries {len(state.deliveries)}, builds {len(state.builds)}, checks {len(state.checks)}")
            return broken


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="what happens; drawn when not given")
    parser.add_argument("--minutes", type=float, default=3.0, help="for how long")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}, {given.minutes:g} minutes, {REPLICAS} replicas on PostgreSQL", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="buildhook-chaos-"))
    broken = asyncio.run(run(seed, minutes=given.minutes, folder=folder))
    for sentence in broken:
        print(sentence)
    print(f"seed {seed}: {'nothing was broken' if not broken else f'{len(broken)} promises were broken ({folder})'}")
    if not broken and not given.keep:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
