"""Reads `on`: which events run the pipeline, and for which branches and tags."""

from __future__ import annotations

from collections.abc import Mapping

from bot.pipelines import cron, fields, globs, inputs, nodes, scalars, vocabulary
from bot.pipelines.document import Filter
from bot.pipelines.problems import Problems, did_you_mean, listed, quoted

#: Patterns of one key, and their characters together.
MAX_PATTERNS = 100
MAX_CHARACTERS = 4000
MAX_SCHEDULES = 20


def read(node: nodes.Node, *, problems: Problems) -> Mapping[str, Filter]:
    """The filter of each event that is named.

    https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#on
    """
    if isinstance(node, nodes.Mapping):
        found = {}
        for key, value in node.entries:
            if _is_event(key, problems):
                found[key.text] = _read(value, event=key, problems=problems)
        if not node.entries:
            problems.add(node.place, f"`on` names no event: write {listed(vocabulary.EVENTS, last='or')}.")
        return found
    named = fields.texts(node, what="`on`", problems=problems)
    for item, event in named:
        if event == "schedule":
            problems.add(item.place, _NO_CRON)
    return {
        event: Filter(line=item.place.line)
        for item, event in named
        if isinstance(item, nodes.Scalar) and _is_event(item, problems)
    }


def _is_event(node: nodes.Scalar, problems: Problems) -> bool:
    if node.text in vocabulary.EVENTS:
        return True
    if node.text in vocabulary.UNSUPPORTED_EVENTS:
        problems.add(
            node.place, f"The event {quoted(node.text)} is not supported: use {listed(vocabulary.EVENTS, last='or')}."
        )
    elif not problems.is_full:
        problems.add(node.place, f"{quoted(node.text)} is not an event. {did_you_mean(node.text, vocabulary.EVENTS)}")
    return False


_NO_CRON = "`schedule` needs times: write `schedule:` with a list, e.g. `- cron: '30 5 * * 1-5'`."


def _read(node: nodes.Node, *, event: nodes.Scalar, problems: Problems) -> Filter:
    if event.text == "schedule":
        return _schedule(node, event, problems)
    if event.text == "workflow_dispatch":
        read = inputs.read(node, problems=problems)
        return Filter(inputs=read, line=event.place.line, lines=fields.lines(node))
    return _filter(node, event=event, problems=problems)


def _schedule(node: nodes.Node, event: nodes.Scalar, problems: Problems) -> Filter:
    if not isinstance(node, nodes.Sequence) or not node.items:
        problems.add(event.place, _NO_CRON)
        return Filter(line=event.place.line)
    if len(node.items) > MAX_SCHEDULES:
        problems.add(event.place, f"There are {len(node.items)} times: at most {MAX_SCHEDULES}.")
        return Filter(line=event.place.line)
    crons = []
    for item in node.items:
        given = fields.keys(item, of=vocabulary.SCHEDULE, problems=problems) or {}
        if "cron" not in given:
            problems.add(item.place, _NO_CRON)
            continue
        text = fields.text(given["cron"], what="`cron`", problems=problems)
        wrong = None if text is None else cron.problem(text)
        if wrong is not None:
            problems.add(given["cron"].place, wrong)
        elif text is not None:
            crons.append(" ".join(text.split()))
    return Filter(crons=tuple(dict.fromkeys(crons)), line=event.place.line)


def _filter(node: nodes.Node, *, event: nodes.Scalar, problems: Problems) -> Filter:
    if scalars.is_null(node):
        return Filter(line=event.place.line)
    found = fields.keys(node, of=vocabulary.EVENTS[event.text], problems=problems) or {}
    patterns = {
        key: _patterns(value, what=f"`on.{event.text}.{key}`", problems=problems)
        for key, value in found.items()
        if key not in ("types", "drafts", "comment")
    }
    for key in {"paths", "paths-ignore"} & found.keys():
        _check_places(found[key], patterns[key], key=key, problems=problems)
    for key in ("branches", "tags", "paths"):
        if key in found and f"{key}-ignore" in found:
            problems.add(
                found[f"{key}-ignore"].place,
                f"`{key}` and `{key}-ignore` exclude each other: keep `{key}` and begin what to leave out with `!`.",
            )
    types = _types(found["types"], event=event.text, problems=problems) if "types" in found else None
    drafts = _drafts(found["drafts"], types, problems) if "drafts" in found else True
    comment = _comment(found["comment"], problems) if "comment" in found else False
    return Filter(
        branches=patterns.get("branches"),
        branches_ignore=patterns.get("branches-ignore"),
        tags=patterns.get("tags"),
        tags_ignore=patterns.get("tags-ignore"),
        paths=patterns.get("paths"),
        paths_ignore=patterns.get("paths-ignore"),
        types=types,
        drafts=drafts,
        comment=comment,
        line=event.place.line,
        lines=fields.lines(node),
    )


def _check_places(node: nodes.Node, patterns: tuple[str, ...], *, key: str, problems: Problems) -> None:
    for pattern in patterns:
        if pattern.removeprefix("!").startswith(("/", "./")):
            text = f"{quoted(pattern)} in `{key}` matches nothing: write the path from the repository's root, without"
            problems.add(node.place, f"{text} `/` or `./` before it.")


def _types(node: nodes.Node, *, event: str, problems: Problems) -> tuple[str, ...]:
    known, unsupported = vocabulary.TYPES[event], vocabulary.UNSUPPORTED_TYPES
    found = fields.texts(node, what=f"`on.{event}.types`", problems=problems)
    for item, one in found:
        if one in known or problems.is_full:
            continue
        why = f"The type {quoted(one)} is not supported: {unsupported[one]}." if one in unsupported else None
        problems.add(item.place, why or f"{quoted(one)} is not a type of `{event}`. {did_you_mean(one, known)}")
    return tuple(dict.fromkeys(one for _, one in found))


def _drafts(node: nodes.Node, types: tuple[str, ...] | None, problems: Problems) -> bool:
    drafts = scalars.boolean(node)
    if drafts is None:
        problems.add(node.place, "`drafts` has to be `true` or `false`, without quotes.")
        return True
    if not drafts and types is not None and "ready_for_review" not in types:
        problems.add(
            node.place,
            "With `drafts: false` a draft is built when it becomes ready: add `ready_for_review` to `types`.",
        )
    return drafts


def _comment(node: nodes.Node, problems: Problems) -> bool:
    comment = scalars.boolean(node)
    if comment is None:
        problems.add(node.place, "`comment` has to be `true` or `false`, without quotes.")
    return comment is True


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
