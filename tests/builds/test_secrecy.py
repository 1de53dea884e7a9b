"""Which secrets a job gets: those that it names, of its repository and environment, where trust says so now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot import errors, sealing, telemetry, trust
from bot.builds import secrecy
from bot.engines import contract
from bot.github import GitHub
from bot.model import build, job, secret
from bot.simulator import Repository, Simulator
from bot.store import Store, outcomes, pulls, secrets
from bot.store.secrets_table import secrets as table
from tests import factories

KEY, OTHER_KEY = sealing.parse(sealing.new_key()), sealing.parse(sealing.new_key())
BOT = 49699333


@dataclass
class Safe:
    """A repository on the simulator with secrets, and what gives them to jobs."""

    store: Store
    simulator: Simulator
    github: GitHub
    repository: Repository
    keys: tuple[sealing.Key, ...] = (KEY,)
    rules: trust.Policy = field(default_factory=trust.Policy)

    async def set(self, name: str, value: str, *, environment: str | None = None, key: sealing.Key = KEY) -> None:
        """Set a secret of the repository."""
        place = sealing.Place(repository_id=self.repository.id, environment=environment, name=name)
        sealed = sealing.Ring([key]).seal(value.encode(), place)
        one = factories.make_secret(
            repository_id=self.repository.id,
            environment=environment,
            name=name,
            key_id=sealed.key_id,
            sealed=sealed.data,
        )
        await self.store.write(secrets.save, one)

    async def give(self, *names: str, environment: str | None = None, **of: Any) -> contract.Secrets:
        """What a job that names these gets in a build like that."""
        plan = job.Plan(key="a", name="a", steps=(), secret_names=names, environment=environment)
        installation = self.simulator.installation_of("octo")
        assert installation is not None
        defaults = {"repository_id": self.repository.id, "installation_id": installation.id}
        made = factories.make_build(**{**defaults, "head_sha": self.repository.heads["main"], **of})
        new = factories.make_new_build(made, factories.make_job(build_id=made.id, plan=plan))
        await self.store.write(outcomes.create, new, now=factories.NOW)
        giving = secrecy.Secrecy(
            self.store, github=self.github, load_keys=lambda: sealing.Ring(self.keys), rules=self.rules
        ).of(new.jobs[0], made)
        assert giving is not None
        return await giving()

    async def again(self, *names: str, **of: Any) -> contract.Secrets:
        """What it gets where the build is run again."""
        return await self.give(*names, origin_id=factories.new_id(), **of)


@pytest.fixture
async def safe(store: Store, tmp_path: Path, metrics: telemetry.Metrics) -> AsyncIterator[Safe]:
    """With one secret of the repository, `TOKEN`."""
    async with (
        Simulator(folder=tmp_path / "github") as simulator,
        GitHub(
            api_url=simulator.api_url,
            app_id=simulator.app_id,
            private_key=simulator.private_key,
            metrics=metrics,
        ) as github,
    ):
        repository = await simulator.create_repository("octo/hello", files={"README.md": "# hello\n"})
        made = Safe(store, simulator, github, repository)
        await made.set("TOKEN", "of-the-repository")
        yield made


async def test_a_trusted_job_gets_what_it_names_and_is_told_what_is_not_there(safe: Safe) -> None:
    await safe.set("OTHER", "other")
    given = await safe.give("TOKEN", "NOT_SET", "ALSO_NOT")
    assert dict(given) == {"TOKEN": "of-the-repository"}
    assert given.note == "[buildhook] Secrets that were not given: ALSO_NOT, NOT_SET; there are none of these names."
    assert (await safe.give("TOKEN")).note is None


async def test_the_secret_of_an_environment_comes_before_that_of_the_repository(safe: Safe) -> None:
    await safe.set("TOKEN", "of-production", environment="production")
    await safe.set("ONLY", "only-there", environment="production")
    assert dict(await safe.give("TOKEN", "ONLY", environment="Production")) == {
        "TOKEN": "of-production",
        "ONLY": "only-there",
    }
    assert dict(await safe.give("TOKEN", "ONLY", environment="staging")) == {"TOKEN": "of-the-repository"}
    assert dict(await safe.give("TOKEN", "ONLY")) == {"TOKEN": "of-the-repository"}


async def test_a_job_that_names_none_asks_for_nothing(safe: Safe) -> None:
    giving = secrecy.Secrecy(safe.store, github=safe.github, load_keys=lambda: pytest.fail("asked"), rules=safe.rules)
    assert giving.of(factories.make_job(), factories.make_build()) is None


@pytest.mark.parametrize("event", ["pull_request", "push"])
async def test_t32_code_that_is_not_trusted_gets_none_whoever_let_it_run(safe: Safe, event: str) -> None:
    make: Callable[..., build.Build] = factories.make_pull_build if event == "pull_request" else factories.make_build
    made = make(trust=build.Trust.UNTRUSTED)
    of = {name: getattr(made, name) for name in ("event", "ref", "pull_number", "trust")}
    for given in (await safe.give("TOKEN", **of), await safe.again("TOKEN", **{**of, "head_sha": "e" * 40})):
        assert dict(given) == {}
        assert given.note == (
            "[buildhook] Secrets that were not given: TOKEN; the code is not trusted, whoever let it run."
        )


async def test_t32_another_repository_s_secrets_are_not_found(safe: Safe) -> None:
    assert dict(await safe.give("TOKEN", repository_id=safe.repository.id + 1)) == {}


async def test_t38_what_was_pushed_runs_again_with_secrets_only_while_its_branch_or_tag_leads_to_it(safe: Safe) -> None:
    first = await safe.simulator.push(safe.repository, "topic", {"a.txt": "a"})
    of = {"head_sha": first, "ref": "refs/heads/topic"}
    assert dict(await safe.again("TOKEN", **of)) == {"TOKEN": "of-the-repository"}
    await safe.simulator.push(safe.repository, "topic", {"a.txt": "b"})
    assert dict(await safe.again("TOKEN", **of)) == {"TOKEN": "of-the-repository"}

    await safe.simulator.push(safe.repository, "topic", {"c.txt": "c"}, start="main", force=True)
    gone = await safe.again("TOKEN", **of)
    assert dict(gone) == {}
    assert "run again, and the code is not trusted any more (The branch or tag does not lead to" in (gone.note or "")
    await safe.simulator.delete_branch(safe.repository, "topic")
    assert dict(await safe.again("TOKEN", **of)) == {}
    # The first run was decided when it was made.
    assert dict(await safe.give("TOKEN", **of)) == {"TOKEN": "of-the-repository"}


async def pull_of(safe: Safe, *, author: str = "mona", permission: str = "write") -> tuple[Any, Mapping[str, Any]]:
    safe.simulator.create_user(author)
    safe.simulator.set_permission(safe.repository, author, permission)
    await safe.simulator.push(safe.repository, "topic", {"a.txt": "a"}, author=author)
    pull = await safe.simulator.open_pull_request(safe.repository, "topic", author=author)
    of = factories.make_pull_build(pull_number=pull.number, head_sha=pull.head_sha)
    names = ("event", "ref", "pull_number", "head_sha", "head_ref", "base_ref", "base_sha", "trust")
    return pull, {name: getattr(of, name) for name in names}


async def test_t38_a_pull_request_runs_again_with_secrets_only_while_its_author_may_push(safe: Safe) -> None:
    _, of = await pull_of(safe)
    assert dict(await safe.again("TOKEN", **of)) == {"TOKEN": "of-the-repository"}
    safe.simulator.set_permission(safe.repository, "mona", "read")
    given = await safe.again("TOKEN", **of)
    assert dict(given) == {}
    assert "(The author may not push to the repository: somebody" in (given.note or "")


async def test_t38_a_pull_request_runs_again_with_secrets_only_while_it_stands_at_that_commit(safe: Safe) -> None:
    _, of = await pull_of(safe)
    await safe.simulator.push(safe.repository, "topic", {"a.txt": "b"}, author="mona")
    given = await safe.again("TOKEN", **of)
    assert dict(given) == {}
    assert "(No branch of the repository stands at this commit" in (given.note or "")


async def test_t38_what_the_policy_says_now_counts(safe: Safe) -> None:
    _, of = await pull_of(safe)
    safe.rules = trust.Policy(approval=trust.Approval.EVERYONE)
    assert dict(await safe.again("TOKEN", **of)) == {}


async def test_t38_a_build_of_a_fork_s_head_gets_none_even_if_it_was_once_called_trusted(safe: Safe) -> None:
    fork = await safe.simulator.fork(safe.repository, owner="hubot")
    await safe.simulator.push(fork, "topic", {"a.txt": "a"}, author="hubot")
    pull = await safe.simulator.open_pull_request(safe.repository, "topic", from_fork=fork)
    of = factories.make_pull_build(pull_number=pull.number, head_sha=pull.head_sha)
    names = ("event", "ref", "pull_number", "head_sha", "trust")
    assert dict(await safe.again("TOKEN", **{name: getattr(of, name) for name in names})) == {}


async def test_t38_where_github_does_not_say_how_things_stand_nothing_is_given(safe: Safe) -> None:
    of = factories.make_pull_build(pull_number=99)
    with pytest.raises(errors.GitHubError):
        await safe.again("TOKEN", event="pull_request", pull_number=99, head_sha=of.head_sha)


async def test_t75_a_row_that_is_copied_to_another_repository_gives_nothing(safe: Safe) -> None:
    other = await safe.simulator.create_repository("octo/other", files={"README.md": "# other\n"})

    def copy(connection: sa.Connection) -> None:
        row = connection.execute(sa.select(table)).one()
        connection.execute(sa.insert(table).values({**row._mapping, "repository_id": other.id}))

    await safe.store.write(copy)
    with pytest.raises(errors.SecretUnreadable, match="TOKEN of octo/hello cannot be opened: it was changed"):
        await safe.give("TOKEN", repository_id=other.id, repository="octo/other", head_sha=other.heads["main"])


async def test_t75_without_its_key_a_secret_is_not_given_and_what_to_do_is_said(safe: Safe) -> None:
    safe.keys = (OTHER_KEY,)
    with pytest.raises(errors.SecretUnreadable, match=r"the key .*, which is not here\. Give its key by BUILDHOOK_ENC"):
        await safe.give("TOKEN")
    safe.keys = (OTHER_KEY, KEY)
    assert dict(await safe.give("TOKEN")) == {"TOKEN": "of-the-repository"}


@pytest.mark.parametrize("is_named", [True, False])
async def test_t38_a_bot_s_pull_request_runs_again_with_secrets_while_the_policy_names_it(
    safe: Safe, is_named: bool
) -> None:
    pull, of = await pull_of(safe, author="helper[bot]")
    known = factories.make_pull(
        repository_id=safe.repository.id, number=pull.number, head_sha=pull.head_sha, is_only_authors=True
    )
    await safe.store.write(pulls.save, known, now=factories.NOW)
    safe.rules = trust.Policy(bots=frozenset({pull.author.id} if is_named else {BOT}))
    given = await safe.again("TOKEN", **of)
    assert dict(given) == ({"TOKEN": "of-the-repository"} if is_named else {})


def test_t72_what_can_be_a_secret_s_value() -> None:
    assert secret.why_no_value(b"abc") == "it is too short to be hidden in logs: at least 4 letters are needed"
    assert secret.why_no_value(b" a \n") is not None
    assert secret.why_no_value(b"abcd") is None
    assert secret.why_no_value(b"x" * 48 * 1024) is None
    assert "at most 49152" in (secret.why_no_value(b"x" * (48 * 1024 + 1)) or "")
    assert "byte 0" in (secret.why_no_value(b"abcd\0ef") or "")
    assert "UTF-8" in (secret.why_no_value(b"abcd\xffef") or "")
    assert "short" in (secret.warning(b"true") or "")
    assert "one letter" in (secret.warning(b"aaaaaaaaaaaa") or "")
    assert secret.warning(b"correct-horse") is None


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *((name, True) for name in ("A", "_A1", "GITHUBX", "A" * 255)),
        *((name, False) for name in ("a", "1A", "", "A-B", "A\n", "GITHUB_X", "BUILDHOOK_X", "A" * 256)),
    ],
)
def test_what_can_name_a_secret(name: str, is_one: bool) -> None:
    assert (secret.why_no_name(name) is None) is is_one
