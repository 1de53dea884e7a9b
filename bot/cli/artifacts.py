"""`buildhook artifacts`: the files that jobs left behind, listed and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli import opening, options, output, remote
from bot.logs import Storage
from bot.logs.artifacts import save
from bot.settings import Settings
from bot.shapes import built
from bot.shapes.artifacts import Artifact, of_artifact
from bot.store import Store, artifacts, builds, jobs

app = typer.Typer(help="The files that jobs left behind.")


@app.command("list")
def list_(
    build_id: Annotated[str, typer.Argument(help="The build's id.", metavar="BUILD")],
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """List the artifacts of a build.

    Example: buildhook artifacts list 01JZZZ1X5GQKSTZ8V0A9E2M3N4
    """

    async def ask(there: remote.Server) -> tuple[Artifact, ...]:
        return (await there.get(f"/builds/{remote.part_of(build_id)}", built.BuildWithArtifacts)).artifacts

    found = opening.with_server(server, ask, otherwise=lambda store, _: _of_build(store, build_id))
    if as_json:
        output.json(found)
        return
    rows = [
        (one.id, output.clean(one.name), str(one.files), str(one.size_bytes), output.ago(one.created_at))
        for one in found
    ]
    output.table(("id", "name", "files", "bytes", "made"), rows, empty="No artifacts.")


@app.command()
def get(
    artifact_id: Annotated[str, typer.Argument(help="The artifact's id.", metavar="ID")],
    into: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else its name here.")] = None,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """Save an artifact as a zip.

    Example: buildhook artifacts get 01JZZZ1X5GQKSTZ8V0A9E2M3N4
    """

    async def work(store: Store, settings: Settings) -> tuple[Artifact, Path]:
        one = await store.read(artifacts.get, artifact_id)
        # The pipeline file lets a name hold no slash, and no dot at its beginning.
        target = into or Path(f"{one.name}.zip")
        # A name from outside never writes over what is there.
        storage = Storage(settings.data_dir, url=settings.storage_url, account=settings.storage_account)
        await storage.artifacts.save(one.id, target, replaces=into is not None)
        return of_artifact(one), target

    async def ask(there: remote.Server) -> tuple[Artifact, Path]:
        path = f"/artifacts/{remote.part_of(artifact_id)}"
        one = await there.get(path, Artifact)
        # A service may be another's: what it calls a file says nothing of where one is written.
        target = into or Path(f"{one.name.replace('/', '_').lstrip('.')}.zip")
        await save(there.chunks(f"{path}/zip"), target, replaces=into is not None)
        return one, target

    one, target = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json({"id": one.id, "file": str(target), "sha256": one.sha256})
    else:
        output.console().print(f"{output.clean(str(target))}: {one.files} files, {one.size_bytes} bytes.")


async def _of_build(store: Store, build_id: str) -> tuple[Artifact, ...]:
    await store.read(builds.get, build_id)
    its_jobs = await store.read(jobs.list_of_builds, [build_id])
    kept = await store.read(artifacts.list_of_jobs, [one.origin_id or one.id for one in its_jobs])
    return tuple(map(of_artifact, kept))
