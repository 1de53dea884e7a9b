"""Failpoints: what they are told by a setting, that each does it once, and that every place is a known one."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import errors, failpoint, settings
from bot.failpoint import Action, Failpoint

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoint.arm((), on_fire=lambda _: None)


def test_the_setting_names_where_what_and_when() -> None:
    assert failpoint.parse("log.mid_chunk:kill") == (Failpoint(name="log.mid_chunk", action=Action.KILL),)
    assert failpoint.parse("gc.mid_delete:delay=0.5:3, outbox.after_mark:exception") == (
        Failpoint(name="gc.mid_delete", action=Action.DELAY, delay_seconds=0.5, nth=3),
        Failpoint(name="outbox.after_mark", action=Action.EXCEPTION),
    )
    assert failpoint.parse("") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere:kill", "there is no failpoint 'nowhere'"),
        ("gc.mid_delete", "name:action"),
        ("gc.mid_delete:kill:1:2", "name:action"),
        ("gc.mid_delete:explode", "is no action"),
        ("gc.mid_delete:kill=2", "is no action"),
        ("gc.mid_delete:delay=long", "no number of seconds"),
        ("gc.mid_delete:delay=-1", "no number of seconds"),
        ("gc.mid_delete:kill:0", "write a number from 1"),
        ("gc.mid_delete:kill:x", "write a number from 1"),
    ],
)
def test_f86_a_wrong_failpoint_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.setenv("BUILDHOOK_FAILPOINT", text)
    with pytest.raises(errors.SettingsError) as caught:
        settings.load()
    (line,) = str(caught.value).splitlines()
    assert line.startswith("BUILDHOOK_FAILPOINT: ")
    assert says in line


def test_nothing_happens_where_nothing_is_armed() -> None:
    for name in failpoint.POINTS:
        failpoint.reach(name)
        assert not failpoint.is_awaited(name)


async def test_it_happens_once_at_the_nth_time_and_is_told_before() -> None:
    told: list[Failpoint] = []
    failpoint.arm(failpoint.parse("gc.mid_delete:exception:2"), on_fire=told.append)
    await failpoint.pause("gc.mid_delete")
    failpoint.reach("outbox.after_mark")
    assert failpoint.is_awaited("gc.mid_delete")
    assert told == []
    with pytest.raises(failpoint.Fired):
        await failpoint.pause("gc.mid_delete")
    assert [one.name for one in told] == ["gc.mid_delete"]
    assert not failpoint.is_awaited("gc.mid_delete")
    await failpoint.pause("gc.mid_delete")
    failpoint.reach("gc.mid_delete")


async def test_a_delay_in_the_event_loop_holds_up_nobody_else() -> None:
    fired = asyncio.Event()
    failpoint.arm(failpoint.parse("gc.mid_delete:delay=30"), on_fire=lambda _: fired.set())
    waiting = asyncio.create_task(failpoint.pause("gc.mid_delete"))
    await fired.wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


def test_an_unexpected_error_is_none_that_the_service_knows() -> None:
    assert not issubclass(failpoint.Fired, errors.BuildhookError | OSError)


def test_kill_ends_the_process_as_kill_9_does() -> None:
    code = (
        "from bot import failpoint\n"
        "failpoint.arm(failpoint.parse('gc.mid_delete:kill'), on_fire=lambda one: print(one.name, flush=True))\n"
        "failpoint.reach('gc.mid_delete')\n"
        "print('goes on', flush=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == -9
    assert ended.stdout == "gc.mid_delete\n"


def test_every_failpoint_has_its_place_and_every_place_its_name() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "bot").rglob("*.py") if path.name != "failpoint.py")
    placed = re.findall(r"failpoint\.(?:reach|pause)\(\"([a-z0-9_.]+)\"\)", text)
    assert set(placed) == set(failpoint.POINTS)
