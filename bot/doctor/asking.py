"""Asks everything that the checks judge, and changes nothing; what cannot be asked is a reason, never an exception."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from bot import clock, errors, keyring, policy, setup
from bot import settings as setting
from bot.doctor import ask_github, ask_machine, ask_web
from bot.doctor.facts import Fact, Facts, Given, Place, Reply, Unasked
from bot.engines import contract
from bot.engines.local import checkup
from bot.github.registration import Hook
from bot.logs import Storage
from bot.plugins import loading
from bot.settings import Settings
from bot.store import Store, looking

T = TypeVar("T")

_UNREAD = "the settings cannot be read"
#: Of a secret.
_SHORTEST_SECRET = 6
_OTHER_ENGINE = "jobs run on another engine"


async def ask() -> tuple[Facts, tuple[str, ...]]:
    """All facts, and the texts that must never be told."""
    problems: tuple[str, ...] = ()
    try:
        settings = setting.load()
    except errors.SettingsError as error:
        settings, problems = None, tuple(str(error).splitlines())
    facts = await _ask(settings, problems)
    return facts, () if settings is None else _secrets(settings)


def _secrets(settings: Settings) -> tuple[str, ...]:
    """All secrets of the settings, as they may come up in somebody's error. Shorter ones are part of too many words."""
    given = [getattr(settings, name.lower()) for name in setting.SECRETS if name != "DATABASE_URL"]
    texts = [one.get_secret_value().strip() for one in given if one is not None]
    password = urlsplit(settings.effective_database_url).password
    return tuple(text for text in (*texts, unquote(password or "")) if len(text) >= _SHORTEST_SECRET)


async def _ask(settings: Settings | None, problems: tuple[str, ...]) -> Facts:
    async def of(work: Callable[[Settings], T]) -> Fact[T]:
        return await _fact(settings, lambda known: asyncio.to_thread(work, known))

    rules = await of(setting.load_policy)
    database = await _fact(settings, _look_at_database)
    github = await ask_github.ask(settings)
    service, door = await _fact(settings, ask_web.service), await _door(github.hook)
    return Facts(
        now=clock.now(),
        setting_problems=problems,
        unknown_names=setting.unknown_names(),
        secret_files=ask_machine.secret_files(settings, rules.value),
        given=await of(_given),
        policy_problem=_problem(rules),
        handlers_problem=_problem(await of(lambda known: loading.load(known.handler_names))),
        storage_problem=_problem(await _fact(settings, _try_storage)),
        machine=await of(lambda _: ask_machine.machine()),
        place=await of(lambda known: ask_machine.place(known.data_dir)),
        database_place=await of(_database_place),
        engine=await of(lambda known: _try_engine(known, rules.value)),
        database_problem=_problem(database),
        database=database,
        service=service,
        door=door,
        # Last: what asked the door from outside came through the proxy, if there is one.
        unlisted_proxy=await _fact(settings, ask_web.unlisted_proxy),
        github=github,
    )


async def _fact(settings: Settings | None, work: Callable[[Settings], Awaitable[T]]) -> Fact[T]:
    if settings is None:
        return Fact(why=_UNREAD)
    try:
        return Fact(await work(settings))
    except (Unasked, errors.BuildhookError) as error:
        return Fact(why=str(error))
    except Exception as error:
        return Fact(why=f"{type(error).__name__}: {error}", is_broken=True)


def _problem(tried: Fact[T]) -> Fact[str | None]:
    """What was tried, as a fact about whether it works."""
    is_asked = tried.why != _UNREAD and not tried.is_broken
    return Fact(tried.why) if is_asked else Fact(why=tried.why, is_broken=tried.is_broken)


async def _door(hook: Fact[Hook]) -> Fact[Reply]:
    if hook.value is None:
        return Fact(why=hook.why)
    if hook.value.url is None:
        return Fact(why="the App has no webhook")
    return Fact(await ask_web.door(hook.value.url))


def _given(settings: Settings) -> Given:
    key_ids: frozenset[str] = frozenset()
    key_problem = None
    try:
        key_ids = keyring.load(settings).ids
    except errors.SettingsError as error:
        key_problem = str(error)
    return Given(
        has_credentials=settings.has_credentials,
        public_url=settings.public_url,
        sandbox=str(settings.sandbox),
        max_jobs=settings.max_jobs,
        job_memory_bytes=int(settings.job_memory) if settings.job_memory is not None else None,
        key_ids=key_ids,
        key_problem=key_problem,
    )


async def _try_storage(settings: Settings) -> None:
    if settings.storage_url is None:
        return
    # In a folder that is nobody's: only the object store is asked.
    with tempfile.TemporaryDirectory(prefix="buildhook-doctor-") as folder:
        storage = Storage(Path(folder), url=settings.storage_url, account=settings.storage_account)
        try:
            await storage.try_it()
        finally:
            await storage.close()


def _database_place(settings: Settings) -> Place | None:
    store = Store(settings.effective_database_url)
    return None if store.is_shared else ask_machine.place(store.path)


async def _look_at_database(settings: Settings) -> looking.Looked:
    store = Store(settings.effective_database_url)
    if not store.is_shared:
        return await asyncio.to_thread(looking.look_file, store.path)
    # As it is: nothing is upgraded.
    await store.open(upgrade=False)
    try:
        return await store.read(looking.look_server)
    finally:
        await store.close()


def _try_engine(settings: Settings, rules: policy.Policy | None) -> checkup.Checkup:
    known = rules or policy.Policy()
    if settings.engine != "local" and "local" not in known.engines:
        raise Unasked(_OTHER_ENGINE)
    found: contract.Setup = setup.of(settings, known)
    with tempfile.TemporaryDirectory(prefix="buildhook-doctor-") as folder:
        os.chmod(folder, 0o700)
        return checkup.examine(Path(folder), found, wants_podman=known.images.allow is not None)
