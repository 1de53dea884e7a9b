"""An answer: the one comment of ours on a pull request, as it should be, and as GitHub last acknowledged it.

It tells of commands, and where the base branch wants that, of the newest build.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

#: How many commands an answer tells of, the newest.
KEPT_ENTRIES = 10


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One command, and what followed from it."""

    #: GitHub's id of the comment that it stood in.
    comment_id: int
    #: Login of whoever gave it: a label.
    sender: str
    sender_id: int
    #: When it was answered.
    at: datetime
    #: As it was written: hostile text.
    command: str
    #: What followed, or why nothing did: a sentence for people.
    text: str
    is_taken: bool
    #: The build that it made.
    build_id: str | None = None
    #: Further sentences, each with a line of its own.
    lines: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer on one pull request as stored: keyed by (repository id, number)."""

    repository_id: int
    pull_number: int
    installation_id: int
    #: `owner/name`: a label, used in the URL of the call.
    repository: str
    #: Oldest first; none where nobody gave a command.
    entries: tuple[Entry, ...]
    #: Whether somebody deleted the comment while it showed builds: it does not show them again.
    hides_builds: bool = False
    #: GitHub's id of our comment, once acknowledged.
    github_id: int | None = None
    #: Grows with each change of what should be shown.
    desired_version: int = 1
    #: The version that GitHub acknowledged; 0 before the first.
    reported_version: int = 0
    #: When GitHub last acknowledged anything.
    sent_at: datetime | None = None
    #: Since when GitHub may hold a comment of ours whose id we never learnt; None where that cannot be.
    create_begun_at: datetime | None = None
    #: Since when GitHub does not show it as it should; of what it shows, since when it did not before.
    wanted_at: datetime
    attempts: int = 0
    next_attempt_at: datetime | None = None
    error: str | None = None
    epoch: int = 0

    @property
    def id(self) -> int:
        """A number that differs from answer to answer, mostly."""
        return self.pull_number

    @property
    def is_stale(self) -> bool:
        """Whether GitHub does not yet show what it should."""
        return self.reported_version < self.desired_version
