"""The probes of `buildhook engines test`: all are held here, and each finds the hole that it is for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot import errors
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import escapes, sandbox, seccomp
from tests.engines.conftest import Open


async def test_t53_t60_all_attempts_are_held(engine: local.Local) -> None:
    found = await engine.test()
    assert {one.name: one.said for one in found if one.is_held is not True} == {}
    assert len(found) == len({one.name for one in found}) >= 25


async def test_t53_t60_all_attempts_are_held_where_strangers_have_the_list(open_engine: Open) -> None:
    egress = contract.Egress(allow=("localhost:80", "*.example"), strangers=True)
    engine = await open_engine(network="list", egress=egress)
    found = await engine.test()
    assert {one.name: one.said for one in found if one.is_held is not True} == {}


async def test_a_proxy_that_leads_to_this_host_is_found(open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("python3", path=sandbox.SEARCH_PATH) is None:
        pytest.skip("there is no python3 that a sandbox shows")
    lines = (
        *("import socket", 's = socket.create_server(("127.0.0.1", 3128))', "print(flush=True)", "while 1:"),
        *(" c, _ = s.accept()", " c.recv(999)", ' c.sendall(b"HTTP/1.1 200 OK\\r\\n")'),
    )
    proxy = "python3 -c '" + "\n".join(lines) + "' | "
    wanted = tuple(
        escapes.Probe(name=one.name, script=f"{proxy} {{ read line; {one.script}; kill $(pgrep python3); }}")
        for one in escapes.probes()
        if "by a proxy" in one.name
    )
    monkeypatch.setattr(escapes, "probes", lambda **_: wanted)
    engine = await open_engine()
    assert [one.is_held for one in await engine.test()] == [False, False]


async def test_an_engine_without_a_sandbox_has_nothing_to_try(open_engine: Open) -> None:
    engine = await open_engine(sandbox="none")
    with pytest.raises(errors.EngineError, match="SANDBOX=none"):
        await engine.test()


async def test_what_cannot_be_tried_here_is_not_said_to_be_held(
    engine: local.Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = (
        escapes.Probe(name="one", script="true", needs="no-such-program"),
        escapes.Probe(name="two", script="true", needs="cat"),
        escapes.Probe(name="three", script="kill -9 $$"),
        escapes.Probe(name="four", script="echo found `echo it`"),
    )
    monkeypatch.setattr(escapes, "probes", lambda **_: probes)
    one, two, three, four = await engine.test()
    assert (one.is_held, one.said) == (None, "There is no `no-such-program` here to try it with.")
    assert two.is_held is True
    assert three.is_held is False
    assert (four.is_held, four.said) == (False, "found it")


Options = list[str]


def without(*words: str) -> Callable[[Options], Options]:
    """Bubblewrap's options without these."""
    return lambda options: [word for word in options if word not in words]


def more(*words: str) -> Callable[[Options], Options]:
    """Bubblewrap's options with more of them before the root becomes read-only."""

    def added(options: Options) -> Options:
        at = options.index("--remount-ro")
        return [*options[:at], *words, *options[at:]]

    return added


def with_powers(options: Options) -> Options:
    """As root, with all capabilities."""
    at = options.index("--cap-drop")
    kept = [*options[:at], *options[at + 2 :]]
    return [*(("0" if word == "1000" else word) for word in kept if word != "--disable-userns"), "--cap-add", "ALL"]


def writable(options: Options) -> Options:
    """With a root that stays writable."""
    at = options.index("--remount-ro")
    return [*options[:at], *options[at + 2 :]]


def only(monkeypatch: pytest.MonkeyPatch, names: set[str]) -> None:
    """Make these attempts alone, behind what leaves a process."""
    wanted = tuple(one for one in escapes.probes() if one.name in {*names, "a process that outlives its step"})
    monkeypatch.setattr(escapes, "probes", lambda **_: wanted)


POWERS = {
    *("capabilities", "system calls without a filter", "the user that the service runs as"),
    *("user namespaces of its own", "mount namespaces of its own", "mounts of its own", "another root"),
}
HOLES: dict[str, tuple[Callable[[Options], Options], set[str]]] = {
    "processes": (
        without("--unshare-pid"),
        {"processes of this host", "the pid namespace of this host", "the process of the step before"},
    ),
    "network": (
        without("--unshare-net"),
        {"the net namespace of this host", "a port of this host's loopback", "abstract sockets of this host"},
    ),
    "names": (
        without("--unshare-uts", "--hostname", "buildhook"),
        {"the name of this host", "the uts namespace of this host"},
    ),
    "memory that is shared": (without("--unshare-ipc"), {"the ipc namespace of this host"}),
    "control groups": (without("--unshare-cgroup-try"), {"the cgroup namespace of this host"}),
    "devices": (more("--dev-bind", "/dev", "/dev"), {"raw devices"}),
    "shadow": (more("--ro-bind", "/etc/shadow", "/etc/shadow"), {"passwords and keys of this host"}),
    "logs": (more("--ro-bind", "/var/log", "/var/log"), {"logs, mail and databases of this host"}),
    "homes": (more("--dir", "/home/mona"), {"homes of this host"}),
    "sys": (more("--ro-bind", "/sys", "/sys"), {"the kernel's settings below /sys"}),
    "a key": (more("--setenv", "BUILDHOOK_PRIVATE_KEY", "x"), {"variables of the service"}),
    "a root that can be written": (writable, {"files of the system, to write"}),
    "powers": (with_powers, POWERS),
}


@pytest.mark.parametrize("hole", HOLES)
async def test_each_finds_the_hole_that_it_is_for(
    open_engine: Open, monkeypatch: pytest.MonkeyPatch, hole: str
) -> None:
    change, finding = HOLES[hole]
    made = sandbox.options
    monkeypatch.setattr(sandbox, "options", lambda **given: change(made(**given)))
    if hole == "powers":
        monkeypatch.setattr(seccomp, "program", lambda machine: b"")
    only(monkeypatch, finding)
    engine = await open_engine()
    found = {one.name for one in await engine.test() if one.is_held is not True}
    _end_what_got_out()
    assert found == finding


async def test_a_folder_of_the_service_that_is_mounted_is_found(
    open_engine: Open, monkeypatch: pytest.MonkeyPatch, data_dir: Path, a_socket: Path, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    left.mkdir()
    (left / "something").touch()
    change = more(
        *("--ro-bind", str(data_dir), str(data_dir), "--ro-bind", str(a_socket.parent), "/run/there"),
        *("--ro-bind", str(left), "/run/results"),
    )
    made = sandbox.options
    monkeypatch.setattr(sandbox, "options", lambda **given: change(made(**given)))
    # What an unprivileged user cannot reach is not there for the sandbox either.
    monkeypatch.setattr(sandbox, "uid", lambda job_id: None)
    engine = await open_engine()
    found = {one.name for one in await engine.test() if one.is_held is not True}
    assert found >= {
        "a file of this host",
        "the service's data folder",
        "sockets of services, such as Docker's",
        "what another job left",
    }


async def test_a_descriptor_that_is_left_open_is_found(open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "PRELUDE", sandbox.PRELUDE.replace('exec "$@" 3>&-', 'exec "$@"'))
    engine = await open_engine()
    found = {one.name for one in await engine.test() if one.is_held is not True}
    assert found == {"descriptors that were left open"}


@pytest.fixture
def a_socket(tmp_path: Path) -> Iterator[Path]:
    """A socket of a service of this host."""
    path = tmp_path / "sockets" / "s"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        yield path


def _end_what_got_out() -> None:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes() == b"sleep\x0031337\0":
                os.kill(int(process.name), signal.SIGKILL)
