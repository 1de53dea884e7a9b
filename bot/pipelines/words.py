"""Every key of a pipeline file: what it means, an example, and the shape of its value as JSON Schema says it.

The parser takes exactly these keys (`vocabulary`), and the schema for editors is made of them (`schema`), so that they
cannot say different things. A shape is a fragment of draft-07: it may be wider than what the parser takes, not tighter.

https://json-schema.org/draft-07/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Shape = Mapping[str, Any]


class Key(msgspec.Struct, frozen=True):
    """A key of a mapping."""

    #: What it means, a sentence for people.
    description: str
    #: A value that is right.
    example: Any
    shape: Shape


def of(name: str) -> Shape:
    """The shape of a mapping of the vocabulary, by the name of its definition."""
    return {"$ref": f"#/definitions/{name}"}


def either(*shapes: Shape) -> Shape:
    """One of several shapes."""
    return {"anyOf": list(shapes)}


def many(shape: Shape) -> Shape:
    """A list that is not empty."""
    return {"type": "array", "items": shape, "minItems": 1}


def named(shape: Shape) -> Shape:
    """A mapping whose keys are names of the file's own; nothing is none of them."""
    return {"type": ["object", "null"], "additionalProperties": shape}


#: YAML reads `3.12` and `true` as other kinds than text; where text is wanted they are text all the same.
TEXT: Shape = {"type": ["string", "number", "boolean"], "minLength": 1}
TEXTS = either(TEXT, many(TEXT))
EXPRESSION: Shape = {"type": "string", "pattern": r"\$\{\{"}
CONDITION: Shape = {"type": ["string", "number", "boolean"], "minLength": 1}
BOOLEAN: Shape = {"type": "boolean"}
BOOLEAN_OR_EXPRESSION = either(BOOLEAN, EXPRESSION)
MINUTES = either({"type": "number", "exclusiveMinimum": 0, "maximum": 4320}, EXPRESSION)
PLACES = either({"type": "integer", "minimum": 1}, EXPRESSION)
ANYTHING: Shape = {}
PATTERNS = either(TEXT, {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 100})

PIPELINE: Mapping[str, Key] = {
    "name": Key("The name of the pipeline, as pages and checks show it.", "hello", TEXT),
    "on": Key("Which events build, with their filters.", {"push": {"branches": ["main"]}}, of("on")),
    "env": Key("Environment variables of every step.", {"LEVEL": "2"}, of("env")),
    "defaults": Key("What steps have where they do not say otherwise.", {"run": {"shell": "bash"}}, of("defaults")),
    "concurrency": Key("Of the builds of a group one runs at a time.", "deploy", either(TEXT, of("concurrency"))),
    "jobs": Key("The jobs, each by its id.", {"test": {"steps": [{"run": "make test"}]}}, of("jobs")),
}
DEFAULTS: Mapping[str, Key] = {
    "run": Key("For every step with `run`.", {"working-directory": "src"}, of("defaults-run")),
}
_SHELL = Key(
    "The program that runs the script: `bash`, `sh`, `python`, `pwsh`, or a command line with `{0}` for its path.",
    "bash",
    TEXT,
)
_FOLDER = Key("The folder that it runs in, relative to the repository's root.", "src", TEXT)
DEFAULTS_RUN: Mapping[str, Key] = {"shell": _SHELL, "working-directory": _FOLDER}
_ENV = "Environment variables; the innermost value wins. Values may hold expressions."
JOB: Mapping[str, Key] = {
    "name": Key("Its name: the check is `buildhook / <name>`.", "Unit tests", TEXT),
    "runs-on": Key(
        "Labels, all of which the engine that runs it has to have; any will do where none has labels.",
        "ubuntu-latest",
        either(TEXTS, {"type": "object", "properties": {"labels": TEXTS, "group": TEXT}}),
    ),
    "engine": Key("The engine that runs it, of those that the operator allows.", "local", TEXT),
    "needs": Key("Jobs that have to pass first.", ["lint"], TEXTS),
    "if": Key("An expression: whether it runs.", "github.ref == 'refs/heads/main'", CONDITION),
    "strategy": Key(
        "Runs it for each combination of a matrix.", {"matrix": {"python": ["3.12", "3.13"]}}, of("strategy")
    ),
    "env": Key(_ENV, {"LEVEL": "2"}, of("env")),
    "defaults": Key("What its steps have where they do not say otherwise.", {"run": {"shell": "sh"}}, of("defaults")),
    "environment": Key(
        "The environment whose secrets it gets.",
        "production",
        either(TEXT, {"type": "object", "required": ["name"], "properties": {"name": TEXT}}),
    ),
    "secrets": Key(
        "Secrets that its steps get as variables: names, or variables and names.",
        ["TOKEN"],
        either(many(TEXT), {"type": "object", "additionalProperties": TEXT}),
    ),
    "timeout-minutes": Key("How long it may take; 360 when not given.", 20, MINUTES),
    "continue-on-error": Key("Whether the build goes on as if it had passed.", False, BOOLEAN_OR_EXPRESSION),
    "container": Key("The image that it runs in.", "python:3.13-slim", either(TEXT, of("container"))),
    "services": Key(
        "Containers beside it, each by its host name.",
        {"db": {"image": "postgres:17"}},
        named(either(TEXT, of("container"))),
    ),
    "cache": Key(
        "Folders that are kept for later builds.",
        {"key": "pip-${{ hashFiles('**/requirements.txt') }}", "path": "~/.cache/pip"},
        either(of("cache"), {"type": "array", "items": of("cache")}),
    ),
    "steps": Key(
        "What it runs, one after the other.",
        [{"run": "make test"}],
        {"type": "array", "items": either(of("step"), of("checkout-step")), "minItems": 1},
    ),
    "outputs": Key("What jobs that need it can read.", {"tag": "${{ steps.build.outputs.tag }}"}, named(ANYTHING)),
    "reports": Key(
        "Files that tell what became of it.",
        {"junit": "reports/*.xml"},
        of("reports"),
    ),
    "artifacts": Key(
        "Files that are kept when it has ended.",
        {"name": "dist", "path": "dist/**"},
        either(of("artifact"), {"type": "array", "items": of("artifact")}),
    ),
}
STRATEGY: Mapping[str, Key] = {
    "matrix": Key(
        "Lists of values by name: the job runs for each combination of them.",
        {"python": ["3.12", "3.13"], "os": ["linux"]},
        either(
            EXPRESSION,
            {
                "type": "object",
                "minProperties": 1,
                "properties": {
                    "include": either(EXPRESSION, {"type": "array", "items": {"type": "object"}}),
                    "exclude": either(EXPRESSION, {"type": "array", "items": {"type": "object"}}),
                },
                "additionalProperties": either(EXPRESSION, many(ANYTHING)),
            },
        ),
    ),
    "fail-fast": Key(
        "Whether a failure ends the other jobs of the matrix; true when not given.", False, BOOLEAN_OR_EXPRESSION
    ),
    "max-parallel": Key("How many jobs of the matrix run at once.", 2, PLACES),
}
STEP: Mapping[str, Key] = {
    "id": Key(
        "How expressions speak of it: `steps.<id>`.",
        "build",
        {"type": ["string", "boolean"], "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
    ),
    "name": Key("Its name; the first line of the script when not given.", "Test", TEXT),
    "if": Key("An expression: whether it runs; `success()` when not given.", "failure()", CONDITION),
    "run": Key("The script.", "make test", TEXT),
    "shell": _SHELL,
    "env": Key(_ENV, {"LEVEL": "3"}, of("env")),
    "working-directory": _FOLDER,
    "timeout-minutes": Key("How long it may take.", 5, MINUTES),
    "continue-on-error": Key("Whether the job goes on as if it had passed.", True, BOOLEAN_OR_EXPRESSION),
}
_TAKEN = "Taken, and changes nothing: the code is there, with its history."
CHECKOUT: Mapping[str, Key] = {
    "clean": Key(_TAKEN, True, ANYTHING),
    "fetch-depth": Key(_TAKEN, 0, ANYTHING),
    "fetch-tags": Key(_TAKEN, True, ANYTHING),
    "filter": Key(_TAKEN, "blob:none", ANYTHING),
    "persist-credentials": Key(_TAKEN, False, ANYTHING),
    "set-safe-directory": Key(_TAKEN, True, ANYTHING),
    "show-progress": Key(_TAKEN, False, ANYTHING),
}
CONTAINER: Mapping[str, Key] = {
    "image": Key("The name of the image.", "postgres:17", TEXT),
    "env": Key("Environment variables in the container.", {"POSTGRES_PASSWORD": "postgres"}, of("env")),
    "ports": Key("Ports that the job can reach.", [5432], TEXTS),
    "volumes": Key("Folders that the container has.", ["/var/lib/data"], TEXTS),
    "options": Key("Of a service: how one finds out that it is ready.", "--health-cmd pg_isready", TEXT),
}
_GLOBS = "Globs of files in the workspace"
REPORTS: Mapping[str, Key] = {
    "junit": Key(f"{_GLOBS}: results of tests as JUnit XML.", "reports/*.xml", TEXTS),
    "sarif": Key(f"{_GLOBS}: findings as SARIF 2.1.0.", "findings.sarif", TEXTS),
    "coverage": Key(f"{_GLOBS}: Cobertura or LCOV, told apart by their content.", "coverage.xml", TEXTS),
    "matchers": Key(f"{_GLOBS}: problem matchers as Actions has them, for the log.", ".github/matchers/*.json", TEXTS),
}
ARTIFACT: Mapping[str, Key] = {
    "name": Key("The name under which it is found.", "dist", TEXT),
    "path": Key("Globs of files; those that begin with `!` leave out again.", ["dist/**", "!dist/tmp/**"], TEXTS),
    "retention-days": Key("How many days it is kept.", 7, {"type": "integer", "minimum": 1, "maximum": 400}),
}
CACHE: Mapping[str, Key] = {
    "key": Key("What tells caches apart.", "pip-${{ hashFiles('**/requirements.txt') }}", TEXT),
    "restore-keys": Key(
        "Beginnings of older keys that will do, the best first.",
        ["pip-"],
        either(TEXT, {"type": "array", "items": TEXT}),
    ),
    "path": Key("Folders of the workspace, or below `~/`.", ["~/.cache/pip"], TEXTS),
}
_BRANCHES = "Builds only where a pattern matches the branch"
_WITHOUT = "Builds unless a pattern matches the branch"
PUSH: Mapping[str, Key] = {
    "branches": Key(f"{_BRANCHES} that was pushed.", ["main", "releases/**"], PATTERNS),
    "branches-ignore": Key(f"{_WITHOUT} that was pushed.", ["wip/**"], PATTERNS),
    "tags": Key("Builds only where a pattern matches the tag.", ["v*"], PATTERNS),
    "tags-ignore": Key("Builds unless a pattern matches the tag.", ["old-*"], PATTERNS),
    "paths": Key("Builds only where a changed file matches.", ["src/**", "!src/docs/**"], PATTERNS),
    "paths-ignore": Key("Builds unless every changed file matches.", ["docs/**"], PATTERNS),
}
PULL_REQUEST: Mapping[str, Key] = {
    "branches": Key(f"{_BRANCHES} that it is to be merged into.", ["main"], PATTERNS),
    "branches-ignore": Key(f"{_WITHOUT} that it is to be merged into.", ["wip/**"], PATTERNS),
    "paths": PUSH["paths"],
    "paths-ignore": PUSH["paths-ignore"],
    "types": Key("What has to happen to it.", ["opened", "synchronize"], TEXTS),
    "drafts": Key("Whether drafts are built; true when not given.", False, BOOLEAN),
    "comment": Key(
        "Whether a comment shows how its jobs stand, where the base branch says so too; false when not given.",
        True,
        BOOLEAN,
    ),
}
MERGE_GROUP: Mapping[str, Key] = {
    "branches": Key(f"{_BRANCHES} that it is to be merged into.", ["main"], PATTERNS),
    "branches-ignore": Key(f"{_WITHOUT} that it is to be merged into.", ["wip/**"], PATTERNS),
    "types": Key("What has to happen to it.", ["checks_requested"], TEXTS),
}
HOOK: Mapping[str, Key] = {key: PUSH[key] for key in ("branches", "branches-ignore", "tags", "tags-ignore")}
SCHEDULE: Mapping[str, Key] = {
    "cron": Key("When, in UTC: minute, hour, day of the month, month, day of the week.", "30 5 * * 1-5", TEXT),
}
WORKFLOW_DISPATCH: Mapping[str, Key] = {
    "inputs": Key(
        "What somebody who starts a build may give.",
        {"level": {"type": "choice", "options": ["info", "debug"]}},
        named(either({"type": "null"}, of("input"))),
    ),
}
INPUT: Mapping[str, Key] = {
    "description": Key("What it is for.", "How much is said", TEXT),
    "required": Key("Whether it has to be given; false when not given.", True, BOOLEAN),
    "default": Key("The value where none is given.", "info", ANYTHING),
    "type": Key(
        "Of what kind it is; `string` when not given.",
        "choice",
        {"enum": ["string", "number", "boolean", "choice", "environment"]},
    ),
    "options": Key("What can be chosen.", ["info", "debug"], TEXTS),
}
CONCURRENCY: Mapping[str, Key] = {
    "group": Key("The name of the group; case makes no difference.", "deploy-${{ github.event_name }}", TEXT),
    "cancel-in-progress": Key("Whether a new build ends the one that runs.", True, BOOLEAN_OR_EXPRESSION),
    "scope": Key(
        "What the group spans: each branch, tag and pull request by itself, or the whole repository.",
        "repository",
        {"enum": ["ref", "repository"]},
    ),
}
