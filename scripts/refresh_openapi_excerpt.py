"""Makes `bot/simulator/openapi.json.gz` anew from GitHub's own description of its API and its webhooks.

    python scripts/refresh_openapi_excerpt.py

takes npm's package `@octokit/openapi` into a temporary folder, keeps the operations and events that are named below
and the schemas that they need, removes prose, turns OpenAPI's `nullable` into plain JSON Schema, and writes a
compressed file that is the same for the same input.
"""

from __future__ import annotations

import gzip
import json
import pathlib
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from typing import Any

PACKAGE = "@octokit/openapi"
MEMBER = "generated/api.github.com.json"
TARGET = pathlib.Path(__file__).parent.parent / "bot" / "simulator" / "openapi.json.gz"

OPERATIONS = (
    "POST /app-manifests/{code}/conversions",
    "GET /app",
    "GET /app/installations",
    "GET /app/installations/{installation_id}",
    "POST /app/installations/{installation_id}/access_tokens",
    "GET /app/hook/config",
    "GET /app/hook/deliveries",
    "GET /app/hook/deliveries/{delivery_id}",
    "POST /app/hook/deliveries/{delivery_id}/attempts",
    "DELETE /installation/token",
    "POST /applications/{client_id}/token",
    "DELETE /applications/{client_id}/token",
    "GET /user",
    "GET /user/installations",
    "GET /user/installations/{installation_id}/repositories",
    "GET /installation/repositories",
    "GET /repos/{owner}/{repo}",
    "GET /repos/{owner}/{repo}/installation",
    "GET /repos/{owner}/{repo}/contents/{path}",
    "GET /repos/{owner}/{repo}/git/ref/{ref}",
    "GET /repos/{owner}/{repo}/git/matching-refs/{ref}",
    "GET /repos/{owner}/{repo}/tags",
    "GET /repos/{owner}/{repo}/branches",
    "GET /repos/{owner}/{repo}/branches/{branch}",
    "GET /repos/{owner}/{repo}/rules/branches/{branch}",
    "GET /repos/{owner}/{repo}/commits",
    "GET /repos/{owner}/{repo}/commits/{ref}",
    "GET /repos/{owner}/{repo}/commits/{ref}/check-runs",
    "GET /repos/{owner}/{repo}/commits/{ref}/check-suites",
    "GET /repos/{owner}/{repo}/commits/{ref}/statuses",
    "GET /repos/{owner}/{repo}/commits/{commit_sha}/branches-where-head",
    "GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls",
    "GET /repos/{owner}/{repo}/compare/{basehead}",
    "GET /repos/{owner}/{repo}/pulls",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/commits",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}/files",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
    "POST /repos/{owner}/{repo}/check-runs",
    "GET /repos/{owner}/{repo}/check-runs/{check_run_id}",
    "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}",
    "GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations",
    "POST /repos/{owner}/{repo}/check-runs/{check_run_id}/rerequest",
    "POST /repos/{owner}/{repo}/check-suites",
    "GET /repos/{owner}/{repo}/check-suites/{check_suite_id}",
    "GET /repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs",
    "POST /repos/{owner}/{repo}/check-suites/{check_suite_id}/rerequest",
    "POST /repos/{owner}/{repo}/statuses/{sha}",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "GET /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "GET /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
    "POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
    "GET /rate_limit",
    "GET /meta",
)

EVENTS = (
    "ping",
    "push",
    "create",
    "delete",
    "pull-request-opened",
    "pull-request-synchronize",
    "pull-request-closed",
    "pull-request-reopened",
    "pull-request-edited",
    "pull-request-ready-for-review",
    "pull-request-converted-to-draft",
    "pull-request-labeled",
    "pull-request-unlabeled",
    "pull-request-enqueued",
    "pull-request-dequeued",
    "merge-group-checks-requested",
    "merge-group-destroyed",
    "check-run-created",
    "check-run-completed",
    "check-run-rerequested",
    "check-run-requested-action",
    "check-suite-requested",
    "check-suite-rerequested",
    "check-suite-completed",
    "issue-comment-created",
    "issue-comment-edited",
    "issue-comment-deleted",
    "installation-created",
    "installation-deleted",
    "installation-suspend",
    "installation-unsuspend",
    "installation-new-permissions-accepted",
    "installation-repositories-added",
    "installation-repositories-removed",
    "github-app-authorization-revoked",
    "member-added",
    "member-edited",
    "member-removed",
    "public",
    "repository-deleted",
    "repository-privatized",
    "repository-publicized",
    "repository-renamed",
    "repository-transferred",
)

#: Where the description itself is wrong. This list wants an account to be a user and an enterprise at once, although
#: the same installation alone (`GET /app/installations/{installation_id}`) is one or the other.
CORRECTIONS = {
    ("GET /app/installations", "200"): {"type": "array", "items": {"$ref": "#/components/schemas/installation"}},
}

#: Pull requests whose fork was deleted have no `head.repo`; the webhooks' schemas say so, these do not.
WITHOUT_FORK = ("pull-request", "pull-request-simple")

#: What says nothing about whether a value is right.
PROSE = {
    "description",
    "example",
    "examples",
    "title",
    "default",
    "externalDocs",
    "deprecated",
    "readOnly",
    "writeOnly",
}
#: Keywords whose value maps names to schemas: names are kept whatever they are.
NAMED = {"properties", "patternProperties"}


def schema_of(value: Any) -> Any:
    """A schema of OpenAPI 3.0 as plain JSON Schema, without prose."""
    if isinstance(value, list):
        return [schema_of(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return {"$ref": value["$ref"]}
    schema: dict[str, Any] = {}
    for key, item in value.items():
        if key in PROSE or key in ("nullable", "discriminator", "xml") or key.startswith("x-"):
            continue
        if key in NAMED:
            schema[key] = {name: any_events(name, schema_of(property_)) for name, property_ in item.items()}
        elif key in ("enum", "required", "const"):
            schema[key] = item
        else:
            schema[key] = schema_of(item)
    return or_null(schema) if value.get("nullable") else schema


def any_events(name: str, schema: Any) -> Any:
    """The property of that name, without the list of events that an App may subscribe to.

    Some of these lists are older than others: Apps that hear of merge groups would be wrong in check suites.
    """
    if name == "events" and isinstance(schema, dict) and "enum" in schema.get("items", {}):
        return {**schema, "items": {"type": "string"}}
    return schema


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, with null allowed: a plain validator does not know `nullable`."""
    if any(key in schema for key in ("oneOf", "anyOf", "allOf")):
        return {"anyOf": [schema, {"type": "null"}]}
    changed = dict(schema)
    if isinstance(schema.get("type"), str):
        changed["type"] = [schema["type"], "null"]
    if "enum" in schema and None not in schema["enum"]:
        changed["enum"] = [*schema["enum"], None]
    return changed


def references(value: Any) -> Iterator[str]:
    """The names of the schemas that a schema refers to directly."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference.rpartition("/")[2]
        for key, item in value.items():
            if key != "$ref":
                yield from references(item)


def body_schema(description: dict[str, Any], part: dict[str, Any]) -> Any:
    """The JSON schema of a request body or of a response, or None where it has no JSON body."""
    if "$ref" in part:
        _, _, kind, name = part["$ref"].split("/")
        part = description["components"][kind][name]
    content = part.get("content", {}).get("application/json")
    return schema_of(content["schema"]) if content else None


def excerpt(description: dict[str, Any], version: str) -> dict[str, Any]:
    """What the simulator needs of the description.

    :raises KeyError: if an operation or event named above is no longer there
    """
    operations: dict[str, Any] = {}
    for name in OPERATIONS:
        method, path = name.split(" ")
        operation = description["paths"][path][method.lower()]
        request = operation.get("requestBody")
        operations[name] = {
            "request": body_schema(description, request) if request else None,
            "is_body_required": bool(request and request.get("required")),
            "responses": {
                status: CORRECTIONS.get((name, status)) or body_schema(description, response)
                for status, response in operation["responses"].items()
            },
        }
    events: dict[str, Any] = {}
    for name in EVENTS:
        events[name] = body_schema(description, description["x-webhooks"][name]["post"]["requestBody"])
    schemas: dict[str, Any] = {}
    waiting = [*references(operations), *references(events)]
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = schema_of(description["components"]["schemas"][name])
            waiting.extend(references(schemas[name]))
    for name in WITHOUT_FORK:
        if name in schemas:
            head = schemas[name]["properties"]["head"]["properties"]
            head["repo"] = {"anyOf": [head["repo"], {"type": "null"}]}
    return {
        "package": PACKAGE,
        "version": version,
        "operations": operations,
        "events": events,
        "components": {"schemas": schemas},
    }


def fetch(folder: pathlib.Path) -> tuple[dict[str, Any], str]:
    """GitHub's description and the version of the package that it comes from."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        members = {
            member.name.partition("/")[2]: member for member in package.getmembers() if member.name.endswith(".json")
        }
        texts = {name: package.extractfile(members[name]) for name in (MEMBER, "package.json")}
        loaded = {name: json.load(text) for name, text in texts.items() if text is not None}
    return loaded[MEMBER], loaded["package.json"]["version"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        description, version = fetch(pathlib.Path(folder))
    text = json.dumps(excerpt(description, version), separators=(",", ":"), sort_keys=True)
    packed = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    TARGET.write_bytes(packed)
    print(f"{TARGET.name}: {PACKAGE} {version}, {len(text):,} bytes of JSON, {len(packed):,} bytes packed")


if __name__ == "__main__":
    main()
