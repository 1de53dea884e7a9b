"""Whether a commit's message asks that nothing is run for it: in GitHub's own words, and read as strictly. Pure."""

from __future__ import annotations

import re

#: https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
_WORDS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]")
_TRAILER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*: ?\S.*")
_SKIP, _REQUEST = re.compile(r"skip-checks: ?true"), re.compile(r"request-checks: ?true")
#: A trailer after more lines than this is not looked for.
_MAX_TRAILERS = 100


def why_skipped(message: str) -> str | None:
    """Why nothing has to run for a commit with this message, in a sentence for people; None where it asks for nothing.

    One of five words anywhere, or `skip-checks: true` as the last trailer. `request-checks: true` in its place asks
    for all checks, whatever else is written.
    https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
    https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/collaborating-on-repositories-with-code-quality-features/about-status-checks
    """
    trailer = _last_trailer(message)
    if trailer is not None and _REQUEST.fullmatch(trailer):
        return None
    if trailer is not None and _SKIP.fullmatch(trailer):
        return "The commit's message ends with `skip-checks: true`."
    word = next((one for one in _WORDS if one in message), None)
    return None if word is None else f"The commit's message holds `{word}`."


def _last_trailer(message: str) -> str | None:
    """The last line, where it ends a block of trailers with two empty lines before it."""
    lines = message.replace("\r\n", "\n").rstrip().split("\n")
    at = len(lines)
    while at > 0 and len(lines) - at < _MAX_TRAILERS and _TRAILER.fullmatch(lines[at - 1].rstrip()):
        at -= 1
    has_block = at < len(lines) and at >= 2
    return lines[-1].rstrip() if has_block and not lines[at - 1].strip() and not lines[at - 2].strip() else None
