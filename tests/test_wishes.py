"""What people cause is written down with its key: a death at any line does it once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from bot import errors, wishes
from bot.model import audit, build, job
from bot.store import Store, builds, inbox_list, jobs, outcomes, requests
from bot.web import Actions
from tests import factories
from tests.factories import NOW

BY = audit.Actor(via=audit.Via.API, id=5, name="mona")
FINGERPRINT = b"f" * 32


@pytest.fixture
def actions(store: Store) -> Actions:
    """On the database, with nobody to wake."""
    return wishes.actions(
        store, now=lambda: NOW, new_id=factories.new_id, wake_dispatcher=lambda: None, wake_scheduler=lambda: None
    )


async def claim(
    store: Store, *, key: bytes = b"k" * 32, at: datetime = NOW, fingerprint: bytes = FINGERPRINT
) -> tuple[requests.Claimed, requests.Verdict]:
    """An attempt."""
    claimed = requests.Claimed(caller=5, digest=key, token=factories.new_id())
    found = await store.write(requests.claim, claimed, fingerprint=fingerprint, now=at)
    return claimed, found.verdict


async def ended(store: Store) -> build.Build:
    """A build that failed."""
    new = factories.make_new_build(factories.make_build(plan_digest="d" * 64))
    await store.write(outcomes.create, new, now=NOW)
    await store.write(jobs.save, replace(new.jobs[0], state=job.State.FAILED, finished_at=NOW))
    state = build.State.FAILED
    await store.write(builds.save_state, new.build.id, state=state, started_at=NOW, finished_at=NOW)
    return new.build


async def test_f77_what_was_done_before_a_death_is_not_done_again(store: Store, actions: Actions) -> None:
    made = await ended(store)
    later = NOW + requests.LEASE

    async def retry(of: requests.Claimed) -> str:
        return await actions.once(of).retry(made.id, False, BY)

    async def start(of: requests.Claimed) -> str:
        return await actions.once(of).start("octo/hello", "main", {}, BY)

    for key, ask in ((b"r" * 32, retry), (b"s" * 32, start)):
        dead, verdict = await claim(store, key=key)
        assert verdict == requests.Verdict.CLAIMED
        first = await ask(dead)
        # It died before it answered: whoever comes at once has to wait for it.
        assert (await claim(store, key=key))[1] == requests.Verdict.UNDER_WAY
        again, verdict = await claim(store, key=key, at=later)
        assert verdict == requests.Verdict.CLAIMED
        assert await ask(again) == first
        # And it was not dead after all.
        with pytest.raises(errors.Conflict, match="sent again"):
            await ask(dead)
        await store.write(requests.keep, dead, status=500, answer=b"late", now=later)
        await store.write(requests.keep, again, status=201, answer=b"{}", now=later)
        claimed = replace(again, token=factories.new_id())
        found = await store.write(requests.claim, claimed, fingerprint=FINGERPRINT, now=later)
        assert (found.verdict, found.status, found.answer) == (requests.Verdict.ANSWERED, 201, b"{}")
    assert len(await store.read(builds.list_newest, limit=9)) == 2
    assert len(await store.read(inbox_list.list_newest, limit=9)) == 1


async def test_what_was_refused_is_written_nowhere(store: Store, actions: Actions) -> None:
    made = await ended(store)
    claimed, _ = await claim(store)
    with pytest.raises(errors.Conflict, match="ended"):
        await actions.once(claimed).cancel(made.id, BY)
    await store.write(requests.release, claimed, now=NOW)
    # Its key is free, for another request too.
    assert (await claim(store, fingerprint=b"g" * 32))[1] == requests.Verdict.CLAIMED


async def test_what_was_done_and_could_not_be_answered_is_told_at_once(store: Store, actions: Actions) -> None:
    await ended(store)
    claimed, _ = await claim(store)
    asked = await actions.once(claimed).start("octo/hello", "main", {}, BY)
    await store.write(requests.release, claimed, now=NOW)
    again, verdict = await claim(store)
    assert (verdict, await actions.once(again).start("octo/hello", "main", {}, BY)) == ("claimed", asked)


async def test_a_long_answer_is_made_anew_and_old_ones_are_deleted(store: Store, actions: Actions) -> None:
    await ended(store)
    claimed, _ = await claim(store)
    asked = await actions.once(claimed).start("octo/hello", "main", {}, BY)
    long = b"x" * (requests.MAX_ANSWER_BYTES + 1)
    await store.write(requests.keep, claimed, status=200, answer=long, now=NOW)
    again, verdict = await claim(store)
    assert (verdict, await actions.once(again).start("octo/hello", "main", {}, BY)) == ("claimed", asked)
    await claim(store, key=b"new" + b"k" * 29, at=NOW + timedelta(hours=1))
    assert await store.write(requests.delete_expired, before=NOW, limit=9) == 1
    assert await store.write(requests.delete_expired, before=NOW, limit=9) == 0
    assert (await claim(store, fingerprint=b"g" * 32))[1] == requests.Verdict.CLAIMED
