"""The GraphQL API, as far as a GitHub App that builds needs it: check runs, by the same code as their REST operations.

It is executed against an excerpt of the schema that GitHub publishes, `schema.graphql`, made by
`scripts/refresh_graphql_excerpt.py`. See https://docs.github.com/en/graphql.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.simulator import auth, limits, openapi, shapes, values
from bot.simulator.rest import call, checks

if TYPE_CHECKING:
    import graphql

#: GitHub's own word for each status of REST.
_TYPES = {401: "FORBIDDEN", 403: "FORBIDDEN", 404: "NOT_FOUND", 422: "UNPROCESSABLE"}
_RUNS = "/repos/{owner}/{repo}/check-runs"
_MOST_OF_ONE_PAGE = 100


class Refused(Exception):
    """A field is refused with GitHub's word and sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def is_mutation(body: Any) -> bool:
    """Whether a request writes, which costs more of what a minute allows."""
    return isinstance(body, dict) and str(body.get("query", "")).lstrip().startswith("mutation")


def limited(principal: auth.Principal) -> call.Answer:
    """How GitHub answers who has used up the points of an hour: as if all were well."""
    number = principal.installation.id if principal.installation is not None else 0
    message = f"API rate limit exceeded for installation ID {number}."
    return call.Answer(body={"errors": [{"type": "RATE_LIMITED", "message": message}]})


async def answer(this: call.Call) -> call.Answer:
    """Answers one request."""
    # Only who asks for it waits until it is there.
    import graphql

    if this.principal.kind == "anonymous":
        raise call.ApiError(401, "This endpoint requires you to be authenticated.")
    if not isinstance(this.body, dict) or not isinstance(this.body.get("query"), str):
        raise call.ApiError(400, "A query attribute must be specified and must be a string.")
    schema = _schema()
    try:
        document = graphql.parse(this.body["query"])
    except graphql.GraphQLError as error:
        return _refused([error])
    if problems := graphql.validate(schema, document):
        return _refused(problems)
    done = graphql.execute(
        schema,
        document,
        root_value=_Root(this),
        variable_values=this.body.get("variables") or {},
        operation_name=this.body.get("operationName"),
    )
    result = await done if not isinstance(done, graphql.ExecutionResult) else done
    body: dict[str, Any] = {"data": result.data} if result.data is not None else {}
    if result.errors:
        body["errors"] = [_told(error) for error in result.errors]
    return call.Answer(body=body)


@functools.cache
def _schema() -> graphql.GraphQLSchema:
    import graphql

    schema = graphql.build_schema(pathlib.Path(__file__).parent.with_name("schema.graphql").read_text())
    # GitHub gives numbers of check runs that are larger than its schema's type for them.
    whole = graphql.GraphQLScalarType(name="Wide", serialize=lambda value: value)
    run = schema.type_map["CheckRun"]
    assert isinstance(run, graphql.GraphQLObjectType)
    run.fields["databaseId"].type = whole
    return schema


def _refused(problems: Sequence[graphql.GraphQLError]) -> call.Answer:
    return call.Answer(body={"errors": [{**_told(one), "extensions": {"code": "invalidQuery"}} for one in problems]})


def _told(error: graphql.GraphQLError) -> dict[str, Any]:
    """An error as GitHub tells it, with its `type` beside the message."""
    told: dict[str, Any] = {}
    if isinstance(error.original_error, Refused):
        told["type"] = error.original_error.kind
    if error.path:
        told["path"] = list(error.path)
    if error.locations:
        told["locations"] = [{"line": one.line, "column": one.column} for one in error.locations]
    if not error.path and error.nodes:
        told["extensions"] = {"problems": [{"explanation": error.message}]}
    return {**told, "message": error.message}


class _Root:
    """The fields of queries and mutations; graphql-core calls them by their names."""

    def __init__(self, this: call.Call) -> None:
        self._this = this

    def rateLimit(self, _: Any, **arguments: Any) -> dict[str, Any]:  # noqa: N802
        state = self._this.world.rates.state(self._this.principal, limits.GRAPHQL)
        reset_at = values.stamp(datetime.fromtimestamp(state["reset"], UTC))
        return {**state, "cost": 1, "nodeCount": 0, "resetAt": reset_at}

    async def createCheckRun(self, _: Any, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        made = self._made(input)
        body = {**_fields(input), "head_sha": input["headSha"]}
        return await self._done(dataclasses.replace(made, body=body), "POST", _RUNS, checks.create_run, input)

    async def updateCheckRun(self, _: Any, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        number = _number("CR", input["checkRunId"])
        made = dataclasses.replace(
            self._made(input), body=_fields(input), parameters={"check_run_id": str(number or 0)}
        )
        if number is None or number not in made.world.check_runs_by_id:
            raise _unknown(input["checkRunId"])
        return await self._done(made, "PATCH", _RUNS + "/{check_run_id}", checks.update_run, input)

    def _made(self, given: Mapping[str, Any]) -> call.Call:
        """The call of REST that a field stands for."""
        this = self._this
        repository = this.world.repositories.get(_number("R", given["repositoryId"]) or 0)
        if repository is None or not auth.sees(this.principal, repository, this.world):
            raise _unknown(given["repositoryId"])
        if not auth.may(this.principal, repository, this.world, "checks:write"):
            raise Refused("FORBIDDEN", "Resource not accessible by integration")
        return dataclasses.replace(this, found=repository)

    async def _done(
        self, made: call.Call, method: str, template: str, handler: call.Handler, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        problems = openapi.request_problems(method, template, made.body)
        if problems:
            raise Refused("UNPROCESSABLE", "\n".join(problems))
        try:
            done = await handler(made)
        except call.ApiError as error:
            details = "; ".join(str(one["message"]) for one in error.errors)
            text = f"{error.message}: {details}" if details else error.message
            raise Refused(_TYPES.get(error.status, "SERVICE_UNAVAILABLE"), text) from None
        run = made.world.check_runs_by_id[done.body["id"]]
        return {"clientMutationId": given.get("clientMutationId"), "checkRun": _run(run, done.body)}


def _unknown(node_id: str) -> Refused:
    return Refused("NOT_FOUND", f"Could not resolve to a node with the global id of '{node_id}'.")


def _number(prefix: str, node_id: str) -> int | None:
    """What a node's id stands for, if it is of this kind."""
    kind, _, packed = node_id.partition("_")
    try:
        text = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    return int(text) if kind == prefix and text.isascii() and text.isdecimal() else None


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """What an input of GraphQL is as a body of REST."""
    names = {
        "name": "name",
        "externalId": "external_id",
        "detailsUrl": "details_url",
        "startedAt": "started_at",
        "completedAt": "completed_at",
    }
    body = {names[name]: value for name, value in given.items() if name in names and value is not None}
    for name in ("status", "conclusion"):
        if given.get(name) is not None:
            body[name] = given[name].lower()
    if given.get("actions") is not None:
        body["actions"] = [dict(one) for one in given["actions"]]
    if given.get("output") is not None:
        output = {name: value for name, value in given["output"].items() if value is not None}
        if "annotations" in output:
            output["annotations"] = [_annotation(one) for one in output["annotations"]]
        body["output"] = output
    return body


def _annotation(given: Mapping[str, Any]) -> dict[str, Any]:
    place = given["location"]
    names = {"startLine": "start_line", "endLine": "end_line", "startColumn": "start_column", "endColumn": "end_column"}
    body = {
        "path": given["path"],
        **{names[name]: value for name, value in place.items() if value is not None},
        "annotation_level": given["annotationLevel"].lower(),
        "message": given["message"],
    }
    for name, ours in (("title", "title"), ("rawDetails", "raw_details")):
        if given.get(name) is not None:
            body[ours] = given[name]
    return body


def _run(run: values.CheckRun, body: Mapping[str, Any]) -> dict[str, Any]:
    """A check run with the fields of the excerpt."""

    def annotations(_: Any, first: int | None = None, last: int | None = None, **__: Any) -> dict[str, int]:
        if first is None and last is None:
            raise Refused(
                "MISSING_PAGINATION_BOUNDARIES",
                "You must provide a `first` or `last` value to properly paginate the `annotations` connection.",
            )
        if max(first or 0, last or 0) > _MOST_OF_ONE_PAGE:
            raise Refused("EXCESSIVE_PAGINATION", "Requesting more than 100 records of the `annotations` connection.")
        return {"totalCount": len(run.annotations)}

    return {
        "annotations": annotations,
        "checkSuite": {
            "id": shapes.node_id("CS", run.suite.id),
            "databaseId": run.suite.id,
            "status": run.suite.status.upper(),
            "conclusion": run.suite.conclusion.upper() if run.suite.conclusion else None,
        },
        "completedAt": body["completed_at"],
        "conclusion": run.conclusion.upper() if run.conclusion else None,
        "databaseId": run.id,
        "detailsUrl": run.details_url,
        "externalId": run.external_id,
        "id": body["node_id"],
        "name": run.name,
        "resourcePath": f"/{run.repository.full_name}/runs/{run.id}",
        "startedAt": body["started_at"],
        "status": run.status.upper(),
        "summary": run.summary,
        "text": run.text,
        "title": run.title,
        "url": body["html_url"],
    }


ROUTE = call.Route(method="POST", template="/graphql", handler=answer, is_described=False)
