"""Reads `reports` of a job: which files of the workspace tell what became of it."""

from __future__ import annotations

from bot.model import job
from bot.pipelines import fields, globs, nodes, vocabulary
from bot.pipelines.problems import Problems, quoted

MAX_GLOBS = 20


def read(node: nodes.Node, problems: Problems) -> job.Reports:
    """The globs by kind: each a single one or a list, relative to the root of the repository.

    They are those of `on.push.paths`: https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#filter-pattern-cheat-sheet
    """
    given = fields.keys(node, of=vocabulary.REPORTS, problems=problems) or {}
    return job.Reports(**{kind: _globs(kind, value, problems) for kind, value in given.items()})


def _globs(kind: str, node: nodes.Node, problems: Problems) -> tuple[str, ...]:
    found: list[str] = []
    texts = fields.texts(node, what=f"`{kind}`", problems=problems)
    if len(texts) > MAX_GLOBS:
        problems.add(node.place, f"`{kind}` has {len(texts)} globs: at most {MAX_GLOBS}.")
        return ()
    for item, text in texts:
        text = text.strip()
        glob = text.removeprefix("!").removeprefix("./")
        if glob.startswith("/") or ".." in glob.split("/"):
            problems.add(
                item.place,
                f"{quoted(text)} leads out of the repository: write it relative to its root, or have the file written"
                " to the folder `$BUILDHOOK_RESULTS`.",
            )
            continue
        try:
            globs.compiled(glob)
        except globs.PatternError as error:
            problems.add(item.place, f"{quoted(text)} is no pattern: {error}")
            continue
        found.append(f"!{glob}" if text.startswith("!") else glob)
    if found and all(one.startswith("!") for one in found):
        problems.add(node.place, f"`{kind}` only leaves files out: write first which ones are meant.")
    return tuple(found)
