"""`buildhook dev`: the service of somebody who works on it, with a relay, a list of what comes, and keys."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from bot import errors
from bot.app import Service
from bot.builds import commands
from bot.cli import opening, options, output, serving
from bot.model import delivery
from bot.relay import client
from bot.settings import Settings, load
from bot.store import Store, inbox_list

#: How often files and deliveries are looked at.
LOOK_SECONDS = 0.3
#: So many deliveries are looked at, which is more than come in that time.
_SHOWN = 100
_KEYS = "keys: r sends the newest delivery through again, 1 to 9 the first to ninth newest, q stops"
_File = tuple[int, int] | None


def dev(
    relay: Annotated[
        str | None,
        typer.Option(help="A channel of smee.io or another relay; one that ends with /new makes one.", metavar="URL"),
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on (BUILDHOOK_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="The port, 0 for a free one (BUILDHOOK_PORT).")] = None,
    as_json: options.Json = False,
) -> None:
    """Run the service while you work on it: deliveries are listed as they come, and each is replayed by a key.

    Settings, the policy and your handlers are read again whenever their files change. With a relay it needs no public
    address: GitHub sends to the relay's channel, and each delivery is proved here by its signature, as without one.

    Example: buildhook dev --relay https://smee.io/new
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load(**given)
    url = _channel(client.checked(relay), kept=settings.data_dir / "relay.url") if relay is not None else None

    async def beside(service: Service, reload: Callable[[], Settings | None]) -> None:
        if service.setting_up is not None:
            service.setting_up.relay_url = url
        await _go_on(service, settings, reload, url=url, as_json=as_json)

    serving.run(given, as_json=as_json, beside=beside)


def _channel(wanted: str, *, kept: Path) -> str:
    """The channel to listen to: the same one as the last time, where a new one was asked for of the same relay.

    :raises errors.SettingsError: if there is none.
    """
    if not urlsplit(wanted).path.endswith(client.NEW):
        return wanted
    if kept.exists():
        before = client.checked(kept.read_text(encoding="utf-8").strip())
        if urlsplit(before).netloc == urlsplit(wanted).netloc:
            return before
    made = client.checked(asyncio.run(client.new_channel(wanted)))
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Whoever knows the channel hears what GitHub sends.
    kept.touch(mode=0o600)
    kept.write_text(made + "\n", encoding="utf-8")
    return made


async def _go_on(
    service: Service, settings: Settings, reload: Callable[[], Settings | None], *, url: str | None, as_json: bool
) -> None:
    view = _View(as_json=as_json)
    store = Store(settings.effective_database_url)
    await store.open()
    try:
        async with asyncio.TaskGroup() as group, _keys() as pressed:
            tasks = [
                group.create_task(_list(store, view), name="list"),
                group.create_task(_watch(settings, reload, view), name="watch"),
            ]
            if url is not None:
                its = client.Relay(url, door=f"{service.url}/webhook", on_passed=view.passed, on_state=view.say)
                tasks.append(group.create_task(its.run(), name="relay"))
            view.say(_KEYS if pressed is not None else "Nobody is at a terminal: no key does anything.")
            while (key := await pressed.get() if pressed is not None else await _never()) != "q":
                await _press(key, store, view)
            for one in tasks:
                one.cancel()
    finally:
        await store.close()


async def _list(store: Store, view: _View) -> None:
    """Tell of each delivery as it comes, and of what becomes of it."""
    known: dict[int, tuple[delivery.State, int]] | None = None
    while True:
        with contextlib.suppress(errors.StoreUnavailable):
            newest = await store.read(inbox_list.list_newest, limit=_SHOWN)
            found = {one.seq: (one.state, one.generation) for one in newest}
            # What was there at the start is no news.
            for one in reversed(newest if known is not None else []):
                if known is not None and known.get(one.seq) != found[one.seq]:
                    view.show(one)
            known = found
        await asyncio.sleep(LOOK_SECONDS)


async def _watch(settings: Settings, reload: Callable[[], Settings | None], view: _View) -> None:
    """Read everything again whenever one of its files changes."""
    seen = await asyncio.to_thread(_look, settings)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = await asyncio.to_thread(_look, settings)
        if now == seen:
            continue
        changed = ", ".join(str(path) for path in now if now[path] != seen.get(path))
        loaded = reload()
        view.say(f"Read again: {changed}." if loaded is not None else f"{changed}: wrong, so all stays as it was.")
        settings = loaded or settings
        # What was written meanwhile is seen the next time; files that are named only now stand as they do.
        seen = {path: now.get(path, stand) for path, stand in (await asyncio.to_thread(_look, settings)).items()}


def _look(settings: Settings) -> Mapping[Path, _File]:
    """How the files stand that settings, policy and handlers are read from."""
    named = [Path(name).expanduser() for name in settings.handler_names if name.endswith(".py")]
    policy = [settings.policy_file] if settings.policy_file is not None else []
    return {path: _stand(path) for path in (Path(".env"), settings.data_dir / "settings.env", *policy, *named)}


def _stand(path: Path) -> _File:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


async def _press(key: str, store: Store, view: _View) -> None:
    """Handle a delivery again: as it is stored, so its signature was proved when it came."""
    number = 1 if key == "r" else int(key) if key.isascii() and key.isdigit() else 0
    if number < 1:
        view.say(_KEYS)
        return
    try:
        newest = await store.read(inbox_list.list_newest, limit=number)
        if len(newest) < number:
            view.say("There is no such delivery yet.")
            return
        await store.write(commands.replay, newest[-1].id, now=datetime.now(UTC), by=opening.actor())
        view.say(f"Again: {newest[-1].event} {newest[-1].id}")
    except (errors.Conflict, errors.NotFound, errors.StoreUnavailable) as error:
        view.say(str(error))


async def _never() -> str:
    await asyncio.Event().wait()
    return "q"


@contextlib.asynccontextmanager
async def _keys() -> AsyncIterator[asyncio.Queue[str] | None]:
    """The keys that are pressed, one by one and without being shown; None where nobody is at a terminal."""
    if not sys.stdin.isatty():
        yield None
        return
    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    pressed: asyncio.Queue[str] = asyncio.Queue()
    before = termios.tcgetattr(fd)

    def read() -> None:
        try:
            keys = os.read(fd, 64).decode("utf-8", "replace")
        except OSError:
            keys = ""
        # A terminal that is gone says nothing more, for ever.
        if not keys:
            loop.remove_reader(fd)
        for key in keys or "q":
            pressed.put_nowait(key)

    tty.setcbreak(fd)
    loop.add_reader(fd, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class _View:
    """Prints what happens: a line each, for people or for programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def say(self, text: str) -> None:
        """A sentence."""
        if self._as_json:
            output.json({"said": text})
        else:
            output.console().print(f"[dim]{output.clean(text)}[/]")
        sys.stdout.flush()

    def show(self, one: delivery.Delivery) -> None:
        """A delivery as it stands."""
        name = one.event + (f".{one.action}" if one.action else "")
        why = one.error or one.reason or ""
        if self._as_json:
            output.json(
                {"delivery": one.id, "event": name, "repository": one.repository, "state": one.state, "why": why}
            )
        else:
            at = f"{datetime.now():%H:%M:%S}"
            told = f"[dim]{at}[/]  {output.clean(name):<28}  {output.clean(one.repository or '-'):<24}"
            output.console().print(f"{told}  {output.state(one.state)}  [dim]{output.clean(why)}[/]")
        sys.stdout.flush()

    def passed(self, one: client.Passed) -> None:
        """What the door said of a webhook that the relay passed on; where it took it, the list tells of it."""
        if one.status is not None and 200 <= one.status < 300:
            return
        answer = f"was refused with {one.status}" if one.status is not None else "did not come in"
        what = " ".join(filter(None, (one.event, one.guid))) or "Something"
        self.say(f"{what} {answer}: {one.text}")
