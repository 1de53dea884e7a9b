"""The promises of the engine contract, each as a function that breaks where a bench's engine does not keep it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

from bot import errors
from bot.conformance.bench import BABBLED, COUNTED, Bench, Way
from bot.conformance.following import Broken, Told, follow, run, until_output
from bot.engines import contract

Promise = Callable[[Bench], Awaitable[None]]
#: What no test gives: it looks like an id, and no job has it.
_NOBODY = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"


def _same(seen: object, wanted: object, what: str) -> None:
    if seen != wanted:
        raise Broken(f"{what}: {_short(seen)} instead of {_short(wanted)}.")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 500 else f"{text[:500]}…"


def _once_ended(told: Told) -> None:
    _same(sum(isinstance(event, contract.Finished) for event in told.events), 1, "How often the end was told")
    _same(isinstance(told.events[-1], contract.Finished), True, "Whether the end came last")


@contextlib.contextmanager
def _not_found(what: str) -> Iterator[None]:
    try:
        yield
    except errors.NotFound:
        return
    raise Broken(f"{what}: nothing was raised instead of `bot.errors.NotFound`.")


async def a_passing_job_ends_passed_with_its_events_in_order(bench: Bench) -> None:
    """What is tested comes first, then the steps with their output, then the end, and offsets only grow."""
    told = await run(bench.engine, bench.request(Way.PASSES))
    _same((told.result, told.end.reason), ("passed", None), "How it ended")
    _same(told.log, "passes\n", "The log")
    _same(told.events[0], told.prepared, "The first event")
    _same(told.steps[:2], [(0, "running"), (0, "passed")], "The first step")
    offsets = [event.offset for event in told.events]
    _same(offsets, sorted(set(offsets)), "The offsets")
    _once_ended(told)


async def a_failing_job_says_how_it_failed(bench: Bench) -> None:
    """A status that is not 0 fails the job, and the steps behind are skipped."""
    told = await run(bench.engine, bench.request(Way.FAILS))
    _same((told.result, told.reason, told.end.exit_code), ("failed", "exit status 3", 3), "How it ended")
    _same(told.steps, [(0, "running"), (0, "failed"), (1, "skipped")], "The steps")
    _once_ended(told)


async def a_job_that_overruns_ends_timed_out_once(bench: Bench) -> None:
    """The time limit is kept, and told in words."""
    told = await run(bench.engine, bench.request(Way.OVERRUNS))
    _same(told.result, "timed_out", "How it ended")
    # On a busy machine the limit may be reached before the step is.
    _same(told.steps[-1:] in ([], [(0, "timed_out")]), True, f"Whether the last step was cut off ({told.steps})")
    _same("0.4 seconds" in told.reason, True, f"Whether {told.reason!r} names the limit")
    _once_ended(told)


async def trouble_with_a_job_is_told_and_not_raised(bench: Bench) -> None:
    """A commit that is not there is the end of this job, in words, and no step of it ran."""
    told = await run(bench.engine, bench.request(Way.LACKS))
    _same(told.result, "errored", "How it ended")
    _same(bool(told.reason), True, "Whether it says why")
    _same(told.steps, [], "The steps")
    _once_ended(told)


async def a_second_start_does_nothing(bench: Bench) -> None:
    """Before the end, behind it and after a restart: one job id is one run."""
    request = bench.request(Way.PASSES)
    await asyncio.gather(*(bench.engine.start(request) for _ in range(5)))
    first = await follow(bench.engine, request.job_id)
    await bench.engine.start(request)
    await bench.restart()
    await bench.engine.start(request)
    again = await follow(bench.engine, request.job_id)
    _same((again.log_bytes, again.steps, again.end), (first.log_bytes, first.steps, first.end), "What is told then")


async def events_can_be_read_from_behind_each_of_them(bench: Bench) -> None:
    """Whoever goes on behind an event that it has seen gets the rest, without gap and repeat."""
    request = bench.request(Way.COUNTS)
    told = await run(bench.engine, request)
    _same(told.log_bytes, COUNTED, "The log")
    await bench.restart()
    for seen in range(len(told.events)):
        offset = told.events[seen - 1].offset if seen else 0
        rest = await follow(bench.engine, request.job_id, offset=offset)
        log = b"".join(event.data for event in told.events[:seen] if isinstance(event, contract.Output))
        log += b"".join(event.data for event in rest.events if isinstance(event, contract.Output))
        _same(log, COUNTED, f"The log, read on from behind event {seen}")
        _same(rest.events[-1], told.events[-1], "The end")


async def output_is_bytes_as_they_were_written(bench: Bench) -> None:
    """Carriage returns, escapes, zeros and what is no UTF-8 are data, and a last line needs no end."""
    told = await run(bench.engine, bench.request(Way.BABBLES))
    _same(told.log_bytes, BABBLED, "The log")


async def what_a_job_leaves_is_told_before_its_end_and_can_be_read_until_it_is_removed(bench: Bench) -> None:
    """Result files come behind the last step, also of a job that failed, with their size and their hash."""
    request = bench.request(Way.LEAVES)
    told = await run(bench.engine, request)
    left = told.events[-2]
    if not isinstance(left, contract.ResultFile):
        raise Broken(f"Before the end came {_short(left)}, and no result file.")
    _same((left.kind, left.path, left.size_bytes, left.problem), ("results", "summary.md", 4, None), "The file")
    _same(left.sha256, hashlib.sha256(b"left").hexdigest(), "Its hash")
    await bench.restart()
    again = await follow(bench.engine, request.job_id, offset=told.events[-3].offset)
    _same(again.events, [left, told.end], "What is told again")
    (found,) = (event for event in again.events if isinstance(event, contract.ResultFile))
    _same(await found.read() if found.read is not None else None, b"left", "What is in it")
    behind = await follow(bench.engine, request.job_id, offset=left.offset)
    _same(behind.events, [told.end], "What is told behind it")


async def several_can_follow_one_job_while_it_runs(bench: Bench) -> None:
    """All hear the same, and a new one hears it from the start."""
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    await until_output(bench.engine, request.job_id, b"ready")
    following = [asyncio.create_task(follow(bench.engine, request.job_id)) for _ in range(3)]
    await until_output(bench.engine, request.job_id, b"ready")
    await bench.engine.cancel(request.job_id, reason="seen enough")
    told = [await task for task in following]
    _same([one.log for one in told], ["ready\n"] * 3, "The logs")
    _same([one.end for one in told], [told[0].end] * 3, "The ends")


async def a_follower_that_leaves_disturbs_nobody(bench: Bench) -> None:
    """The job goes on, and others hear of it."""
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    leaving = asyncio.create_task(follow(bench.engine, request.job_id))
    await until_output(bench.engine, request.job_id, b"ready")
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await bench.engine.cancel(request.job_id, reason="seen enough")
    _same((await follow(bench.engine, request.job_id)).result, "cancelled", "How it ended")


async def a_running_job_goes_on_while_the_service_is_away(bench: Bench) -> None:
    """It is found after a restart, and can be ended then."""
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    await until_output(bench.engine, request.job_id, b"ready")
    await bench.restart()
    _same(await bench.engine.find(request.job_id), True, "Whether it is found")
    await bench.engine.cancel(request.job_id, reason="back again")
    told = await follow(bench.engine, request.job_id)
    _same((told.result, told.reason, told.log), ("cancelled", "back again", "ready\n"), "What is told of it")


async def an_unknown_job_is_not_found_and_has_no_events(bench: Bench) -> None:
    """Whoever forgets a job says so, and removing it again is no error."""
    _same(await bench.engine.find(_NOBODY), False, "Whether it is found")
    with _not_found("The events of an unknown job"):
        await follow(bench.engine, _NOBODY)
    await bench.engine.remove(_NOBODY)


async def a_lost_job_is_no_failed_job(bench: Bench) -> None:
    """Where what ran it vanished without a result, it is errored: nothing says that its commands failed, or passed."""
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    await until_output(bench.engine, request.job_id, b"ready")
    await bench.lose(request.job_id)
    told = await follow(bench.engine, request.job_id)
    _same((told.result, told.end.exit_code, told.log), ("errored", None, "ready\n"), "What is told of it")
    _same(bool(told.reason), True, "Whether it says why")
    _once_ended(told)
    _same((await follow(bench.engine, request.job_id)).end, told.end, "What is told again")


async def a_cancellation_before_the_start_is_remembered(bench: Bench) -> None:
    """Also over a restart, and nothing of the job runs."""
    request = bench.request(Way.UNKNOWN)
    await bench.engine.cancel(request.job_id, reason="the pull request was closed")
    _same(await bench.engine.find(request.job_id), False, "Whether it is found before it was started")
    await bench.restart()
    told = await run(bench.engine, request)
    _same((told.result, told.reason), ("cancelled", "the pull request was closed"), "How it ended")
    _same((told.log, told.steps), ("", []), "What it did")


async def a_cancellation_after_the_end_or_repeated_changes_nothing(bench: Bench) -> None:
    """The first one counts, and there is one end."""
    request = bench.request(Way.PASSES)
    first = await run(bench.engine, request)
    for _ in range(3):
        await bench.engine.cancel(request.job_id, reason="too late")
    _same((await follow(bench.engine, request.job_id)).end, first.end, "How it ended")
    staying = bench.request(Way.STAYS)
    await bench.engine.start(staying)
    await until_output(bench.engine, staying.job_id, b"ready")
    await asyncio.gather(*(bench.engine.cancel(staying.job_id, reason="now") for _ in range(5)))
    told = await follow(bench.engine, staying.job_id)
    _same((told.result, told.reason), ("cancelled", "now"), "How the other ended")
    _once_ended(told)


async def a_cancellation_at_once_after_the_start_ends_the_job(bench: Bench) -> None:
    """Whatever it is about just then."""
    request = bench.request(Way.STAYS)
    await bench.engine.start(request)
    await bench.engine.cancel(request.job_id, reason="at once")
    told = await follow(bench.engine, request.job_id)
    _same((told.result, told.reason), ("cancelled", "at once"), "How it ended")


async def a_cancellation_at_any_moment_gives_one_end(bench: Bench) -> None:
    """While it is prepared, while it runs, while it ends: it was cancelled, or it had passed, and never both."""
    for moment in range(12):
        request = bench.request(Way.PASSES)
        await bench.engine.start(request)
        seen = 0
        async for event in bench.engine.events(request.job_id):
            seen += 1
            if isinstance(event, contract.Finished):
                break
            if seen > moment // 2:
                await bench.engine.cancel(request.job_id, reason="now")
        if moment % 2:
            await bench.restart()
        told = await follow(bench.engine, request.job_id)
        _once_ended(told)
        if (told.result, told.end.reason) not in {("cancelled", "now"), ("passed", None)}:
            raise Broken(f"Cancelled behind event {moment // 2}, it ended {told.result}: {told.reason!r}.")


async def what_is_swept_is_had_again_and_disturbs_no_job(bench: Bench) -> None:
    """A sweep takes nothing from a job that runs, and what it takes is made anew."""
    now = datetime.now(UTC)
    staying = bench.request(Way.STAYS)
    await bench.engine.start(staying)
    await until_output(bench.engine, staying.job_id, b"ready")
    # It used its repository since then, whoever is to be kept.
    await bench.engine.sweep(keep=(), before=now)
    await bench.engine.cancel(staying.job_id, reason="seen enough")
    _same((await follow(bench.engine, staying.job_id)).result, "cancelled", "How it ended")
    for keep in (frozenset({staying.source.repository_id}), frozenset[int]()):
        await bench.engine.sweep(keep=keep, before=now + timedelta(days=1))
        _same((await run(bench.engine, bench.request(Way.PASSES))).result, "passed", "How the next one ended")


async def a_removed_job_is_forgotten(bench: Bench) -> None:
    """Removing it again is no error."""
    request = bench.request(Way.PASSES)
    await run(bench.engine, request)
    await bench.engine.remove(request.job_id)
    await bench.engine.remove(request.job_id)
    _same(await bench.engine.find(request.job_id), False, "Whether it is found")
    with _not_found("The events of a removed job"):
        await follow(bench.engine, request.job_id)


#: A job is started once, by its id.
STARTING: tuple[Promise, ...] = (
    a_passing_job_ends_passed_with_its_events_in_order,
    a_second_start_does_nothing,
    trouble_with_a_job_is_told_and_not_raised,
)
#: What happens is told in order, to everybody, and after a restart.
RUNNING: tuple[Promise, ...] = (
    events_can_be_read_from_behind_each_of_them,
    output_is_bytes_as_they_were_written,
    what_a_job_leaves_is_told_before_its_end_and_can_be_read_until_it_is_removed,
    several_can_follow_one_job_while_it_runs,
    a_follower_that_leaves_disturbs_nobody,
    a_running_job_goes_on_while_the_service_is_away,
    an_unknown_job_is_not_found_and_has_no_events,
)
#: A job can be cancelled at any moment, any number of times.
CANCELLING: tuple[Promise, ...] = (
    a_cancellation_before_the_start_is_remembered,
    a_cancellation_after_the_end_or_repeated_changes_nothing,
    a_cancellation_at_once_after_the_start_ends_the_job,
    a_cancellation_at_any_moment_gives_one_end,
)
#: How a job ended is told apart, and nothing is left of what is removed.
ENDING: tuple[Promise, ...] = (
    a_failing_job_says_how_it_failed,
    a_job_that_overruns_ends_timed_out_once,
    a_lost_job_is_no_failed_job,
    what_is_swept_is_had_again_and_disturbs_no_job,
    a_removed_job_is_forgotten,
)
#: All of them.
PROMISES: tuple[Promise, ...] = (*STARTING, *RUNNING, *CANCELLING, *ENDING)


def name(promise: Promise) -> str:
    """What a promise says, as a sentence would."""
    return str(getattr(promise, "__name__", promise)).replace("_", " ")
