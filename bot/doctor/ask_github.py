"""Asks GitHub what it knows of the App; nothing is written there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot import errors, telemetry
from bot.doctor.facts import Fact, Guarded, OnGitHub
from bot.github import GitHub, Patience
from bot.github.deliveries import Attempt
from bot.github.registration import App
from bot.model.build import Installation
from bot.settings import Settings

T = TypeVar("T")

#: Of repositories that are asked what their default branch requires: each costs three calls.
MOST_REPOSITORIES = 50
_DELIVERIES = 100
_PATIENCE = Patience(connect_seconds=5.0, total_seconds=15.0, attempts=2)


async def ask(settings: Settings | None) -> OnGitHub:
    """What GitHub says; nothing where there are no credentials to ask it with."""
    if settings is None:
        return nothing("the settings cannot be read")
    if settings.app_id is None or settings.private_key is None:
        return nothing("the App's credentials are not set")
    try:
        made = GitHub(
            api_url=settings.github_api_url,
            github_url=settings.github_url,
            app_id=settings.app_id,
            private_key=settings.private_key.get_secret_value(),
            metrics=telemetry.Metrics(),
            patience=_PATIENCE,
        )
    except errors.SettingsError as error:
        return nothing("GitHub cannot be asked with these settings", trouble=error)
    async with made as github:
        try:
            return await _ask(github, await github.get_app())
        except errors.GitHubError as error:
            why = "GitHub does not know us: see github-api and app-key"
            has_answered = not isinstance(error, errors.GitHubUnavailable)
            ahead: Fact[float] = Fact(github.ahead_seconds) if has_answered else Fact(why="GitHub does not answer")
            return nothing(why, trouble=error, ahead_seconds=ahead)


def nothing(
    why: str, *, trouble: errors.BuildhookError | None = None, ahead_seconds: Fact[float] | None = None
) -> OnGitHub:
    """Nothing could be asked."""
    return OnGitHub(
        trouble=Fact(trouble) if trouble is not None else Fact(why=why),
        ahead_seconds=ahead_seconds or Fact(why=why),
        app=Fact(why=why),
        installations=Fact(why=why),
        hook=Fact(why=why),
        deliveries=Fact(why=why),
        guarded=Fact(why=why),
    )


async def _ask(github: GitHub, app: App) -> OnGitHub:
    ahead_seconds = github.ahead_seconds
    installations = await _fact(github.list_installations)
    unasked: dict[str, str] = {}
    guarded: Fact[tuple[Guarded, ...]] = Fact(why=installations.why)
    is_cut = False
    if installations.why is None:
        found, is_cut = await _guarded(github, installations.known, unasked)
        guarded = Fact(found)
    return OnGitHub(
        trouble=Fact(None),
        ahead_seconds=Fact(ahead_seconds),
        app=Fact(app),
        installations=installations,
        hook=await _fact(github.get_hook),
        deliveries=await _fact(lambda: _deliveries(github)),
        guarded=guarded,
        unasked=unasked,
        is_cut=is_cut,
    )


async def _guarded(
    github: GitHub, installations: tuple[Installation, ...], unasked: dict[str, str]
) -> tuple[tuple[Guarded, ...], bool]:
    """What repositories require, and whether there are more of them; why others did not tell goes into `unasked`."""
    found: list[Guarded] = []
    for one in installations:
        # Of a suspended one GitHub tells nothing; that is a finding of its own.
        if one.state != "active":
            continue
        try:
            refs = await github.list_repositories(one.id)
        except errors.GitHubError as error:
            unasked[one.account] = str(error)
            continue
        for ref in refs:
            if ref.is_archived:
                continue
            if len(found) + len(unasked) >= MOST_REPOSITORIES:
                return tuple(found), True
            repository = github.repository(installation_id=one.id, repository_id=ref.id, full_name=ref.full_name)
            try:
                required = await repository.list_required(ref.default_branch)
            except errors.GitHubError as error:
                unasked[ref.full_name] = str(error)
                continue
            found.append(Guarded(full_name=ref.full_name, branch=ref.default_branch, required=required))
    return tuple(found), False


async def _deliveries(github: GitHub) -> tuple[Attempt, ...]:
    return (await github.list_deliveries(per_page=_DELIVERIES)).attempts


async def _fact(work: Callable[[], Awaitable[T]]) -> Fact[T]:
    try:
        return Fact(await work())
    except errors.GitHubError as error:
        return Fact(why=str(error))
