"""A job's containers: made before its first step, which like all others then runs in one of them, and taken away.

Podman makes them; from then on they hold to this process: the first one of each reads a pipe that only we could write
to, and ends with it.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import time

from . import cage, health, process, spaces
from .ends import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_KILL, _TERMINATE = 9, 15
_NEWUSER, _NEWPID = 0x10000000, 0x20000000
_PR_SET_DUMPABLE = 4
#: How long making or taking away a container may take.
SECONDS = 120.0
#: How many lines of what a service said are told when it ended.
_LINES = 20
_MOST_BYTES = 64 * 1024
#: Where the process that makes a container ends, or the one in it, so that nothing of the step's own can be told apart
#: from it: Podman failed, its runtime did, the program is not there.
_OF_PODMAN = (125, 126, 127)
#: Descriptors of what is started in a container beside the first three, see `process`: it says that it begins; its
#: output; its environment; its input.
_BEGIN, _OUTPUT, _ENV, _INPUT = 3, 4, 5, 6
#: The first process of a container: it holds it, and takes in what others leave behind. Whatever ends `cat` but the end
#: of its input, it begins anew.
HOLD = "while :; do cat <&3 & wait $!; [ $? -gt 128 ] || exit 0; done"
#: What each of the others begins with. Nothing of the output goes through Podman.
ENTER = 'exec 0<&6 1>&4 2>&4 4>&- 6<&-\n. /proc/self/fd/5\nexec 5<&-\nexec "$@"'
#: The same for a service whose environment holds what no file may.
ENTER_SERVICE = '. /proc/self/fd/3\nexec 3<&-\nexec "$@"'
#: What takes containers away, whatever they do.
REMOVE = ("rm", "--force", "--volumes", "--ignore", "--time", "0")
#: How often that is tried.
REMOVALS = 5
_PAUSE_SECONDS = 0.2
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: Those that some shell keeps for itself.
_KEPT = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})

_libc = ctypes.CDLL(None, use_errno=True)


class Containers:
    """All containers of one job."""

    def __init__(self, told: dict[str, Any], *, control: int, say: Callable[[str], None]) -> None:
        """:param told: see `bot.engines.local.containers`, which makes it."""
        self.told = told
        self._control = control
        #: Writes a line into the job's log.
        self.say = say
        #: Name -> the first process of that container.
        self._inner: dict[str, Inner] = {}
        self._services: dict[str, Inner] = {}
        hold, self._held = os.pipe()
        self._hold, self._held = spaces.high(hold), spaces.high(self._held)
        #: The container of the steps, and that of what is ours; empty where they run in a sandbox.
        self.steps_in: str = told["steps_in"]
        self.beside_in: str = told["beside_in"]
        #: Folders outside of the job's own in which they write.
        self.layers: list[str] = []

    def start(self, *, text: Callable[[tuple[Any, ...]], str], deadline: float) -> None:
        """Make them all, and wait until the services are ready.

        :param text: gives the value of a text that may hold expressions.
        :raises Trouble: if one cannot be made, or a service does not become ready.
        """
        for one in self.told["containers"]:
            self._make(one["name"], one["arguments"], {3: self._hold}, what=one["what"], deadline=deadline)
        os.close(self._hold)
        for one in self.told["services"]:
            given = {name: text(compiled) for name, compiled in one["late_env"].items()}
            fds = {3: process.file(exports(given))} if given else {}
            self._make(one["name"], one["arguments"], fds, what=one["what"], deadline=deadline)
            self._services[one["host"]] = self._inner[one["name"]]
        self._measure(deadline)
        for one in self.told["services"]:
            health.wait(self, one, deadline=deadline)

    def exec(self, name: str, *, command: list[str], env: list[str], uid: int | None, given: int) -> Exec:
        """Start something in a container."""
        return Exec(self, self._inner[name], name, command=command, env=env, uid=uid, given=given)

    def tell_ended(self) -> None:
        """Say which services ended since this was asked last, and what they said last."""
        for host, inner in list(self._services.items()):
            if inner.is_gone():
                del self._services[host]
                self.say(f"The service {host} ended. {self.last_words(host)}")

    def last_words(self, host: str) -> str:
        """What a service said last."""
        name = next(one["name"] for one in self.told["services"] if one["host"] == host)
        _, said = self.call(["logs", "--tail", str(_LINES), name], deadline=time.monotonic() + SECONDS, is_heard=False)
        said = said.strip()
        return f"Its last lines:\n{said}" if said else "It said nothing."

    def is_running(self, host: str) -> bool:
        """Whether a service has not ended."""
        return host in self._services and not self._services[host].is_gone()

    def end(self) -> None:
        """Take them all away."""
        # A service may be in the network of the first one, so it goes first.
        for kind in ("services", "containers"):
            names = [one["name"] for one in self.told[kind]]
            # What Podman itself does behind the end of a container can be in the way for a moment.
            for _ in range(REMOVALS if names else 0):
                if self.call([*REMOVE, *names], deadline=time.monotonic() + SECONDS, is_heard=False)[0] == 0:
                    break
                time.sleep(_PAUSE_SECONDS)
        os.close(self._held)

    def call(
        self, arguments: list[str], *, fds: dict[int, int] | None = None, deadline: float, is_heard: bool = True
    ) -> tuple[int | None, str]:
        """Run Podman; gives its exit status and its words. None where it was ended.

        :param is_heard: whether the job's cancellation ends it.
        """
        hearing, saying = (spaces.high(fd) for fd in os.pipe())
        null = spaces.high(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
        given = {0: null, 1: saying, 2: saying, **(fds or {})}
        env = dict(pair.split("=", 1) for pair in self.told["env"])
        program, *before = self.told["podman"]
        pid = cage.start(program, [*before, *arguments], env, given, None, [], 0)
        os.close(saying)
        os.close(null)
        pid_fd = os.pidfd_open(pid)
        poll = select.poll()
        for fd in (hearing, pid_fd, *([self._control] if is_heard and self._control >= 0 else [])):
            poll.register(fd, select.POLLIN)
        said, is_ended = b"", False
        while True:
            left = deadline - time.monotonic()
            ready = {fd for fd, _ in poll.poll(max(0.0, left) * 1000)}
            if hearing in ready:
                part = os.read(hearing, 65536)
                said = (said + part)[-_MOST_BYTES:]
                if not part:
                    poll.unregister(hearing)
            elif pid_fd in ready:
                break
            elif not ready or self._control in ready:
                cage.send(pid, _KILL)
                is_ended = True
                break
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(hearing)
        os.close(pid_fd)
        return None if is_ended or status < 0 else status, said.decode("utf-8", "replace")

    def pause(self, seconds: float) -> bool:
        """Wait; returns whether the job is to be cancelled meanwhile."""
        poll = select.poll()
        if self._control >= 0:
            poll.register(self._control, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _make(self, name: str, arguments: list[str], fds: dict[int, int], *, what: str, deadline: float) -> None:
        network = f"ns:/proc/{os.getpid()}/ns/net" if self.told["is_in_ours"] else "none"
        first = self.told["containers"][0]["name"] if self.told["containers"] else name
        if not self.told["is_in_ours"] and name != first:
            network = f"container:{first}"
        noted = os.path.abspath(f"pid-{name}")
        arguments = ["run", "--detach", "--name", name, "--network", network, "--pidfile", noted, *arguments]
        until = min(deadline, time.monotonic() + SECONDS)
        code, said = self.call(arguments, fds=fds, deadline=until)
        if code is None:
            raise Trouble(f"The container of {what} was not made in time.")
        if code != 0:
            self.say(said.strip())
            if "`sh`" in said or '"sh"' in said:
                raise Trouble(f"The image of {what} has no `sh`, with which its commands are run.", result="failed")
            raise Trouble(f"The container of {what} could not be made; the log says why.")
        try:
            with open(noted, encoding="ascii") as file:
                self._inner[name] = Inner(int(file.read()))
        except (OSError, ValueError):
            # It ended already: what it said is told by whoever waits for it.
            self._inner[name] = Inner(0)
        if self._inner[name].is_gone() and any(one["name"] == name for one in self.told["containers"]):
            raise Trouble(f"The container of {what} ended as soon as it was made: does its image have `cat`?")

    def _measure(self, deadline: float) -> None:
        if not self.told["has_layers"]:
            return
        code, said = self.call(
            ["inspect", "--type", "container", "--format", "{{.GraphDriver.Data.UpperDir}}", *self._inner],
            deadline=min(deadline, time.monotonic() + SECONDS),
        )
        if code != 0:
            raise Trouble("It cannot be told where the containers write.")
        self.layers = [line for line in said.splitlines() if line.startswith("/")]


class Inner:
    """The first process of a container, and the ways into its namespaces."""

    def __init__(self, pid: int) -> None:
        self._fd = self._pids = self._users = -1
        if not pid:
            return
        try:
            self._fd = spaces.high(os.pidfd_open(pid))
            self._pids = spaces.high(os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC))
            if os.geteuid() != 0:
                self._users = spaces.high(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return

    def is_gone(self) -> bool:
        """Whether it ended, and so everything in its container."""
        if self._fd < 0 or self._pids < 0:
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, number: int) -> None:
        """Send a signal to all processes in the container but the first, all at once."""
        if self.is_gone():
            return
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        try:
            # Nobody in there may look into this process, which holds all that its parent knows.
            _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
            if self._users >= 0 and _libc.setns(self._users, _NEWUSER) != 0:
                os._exit(1)
            # Counts for children only.
            if _libc.setns(self._pids, _NEWPID) == 0:
                inner = os.fork()
                if inner:
                    os.waitpid(inner, 0)
                else:
                    os.kill(-1, number)
        finally:
            os._exit(0)


class Exec(process.Process):
    """A process in a container, followed as one in a sandbox is."""

    def __init__(
        self,
        containers: Containers,
        inner: Inner,
        name: str,
        *,
        command: list[str],
        env: list[str],
        uid: int | None,
        given: int,
    ) -> None:
        self._containers, self._container = containers, inner
        told = containers.told
        program, *before = told["podman"]
        arguments = [*before, "exec", f"--preserve-fds={_INPUT - 2}", name, "sh", "-c", ENTER, "buildhook", *command]
        self._open_pipes(uid)
        null = spaces.high(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
        fds = {0: null, 1: self._output_end, 2: self._output_end, _BEGIN: self._begin_end, _OUTPUT: self._output_end}
        fds[_ENV] = process.file(exports(dict(pair.split("=", 1) for pair in env)))
        fds[_INPUT] = null if given < 0 else spaces.high(os.dup(given))
        self._started(
            cage.start(program, arguments, dict(pair.split("=", 1) for pair in told["env"]), fds, None, [], 0),
            {*fds.values(), self._status_end},
        )

    @property
    def exit_code(self) -> int | None:
        """The command's exit status; None where nobody can say, because it was not reached or Podman was killed."""
        if self._wait_status is None:
            return None
        code = os.waitstatus_to_exitcode(self._wait_status)
        if code < 0 or (not self.has_begun and code in _OF_PODMAN):
            return None
        return code

    def _end_early(self, how: str) -> None:
        if self._wait_status is not None or self.ended_by:
            return
        self.ended_by = how
        self._next_at = time.monotonic() + self._grace_seconds
        self._container.send(_TERMINATE)

    def _kill(self) -> None:
        self._container.send(_KILL)
        if self._wait_status is None:
            for pid in (*cage.stopped_descendants(self._pid), self._pid):
                cage.send(pid, _KILL)

    def _end_leftovers(self) -> None:
        self._container.send(_KILL)


def exports(env: dict[str, str]) -> bytes:
    """A script for any shell that sets these variables for what runs after it."""
    lines = []
    others = []
    for name, value in env.items():
        quoted = value.replace("'", "'\\''")
        if _NAME.match(name) and name not in _KEPT:
            lines.append(f"export {name}='{quoted}'")
        else:
            # No shell takes such a name.
            others.append("'" + f"{name}={value}".replace("'", "'\\''") + "'")
    if others:
        lines.append(f'set -- env {" ".join(others)} "$@"')
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
