"""Reads `on`: which events run the pipeline, and for which branches and tags."""

from __future__ import annotations

from collections.abc import Mapping

from bot.pipelines import fields, globs, nodes, scalars, vocabulary
from bot.pipelines.document import Filter
from bot.pipelines.problems import Problems, did_you_mean, listed, quoted

#: Patterns of one key, and their characters together.
MAX_PATTERNS = 100
MAX_CHARACTERS = 4000


def read(node: nodes.Node, *, problems: Problems) -> Mapping[str, Filter]:
    """The filter of each event that is named.

    https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#on
    """
    if isinstance(node, nodes.Mapping):
        found = {}
        for key, value in node.entries:
            if _is_event(key, problems):
                found[key.text] = _filter(value, event=key.text, problems=problems)
        if not node.entries:
            problems.add(node.place, f"`on` names no event: write {listed(vocabulary.EVENTS, last='or')}.")
        return found
    named = fields.texts(node, what="`on`", problems=problems)
    return {event: Filter() for item, event in named if isinstance(item, nodes.Scalar) and _is_event(item, problems)}


def _is_event(node: nodes.Scalar, problems: Problems) -> bool:
    if node.text in vocabulary.EVENTS:
        return True
    if node.text in vocabulary.UNSUPPORTED_EVENTS:
        problems.add(node.place, f"The event {quoted(node.text)} is not supported: use `push` or `pull_request`.")
    elif not problems.is_full:
        problems.add(node.place, f"{quoted(node.text)} is not an event. {did_you_mean(node.text, vocabulary.EVENTS)}")
    return False


def _filter(node: nodes.Node, *, event: str, problems: Problems) -> Filter:
    if scalars.is_null(node):
        return Filter()
    found = fields.keys(node, of=vocabulary.EVENTS[event], problems=problems) or {}
    patterns = {key: _patterns(value, what=f"`on.{event}.{key}`", problems=problems) for key, value in found.items()}
    for key in ("branches", "tags"):
        if key in found and f"{key}-ignore" in found:
            problems.add(
                found[f"{key}-ignore"].place,
                f"`{key}` and `{key}-ignore` exclude each other: keep `{key}` and begin what to leave out with `!`.",
            )
    return Filter(
        branches=patterns.get("branches"),
        branches_ignore=patterns.get("branches-ignore"),
        tags=patterns.get("tags"),
        tags_ignore=patterns.get("tags-ignore"),
    )


def _patterns(node: nodes.Node, *, what: str, problems: Problems) -> tuple[str, ...]:
    found = fields.texts(node, what=what, problems=problems)
    if len(found) > MAX_PATTERNS:
        problems.add(node.place, f"{what} has {len(found)} patterns: at most {MAX_PATTERNS}.")
        return ()
    if sum(len(pattern) for _, pattern in found) > MAX_CHARACTERS:
        problems.add(node.place, f"The patterns of {what} have more than {MAX_CHARACTERS} characters: write fewer.")
        return ()
    for item, pattern in found:
        try:
            globs.compiled(pattern.removeprefix("!"))
        except globs.PatternError as wrong:
            problems.add(item.place, f"The pattern {quoted(pattern)} is wrong: {wrong}")
    if found and all(pattern.startswith("!") for _, pattern in found):
        problems.add(
            node.place,
            f"{what} only leaves out: name first what to take, e.g. `'**'`, patterns with `!` come after it.",
        )
    return tuple(pattern for _, pattern in found)
