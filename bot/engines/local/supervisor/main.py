"""A job from its first step to its end: one process, one thread, one writer of the stream."""

from __future__ import annotations

import os
import sys
import time
from marshal import loads

from . import cage, collect, ends, files, frames, groups, mask, network, orders, output, process, room, spaces
from .ends import End, Trouble
from .files import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import caches, container, egress, late

#: The descriptor of the stream, which holds the job's lock, as the service passes it.
STREAM = 3
#: How long the steps may take, each, that run when the job was cancelled or ran too long.
CLEAN_UP_SECONDS = 300.0
#: How long what we run besides the steps may take, each.
BESIDE_SECONDS = 600.0
#: Of one variable: the kernel takes no longer ones.
MAX_VALUE_BYTES = 100 * 1024
#: The job so far, in the words of expressions.
_STATUS = {"passed": "success", "failed": "failure", "cancelled": "cancelled", "timed_out": "cancelled"}


def run(job: bytes) -> None:
    """Run the job of this folder."""
    os.chdir(job)
    with open("/proc/self/comm", "wb") as name:
        # The kernel takes 15 bytes.
        name.write(b"job-" + job[-11:])
    os.closerange(STREAM + 1, 1 << 16)
    os.set_inheritable(STREAM, False)
    cage.leave_no_core()
    secrets, note = orders.word()
    with open("launch", "rb") as file:
        launch = orders.Launch(loads(file.read()))  # noqa: S302 (written by the service a moment ago; json costs 9 ms)
    masked = mask.Mask(mask.Patterns([value.encode("utf-8", "surrogateescape") for value in secrets.values()]))
    stream = output.Stream(STREAM, log_limit_bytes=launch.log_limit_bytes, masked=masked)
    stream.event(frames.LAUNCHED, {"pid": os.getpid(), "at": time.time()}, is_durable=True)
    if note:
        stream.write(f"{note}\n".encode("utf-8", "replace"))
    supervisor = Supervisor(launch, stream, secrets)
    try:
        end = supervisor.run()
    except Exception as error:
        end = End("errored", f"The job's supervisor failed: {error}")
    supervisor.end()
    ended: dict[str, object] = {f"{frames.OUTPUT_PREFIX}{name}": text for name, text in supervisor.outputs.items()}
    ended |= {"at": time.time(), "result": end.result, "reason": end.reason, "exit_code": end.exit_code}
    stream.event(frames.FINISHED, ended, is_durable=True)
    # The interpreter's own tidying up takes longer than anybody should wait for the lock.
    os._exit(0)


class Supervisor:
    """Runs the steps one after another and tells what happens."""

    def __init__(self, launch: orders.Launch, stream: output.Stream, secrets: dict[str, str]) -> None:
        self._launch = launch
        self._stream = stream
        #: Values by name. A name that is not here was not given.
        self._secrets = secrets
        # The pipe is opened before anybody looks for a cancellation that came earlier: one of both is seen.
        self._control = spaces.high(os.open("control", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._deadline = time.monotonic() + launch.timeout_seconds
        self._is_prepared = self._has_code = False
        # By descriptor, because what is mounted later may cover its path.
        self._mirrors = [os.open(one, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for one in launch.mirrors]
        self._caches: caches.Caches | None = None
        if launch.caches is not None:
            from . import caches  # only jobs that have some pay for it

            self._caches = caches.Caches(launch.caches, self)
        self._library = launch.library
        #: What is known late, from the first moment that somebody needs it.
        self._late: late.Late | None = None
        self._group: groups.Group | None = None
        self._refusals: egress.Refusals | None = None
        self._containers: container.Containers | None = None
        self._space = room.Room("box", size_bytes=launch.disk_bytes, files=launch.disk_files)
        #: What the job gives to those that need it.
        self.outputs: dict[str, str] = {}

    def run(self) -> End:
        """All steps; the first that does not pass decides how the job ends."""
        try:
            self._settle()
        except OSError as error:
            return End("errored", f"The sandbox could not be made: {error}.")
        try:
            if self._launch.is_late:
                self._become_late()
            if (end := self._begin()).result != "passed":
                return end
            if self._caches is not None:
                end = self._caches.restore()
            for index in range(len(self._launch.steps)):
                end = self._turn(index, end)
            if self._caches is not None and end.result == "passed":
                self._caches.save()
            if self._late is not None:
                self.outputs = self._late.outputs()
        except Refused as error:
            end = End("failed", str(error)) if end.result == "passed" else end
        if self._is_prepared and end.result != "cancelled":
            collect.collect(self._stream, self._launch.results)
        return end

    def end(self) -> None:
        """Have nothing left that runs."""
        if self._containers is not None:
            self._containers.end()
        if self._group is not None:
            self._group.end()
        if self._launch.containers is not None:
            groups.remove(self._launch.containers["groups"])

    @property
    def _inside(self) -> str:
        """The container that the steps run in, or nothing."""
        return self._containers.steps_in if self._containers is not None else ""

    def _doors(self) -> list[int]:
        return self._group.doors if self._group is not None else []

    def _keep_code(self) -> None:
        """Let what is imported later be found where the mounts cover the path of our own code."""
        own = spaces.high(os.open(os.path.dirname(__file__), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        sys.modules[__name__.rpartition(".")[0]].__path__ = [f"/proc/self/fd/{own}"]
        library = spaces.high(os.open(self._launch.library, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self._library = f"/proc/self/fd/{library}"

    def beside(self, program: dict[str, Any] | None, *, given: int = -1) -> End:
        """Run something of our own in the job's sandbox, which is no step; None runs nothing.

        :param given: a descriptor for it to read.
        """
        launch = self._launch
        if program is None:
            return End("passed")
        command = list(program["command"])
        if not self._has_code:
            command[launch.checkout_at] = launch.checkout
        inside = self._containers.beside_in if self._containers is not None else ""
        running = self._started(inside, command, options=program["options"], env=program["env"], given=given)
        own_deadline = time.monotonic() + BESIDE_SECONDS
        running.follow(
            on_output=self._stream.write,
            on_quiet=self._stream.let_go,
            on_checkout=self._have_code,
            on_begin=lambda: None,
            control=self._control,
            deadline=min(self._deadline, own_deadline),
            grace_seconds=launch.grace_seconds,
            space=self._space,
        )
        self._stream.end_step()
        return self._judge(running, limit_seconds=BESIDE_SECONDS if own_deadline < self._deadline else None)

    def _started(
        self, inside: str, command: list[str], *, options: list[str], env: list[str], given: int = -1
    ) -> process.Process:
        """:param inside: the container that it runs in, or nothing."""
        launch = self._launch
        if inside and self._containers is not None:
            return self._containers.exec(inside, command=command, env=env, uid=launch.uid, given=given)
        return process.Process(
            program=launch.program,
            options=options,
            command=command,
            env=env,
            uid=launch.uid,
            is_sandboxed=launch.is_sandboxed,
            calls=launch.calls,
            doors=self._doors(),
            file_bytes=launch.file_bytes,
            given=given,
            places=launch.containers["places"] if launch.containers is not None else None,
        )

    def _begin(self) -> End:
        """Make the job's containers, and have the code, which their images need no git for."""
        told = self._launch.containers
        if told is None:
            return End("passed")
        from . import container  # only jobs that have some pay for it

        self._containers = container.Containers(told, control=self._control, say=self.say)
        try:
            self._containers.start(text=self.text, deadline=self._deadline)
        except Trouble as error:
            if os.path.exists("cancel"):
                return End("cancelled", ends.cancel_reason())
            if time.monotonic() >= self._deadline:
                return End("timed_out", ends.too_long(self._launch))
            return End(error.result, str(error))
        self._space.others = self._containers.layers
        return self.beside(told["checkout"]) if self._containers.steps_in else End("passed")

    def _have_code(self) -> None:
        self._has_code = True
        self._checked_out()

    def say(self, text: str) -> None:
        """A line of ours in the job's log."""
        if text:
            self._stream.write(f"{text}\n".encode("utf-8", "replace"))
            self._stream.end_step()

    def text(self, compiled: tuple[Any, ...]) -> str:
        """A text of the plan that may hold expressions.

        :raises Refused: if one has no value.
        """
        if all(isinstance(one, str) for one in compiled):
            return "".join(compiled)
        self._become_late()
        return self._late.text(compiled) if self._late is not None else ""

    def _turn(self, index: int, end: End) -> End:
        """A step's turn: it runs or is skipped; returns how the job stands behind it."""
        if end.result == "passed" and os.path.exists("cancel"):
            end = End("cancelled", ends.cancel_reason())
        if end.result == "errored":
            runs = False
        elif self._late is None:
            runs = end.result == "passed"
        else:
            runs = self._late.runs(index, status=_STATUS[end.result])
        if not runs:
            self._skip(index, is_told=self._is_prepared or end.result == "passed")
            return end
        if end.result in ("cancelled", "timed_out"):
            # What cleans up behind a job has not the time that the job has.
            self._control, self._deadline = -1, time.monotonic() + CLEAN_UP_SECONDS
        ended = self._step(index)
        return ended if end.result == "passed" else end

    def _skip(self, index: int, *, is_told: bool) -> None:
        if is_told:
            self._checked_out()
            self._stream.event(frames.STEP, {"index": index, "state": "skipped", "log_start": self._stream.log_at})
        if self._late is not None:
            self._late.end(index, outcome="skipped", conclusion="skipped")

    def _become_late(self) -> None:
        if self._late is None and self._launch.late is not None:
            # Behind all else, so that nothing in there can stand for the standard library.
            sys.path.append(self._library)
            from . import late  # it costs more than all of this, and few jobs need it

            self._late = late.Late(self._launch.late, secrets=self._secrets)

    def _checked_out(self) -> None:
        if not self._is_prepared:
            self._is_prepared = True
            launch = self._launch
            prepared = {"at": time.time(), "tested_sha": launch.tested_sha, "tested_tree": launch.tested_tree}
            prepared |= {f"{frames.IMAGE_PREFIX}{what}": image for what, image in launch.images.items()}
            self._stream.event(frames.PREPARED, prepared)

    def _settle(self) -> None:
        if self._launch.group is not None:
            self._group = groups.Group(**self._launch.group)
        self._refusals = network.enter(self._launch, doors=self._doors())
        if self._launch.places:
            self._keep_code()
            spaces.show(self._launch.places)
        if not self._launch.is_sandboxed:
            spaces.adopt_orphans()

    def _step(self, index: int) -> End:
        launch = self._launch
        step = launch.steps[index]
        told: dict[str, object] = {"index": index, "started_at": time.time(), "log_start": self._stream.log_at}
        try:
            options, env = self._given(index)
        except Refused as error:
            return self._end_step(index, End("failed", str(error)), told)
        command = list(step["command"])
        if not self._has_code:
            command[launch.checkout_at] = launch.checkout
        running = self._started(self._inside, command, options=options, env=env)

        def begin() -> None:
            told["started_at"] = time.time()
            self._stream.let_go()
            told["log_start"] = self._stream.log_at
            self._stream.event(frames.STEP, {**told, "state": "running"})

        own_deadline = self._deadline
        if step["timeout_seconds"] is not None:
            own_deadline = min(own_deadline, time.monotonic() + step["timeout_seconds"])
        running.follow(
            on_output=self._stream.write,
            on_quiet=self._stream.let_go,
            on_checkout=self._have_code,
            on_begin=begin,
            control=self._control,
            deadline=own_deadline,
            grace_seconds=launch.grace_seconds,
            space=self._space,
        )
        self._stream.end_step()
        for refused in self._refusals.told() if self._refusals is not None else ():
            self.say(refused)
        if self._containers is not None:
            self._containers.tell_ended()
        end = self._judge(running, limit_seconds=step["timeout_seconds"] if own_deadline < self._deadline else None)
        return self._end_step(index, end, told)

    def _given(self, index: int) -> tuple[list[str], list[str]]:
        """The options and the environment of a step, with what is known late; its script is written where it is late.

        :raises Refused: if something of that has no value.
        """
        step = self._launch.steps[index]
        pairs = [one.split("=", 1) for one in step["secrets"]]
        more = {variable: self._secrets.get(name, "") for variable, name in pairs}
        script = None
        if self._late is not None:
            script = self._late.script(index)
            more |= self._late.env(index)
        if not more and script is None:
            return step["options"], step["env"]
        if script is not None:
            with open(f"box/steps/{index}.sh", "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{script}\n")
        wrong = [name for name, value in more.items() if "\0" in value or len(value.encode()) > MAX_VALUE_BYTES]
        if wrong:
            raise Refused(f"The environment variable {wrong[0]} has a value that no program can be given.")
        if self._launch.is_sandboxed and not self._inside:
            return [*step["options"], *(part for pair in more.items() for part in ("--setenv", *pair))], []
        return [], [*step["env"], *(f"{name}={value}" for name, value in more.items())]

    def _end_step(self, index: int, end: End, told: dict[str, object]) -> End:
        """Tell how a step ended; returns what follows from it for the job."""
        if end.result in ("passed", "failed") and self._is_prepared:
            end = self._taken(index, end)
        is_ignored = end.result == "failed" and self._launch.steps[index]["may_fail"]
        if self._is_prepared:
            told |= {"finished_at": time.time(), "log_end": self._stream.log_at, "exit_code": end.exit_code}
            state = "ignored" if is_ignored else "failed" if end.result == "errored" else end.result
            self._stream.event(frames.STEP, {**told, "state": state})
        return End("passed") if is_ignored else end

    def _taken(self, index: int, end: End) -> End:
        """Take what a step wrote for those after it; it failed where that cannot be taken."""
        if self._late is None and files.is_any(index):
            self._become_late()
        if self._late is None:
            return end
        outcome = _STATUS[end.result]
        conclusion = "success" if self._launch.steps[index]["may_fail"] else outcome
        try:
            self._late.end(index, outcome=outcome, conclusion=conclusion)
        except Refused as error:
            return End("failed", str(error), end.exit_code) if end.result == "passed" else end
        return end

    def _judge(self, running: process.Process, *, limit_seconds: float | None) -> End:
        code = running.exit_code
        lacking = self._group.ran_out() if self._group is not None else set()
        if running.ended_by == "cancelled":
            return End("cancelled", ends.cancel_reason())
        if running.ended_by == "timed_out" and limit_seconds is not None:
            return End("failed", f"The step ran longer than {ends.duration(limit_seconds)}, its time limit.", code)
        if running.ended_by == "timed_out":
            return End("timed_out", ends.too_long(self._launch))
        if running.ended_by == "full":
            return End("failed", f"killed: {ends.by_disk(self._launch)}", code)
        if code != 0 and (reason := ends.by_limit(self._launch, lacking, code)) is not None:
            return End("failed", reason, code)
        if code is None:
            # Never green, and never the repository's fault, without the sandbox's own word on how the command ended.
            return End("errored", "The sandbox was not made or was killed; the end of the log may say why.")
        if not running.has_begun:
            if not self._has_code:
                for mirror in self._mirrors:
                    cage.touch(cage.SUSPECT, folder=mirror)
                return End("errored", "The commit could not be checked out; the log says why.", code)
            return End("failed", "The step could not begin; the log says why.", code)
        if code == 0:
            return End("passed", None, 0)
        return End("failed", ends.by_code(code), code)
