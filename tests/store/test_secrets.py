"""Secrets in the database: one for each place and name, the environment's first, and no more than a bounded number."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bot import errors
from bot.model import secret
from bot.store import secrets
from tests.factories import REPOSITORY_ID, make_secret


def of_job(connection: sa.Connection, *names: str, environment: str | None = None) -> list[secret.Secret]:
    return secrets.list_of_job(connection, repository_id=REPOSITORY_ID, environment=environment, names=names)


def test_one_of_an_environment_comes_before_that_of_the_repository(connection: sa.Connection) -> None:
    whole, here, other = make_secret(), make_secret(environment="here"), make_secret(name="OTHER", environment="here")
    for one in (other, here, whole, make_secret(repository_id=REPOSITORY_ID + 1, environment="here")):
        assert secrets.save(connection, one)
    assert of_job(connection, "TOKEN", "OTHER", environment="here") == [other, here]
    assert of_job(connection, "TOKEN", "OTHER", environment="there") == [whole]
    assert of_job(connection, "TOKEN", "OTHER") == [whole]
    assert of_job(connection) == []


def test_one_that_is_set_anew_takes_the_place_of_the_other(connection: sa.Connection) -> None:
    first = make_secret()
    secrets.save(connection, first)
    second = replace(first, sealed=b"anew", key_id="k2", updated_by="mona")
    assert not secrets.save(connection, second)
    assert of_job(connection, "TOKEN") == [second]


def test_what_was_changed_meanwhile_is_not_sealed_anew(connection: sa.Connection) -> None:
    first = make_secret()
    secrets.save(connection, first)
    (before,) = secrets.list_sealed_otherwise(connection, key_id="k2")
    secrets.save(connection, replace(first, sealed=b"anew"))
    assert not secrets.reseal(connection, before, key_id="k2", sealed=b"old value")
    assert [one.sealed for one in of_job(connection, "TOKEN")] == [b"anew"]
    (before,) = secrets.list_sealed_otherwise(connection, key_id="k2")
    assert secrets.reseal(connection, before, key_id="k2", sealed=b"anew, otherwise")
    assert secrets.list_sealed_otherwise(connection, key_id="k2") == []


def test_a_place_has_a_bounded_number(connection: sa.Connection) -> None:
    for number in range(secret.MAX_OF_PLACE):
        secrets.save(connection, make_secret(name=f"N{number}"))
    with pytest.raises(errors.Conflict, match="There are 100 secrets here already"):
        secrets.save(connection, make_secret(name="ONE_MORE"))
    assert not secrets.save(connection, make_secret(name="N7"))
    assert secrets.save(connection, make_secret(name="ONE_MORE", environment="here"))
    assert secrets.delete(connection, repository_id=REPOSITORY_ID, environment=None, name="N7")
    assert not secrets.delete(connection, repository_id=REPOSITORY_ID, environment=None, name="N7")
    assert secrets.save(connection, make_secret(name="ONE_MORE"))
