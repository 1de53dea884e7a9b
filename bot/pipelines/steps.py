"""Reads the steps of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from bot.expressions import names, templates
from bot.model import job
from bot.pipelines import fields, nodes, scalars, vocabulary
from bot.pipelines import templates as reading
from bot.pipelines.problems import Problems, did_you_mean, quoted

MAX_TIMEOUT_MINUTES = 4320
MINUTES = f"a number of minutes above 0 and at most {MAX_TIMEOUT_MINUTES}"
_MAX_STEP_NAME = 80
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_CHECKOUT = "actions/checkout"


class Defaults(msgspec.Struct, frozen=True):
    """What a step has where it does not say otherwise: that of the pipeline, then that of the job.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#defaultsrun
    """

    shell: str | None = None
    working_directory: str = "."
    #: An expression that gives the folder.
    late_folder: str | None = None


class Read(msgspec.Struct, frozen=True):
    """A step, and what of it an expression gives when a build is planned."""

    step: job.Step
    late: Mapping[str, str]


def defaults(node: nodes.Node | None, *, before: Defaults, place: names.Place, problems: Problems) -> Defaults:
    """What `defaults` says, over what was said before."""
    if node is None:
        return before
    outer = fields.keys(node, of=vocabulary.DEFAULTS, problems=problems) or {}
    if "run" not in outer:
        return before
    given = fields.keys(outer["run"], of=vocabulary.DEFAULTS_RUN, problems=problems) or {}
    chosen = _shell(given["shell"], problems) if "shell" in given else before.shell
    if "working-directory" not in given:
        return Defaults(chosen, before.working_directory, before.late_folder)
    late = _late(given["working-directory"], place=place, problems=problems)
    return Defaults(chosen, "." if late else folder(given["working-directory"], problems), late)


def read(node: nodes.Node, *, defaults: Defaults, problems: Problems) -> list[Read]:
    """The steps of a job, in order, without those that check the code out: it is there."""
    if not isinstance(node, nodes.Sequence) or not node.items:
        problems.add(node.place, "`steps` has to be a list with at least one step, e.g. `- run: make test`.")
        return []
    found = [one for item in node.items if (one := _step(item, defaults, problems)) is not None]
    seen: dict[str, job.Step] = {}
    for one in found:
        key = (one.step.id or "").lower()
        first = seen.setdefault(key, one.step) if key else one.step
        if first is not one.step:
            place = next(item.place for item in node.items if item.place.line == one.step.line)
            problems.add(place, f"The step in line {first.line} has the id {quoted(key)} too: choose another.")
    if not found and not problems.has_any:
        problems.add(
            node.place, "The job has nothing to run: the code is checked out already, write what to do with it."
        )
    return found


def _step(node: nodes.Node, defaults: Defaults, problems: Problems) -> Read | None:
    if isinstance(node, nodes.Scalar):
        problems.add(node.place, "A step has to be a mapping: write `run:` before the command.")
        return None
    if (action := fields.entry(node, "uses")) is not None:
        _use(node, action, problems)
        return None
    given = fields.keys(node, of=vocabulary.STEP, problems=problems)
    if given is None:
        return None
    if "run" not in given:
        problems.add(node.place, "A step needs `run`: the command to run.")
        return None
    run = _run(given["run"], problems)
    late: dict[str, str] = {}
    for key in ("name", "timeout-minutes", "continue-on-error", "working-directory"):
        place = names.STEP_NAME if key == "name" else names.JOB
        if key in given and (text := _late(given[key], place=place, problems=problems)) is not None:
            late[key] = text
    early = {key: value for key, value in given.items() if key not in late}
    if "working-directory" not in given and defaults.late_folder is not None:
        late["working-directory"] = defaults.late_folder
    name = fields.name(early["name"], what="The step's `name`", problems=problems) if "name" in early else None
    step = job.Step(
        name=name or _name_of_command(run),
        run=run,
        env=fields.environment(given["env"], problems=problems, place=names.STEP) if "env" in given else {},
        working_directory=(
            folder(early["working-directory"], problems) if "working-directory" in early else defaults.working_directory
        ),
        id=_id(given["id"], problems) if "id" in given else None,
        condition=reading.condition(given["if"], place=names.STEP_IF, problems=problems) if "if" in given else None,
        shell=_shell(given["shell"], problems) if "shell" in given else defaults.shell,
        timeout_minutes=minutes(early["timeout-minutes"], problems) if "timeout-minutes" in early else None,
        continue_on_error=(
            fields.boolean(early["continue-on-error"], what="`continue-on-error`", problems=problems)
            if "continue-on-error" in early
            else False
        ),
        line=node.place.line,
    )
    return Read(step, late)


def _use(node: nodes.Node, action: nodes.Node, problems: Problems) -> None:
    name = action.text.strip() if isinstance(action, nodes.Scalar) else ""
    if name.partition("@")[0] == _CHECKOUT:
        asked = fields.entry(node, "with")
        if asked is not None and not scalars.is_null(asked):
            fields.keys(asked, of=vocabulary.CHECKOUT, problems=problems)
        return
    for start, instead in vocabulary.USELESS_ACTIONS.items():
        if name.startswith(start):
            problems.add(action.place, f"`uses: {quoted(name)[1:]} is not supported: {instead}.")
            return
    shown = f"`uses: {quoted(name)[1:]}" if name else "`uses`"
    problems.add(action.place, f"{shown} is not supported, actions cannot run here: write its commands in `run`.")


def _run(node: nodes.Node, problems: Problems) -> str:
    if isinstance(node, nodes.Scalar) and templates.has_expression(node.text):
        reading.check(node.text, at=node.place, place=names.STEP, problems=problems)
        return node.text
    return fields.text(node, what="`run`", problems=problems) or ""


def _late(node: nodes.Node, *, place: names.Place, problems: Problems) -> str | None:
    return reading.late(node, place=place, problems=problems) if isinstance(node, nodes.Scalar) else None


def _id(node: nodes.Node, problems: Problems) -> str | None:
    value = fields.text(node, what="The step's `id`", problems=problems)
    if value is not None and not _ID.fullmatch(value):
        problems.add(
            node.place,
            f"{quoted(value)} cannot be an id: use letters, digits, `-` and `_`, a letter or `_` first, at most 100"
            " characters.",
        )
        return None
    return value


def _shell(node: nodes.Node, problems: Problems) -> str | None:
    value = fields.text(node, what="`shell`", problems=problems)
    if value is None or value in vocabulary.SHELLS:
        return value
    if value in ("cmd", "powershell"):
        problems.add(
            node.place, f"{quoted(value)} is a shell of Windows, and builds run on Linux: use `bash` or `pwsh`."
        )
    elif "{0}" not in value:
        problems.add(
            node.place,
            f"{quoted(value)} is not a shell. {did_you_mean(value, vocabulary.SHELLS)} Any other program needs `{{0}}`"
            " where the script's path goes, e.g. `perl {0}`.",
        )
    elif '"' in value or "'" in value or "\\" in value:
        problems.add(node.place, "`shell` is cut into words at its spaces: leave quotes and backslashes out.")
    return value


def _name_of_command(run: str) -> str:
    first = next((line.strip() for line in run.splitlines() if line.strip()), "")
    shown = "".join(one if one.isprintable() else " " for one in first)
    return shown if len(shown) <= _MAX_STEP_NAME else f"{shown[: _MAX_STEP_NAME - 1]}…"


def minutes(node: nodes.Node, problems: Problems) -> float | None:
    """A time limit; None where it is none, and then there is a problem."""
    found = scalars.number(node) if isinstance(node, nodes.Scalar) else None
    if found is None or not 0 < found <= MAX_TIMEOUT_MINUTES:
        problems.add(node.place, f"`timeout-minutes` has to be {MINUTES}, without quotes.")
        return None
    return found


def folder(node: nodes.Node, problems: Problems) -> str:
    """A folder of the workspace, normalised; the workspace itself where it is none, and then there is a problem."""
    path = fields.text(node, what="`working-directory`", problems=problems) or "."
    found = inside(path)
    if found is None:
        problems.add(node.place, OUTSIDE)
    return found or "."


OUTSIDE = "`working-directory` has to be a folder of the repository: write it relative to its root."


def inside(path: str) -> str | None:
    """A path below the workspace, normalised; None where it leads out of it."""
    parts: list[str] = []
    is_outside = path.startswith("/")
    for part in path.split("/"):
        if part == "..":
            is_outside = is_outside or not parts
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return None if is_outside else "/".join(parts) or "."
