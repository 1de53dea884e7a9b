"""What systemd hears of the service, over real sockets: its words, and its silence when something hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bot import settings, systemd
from tests.acceptance import process, raw

HEARD_SECONDS = 20.0


@contextlib.contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """A manager's socket; `@name` is an abstract one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        heard.settimeout(HEARD_SECONDS)
        yield heard


def next_of(heard: socket.socket) -> dict[str, str]:
    """The next message, its words by name."""
    return dict(line.split("=", 1) for line in heard.recv(4096).decode().splitlines())


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a manager listens. A path has room for 107 bytes."""
    path = os.path.relpath(tmp_path / "notify")
    return f"@buildhook-test-{os.getpid()}" if request.param == "abstract" else str(Path(path).absolute())


def test_each_word_is_one_datagram(address: str) -> None:
    manager = systemd.named({"NOTIFY_SOCKET": address}, pid=1)
    with listening(address) as heard:
        manager.ready("Listens on\nhttp://127.0.0.1:8080.\nMAINPID=1")
        assert next_of(heard) == {"READY": "1", "STATUS": "Listens on http://127.0.0.1:8080. MAINPID=1"}
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.reloading()
        said = next_of(heard)
        assert said["RELOADING"] == "1"
        assert before <= int(said["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.stopping()
        assert next_of(heard)["STOPPING"] == "1"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_PID": "7"}, None),
    ],
)
def test_signs_of_life_are_for_whoever_wants_them_of_this_process(
    given: Mapping[str, str], seconds: float | None
) -> None:
    made = systemd.named({"NOTIFY_SOCKET": "/run/notify", **given}, pid=7)
    assert made == systemd.Manager(address="/run/notify", watchdog_seconds=seconds)


@pytest.mark.parametrize("address", ["", "/", "@", "relative", "vsock:2:9999", "http://host"])
def test_an_address_that_is_none_of_these_is_nobody(address: str) -> None:
    assert systemd.named({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "5"}, pid=7) == systemd.Manager()


def test_nobody_and_a_manager_that_is_gone_are_no_trouble(tmp_path: Path) -> None:
    for manager in (systemd.Manager(), systemd.Manager(address=str(tmp_path / "gone"))):
        manager.ready("")
        manager.stopping()


def test_what_we_start_is_not_told_of_the_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "7000000"), ("WATCHDOG_PID", str(os.getpid()))):
        monkeypatch.setenv(name, value)
    assert settings.take_manager() == systemd.Manager(address="@x", watchdog_seconds=7.0)
    assert {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ) == set()
    assert settings.take_manager() == systemd.Manager()


async def _sign(heard: socket.socket) -> dict[str, str]:
    heard.setblocking(False)
    data = await asyncio.get_running_loop().sock_recv(heard, 4096)
    return dict(line.split("=", 1) for line in data.decode().splitlines())


async def test_the_watchdog_falls_silent_while_the_database_does_not_answer(address: str) -> None:
    can_answer, asked = asyncio.Event(), asyncio.Event()
    can_answer.set()

    async def answers() -> None:
        asked.set()
        await can_answer.wait()

    with listening(address) as heard:
        watching = asyncio.create_task(systemd.Manager(address=address, watchdog_seconds=0.02).watch(answers))
        for _ in range(3):
            assert await _sign(heard) == {"WATCHDOG": "1"}
        can_answer.clear()
        # From the third question behind that on, none is older than the trouble.
        for _ in range(3):
            asked.clear()
            await asyncio.wait_for(asked.wait(), HEARD_SECONDS)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.recv(4096)
        for _ in range(3):
            asked.clear()
            await asyncio.wait_for(asked.wait(), HEARD_SECONDS)
        with pytest.raises(BlockingIOError):
            heard.recv(4096)
        can_answer.set()
        assert await _sign(heard) == {"WATCHDOG": "1"}
        watching.cancel()


async def test_without_a_wish_there_are_no_signs() -> None:
    async def answers() -> None:
        raise AssertionError("nobody asked")

    await systemd.Manager(address="@nobody").watch(answers)
    await systemd.Manager(watchdog_seconds=1).watch(answers)


async def test_the_service_says_when_it_is_ready_reads_its_settings_and_stops(tmp_path: Path, address: str) -> None:
    data_dir = tmp_path / "data"
    environment = {**process.environment(data_dir), "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    with listening(address) as heard:
        async with process.serving(environment, log=tmp_path / "service.log") as service:
            told = [await _but_signs(heard)]
            assert told[0] == {"READY": "1", "STATUS": f"Listens on {service.url}."}
            assert await _sign(heard) == {"WATCHDOG": "1"}
            service.process.send_signal(signal.SIGHUP)
            assert (await _but_signs(heard))["RELOADING"] == "1"
            assert await _but_signs(heard) == told[0]
            (data_dir / "settings.env").write_text("BUILDHOOK_MAX_JOBS=many\n")
            service.process.send_signal(signal.SIGHUP)
            assert (await _but_signs(heard))["RELOADING"] == "1"
            said = await _but_signs(heard)
            assert said["READY"] == "1"
            assert re.search("the old ones stay: BUILDHOOK_MAX_JOBS", said["STATUS"])
            service.process.terminate()
            assert (await _but_signs(heard))["STOPPING"] == "1"
            assert await service.end() == 0


async def test_who_was_told_that_it_stops_is_not_told_that_it_is_ready(tmp_path: Path) -> None:
    address = f"@buildhook-test-{os.getpid()}"
    environment = {**process.environment(tmp_path / "data"), "NOTIFY_SOCKET": address}
    with listening(address) as heard:
        async with process.serving(environment, log=tmp_path / "service.log") as service:
            assert (await _sign(heard))["READY"] == "1"
            async with raw.connected(service.port) as slow:
                await slow.send(raw.request("/webhook", body=b"{}")[:-1])
                service.process.terminate()
                assert (await _sign(heard))["STOPPING"] == "1"
                service.process.send_signal(signal.SIGHUP)
            assert await service.end() == 0
        with pytest.raises(BlockingIOError):
            heard.recv(4096)
    assert "Traceback" not in (tmp_path / "service.log").read_text()


def test_the_watchdog_falls_silent_while_the_loop_hangs(address: str) -> None:
    loop, hangs, goes_on = asyncio.new_event_loop(), threading.Event(), threading.Event()

    async def answers() -> None:
        await asyncio.sleep(0)

    def hang() -> None:
        hangs.set()
        goes_on.wait(HEARD_SECONDS)

    manager = systemd.Manager(address=address, watchdog_seconds=0.01)
    with listening(address) as heard:
        watching = loop.create_task(manager.watch(answers))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        for _ in range(3):
            assert next_of(heard) == {"WATCHDOG": "1"}
        loop.call_soon_threadsafe(hang)
        assert hangs.wait(HEARD_SECONDS)
        heard.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.recv(4096)
        # Ten times as long as one that lives takes for a sign.
        heard.settimeout(0.05)
        with pytest.raises(TimeoutError):
            heard.recv(4096)
        goes_on.set()
        heard.settimeout(HEARD_SECONDS)
        assert next_of(heard) == {"WATCHDOG": "1"}
        loop.call_soon_threadsafe(watching.cancel)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(HEARD_SECONDS)
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(watching)
        loop.close()


async def _but_signs(heard: socket.socket) -> dict[str, str]:
    while (said := await asyncio.wait_for(_sign(heard), HEARD_SECONDS)) == {"WATCHDOG": "1"}:
        pass
    return said
