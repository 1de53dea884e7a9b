"""From a workflow of GitHub Actions to a pipeline file: what is the same stays as it is written, comments too. Pure.

What cannot stay is left out, and each time a remark says so, with its line in the workflow and what to do about it.
"""

from __future__ import annotations

import io
import re
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from bot.expressions import names, origins, syntax, templates
from bot.model import build
from bot.pipelines import composing, nodes, vocabulary
from bot.pipelines.problems import START, Place, Problems

_CACHE_KEYS = {"path": "path", "key": "key", "restore-keys": "restore-keys"}
_ARTIFACT_KEYS = {"name": "name", "path": "path", "retention-days": "retention-days"}
_ACTION = "actions cannot run here: write its commands in `run`"


class Converted(msgspec.Struct, frozen=True):
    """What came of a workflow."""

    #: The pipeline file, or None where the workflow cannot be read.
    text: str | None
    #: In the order of the workflow: what was left out, changed or is wrong, at its place in the workflow.
    remarks: tuple[build.Problem, ...]


def convert(text: str, *, path: str, schema_url: str) -> Converted:
    """Make a pipeline file of a workflow."""
    remarks = Problems(path)
    # Read within bounds first; what is written is kept by the second reading.
    root = composing.compose(text, problems=remarks)
    if remarks.has_any or not isinstance(root, nodes.Mapping):
        if not remarks.has_any:
            remarks.add(START, "The workflow has to be a mapping of keys and values.")
        return Converted(None, remarks.in_order())
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096
    file = yaml.load(text)
    _Converter(remarks).file(file)
    written = io.StringIO()
    yaml.dump(file, written)
    return Converted(f"# yaml-language-server: $schema={schema_url}\n{written.getvalue()}", remarks.in_order())


class _Converter:
    def __init__(self, remarks: Problems) -> None:
        self._remarks = remarks

    def _tell(self, of: Any, key: Any, text: str) -> None:
        line, column = of.lc.key(key) if isinstance(of, CommentedMap) else of.lc.item(key)
        self._remarks.add(Place(line + 1, column + 1), text)

    def _keep(self, of: Any, kind: vocabulary.Kind, *also: str) -> None:
        """Leave out the keys that a mapping does not have here."""
        if not isinstance(of, CommentedMap):
            return
        for key in [key for key in of if key not in kind.known and key not in also]:
            why = kind.unsupported.get(str(key), "it means nothing here")
            self._tell(of, key, f"`{key}` was left out of {kind.name}: {why}.")
            del of[key]

    def file(self, file: CommentedMap) -> None:
        self._keep(file, vocabulary.PIPELINE)
        if "on" in file:
            file["on"] = self._on(file, file["on"])
        if isinstance(file.get("concurrency"), CommentedMap):
            self._keep(file["concurrency"], vocabulary.CONCURRENCY)
        jobs = file.get("jobs")
        if not isinstance(jobs, CommentedMap):
            return
        for key in [key for key, one in jobs.items() if isinstance(one, CommentedMap) and "uses" in one]:
            self._tell(jobs, key, f"The job `{key}` was left out: it is a reusable workflow, write its steps out.")
            del jobs[key]
        for key, one in jobs.items():
            if isinstance(one, CommentedMap):
                self._needs(one, jobs)
                self._job(jobs, key, one)

    def _on(self, file: CommentedMap, on: Any) -> Any:
        if not isinstance(on, CommentedMap):
            events = list(on) if isinstance(on, CommentedSeq) else [on]
            gone = [one for one in events if not isinstance(one, str) or one not in vocabulary.EVENTS]
            for one in gone:
                self._tell(file, "on", f"The event `{one}` was left out: it builds nothing here.")
            kept = [one for one in events if one not in gone]
            return on if not gone else kept if kept else ["push", "pull_request"]
        for event in [event for event in on if event not in vocabulary.EVENTS]:
            self._tell(on, event, f"The event `{event}` was left out: it builds nothing here.")
            del on[event]
        for event, filters in on.items():
            self._keep(filters, vocabulary.EVENTS[event])
            if isinstance(filters, CommentedMap) and "types" in filters:
                given = filters["types"] if isinstance(filters["types"], list) else [filters["types"]]
                kept = [one for one in given if one in vocabulary.TYPES[event]]
                if kept != given:
                    self._tell(filters, "types", "Types that change nothing that is built were left out.")
                    filters["types"] = kept or list(vocabulary.DEFAULT_TYPES[event])
        return on or ["push", "pull_request"]

    def _needs(self, one: CommentedMap, jobs: CommentedMap) -> None:
        needs = one.get("needs")
        listed = list(needs) if isinstance(needs, list) else [] if needs is None else [needs]
        kept = [need for need in listed if isinstance(need, str) and need in jobs]
        if kept == listed:
            return
        self._tell(one, "needs", "Jobs that were left out were taken out of `needs`.")
        if kept:
            one["needs"] = kept
        else:
            del one["needs"]

    def _job(self, jobs: CommentedMap, key: str, one: CommentedMap) -> None:
        self._keep(one, vocabulary.JOB)
        if isinstance(one.get("strategy"), CommentedMap):
            self._keep(one["strategy"], vocabulary.STRATEGY)
        services = one.get("services")
        for container in [one.get("container"), *(services.values() if isinstance(services, CommentedMap) else ())]:
            self._keep(container, vocabulary.CONTAINER)
        steps = one.get("steps")
        if not isinstance(steps, CommentedSeq):
            return
        gone = []
        for position, step in enumerate(steps):
            if isinstance(step, CommentedMap) and "uses" in step:
                self._action(one, step)
                gone.append(position)
            elif isinstance(step, CommentedMap):
                self._keep(step, vocabulary.STEP)
                self._script(step)
        for position in reversed(gone):
            del steps[position]
        if not steps:
            steps.append(CommentedMap(run='echo "Write here what this job runs." && exit 1'))
            self._tell(jobs, key, f"The job `{key}` has no step left: write what it runs.")

    def _action(self, one: CommentedMap, step: CommentedMap) -> None:
        name = str(step["uses"]).partition("@")[0].strip()
        asked = step.get("with") if isinstance(step.get("with"), CommentedMap) else CommentedMap()
        if name == "actions/checkout":
            text = "`actions/checkout` was left out: the code is checked out already, with its history."
            self._tell(step, "uses", text)
            self._keep(asked, vocabulary.CHECKOUT)
        elif name == "actions/cache" and {"path", "key"} <= asked.keys():
            self._put(one, "cache", asked, _CACHE_KEYS)
            self._tell(step, "uses", "`actions/cache` became `cache` of the job.")
        elif name == "actions/upload-artifact" and "path" in asked:
            asked.setdefault("name", "artifact")
            self._put(one, "artifacts", asked, _ARTIFACT_KEYS)
            self._tell(step, "uses", "`actions/upload-artifact` became `artifacts` of the job.")
        else:
            found = (why for start, why in vocabulary.USELESS_ACTIONS.items() if name.startswith(start))
            self._tell(step, "uses", f"`{step['uses']}` was left out: {next(found, _ACTION)}.")

    def _put(self, one: CommentedMap, key: str, asked: CommentedMap, keys: dict[str, str]) -> None:
        made = CommentedMap((ours, asked[theirs]) for theirs, ours in keys.items() if theirs in asked)
        before = one.get(key)
        one[key] = made if before is None else [*(before if isinstance(before, list) else [before]), made]

    def _script(self, step: CommentedMap) -> None:
        """Bring what comes from outside into a script through its environment."""
        run = step.get("run")
        if not isinstance(run, str) or not templates.has_expression(run):
            return
        variables: dict[str, str] = {}
        try:
            parts = templates.parts(run)
        except ValueError:
            return
        made = "".join(self._part(part, variables) if is_expression else part for is_expression, _, part in parts)
        if not variables or not isinstance(step.get("env", CommentedMap()), CommentedMap):
            return
        step.setdefault("env", CommentedMap())
        step["env"] |= {name: f"${{{{ {source} }}}}" for name, source in variables.items()}
        step["run"] = type(run)(made)
        shown = ", ".join(f"`${{{name}}}`" for name in variables)
        self._tell(step, "run", f"What comes from outside is a variable now: {shown}. Look at the quotes around it.")

    def _part(self, part: str, variables: dict[str, str]) -> str:
        source = part.strip()
        kept = f"${{{{{part}}}}}"
        try:
            tree = syntax.parse(part)
        except syntax.SyntaxProblem:
            return kept
        way = origins.outside(tree, of=_is_outside)
        if way is None or names.problem(tree, names.STEP) is not None:
            return kept
        name = re.sub(r"[^A-Z0-9_]", "_", way[-1].upper()).replace("*", "VALUE")
        name = name if re.match(r"[A-Z_]", name) and not name.startswith(("GITHUB_", "BUILDHOOK_")) else f"VALUE_{name}"
        while variables.get(name, source) != source:
            name += "_"
        variables[name] = source
        return f"${{{name}}}"


def _is_outside(way: origins.Path) -> bool:
    """A variable may hold anything, and the values of a matrix are in the file as a rule."""
    return way[0] == "env"
