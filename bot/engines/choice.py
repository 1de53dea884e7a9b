"""Which engine runs a job: the one that its file names, or one that has the labels of its `runs-on`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec

from bot import errors
from bot.model import job

_SHOWN = 80


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's engines."""

    #: The engine of the jobs that ask for none.
    default: str
    #: What each takes, lower-case, in the operator's order. Empty: the default one takes whatever a job asks for.
    labels: Mapping[str, Set[str]]

    @property
    def names(self) -> tuple[str, ...]:
        """Every engine that a job can come to, the default one first."""
        return tuple(dict.fromkeys((self.default, *self.labels)))

    def of(self, plan: job.Plan) -> str:
        """The name of the engine.

        As in Actions it needs all labels that the job asks for, whatever their case; the first that has them counts.

        https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idruns-on

        :raises errors.EngineMissing: if there is none; the text says which there are.
        """
        if plan.engine is not None:
            if plan.engine not in self.names:
                raise errors.EngineMissing(
                    f"There is no engine `{plan.engine[:_SHOWN]}` here: write one of"
                    f" {_listed(self.names)}, or delete `engine`."
                )
            return plan.engine
        asked = {label.lower() for label in plan.labels}
        if not asked or not self.labels:
            return self.default
        for name, taken in self.labels.items():
            if asked <= taken:
                return name
        known = "; ".join(f"{_listed(sorted(taken))} on `{name}`" for name, taken in self.labels.items() if taken)
        raise errors.EngineMissing(
            f"No engine takes `runs-on: {(plan.runs_on or '')[:_SHOWN]}`. There is {known or 'no label'}: write those,"
            " or leave `runs-on` out."
        )


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
