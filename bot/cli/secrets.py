"""`buildhook secrets`: what trusted jobs of a repository get and nobody reads again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy.engine import Connection

from bot import clock, errors, keyring, sealing, telemetry
from bot.builds import secrecy
from bot.cli import opening, options, output
from bot.github import GitHub
from bot.model import audit, secret
from bot.settings import Settings
from bot.store import Store, about, secrets
from bot.store import audit as entries

app = typer.Typer(help="Secrets of repositories: set, list, remove, and seal under another key.")
Name = Annotated[str, typer.Argument(help="The secret's name, e.g. DEPLOY_TOKEN.", metavar="NAME")]
Repo = Annotated[str, typer.Option("--repo", help="The repository, as owner/name.", metavar="OWNER/NAME")]
Environment = Annotated[
    str | None, typer.Option("--environment", help="Only for jobs of this environment.", metavar="ENVIRONMENT")
]


class _Place(msgspec.Struct, frozen=True):
    """A repository: its id decides, its name is a label."""

    repository_id: int
    full_name: str


@app.command("set")
def set_(
    name: Name,
    repo: Repo,
    environment: Environment = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Take the value from this file, as it is.", metavar="PATH")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Set a secret of a repository, or of one of its environments. The value is read from standard input or asked for.

    Example: buildhook secrets set DEPLOY_TOKEN --repo octo/hello < token
    """
    _check(name, repo)
    if (why := secret.why_no_environment(environment)) is not None:
        raise typer.BadParameter(why, param_hint="--environment")
    value = _value(file)
    if (why := secret.why_no_value(value)) is not None:
        raise errors.Conflict(f"The value cannot be a secret: {why}.")

    async def work(store: Store, settings: Settings) -> tuple[_Place, bool]:
        place = await _place(store, settings, repo)
        ring = await asyncio.to_thread(keyring.make, settings, is_shared=store.is_shared)
        return place, await store.write(_set, place, name, secret.environment(environment), value, ring)

    place, is_new = opening.with_store(work)
    warning = secret.warning(value)
    if as_json:
        told = {"name": name, "repository": place.full_name, "repository_id": place.repository_id}
        output.json({**told, "environment": secret.environment(environment), "is_new": is_new, "warning": warning})
        return
    output.console().print(f"Secret {name} of {output.clean(place.full_name)} is {'set' if is_new else 'set anew'}.")
    if warning is not None:
        output.console(is_error=True).print(f"[yellow]warning:[/] {warning}")


@app.command("list")
def list_(
    repo: Annotated[
        str | None, typer.Option("--repo", help="Only this repository, as owner/name.", metavar="OWNER/NAME")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List secrets: names, never values.

    Example: buildhook secrets list --repo octo/hello
    """

    async def work(store: Store, _settings: Settings) -> list[secret.Listed]:
        if repo is None:
            return await store.read(secrets.list_all)
        place = await store.read(_known, repo)
        return [] if place is None else await store.read(secrets.list_all, repository_id=place.repository_id)

    found = opening.with_store(work)
    if as_json:
        output.json([_to_json(one) for one in found])
        return
    rows = [
        (
            one.name,
            output.clean(one.repository),
            output.clean(one.environment or "-"),
            output.ago(one.updated_at),
            output.clean(one.updated_by),
        )
        for one in found
    ]
    output.table(("name", "repository", "environment", "set", "by"), rows, empty="No secrets.")


@app.command()
def remove(name: Name, repo: Repo, environment: Environment = None, as_json: options.Json = False) -> None:
    """Remove a secret. Jobs that run keep it; those that begin get it no more.

    Example: buildhook secrets remove DEPLOY_TOKEN --repo octo/hello
    """
    of = secret.environment(environment)

    async def work(store: Store, _settings: Settings) -> None:
        place = await store.read(_known, repo)
        if place is None or not await store.write(_remove, place, name, of):
            raise errors.NotFound(f"There is no secret {name} of {repo}{_of(of)}.")

    opening.with_store(work)
    if as_json:
        output.json({"name": name, "repository": repo, "environment": of, "is_gone": True})
    else:
        output.console().print(f"Secret {output.clean(name)} of {output.clean(repo)} is removed.")


@app.command()
def rotate(as_json: options.Json = False) -> None:
    """Seal all secrets under the current key, BUILDHOOK_ENCRYPTION_KEY. After that the previous one is needed no more.

    Example: buildhook secrets rotate
    """

    async def work(store: Store, settings: Settings) -> tuple[str | None, int]:
        ring = await asyncio.to_thread(keyring.load, settings)
        return ring.current_id, await store.write(_rotate, ring) if ring.current_id is not None else 0

    key_id, count = opening.with_store(work)
    if as_json:
        output.json({"key_id": key_id, "sealed": count})
    elif key_id is None:
        output.console().print("There is no key and no secret yet.")
    else:
        output.console().print(f"{count} secrets were sealed anew: all are under the key {key_id} now.")


def _check(name: str, repo: str) -> None:
    if (why := secret.why_no_name(name)) is not None:
        raise typer.BadParameter(why, param_hint="NAME")
    owner, separator, rest = repo.partition("/")
    if not owner or not separator or not rest or "/" in rest:
        raise typer.BadParameter("write owner/name", param_hint="--repo")


def _value(file: Path | None) -> bytes:
    """The value, from where nobody else of this machine sees it."""
    if file is not None:
        try:
            with file.open("rb") as opened:
                return opened.read(secret.MAX_BYTES + 1)
        except OSError as error:
            raise errors.NotFound(f"The file {file} cannot be read: {error.strerror}.") from error
    if sys.stdin.isatty():
        asked: str = typer.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
        return asked.encode("utf-8", "surrogateescape")
    given = sys.stdin.buffer.read(secret.MAX_BYTES + 3)
    # That of `echo` is not meant.
    return given.removesuffix(b"\n").removesuffix(b"\r")


async def _place(store: Store, settings: Settings, full_name: str) -> _Place:
    """The repository that has this name now: as GitHub says where it can be asked, or as it was last heard of.

    :raises errors.NotFound: if nobody knows it.
    """
    if settings.app_id is not None and settings.private_key is not None:
        github = GitHub(
            api_url=settings.github_api_url,
            github_url=settings.github_url,
            app_id=settings.app_id,
            private_key=settings.private_key.get_secret_value(),
            metrics=telemetry.Metrics(),
        )
        async with github:
            found = await github.find_repository(full_name)
        return _Place(found.id, found.full_name)
    known = await store.read(_known, full_name)
    if known is None:
        raise errors.NotFound(
            f"Nothing was heard of {full_name} yet: push to it, or set BUILDHOOK_APP_ID, BUILDHOOK_PRIVATE_KEY and"
            " BUILDHOOK_WEBHOOK_SECRET, so that GitHub can be asked."
        )
    return known


def _known(connection: Connection, full_name: str) -> _Place | None:
    found = about.find_repository(connection, full_name)
    if found is not None:
        return _Place(found[0], full_name)
    ids = {one.repository_id for one in secrets.list_all(connection) if one.repository == full_name}
    return _Place(ids.pop(), full_name) if len(ids) == 1 else None


def _set(
    connection: Connection, place: _Place, name: str, environment: str | None, value: bytes, ring: sealing.Ring
) -> bool:
    where = sealing.Place(repository_id=place.repository_id, environment=environment, name=name)
    sealed, by, now = ring.seal(value, where), opening.actor(), clock.now()
    one = secret.Secret(
        repository_id=place.repository_id,
        repository=place.full_name,
        environment=environment,
        name=name,
        key_id=sealed.key_id,
        updated_at=now,
        updated_by=by.name or "",
        sealed=sealed.data,
    )
    is_new = secrets.save(connection, one)
    entries.add(connection, _entry(audit.Action.SET_SECRET, place, name, environment), now=now)
    return is_new


def _remove(connection: Connection, place: _Place, name: str, environment: str | None) -> bool:
    if not secrets.delete(connection, repository_id=place.repository_id, environment=environment, name=name):
        return False
    entries.add(connection, _entry(audit.Action.REMOVE_SECRET, place, name, environment), now=clock.now())
    return True


def _rotate(connection: Connection, ring: sealing.Ring) -> int:
    """:raises errors.SecretUnreadable: if one cannot be opened; then none is changed."""
    count = 0
    for one in secrets.list_sealed_otherwise(connection, key_id=ring.current_id or ""):
        place = sealing.Place(repository_id=one.repository_id, environment=one.environment, name=one.name)
        anew = ring.seal(secrecy.unseal(ring, one), place)
        count += secrets.reseal(connection, one, key_id=anew.key_id, sealed=anew.data)
    return count


def _entry(action: audit.Action, place: _Place, name: str, environment: str | None) -> audit.Entry:
    by = opening.actor()
    return audit.Entry(
        action=action,
        via=by.via,
        actor=by.name,
        repository_id=place.repository_id,
        repository=place.full_name,
        detail=f"{name}{_of(environment)}.",
    )


def _of(environment: str | None) -> str:
    return f" of the environment {environment}" if environment else ""


def _to_json(one: secret.Listed) -> dict[str, Any]:
    names = ("name", "repository", "repository_id", "environment", "updated_at", "updated_by", "key_id")
    return {name: getattr(one, name) for name in names}
