"""Where builds are reported: a repository's name and installation are labels that change, its id decides."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import outcome
from bot.store import hints
from bot.store.schema import answers, builds, checks, schedules


def move(connection: Connection, wanted: outcome.Move) -> None:
    """Let all that there is of a repository go on under another name and installation, what has ended as well.

    An old build may be run again, and its page belongs to the repository.
    """
    for table in (answers, builds, checks, schedules):
        connection.execute(
            sa.update(table)
            .where(
                table.c.repository_id == wanted.repository_id,
                sa.or_(table.c.repository != wanted.repository, table.c.installation_id != wanted.installation_id),
            )
            .values(repository=wanted.repository, installation_id=wanted.installation_id)
        )


def give_up(connection: Connection, wanted: outcome.Farewell) -> None:
    """Give up what GitHub does not show of a repository yet: there is no place left for it."""
    connection.execute(sa.delete(schedules).where(schedules.c.repository_id == wanted.repository_id))
    for table in (answers, checks):
        connection.execute(
            sa.update(table)
            .where(table.c.repository_id == wanted.repository_id, table.c.reported_version < table.c.desired_version)
            .values(reported_version=table.c.desired_version, error=wanted.reason, attempts=0)
        )


def revive(connection: Connection, wanted: outcome.Revival, *, now: datetime) -> None:
    """Have the checks sent now that were given up or put off for long, as they are by now.

    Answers that were put off as well; whoever gave a command that was answered nowhere has seen the checks since.
    """
    is_there = checks.c.installation_id == wanted.installation_id
    if wanted.repository_id is not None:
        is_there = sa.and_(is_there, checks.c.repository_id == wanted.repository_id)
    newer = checks.alias("newer")
    has_newer = sa.exists().where(
        newer.c.repository_id == checks.c.repository_id,
        newer.c.head_sha == checks.c.head_sha,
        newer.c.name == checks.c.name,
        newer.c.generation > checks.c.generation,
    )
    is_given_up = checks.c.reported_version >= checks.c.desired_version
    failed = sa.update(checks).where(is_there, checks.c.error.is_not(None))
    connection.execute(failed.where(~is_given_up).values(next_attempt_at=None))
    # Only what is told last of a commit: an older check would be shown for a moment, and then taken back.
    again = failed.where(is_given_up, ~has_newer)
    connection.execute(
        again.values(desired_version=checks.c.desired_version + 1, wanted_at=now, next_attempt_at=None, attempts=0)
    )
    hints.give(connection, hints.Word.CHECKS)
    is_answer = answers.c.installation_id == wanted.installation_id
    if wanted.repository_id is not None:
        is_answer = sa.and_(is_answer, answers.c.repository_id == wanted.repository_id)
    is_unsent = answers.c.reported_version < answers.c.desired_version
    connection.execute(sa.update(answers).where(is_answer, is_unsent).values(next_attempt_at=None))
    hints.give(connection, hints.Word.ANSWERS)
