"""Makes `bot/simulator/schema.graphql` anew from the schema of its GraphQL API that GitHub publishes.

    python scripts/refresh_graphql_excerpt.py

takes npm's package `@octokit/graphql-schema` into a temporary folder, proves that every query of ours is valid by the
whole schema, keeps the fields that are named below with all that they need, removes prose, and writes a file that is
the same for the same input.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

import graphql
from graphql.execution.values import get_variable_values
from msgspec.structs import replace

from bot.github import graphql as ours
from bot.model import check

PACKAGE = "@octokit/graphql-schema"
MEMBER = "schema.graphql"
TARGET = pathlib.Path(__file__).parent.parent / "bot" / "simulator" / "schema.graphql"

#: The fields that are kept of types with fields; input types and enums are kept whole.
FIELDS = {
    "Query": ("rateLimit",),
    "Mutation": ("createCheckRun", "updateCheckRun"),
    "RateLimit": ("cost", "limit", "nodeCount", "remaining", "resetAt", "used"),
    "CreateCheckRunPayload": ("checkRun", "clientMutationId"),
    "UpdateCheckRunPayload": ("checkRun", "clientMutationId"),
    "CheckRun": (
        "annotations",
        "checkSuite",
        "completedAt",
        "conclusion",
        "databaseId",
        "detailsUrl",
        "externalId",
        "id",
        "name",
        "resourcePath",
        "startedAt",
        "status",
        "summary",
        "text",
        "title",
        "url",
    ),
    "CheckAnnotationConnection": ("totalCount",),
    "CheckSuite": ("conclusion", "databaseId", "id", "status"),
}


def excerpt(schema: graphql.GraphQLSchema, version: str) -> str:
    """What the simulator needs of the schema.

    :raises KeyError: if a field named above is no longer there.
    """
    kept: dict[str, str] = {}
    waiting = ["Query", "Mutation"]
    while waiting:
        name = waiting.pop()
        if name in kept or name in graphql.specified_scalar_types:
            continue
        one = schema.type_map[name]
        kept[name] = graphql.print_ast(definition(one))
        waiting.extend(needs(one))
    text = "\n\n".join(kept[name] for name in sorted(kept))
    return f"# Made by scripts/refresh_graphql_excerpt.py from {PACKAGE} {version}.\n\n{text}\n"


def definition(one: graphql.GraphQLNamedType) -> graphql.Node:
    """A type as it is kept: its fields that are named, without prose, interfaces and what is deprecated about it."""
    (node,) = graphql.parse(graphql.print_type(one), no_location=True).definitions
    if isinstance(node, graphql.ObjectTypeDefinitionNode):
        fields = tuple(field for field in node.fields or () if field.name.value in FIELDS[one.name])
        if missing := set(FIELDS[one.name]) - {field.name.value for field in fields}:
            raise KeyError(f"{one.name} has no {', '.join(sorted(missing))} any more")
        node = dataclasses.replace(node, interfaces=(), fields=fields)
    return bare(node)


def bare(node: graphql.Node) -> graphql.Node:
    """A node and all in it without prose and directives."""

    class Strip(graphql.Visitor):
        def leave(self, inner: graphql.Node, *_: object) -> graphql.Node:
            known = {name: empty for name, empty in (("description", None), ("directives", ())) if hasattr(inner, name)}
            return dataclasses.replace(inner, **known)  # type: ignore[arg-type]

    stripped: graphql.Node = graphql.visit(node, Strip())
    return stripped


def needs(one: graphql.GraphQLNamedType) -> Iterator[str]:
    """The types that what is kept of a type names."""
    if isinstance(one, graphql.GraphQLInputObjectType):
        for given in one.fields.values():
            yield graphql.get_named_type(given.type).name
    if isinstance(one, graphql.GraphQLObjectType):
        for name in FIELDS[one.name]:
            field = one.fields[name]
            yield graphql.get_named_type(field.type).name
            for argument in field.args.values():
                yield graphql.get_named_type(argument.type).name


#: A run with all that a run of ours can have.
AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
WHOLE = check.CheckRun(
    name="buildhook",
    head_sha="6dcb09b5b57875f334f61aebed695e2e4193db5e",
    external_id="01J0",
    details_url="https://builds.example/builds/01J0",
    status="completed",
    conclusion="failure",
    started_at=AT,
    completed_at=AT,
    title="Failed",
    summary="It failed.",
    text="Where it failed.",
    annotations=tuple(
        check.Annotation(path="a.py", start_line=1, end_line=2, level=level, text="no", title="t", raw_details="r")
        for level in check.Level
    ),
    actions=(check.Action(label="Run anyway", description="Run it.", identifier="run"),),
)
CONCLUSIONS = ("success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required")
RUNS = (
    WHOLE,
    replace(WHOLE, text=None, annotations=(), actions=()),
    *(replace(WHOLE, conclusion=conclusion) for conclusion in CONCLUSIONS),
    *(
        replace(WHOLE, status=status, conclusion=None, started_at=None, completed_at=None)
        for status in ("queued", "in_progress")
    ),
)


def problems(schema: graphql.GraphQLSchema) -> list[str]:
    """What is wrong in this schema's eyes with what we send: the queries, and what comes with them."""
    writes = [ours.Write(wanted=one, node_id=node_id) for one in RUNS for node_id in (None, "CR_1")]
    found = []
    for some in (writes[:1], writes[1:2], writes):
        text = ours.document(tuple(one.node_id is None for one in some))
        parsed = graphql.parse(text)
        found += [error.message for error in graphql.validate(schema, parsed)]
        (operation,) = parsed.definitions
        assert isinstance(operation, graphql.OperationDefinitionNode)
        given = ours.variables(some, repository_id="R_1")
        values = get_variable_values(schema, operation.variable_definitions or (), given)
        found += [error.message for error in values] if isinstance(values, list) else []
    return found


def fetch(folder: pathlib.Path) -> tuple[str, str]:
    """GitHub's schema and the version of the package that it comes from."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        members = {member.name.partition("/")[2]: member for member in package.getmembers()}
        texts = {name: package.extractfile(members[name]) for name in (MEMBER, "package.json")}
        loaded = {name: text.read().decode() for name, text in texts.items() if text is not None}
    return loaded[MEMBER], json.loads(loaded["package.json"])["version"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text, version = fetch(pathlib.Path(folder))
    # Some of its types define a field twice, or deprecate what their interface does not.
    schema = graphql.build_schema(text, assume_valid=True, assume_valid_sdl=True)
    if found := problems(schema):
        sys.exit("\n".join(found))
    made = excerpt(schema, version)
    TARGET.write_text(made)
    print(f"{TARGET.name}: {PACKAGE} {version}, {len(made):,} bytes")


if __name__ == "__main__":
    main()
