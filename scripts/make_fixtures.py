"""Makes `fixtures/`: one raw delivery for each event and action that GitHub documents, as an App would receive it.

The payloads are the examples of npm `@octokit/webhooks-examples`; which events and actions there are, and what a
payload without an example needs, is read from npm `@octokit/openapi-webhooks`. The result is the same on each run:

    python scripts/make_fixtures.py
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import shutil
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES, DESCRIPTION = "@octokit/webhooks-examples@7.6.1", "@octokit/openapi-webhooks@12.1.0"
FIXTURES = Path(__file__).parent.parent / "fixtures"
#: The same four are in `tests/recorded.py`.
SECRET, APP_ID, HOOK_ID, INSTALLATION_ID = b"It's a Secret to Everybody", 1234567, 4242, 375706
#: These reach an App, or a hook of its owner, outside of any installation.
WITHOUT_INSTALLATION = {"github_app_authorization", "marketplace_purchase", "ping", "security_advisory", "sponsorship"}
#: Members that many payloads share, and the example that they are taken from.
SHARED = {
    "enterprise": ("installation", "created"),
    "issue": ("issues", "opened"),
    "milestone": ("milestone", "created"),
    "organization": ("organization", "member_added"),
    "parent_issue": ("issues", "opened"),
    "repository": ("star", "created"),
    "sender": ("star", "created"),
    "sub_issue": ("issues", "opened"),
}
_OLD_BASE = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
#: What a derived payload says differently, as GitHub's page of the event documents it; the path is dotted.
#: https://docs.github.com/en/webhooks/webhook-events-and-payloads
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("issues", "closed"): {"issue.state": "closed", "issue.closed_at": "2019-05-15T15:22:04Z"},
    ("merge_group", "destroyed"): {"reason": "invalidated"},
    ("pull_request", "auto_merge_disabled"): {"reason": "manually disabled by user"},
    ("pull_request", "auto_merge_enabled"): {
        "pull_request.auto_merge": {"merge_method": "squash", "commit_title": None, "commit_message": None}
    },
    ("pull_request", "dequeued"): {"reason": "CI_FAILURE"},
    ("pull_request", "edited"): {
        "changes": {"base": {"ref": {"from": "stable"}, "sha": {"from": _OLD_BASE}}},
        "pull_request.updated_at": "2019-05-15T15:22:04Z",
    },
    ("repository", "archived"): {"repository.archived": True},
    ("repository_dispatch", "sample.collected"): {"branch": "master", "client_payload": {"unit": False}},
    ("workflow_run", "in_progress"): {"workflow_run.status": "in_progress", "workflow_run.conclusion": None},
}


@dataclass(frozen=True, slots=True)
class Documented:
    """One event and action, with the schema of its payload."""

    event: str
    action: str | None
    schema: dict[str, Any]


class Maker:
    """Finds or derives the payload of each documented delivery."""

    def __init__(self, *, examples: list[dict[str, Any]], description: dict[str, Any]) -> None:
        self._examples = {one["name"]: one["examples"] for one in examples}
        self._description = description
        #: What is not an unchanged example: a line for `derived.txt` each.
        self.derived: list[str] = []

    def documented(self) -> Iterator[Documented]:
        """Every event and action of the description, then the examples beyond it."""
        seen: set[tuple[str, str | None]] = set()
        for webhook in self._description["webhooks"].values():
            name, _, last = webhook["post"]["operationId"].partition("/")
            event = name.replace("-", "_")
            schema = self._resolve(webhook["post"]["requestBody"]["content"]["application/json"]["schema"])
            while "oneOf" in schema:
                schema = self._resolve(schema["oneOf"][0])
            actions = schema.get("properties", {}).get("action", {}).get("enum", [None])
            if event == "repository_dispatch":
                actions = [last]
            for action in actions:
                seen.add((event, action))
                yield Documented(event, action, schema)
        for event, examples in self._examples.items():
            for action in {one.get("action"): None for one in examples}:
                if (event, action) not in seen:
                    yield Documented(event, action, {})

    def payload(self, wanted: Documented) -> dict[str, Any]:
        """The example for it, or one derived from the nearest."""
        payload = self._example(wanted.event, wanted.action)
        if payload is None:
            payload = self._derive(wanted)
        if wanted.event not in WITHOUT_INSTALLATION and "installation" not in payload:
            payload["installation"] = {
                "id": INSTALLATION_ID,
                "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uMzc1NzA2",
            }
            self._note(wanted, "installation added")
        return payload

    def _example(self, event: str, action: str | None) -> dict[str, Any] | None:
        """The best example: sent to an App; about a living branch; the first of these."""
        found = [one for one in self._examples.get(event, []) if one.get("action") == action]
        if not found:
            return None
        best = max(found, key=lambda one: ("installation" in one, str(one.get("ref", "")).startswith("refs/heads/")))
        chosen: dict[str, Any] = copy.deepcopy(best)
        return chosen

    def _derive(self, wanted: Documented) -> dict[str, Any]:
        sibling = next((one.get("action") for one in self._examples.get(wanted.event, [])), None)
        payload = self._example(wanted.event, sibling) or {}
        for stale in ("changes", "label", "assignee"):
            if payload and stale not in wanted.schema.get("properties", {stale: {}}):
                payload.pop(stale, None)
        if wanted.action is not None:
            payload["action"] = wanted.action
        payload |= self._missing(wanted.schema, payload, depth=0)
        for member in ("repository", "sender"):
            is_documented = member in wanted.schema.get("properties", {})
            if is_documented and member not in payload and wanted.event not in WITHOUT_INSTALLATION:
                payload[member] = self._shared(member)
        for path, value in CHANGES.get((wanted.event, wanted.action or ""), {}).items():
            *parents, last = path.split(".")
            target = payload
            for parent in parents:
                target = target[parent]
            target[last] = value
        source = f"derived from {wanted.event}.{sibling}" if sibling else "made from its schema"
        self._note(wanted, source)
        return payload

    def _note(self, wanted: Documented, what: str) -> None:
        self.derived.append(f"{wanted.event}/{wanted.action or '_'}: {what}")

    def _shared(self, member: str) -> Any:
        if member not in SHARED:
            return None
        found = self._example(*SHARED[member])
        return None if found is None else found.get(member, found.get("issue"))

    def _missing(self, schema: dict[str, Any], payload: dict[str, Any], *, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        return {
            name: self._value(name, properties.get(name, {}), depth=depth)
            for name in schema.get("required", properties if depth else [])
            if name not in payload
        }

    def _value(self, name: str, schema: dict[str, Any], *, depth: int) -> Any:
        """A value of the schema; what other payloads share is taken from them."""
        shared = self._shared(name)
        if shared is not None:
            return shared
        schema = self._resolve(schema)
        for given in ("example", "const", "default"):
            if given in schema:
                return schema[given]
        if schema.get("enum"):
            return schema["enum"][0]
        for choice in ("oneOf", "anyOf", "allOf"):
            if choice in schema:
                return self._value(name, schema[choice][0], depth=depth)
        if schema.get("nullable") or depth > 6:
            return None
        kind = schema.get("type")
        if kind == "object":
            return self._missing(schema, {}, depth=depth + 1)
        if kind == "string":
            formats = {"date-time": "2019-05-15T15:20:33Z", "uri": f"https://api.github.com/{name}"}
            return formats.get(schema.get("format", ""), f"an {name}")
        return {"integer": 1, "number": 1, "boolean": False, "array": []}.get(str(kind))

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema


def headers(event: str, action: str | None, body: bytes) -> dict[str, str]:
    """The request headers, in GitHub's order and spelling.

    https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
    """
    guid = uuid.uuid5(uuid.NAMESPACE_URL, f"https://docs.github.com/webhooks#{event}.{action or '_'}")
    return {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Delivery": str(guid),
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": str(HOOK_ID),
        "X-GitHub-Hook-Installation-Target-ID": str(APP_ID),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "X-Hub-Signature": f"sha1={hmac.digest(SECRET, body, hashlib.sha1).hex()}",
        "X-Hub-Signature-256": f"sha256={hmac.digest(SECRET, body, hashlib.sha256).hex()}",
    }


def packed(package: str, *, member: str, folder: Path) -> Any:
    """One JSON file out of an npm package."""
    done = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True)
    with tarfile.open(folder / done.stdout.split()[-1]) as archive:
        file = archive.extractfile(f"package/{member}")
        assert file is not None
        return json.load(file)


def main() -> None:
    """Write everything anew."""
    with tempfile.TemporaryDirectory() as name:
        maker = Maker(
            examples=packed(EXAMPLES, member="api.github.com/index.json", folder=Path(name)),
            description=packed(DESCRIPTION, member="generated/api.github.com.json", folder=Path(name)),
        )
    target = FIXTURES / "deliveries"
    shutil.rmtree(target, ignore_errors=True)
    for one in maker.documented():
        # GitHub sends compact JSON and leaves letters beyond ASCII as they are.
        body = json.dumps(maker.payload(one), separators=(",", ":"), ensure_ascii=False).encode()
        folder = target / one.event / (one.action or "_")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "body").write_bytes(body)
        (folder / "headers.json").write_text(json.dumps(headers(one.event, one.action, body), indent=2) + "\n")
    (FIXTURES / "derived.txt").write_text("\n".join(sorted(maker.derived)) + "\n")


if __name__ == "__main__":
    main()
