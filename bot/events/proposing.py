"""What would run once somebody consents, and how the head's pipeline file differs from the one that decides. Pure."""

from __future__ import annotations

import difflib

from bot.model import approval
from bot.pipelines import parse, plan

#: A difference of longer files is not looked for: the time that it takes grows with the product of their lines.
_MAX_LINES = 500
#: So much of it is kept; the check shows less where it has to.
_MAX_CHANGES = 200
_MAX_LINE = 300


def make(
    made: plan.Plan, *, consent: approval.Consent, file_sha: str, deciding: bytes | None, at_head: bytes | None
) -> approval.Proposal:
    """The proposal.

    :param file_sha: the commit whose pipeline file decides.
    :param deciding: that file; None where there is none.
    :param at_head: the pipeline file of the head; None where there is none.
    """
    return approval.Proposal(
        consent=consent,
        jobs=tuple(one.name for one in made.jobs),
        file_sha=file_sha,
        digest=plan.digest(made),
        changes=() if deciding == at_head else changes(deciding or b"", at_head or b""),
    )


def changes(before: bytes, after: bytes) -> tuple[str, ...]:
    """The lines of a unified diff from one pipeline file to the other, bounded in every direction."""
    old, new = (one.decode("utf-8", "replace").splitlines() for one in (before, after))
    if max(len(old), len(new)) > _MAX_LINES:
        return ("@@ The file is too long for its changes to be shown. @@",)
    lines = difflib.unified_diff(old, new, f"a/{parse.PATH}", f"b/{parse.PATH}", lineterm="")
    found = [line[:_MAX_LINE] for line in lines]
    if len(found) > _MAX_CHANGES:
        return (*found[:_MAX_CHANGES], f"@@ … and {len(found) - _MAX_CHANGES} more lines @@")
    return tuple(found)
