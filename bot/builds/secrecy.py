"""Which secrets a job gets, at the moment when it is about to run: those that it names, where trust says so now.

What trust says is decided by `bot.trust`; here the facts are fetched and what it allows is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.engine import Connection

from bot import errors, sealing, telemetry, trust
from bot.engines import contract
from bot.github import GitHub, Repository
from bot.model import build, job, secret
from bot.store import Store, builds, pulls, secrets

_log = telemetry.log("builds")


class Secrecy:
    """Gives jobs their secrets.

    :param load_keys: gives the keys that are there now; it may block.
    :param rules: the operator's policy, for what is decided anew.
    """

    def __init__(
        self, store: Store, *, github: GitHub, load_keys: Callable[[], sealing.Ring], rules: trust.Policy
    ) -> None:
        self._store = store
        self._github = github
        self._load_keys = load_keys
        self._rules = rules

    def of(self, one: job.Job, of: build.Build) -> Callable[[], Awaitable[contract.Secrets]] | None:
        """What gives a job its secrets; None where its plan names none."""
        names, environment = sorted(set(one.plan.secret_names)), secret.environment(one.plan.environment)
        if not names:
            return None

        async def give() -> contract.Secrets:
            return await self._give(of.id, names, environment)

        return give

    async def _give(self, build_id: str, names: Sequence[str], environment: str | None) -> contract.Secrets:
        """:raises errors.BuildhookError: if GitHub or the database cannot be asked, or a secret cannot be opened."""
        of, known = await self._store.read(_read, build_id)
        why = trust.why_no_secrets(of.trust, now=await self._judge(of, known))
        if why is not None:
            _log.info("A job gets no secrets.", action="withhold_secrets", build_id=of.id, names=names, reason=why)
            return contract.Secrets(note=_note(names, why))
        found = await self._store.read(
            secrets.list_of_job, repository_id=of.repository_id, environment=environment, names=names
        )
        ring = await asyncio.to_thread(self._load_keys) if found else sealing.Ring(())
        values = {one.name: unseal(ring, one).decode("utf-8", "surrogateescape") for one in found}
        missing = [name for name in names if name not in values]
        return contract.Secrets(values, note=_note(missing, "there are none of these names") if missing else None)

    async def _judge(self, of: build.Build, known: build.Pull | None) -> trust.Verdict | None:
        """What a build that is run again may cause by what GitHub says now; None for a first run."""
        if of.origin_id is None or of.trust is not build.Trust.TRUSTED:
            return None
        repository = self._github.repository(
            installation_id=of.installation_id, repository_id=of.repository_id, full_name=of.repository
        )
        if of.pull_number is None:
            return trust.decide(trust.again(of, leads_to_commit=await _leads_to(repository, of)), self._rules)
        return trust.decide(await _facts(repository, of, known, number=of.pull_number), self._rules)


def _read(connection: Connection, build_id: str) -> tuple[build.Build, build.Pull | None]:
    of = builds.get(connection, build_id)
    number = of.pull_number
    known = None if number is None else pulls.find(connection, repository_id=of.repository_id, number=number)
    return of, known


async def _leads_to(repository: Repository, of: build.Build) -> bool:
    """Whether the branch or tag of a build still has its commit: what was taken out of it is nobody's code any more."""
    kind, _, name = of.ref.removeprefix("refs/").partition("/")
    head = await (repository.get_tag(name) if kind == "tags" else repository.get_branch_head(name))
    return head is not None and await repository.is_ahead_only(base=of.head_sha, head=head)


async def _facts(repository: Repository, of: build.Build, known: build.Pull | None, *, number: int) -> trust.Facts:
    """The facts of a pull request as it stands now: no branch stands at the build's head where it has another one."""
    pull = await repository.get_pull(number)
    is_own = pull.head_repository_id == of.repository_id
    is_head = is_own and pull.head_sha == of.head_sha and await repository.get_branch_head(pull.head_ref) == of.head_sha
    permission = None
    if is_head and not pull.is_author_bot:
        permission = await repository.get_permission(pull.author, user_id=pull.author_id)
    return trust.pull_request(
        head_repository_id=pull.head_repository_id,
        base_repository_id=of.repository_id,
        author=trust.Author(id=pull.author_id, is_bot=pull.is_author_bot, permission=permission),
        is_head_of_branch=is_head,
        is_only_authors=known is not None and known.head_sha == of.head_sha and known.is_only_authors,
    )


def unseal(ring: sealing.Ring, one: secret.Secret) -> bytes:
    """The value of a stored secret.

    :raises errors.SecretUnreadable: if it cannot be opened; the text says what to do.
    """
    place = sealing.Place(repository_id=one.repository_id, environment=one.environment, name=one.name)
    try:
        return ring.open(sealing.Sealed(key_id=one.key_id, data=one.sealed), place)
    except sealing.CannotOpen as error:
        raise errors.SecretUnreadable(
            f"The secret {one.name} of {one.repository} cannot be opened: {error}. Give its"
            " key by BUILDHOOK_ENCRYPTION_KEY or"
            " BUILDHOOK_ENCRYPTION_KEY_PREVIOUS, or set the secret again with `buildhook secrets set`."
        ) from None


def _note(names: Sequence[str], why: str) -> str:
    return f"[buildhook] Secrets that were not given: {', '.join(names)}; {why}."
