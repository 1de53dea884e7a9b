"""A job from its first step to its end: one process, one thread, one writer of the stream."""

from __future__ import annotations

import os
import sys
import time
from marshal import loads

from . import cage, frames, output, process, spaces

#: The descriptor of the stream, which holds the job's lock, as the service passes it.
STREAM = 3
#: The descriptor on which the service says that the job is laid out.
GO = 0
#: Name of the file that says that a mirror may be damaged.
SUSPECT = "suspect"


class Launch:
    """What the service wrote down for us; see `bot.engines.local.launch`, which fills it."""

    #: Names of steps are not here: what runs is a list of arguments and a file.
    steps: list[dict[str, list[str]]]
    #: The program that every step starts with: bubblewrap, or a shell where there is no sandbox.
    program: str
    is_sandboxed: bool
    #: System calls that bubblewrap is to refuse, as a compiled filter; may be empty.
    calls: bytes
    #: User and group that a step becomes, or None to stay who we are.
    uid: int | None
    #: Name -> folder, to be mounted for bubblewrap; empty where it can reach them itself.
    places: dict[str, str]
    #: For a network that reaches the outside: programs and the addresses that it must not reach; else None.
    network: dict[str, list[str]] | None
    timeout_seconds: float
    grace_seconds: float
    log_limit_bytes: int
    tested_sha: str
    tested_tree: str
    #: Folder in which to make the file `suspect` where the checkout fails, so that the mirror is looked at; or nothing.
    mirror: str

    def __init__(self, values: dict[str, object]) -> None:
        for name, value in values.items():
            setattr(self, name, value)


class End:
    """How a step, or the job, ended."""

    def __init__(self, result: str, reason: str | None = None, exit_code: int | None = None) -> None:
        self.result = result
        self.reason = reason
        self.exit_code = exit_code


def run() -> None:
    """Run the job of the folder named by the last argument."""
    os.chdir(sys.argv[-1])
    os.closerange(STREAM + 1, 1 << 16)
    os.set_inheritable(STREAM, False)
    # We were started early; where the service ends before it gave its word, the job is still to be launched.
    if os.read(GO, 1) != b"g":
        os._exit(0)
    with open("launch", "rb") as file:
        launch = Launch(loads(file.read()))  # noqa: S302 (written by the service a moment ago; json costs 9 ms)
    stream = output.Stream(STREAM, log_limit_bytes=launch.log_limit_bytes)
    stream.event(frames.LAUNCHED, {"pid": os.getpid(), "at": time.time()}, is_durable=True)
    try:
        end = Supervisor(launch, stream).run()
    except Exception as error:
        end = End("errored", f"The job's supervisor failed: {error}")
    ended = {"at": time.time(), "result": end.result, "reason": end.reason, "exit_code": end.exit_code}
    stream.event(frames.FINISHED, ended, is_durable=True)
    # The interpreter's own tidying up takes longer than anybody should wait for the lock.
    os._exit(0)


class Supervisor:
    """Runs the steps one after another and tells what happens."""

    def __init__(self, launch: Launch, stream: output.Stream) -> None:
        self._launch = launch
        self._stream = stream
        # The pipe is opened before anybody looks for a cancellation that came earlier: one of both is seen.
        self._control = spaces.high(os.open("control", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._deadline = time.monotonic() + launch.timeout_seconds
        self._is_prepared = False
        # By descriptor, because what is mounted later may cover its path.
        self._mirror = os.open(launch.mirror, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if launch.mirror else -1

    def run(self) -> End:
        """All steps; the first that does not pass ends the job."""
        try:
            self._settle()
        except OSError as error:
            return End("errored", f"The sandbox could not be made: {error}.")
        end = End("passed")
        for index in range(len(self._launch.steps)):
            if end.result == "passed" and os.path.exists("cancel"):
                end = End("cancelled", _cancel_reason())
            if end.result == "passed":
                end = self._step(index)
            elif self._is_prepared:
                self._stream.event(frames.STEP, {"index": index, "state": "skipped", "log_start": self._stream.log_at})
        return end

    def _settle(self) -> None:
        network = self._launch.network
        if network is not None:
            forbidden = [*network["forbidden"], *spaces.own_addresses()]
            uid = os.getuid()
            spaces.connect(slirp=network["slirp"][0], ip=network["ip"][0], forbidden=forbidden, uid=uid)
        if self._launch.places:
            spaces.show(self._launch.places)
        if not self._launch.is_sandboxed:
            spaces.adopt_orphans()

    def _step(self, index: int) -> End:
        launch = self._launch
        step = launch.steps[index]
        running = process.Process(
            program=launch.program,
            options=step["options"],
            command=step["command"],
            env=step["env"],
            uid=launch.uid,
            is_sandboxed=launch.is_sandboxed,
            calls=launch.calls,
        )
        told: dict[str, object] = {"index": index, "started_at": time.time(), "log_start": self._stream.log_at}

        def checked_out() -> None:
            if not self._is_prepared:
                self._is_prepared = True
                prepared = {"at": time.time(), "tested_sha": launch.tested_sha, "tested_tree": launch.tested_tree}
                self._stream.event(frames.PREPARED, prepared)

        def begin() -> None:
            told["started_at"] = time.time()
            told["log_start"] = self._stream.log_at
            self._stream.event(frames.STEP, {**told, "state": "running"})

        running.follow(
            on_output=self._stream.write,
            on_checkout=checked_out,
            on_begin=begin,
            control=self._control,
            deadline=self._deadline,
            grace_seconds=launch.grace_seconds,
        )
        self._stream.end_step()
        end = self._judge(running)
        if self._is_prepared:
            told |= {"finished_at": time.time(), "log_end": self._stream.log_at, "exit_code": running.exit_code}
            state = "failed" if end.result == "errored" else end.result
            self._stream.event(frames.STEP, {**told, "state": state})
        return end

    def _judge(self, running: process.Process) -> End:
        code = running.exit_code
        if running.ended_by == "cancelled":
            return End("cancelled", _cancel_reason())
        if running.ended_by == "timed_out":
            return End("timed_out", f"It ran longer than {_duration(self._launch.timeout_seconds)}, its time limit.")
        if code is None:
            # Never green, and never the repository's fault, without the sandbox's own word on how the command ended.
            return End("errored", "The sandbox was not made or was killed; the end of the log may say why.")
        if not running.has_begun:
            if not self._is_prepared:
                cage.touch(SUSPECT, folder=self._mirror)
                return End("errored", "The commit could not be checked out; the log says why.", code)
            return End("failed", "The step could not begin; the log says why.", code)
        if code == 0:
            return End("passed", None, 0)
        return End("failed", _exit_reason(code), code)


def _cancel_reason() -> str:
    try:
        with open("cancel", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return "It was cancelled."


def _exit_reason(code: int) -> str:
    if code == 137:
        return "exit status 137: killed by signal 9, often because memory ran out"
    if 128 < code < 193:
        return f"exit status {code}: killed by signal {code - 128}"
    return f"exit status {code}"


def _duration(seconds: float) -> str:
    if seconds >= 120:
        return f"{seconds / 60:g} minutes"
    return f"{seconds:g} seconds"
