"""Makes `tests/packaging/kubernetes.json.gz` anew, by which the tests judge what the Helm chart makes.

    python scripts/refresh_kubernetes_excerpt.py FOLDER

FOLDER is `kubernetes_validate/kubernetes-json-schema/v1.X.0-local-strict` of PyPI's package kubernetes-validate:
Kubernetes' own definitions (Apache License 2.0), which know every field of an object and allow no other. Kept are the
kinds that are named below and what they need, without prose; the file is the same for the same input.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

#: What the chart makes, by `apiVersion/kind`.
KINDS = {
    "apps/v1/StatefulSet": "io.k8s.api.apps.v1.StatefulSet",
    "networking.k8s.io/v1/Ingress": "io.k8s.api.networking.v1.Ingress",
    "networking.k8s.io/v1/NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "policy/v1/PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "v1/ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1/Pod": "io.k8s.api.core.v1.Pod",
    "v1/Service": "io.k8s.api.core.v1.Service",
    "v1/ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
}
OUT = Path(__file__).parent.parent / "tests/packaging/kubernetes.json.gz"


def main() -> None:
    """Read the folder, write the excerpt."""
    definitions = json.loads((Path(sys.argv[1]) / "_definitions.json").read_text())["$defs"]
    kept: dict[str, Any] = {}
    wanted = set(KINDS.values())
    while missing := wanted - set(kept):
        for name in missing:
            kept[name] = _cleaned(definitions[name])
            wanted |= _references(kept[name])
    text = json.dumps({"kinds": KINDS, "$defs": kept}, separators=(",", ":"), sort_keys=True)
    OUT.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{OUT.name}: {len(kept)} definitions, {OUT.stat().st_size} bytes")


def _cleaned(schema: Any, *, has_names: bool = False) -> Any:
    """A schema without prose, whose references stay in one document. :param has_names: of properties, not of words."""
    if isinstance(schema, list):
        return [_cleaned(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for name, value in schema.items():
        if name == "$ref":
            found[name] = f"#/$defs/{value.rpartition('/')[2]}"
        elif has_names or name != "description":
            found[name] = _cleaned(value, has_names=name == "properties" and not has_names)
    return found


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {found for one in schema for found in _references(one)}
    if not isinstance(schema, dict):
        return set()
    own = {str(schema["$ref"]).rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
    return own | {found for one in schema.values() for found in _references(one)}


if __name__ == "__main__":
    main()
