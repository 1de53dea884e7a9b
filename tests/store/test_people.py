"""People who sign in: found by digests only, each proof once or for its time, and nothing of anybody else is ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot import errors
from bot.model import person
from bot.store import people
from bot.store.people_tables import logins
from tests.factories import NOW, make_account, make_api_token, make_login, make_sign_in

MINUTE = timedelta(minutes=1)
OTHER_ID = 99


def _digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_t93_a_login_comes_back_once(connection: sa.Connection) -> None:
    begun = make_login()
    people.begin_login(connection, begun, most=9)
    assert people.take_login(connection, b"x" * 32, now=NOW) is None
    assert people.take_login(connection, begun.state_digest, now=NOW) == begun
    assert people.take_login(connection, begun.state_digest, now=NOW) is None


def test_t93_a_login_that_took_too_long_is_over(connection: sa.Connection) -> None:
    people.begin_login(connection, make_login(), most=9)
    assert people.take_login(connection, make_login().state_digest, now=NOW + person.LOGIN) is None


def test_strangers_who_begin_to_log_in_cannot_fill_the_disk(connection: sa.Connection) -> None:
    for number in range(5):
        begun = make_login(state_digest=_digest(number), expires_at=NOW + number * MINUTE)
        people.begin_login(connection, begun, most=3)
    assert set(connection.execute(sa.select(logins.c.state_digest)).scalars()) == {_digest(one) for one in (2, 3, 4)}


def test_an_account_is_kept_as_it_was_seen_last(connection: sa.Connection) -> None:
    assert people.find_account(connection, make_account().user_id) is None
    people.save_account(connection, make_account())
    renamed = make_account(login="hubot", refresh_token=None, refresh_expires_at=None)
    people.save_account(connection, renamed)
    assert people.find_account(connection, renamed.user_id) == renamed


def test_tokens_are_changed_for_new_ones_by_one_at_a_time(connection: sa.Connection) -> None:
    people.save_account(connection, one := make_account())

    def claim(after: timedelta) -> bool:
        return people.claim_refresh(connection, one.user_id, now=NOW + after, until=NOW + after + MINUTE)

    assert [claim(timedelta()), claim(MINUTE / 2), claim(MINUTE), claim(MINUTE)] == [True, False, True, False]
    # Whoever got new ones has set it free.
    people.save_account(connection, one)
    assert claim(MINUTE)


def test_t96_a_sign_in_is_over_by_its_time_or_unused_or_by_hand(connection: sa.Connection) -> None:
    people.save_account(connection, make_account())
    one = make_sign_in()
    people.insert_sign_in(connection, one, digest=_digest(1))
    assert people.find_sign_in(connection, _digest(1), now=NOW) == one
    assert people.find_sign_in(connection, _digest(2), now=NOW) is None
    assert people.find_sign_in(connection, _digest(1), now=NOW + person.IDLE) is None
    day = NOW
    while day < one.expires_at - person.IDLE:
        day += person.IDLE - MINUTE
        people.note_seen(connection, one.id, now=day)
        assert people.find_sign_in(connection, _digest(1), now=day) is not None
    assert people.find_sign_in(connection, _digest(1), now=one.expires_at) is None
    people.delete_sign_in(connection, one.id, user_id=OTHER_ID)
    assert people.find_sign_in(connection, _digest(1), now=day) is not None
    people.delete_sign_in(connection, one.id, user_id=one.user_id)
    assert people.find_sign_in(connection, _digest(1), now=day) is None


def test_that_a_sign_in_was_used_is_written_once_a_minute(connection: sa.Connection) -> None:
    people.save_account(connection, make_account())
    people.insert_sign_in(connection, one := make_sign_in(), digest=_digest(1))
    seen = []
    for after in (MINUTE / 2, MINUTE, 3 * MINUTE / 2):
        people.note_seen(connection, one.id, now=NOW + after)
        (listed,) = people.list_sign_ins(connection, one.user_id, now=NOW)
        seen.append(listed.seen_at)
    assert seen == [NOW, NOW + MINUTE, NOW + MINUTE]


def test_of_too_many_sign_ins_the_one_that_was_used_longest_ago_ends(connection: sa.Connection) -> None:
    people.save_account(connection, make_account())
    for number in range(people.MAX_SIGN_INS + 2):
        new = make_sign_in(seen_at=NOW + number * timedelta(seconds=1))
        people.insert_sign_in(connection, new, digest=_digest(number))
    assert len(people.list_sign_ins(connection, new.user_id, now=NOW)) == people.MAX_SIGN_INS
    found = [people.find_sign_in(connection, _digest(number), now=NOW) is not None for number in range(4)]
    assert found == [False, False, True, True]


def test_t103_an_api_token_is_found_by_its_digest_until_it_is_over(connection: sa.Connection) -> None:
    people.save_account(connection, make_account())
    one = make_api_token(scopes=(person.Scope.READ, person.Scope.WRITE))
    people.insert_token(connection, one, digest=_digest(1))
    assert people.find_token(connection, _digest(1), now=NOW) == one
    assert people.find_token(connection, _digest(1), now=one.expires_at) is None
    people.note_used(connection, one.id, now=NOW + MINUTE)
    assert [each.used_at for each in people.list_tokens(connection, one.user_id)] == [NOW + MINUTE]
    people.delete_token(connection, one.id, user_id=OTHER_ID)
    assert people.find_token(connection, _digest(1), now=NOW) is not None
    people.delete_token(connection, one.id, user_id=one.user_id)
    assert people.find_token(connection, _digest(1), now=NOW) is None


def test_nobody_has_more_api_tokens_than_anybody_needs(connection: sa.Connection) -> None:
    people.save_account(connection, make_account())
    for number in range(people.MAX_TOKENS):
        people.insert_token(connection, make_api_token(), digest=_digest(number))
    with pytest.raises(errors.Conflict, match="delete one"):
        people.insert_token(connection, make_api_token(), digest=_digest(999))


def test_the_sweep_forgets_what_is_over_and_names_who_is_left_with_nothing(connection: sa.Connection) -> None:
    for user_id in (1, 2, 3):
        people.save_account(connection, make_account(user_id=user_id))
    people.begin_login(connection, make_login(), most=9)
    people.insert_sign_in(connection, make_sign_in(user_id=1), digest=_digest(1))
    people.insert_sign_in(connection, make_sign_in(user_id=2, expires_at=NOW + MINUTE), digest=_digest(2))
    people.insert_token(connection, make_api_token(user_id=2), digest=_digest(3))
    people.insert_sign_in(connection, make_sign_in(user_id=3, seen_at=NOW - person.IDLE), digest=_digest(4))
    assert people.sweep(connection, now=NOW + person.LOGIN) == [3]
    assert people.take_login(connection, make_login().state_digest, now=NOW) is None
    assert [len(people.list_sign_ins(connection, one, now=NOW)) for one in (1, 2, 3)] == [1, 0, 0]
    people.delete_account(connection, 2)
    assert people.find_account(connection, 2) is None
    assert people.list_tokens(connection, 2) == []
