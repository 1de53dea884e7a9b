"""What of a step is known only when its turn comes: whether it runs, its script, its variables, and what it gave.

Taken only by jobs that need it: this and what it imports cost more than the whole supervisor.
"""

from __future__ import annotations

from typing import Any

from bot.expressions import evaluate, names, templates, values

from . import files
from .files import Refused

MAX_OUTPUTS_CHARACTERS = 128 * 1024


class Late:
    """The contexts of a job and what becomes of them, from step to step."""

    def __init__(self, given: dict[str, Any], *, secrets: dict[str, str]) -> None:
        """:param given: see `bot.engines.local.late`, which makes it."""
        self._steps: list[dict[str, Any]] = given["steps"]
        self._outputs: dict[str, Any] = given["outputs"]
        self._contexts: dict[str, Any] = {**given["contexts"], "secrets": secrets, "steps": {}}
        self._status = "success"
        job_env = {
            **given["plain_env"],
            **{name: self._render(one, {}) for name, one in given["late_env"].items()},
        }
        self._job_env: dict[str, str] = job_env
        #: What steps wrote for those after them.
        self._written: dict[str, str] = {}
        self._paths: list[str] = []

    def runs(self, index: int, *, status: str) -> bool:
        """Whether a step runs.

        :param status: of the job so far: `success`, `failure` or `cancelled`.
        :raises Refused: if its condition has no value.
        """
        self._status = status
        tree = self._steps[index]["if"]
        if tree is None:
            return status == "success"
        if not names.uses(tree, *names.STATUS) and status != "success":
            return False
        functions: dict[str, Any] = {
            "success": lambda: status == "success",
            "failure": lambda: status == "failure",
            "cancelled": lambda: status == "cancelled",
            "always": lambda: True,
            "hashfiles": _hash,
        }
        try:
            return values.is_true(evaluate.evaluate(tree, self._around({**self._job_env, **self._written}), functions))
        except evaluate.EvaluationProblem as error:
            raise Refused(f"Its `if` has no value: {error}") from None

    def env(self, index: int) -> dict[str, str]:
        """The variables of a step that are not in its launch, and those that come before what is.

        :raises Refused: if one has no value.
        """
        step = self._steps[index]
        known = {**self._job_env, **self._written}
        own = {name: self._render(one, known) for name, one in step["late_env"].items()}
        found = {name: value for name, value in known.items() if name not in step["plain_env"]} | own
        if self._paths:
            path = {**known, **step["plain_env"], **own}.get("PATH", step["path"])
            found["PATH"] = ":".join([*reversed(self._paths), path])
        return found

    def script(self, index: int) -> str | None:
        """The script of a step, where expressions make it; else None.

        :raises Refused: if one has no value.
        """
        step = self._steps[index]
        if step["run"] is None:
            return None
        return self._render(step["run"], {**self._job_env, **self._written, **step["plain_env"], **self.env(index)})

    def end(self, index: int, *, outcome: str, conclusion: str) -> None:
        """A step ended, or was skipped: take what it wrote for those after it.

        :param outcome: `success`, `failure`, `cancelled` or `skipped`.
        :param conclusion: the same, with `continue-on-error` applied.
        :raises Refused: if it wrote what cannot be taken.
        """
        given: dict[str, str] = {}
        try:
            if outcome != "skipped":
                given = files.outputs(index)
                self._written |= files.variables(index)
                self._paths += files.paths(index)
        finally:
            step = self._steps[index]
            if step["id"]:
                told = {"outputs": given, "outcome": outcome, "conclusion": conclusion}
                self._contexts["steps"][step["id"]] = told

    def outputs(self) -> dict[str, str]:
        """The outputs of the job.

        :raises Refused: if one has no value, or they are too long.
        """
        found = {name: self._render(one, {**self._job_env, **self._written}) for name, one in self._outputs.items()}
        found = {name: value for name, value in found.items() if value}
        if sum(len(name) + len(value) for name, value in found.items()) > MAX_OUTPUTS_CHARACTERS:
            raise Refused(f"Its outputs have more than {MAX_OUTPUTS_CHARACTERS // 1024} KiB.")
        return found

    def text(self, compiled: tuple[Any, ...]) -> str:
        """A text in which expressions name what is known before the first step.

        :raises Refused: if one has no value.
        """
        return self._render(compiled, self._job_env)

    def _around(self, env: dict[str, str]) -> dict[str, Any]:
        return {**self._contexts, "env": env, "job": {"status": self._status}}

    def _render(self, compiled: tuple[Any, ...], env: dict[str, str]) -> str:
        try:
            return templates.render(compiled, self._around(env), {"hashfiles": _hash})
        except evaluate.EvaluationProblem as error:
            raise Refused(f"An expression has no value: {error}") from None


def _hash(*patterns: object) -> str:
    from . import hashing  # what it imports costs more than all of this

    try:
        return hashing.of_files([values.text(one) for one in patterns])
    except hashing.TooMuch as error:
        raise evaluate.EvaluationProblem(str(error)) from None
