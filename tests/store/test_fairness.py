"""Whatever one repository has waiting: another one's oldest delivery and job are claimed in the first round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.model import delivery, job
from bot.store import builds, deliveries, idle, inbox_list, jobs
from tests.factories import NOW, make_build, make_job, make_verified_delivery, new_guid
from tests.store import database

MINUTE = timedelta(minutes=1)
#: Repositories in the order in which what waits of them came; 1 is the noisy one.
QUEUES = st.lists(st.sampled_from([1] * 6 + [2, 3, 4, None]), min_size=1, max_size=60)


def _receive(connection: sa.Connection, queue: Sequence[int | None]) -> None:
    new = []
    for one in queue:
        guid = new_guid()
        new.append(make_verified_delivery(guid=guid, repository_id=one, ordering_key=guid))
    deliveries.insert_many(connection, new)


def _oldest(connection: sa.Connection) -> dict[int | None, int]:
    waiting = [one for one in inbox_list.list_newest(connection, limit=1000) if one.state == delivery.State.RECEIVED]
    return {one.repository_id: one.seq for one in waiting}


@settings(deadline=None, max_examples=40)
@example(queue=[1, 1, None], more=0, busy=0)
@given(queue=QUEUES, more=st.integers(0, 8), busy=st.integers(0, 16))
def test_f62_the_oldest_delivery_of_each_repository_is_claimed_at_once(
    queue: list[int | None], more: int, busy: int
) -> None:
    with database.fresh() as connection:
        _receive(connection, queue)
        oldest = _oldest(connection)
        claimed = deliveries.claim_next(
            connection,
            now=NOW,
            owner="octo",
            lease=MINUTE,
            limit=len(oldest) + more,
            most_each=16,
            busy={1: busy},
        )
        wanted = {seq for repository_id, seq in oldest.items() if repository_id != 1 or busy < 16}
        assert wanted <= {one.seq for one in claimed}
        assert Counter(one.repository_id for one in claimed)[1] <= 16 - busy
        # No place stays empty while something waits that may take it.
        places, left = len(oldest) + more, Counter(queue)
        left[1] = min(left[1], 16 - busy)
        assert len(claimed) == min(places, left.total())


@settings(deadline=None, max_examples=25)
@given(queue=QUEUES.map(lambda queue: [one or 5 for one in queue]), more=st.integers(0, 4), running=st.integers(0, 3))
def test_f62_the_oldest_job_of_each_repository_is_claimed_at_once(queue: list[int], more: int, running: int) -> None:
    with database.fresh() as connection:
        for number in range(running):
            made = builds.insert(connection, make_build(repository_id=1, head_sha=f"{number:040x}"))
            jobs.insert_many(connection, [make_job(build_id=made.id, state=job.State.RUNNING)])
        oldest: dict[int, str] = {}
        for number, repository_id in enumerate(queue):
            made = builds.insert(connection, make_build(repository_id=repository_id, head_sha=f"{number + 9:040x}"))
            new = make_job(build_id=made.id)
            jobs.insert_many(connection, [new])
            oldest.setdefault(repository_id, new.id)
        others = {job_id for repository_id, job_id in oldest.items() if repository_id != 1}
        claimed = jobs.claim_ready(connection, now=NOW, owner="octo", lease=MINUTE, limit=len(oldest) + more)
        assert others <= {one.id for one in claimed}
        assert len(claimed) == min(len(oldest) + more, len(queue))


def test_f55_what_nothing_follows_from_is_settled_at_once_and_the_rest_left_alone(connection: sa.Connection) -> None:
    events = ["star", "push", "watch", "star", "push", "star"]
    new = [make_verified_delivery(event=event, ordering_key=new_guid()) for event in events]
    deliveries.insert_many(connection, new)

    def why(event: str, action: str | None) -> str | None:
        return None if event == "push" else f"Nobody takes {event}."

    first = idle.ignore_idle(connection, why=why, now=NOW, limit=4)
    assert first == {"star": 2, "watch": 1}
    assert idle.ignore_idle(connection, why=why, now=NOW, limit=4) == {"star": 1}
    assert idle.ignore_idle(connection, why=why, now=NOW, limit=4) == {}
    found = {one.seq: one for one in inbox_list.list_newest(connection, limit=9)}
    told = [(found[seq].state.value, found[seq].reason, found[seq].trail) for seq in sorted(found)]
    ignored = [("ignored", f"Nobody takes {event}.", (f"Nobody takes {event}.",)) for event in events]
    assert told == [("received", None, ()) if event == "push" else ignored[at] for at, event in enumerate(events)]
    assert deliveries.backlog(connection).rows == 2


def test_f55_what_is_being_handled_is_not_settled_beside_it(connection: sa.Connection) -> None:
    deliveries.insert_many(connection, [make_verified_delivery(event="star")])
    (claimed,) = deliveries.claim_next(connection, now=NOW, owner="octo", lease=MINUTE, limit=1)
    assert idle.ignore_idle(connection, why=lambda *_: "No.", now=NOW, limit=4) == {}
    deliveries.finish(connection, claimed, state=delivery.State.IGNORED, now=NOW, trail=("Done.",))
