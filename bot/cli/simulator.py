"""`buildhook simulator`: a GitHub to play with, on this machine."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from bot.cli import options, output
from bot.simulator import Simulator

#: The settings of a service for it, in its folder.
SETTINGS = "service.env"
#: What git needs to push to it, in its folder, as git-credential-store keeps it.
CREDENTIALS = "git-credentials"


def simulator(
    folder: Annotated[Path, typer.Option(help="Where its repositories and the App's key are kept.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port, 0 for a free one.", min=0, max=65_535)] = 3000,
    webhook_url: Annotated[
        str, typer.Option(help="Where deliveries go.", metavar="URL")
    ] = "http://127.0.0.1:8080/webhook",
    repo: Annotated[str, typer.Option(help="A repository to begin with, as owner/name.")] = "octo/hello",
    as_json: options.Json = False,
) -> None:
    """Run a simulator of GitHub: REST, signed deliveries, git over HTTP, and pages to look at.

    It prints the settings that a service needs for it. What it holds is gone when it ends.

    Example: buildhook simulator --folder ./github
    """
    asyncio.run(_run(folder, host=host, port=port, webhook_url=webhook_url, repo=repo, as_json=as_json))


async def _run(folder: Path, *, host: str, port: int, webhook_url: str, repo: str, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Simulator(folder=folder, host=host, port=port, webhook_url=webhook_url) as github:
        created = await github.create_repository(repo)
        key = folder / "app.pem"
        key.touch(mode=0o600)
        key.write_text(github.private_key)
        settings = {
            "BUILDHOOK_GITHUB_API_URL": github.api_url,
            "BUILDHOOK_APP_ID": str(github.app_id),
            "BUILDHOOK_PRIVATE_KEY_FILE": str(key.absolute()),
            "BUILDHOOK_WEBHOOK_SECRET": github.webhook_secret or "",
            "BUILDHOOK_CLIENT_ID": github.client_id,
            "BUILDHOOK_CLIENT_SECRET": github.client_secret,
            # What a service keeps of this world is of no use in another one.
            "BUILDHOOK_DATA_DIR": str((folder / "service").absolute()),
        }
        _write(folder / SETTINGS, "".join(f"{name}={value}\n" for name, value in settings.items()))
        # Whoever owns the repository may push to it.
        owner = created.full_name.partition("/")[0]
        address = github.url.replace("://", f"://{owner}:{github.user_token(owner)}@", 1)
        _write(folder / CREDENTIALS, f"{address}\n")
        if as_json:
            output.json({"url": github.url, "repository": created.html_url, "settings": settings})
        else:
            _tell(github.url, clone_url=created.clone_url, settings=settings, folder=folder)
        sys.stdout.flush()
        await stop.wait()


def _write(path: Path, text: str) -> None:
    """Leave a file that only its owner can read: it holds secrets, if only a simulator's."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _tell(url: str, *, clone_url: str, settings: dict[str, str], folder: Path) -> None:
    console = output.console()
    console.print(f"A simulator of GitHub is at [bold]{url}[/]")
    console.print("Start a service for it with:\n")
    for name, value in settings.items():
        console.print(f"  export {name}={output.clean(value)}")
    console.print("  buildhook serve\n")
    file = output.clean(str(folder / SETTINGS))
    console.print(f"They stand in {file}, too: a service reads them where that is its .env.\n")
    console.print("Then push to it:\n")
    helper = shlex.quote(f"store --file {(folder / CREDENTIALS).absolute()}")
    console.print(f"  git clone -c credential.helper={output.clean(helper)} {clone_url}")
