"""Check runs written several at a time: one request of the GraphQL API with a field for each of them.

The text of a query depends on nothing but how many runs are made and changed: what is to be written comes as variables.
A field that could not be done leaves the others alone, and bears its error for itself.
https://docs.github.com/en/graphql/reference/checks
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import msgspec

from bot import errors, telemetry
from bot.github import classify, graphql_errors
from bot.github.calls import Calls
from bot.github.checks import action, given, instant
from bot.model import check

#: Of one request: GitHub ends what takes it ten seconds, and does one after the other.
MAX_RUNS = 30
#: Of one request's body: beyond that a run goes into the next one.
MAX_BODY_BYTES = 1024 * 1024
_RESULT = """{
    checkRun {
      id
      databaseId
      externalId
      name
      resourcePath
      annotations(first: 1) {
        totalCount
      }
    }
  }"""
_RUN_PATH = re.compile(r"/runs/([0-9]{1,18})\Z")


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One check run to make or to change."""

    wanted: check.CheckRun
    #: GraphQL's id of the run to change; None for one to make.
    node_id: str | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A check run as GitHub has it now."""

    #: REST's.
    id: int
    node_id: str
    #: None where GitHub did not say.
    annotations_count: int | None


class _Total(msgspec.Struct):
    totalCount: int | None = None  # noqa: N815


class _Run(msgspec.Struct):
    id: str
    databaseId: int | None = None  # noqa: N815
    externalId: str | None = None  # noqa: N815
    name: str | None = None
    resourcePath: str | None = None  # noqa: N815
    annotations: _Total | None = None


class _Payload(msgspec.Struct):
    checkRun: _Run | None = None  # noqa: N815


class _Answer(msgspec.Struct):
    data: dict[str, _Payload | None] | None = None
    errors: list[graphql_errors.Trouble] | None = None


@functools.lru_cache(maxsize=256)
def document(is_made: tuple[bool, ...]) -> str:
    """The query for so many runs: for each whether it is made or changed. Its fields are `run0`, `run1`, ..."""
    kinds = [
        ("createCheckRun", "CreateCheckRunInput") if made else ("updateCheckRun", "UpdateCheckRunInput")
        for made in is_made
    ]
    given = ", ".join(f"$input{at}: {kind}!" for at, (_, kind) in enumerate(kinds))
    fields = "\n".join(f"  run{at}: {field}(input: $input{at}) {_RESULT}" for at, (field, _) in enumerate(kinds))
    return f"mutation ({given}) {{\n{fields}\n}}\n"


def variables(writes: Sequence[Write], *, repository_id: str) -> dict[str, object]:
    """What comes with the query. `repository_id` is GraphQL's."""
    return {f"input{at}": _input(one, repository_id) for at, one in enumerate(writes)}


def size_bytes(write: Write) -> int:
    """How much of a request's body a run takes."""
    return len(msgspec.json.encode(_input(write, "")))


async def put(calls: Calls, writes: Sequence[Write]) -> list[Written | errors.GitHubError]:
    """Make and change check runs; for each what GitHub has now, or why it has not, in the order given.

    :raises errors.GraphQLAway: if GraphQL did not take it, which says nothing of REST.
    :raises errors.AnswerLost: if any of it may have been written.
    :raises errors.GitHubError: if nothing of it was; the class says why.
    """
    query = document(tuple(one.node_id is None for one in writes))
    answer = await calls.mutate(query, lambda repository_id: variables(writes, repository_id=repository_id))
    try:
        told = classify.decode(answer, _Answer, what="POST /graphql")
    except errors.GitHubUnavailable as error:
        raise errors.AnswerLost(f"{error} What it was meant to write may have been written.") from None
    troubles: dict[str, graphql_errors.Trouble] = {}
    for one in told.errors or []:
        troubles.setdefault(one.alias or "", one)
    data = told.data or {}
    return [_outcome(one, data.get(f"run{at}"), troubles.get(f"run{at}")) for at, one in enumerate(writes)]


def _outcome(
    write: Write, payload: _Payload | None, trouble: graphql_errors.Trouble | None
) -> Written | errors.GitHubError:
    what = f"the write of check run {telemetry.one_line(write.wanted.name)!r}"
    run = payload.checkRun if payload is not None else None
    if run is None:
        if trouble is not None:
            return graphql_errors.of(trouble, what=what)
        return errors.AnswerLost(f"GitHub's answer does not say what became of {what}.")
    if run.externalId not in {None, write.wanted.external_id} or run.name not in {None, write.wanted.name}:
        return errors.AnswerLost(f"GitHub answered {what} with another check run. It is looked up first.")
    number = _number(run)
    if number is None:
        return errors.AnswerLost(f"GitHub's answer to {what} does not tell its number. It is looked up by its mark.")
    count = run.annotations.totalCount if run.annotations is not None else None
    return Written(id=number, node_id=run.id, annotations_count=count)


def _number(run: _Run) -> int | None:
    """REST's id: the schema's type for it is too small for those of today, which GitHub gives all the same."""
    if run.databaseId is not None:
        return run.databaseId
    found = _RUN_PATH.search(run.resourcePath or "")
    return int(found[1]) if found is not None else None


def _input(write: Write, repository_id: str) -> dict[str, object]:
    wanted = write.wanted
    where = {"headSha": wanted.head_sha} if write.node_id is None else {"checkRunId": write.node_id}
    return given(
        {
            "repositoryId": repository_id,
            **where,
            "name": wanted.name,
            "externalId": wanted.external_id,
            "detailsUrl": wanted.details_url,
            "status": wanted.status.upper(),
            "conclusion": wanted.conclusion.upper() if wanted.conclusion is not None else None,
            "startedAt": instant(wanted.started_at),
            "completedAt": instant(wanted.completed_at),
            "output": given(
                {
                    "title": wanted.title,
                    "summary": wanted.summary,
                    "text": wanted.text,
                    "annotations": [_annotation(one) for one in wanted.annotations] or None,
                }
            ),
            # Buttons that an earlier update made stay where none are told.
            "actions": [action(one) for one in wanted.actions] if wanted.status == "completed" else None,
        }
    )


def _annotation(annotation: check.Annotation) -> dict[str, object]:
    return given(
        {
            "path": annotation.path,
            "location": {"startLine": annotation.start_line, "endLine": annotation.end_line},
            "annotationLevel": annotation.level.value.upper(),
            "message": annotation.text,
            "title": annotation.title,
            "rawDetails": annotation.raw_details,
        }
    )
