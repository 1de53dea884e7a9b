"""The Helm chart, rendered by Helm itself and judged by Kubernetes' own definitions."""

from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

import bot
from bot import listener, settings
from bot.web import access
from tests.packaging.charted import CHART

SECRETS: dict[str, Any] = {"existingSecret": "github", "settings": {"APP_ID": 1_234_567, "NETWORK": "list"}}
POSTGRESQL: dict[str, Any] = {"databaseUrl": {"existingSecret": "database"}}
#: What is installed, by name.
GOOD: dict[str, dict[str, Any]] = {
    "defaults": {},
    "sqlite": SECRETS,
    "postgresql": {**SECRETS, **POSTGRESQL, "replicas": 3},
    "sandbox": {"existingSecret": "github", "settings": {"APP_ID": "1234567", "NETWORK": "full"}}
    | {"sandbox": {"userNamespaces": True}},
    "signed in": {
        **SECRETS,
        "settings": {
            "APP_ID": "1234567",
            "ACCESS": "github",
            "CLIENT_ID": "Iv23li0123456789",
            "PUBLIC_URL": "https://ci.example.org",
        },
        "ingress": {"enabled": True, "className": "nginx", "host": "ci.example.org", "tlsSecret": "tls"},
    },
    "everything": {
        **SECRETS,
        **POSTGRESQL,
        "replicas": 2,
        "image": {"repository": "ghcr.io/acme/buildhook", "digest": f"sha256:{'a' * 64}"},
        "imagePullSecrets": [{"name": "registry"}],
        "policy": '[network]\nallow = ["pypi.org"]\n',
        "persistence": {"size": "100Gi", "storageClass": "fast"},
        "ingress": {"enabled": True, "className": "nginx", "host": "ci.example.org", "tlsSecret": "tls"},
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/logs"}},
        "metrics": {"enabled": True, "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
        "podDisruptionBudget": {"enabled": True},
        "networkPolicy": {
            "enabled": True,
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
        },
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "ci"},
        "service": {"type": "NodePort", "port": 80, "annotations": {"a": "b"}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "ci", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "high",
        "extraEnv": [{"name": "AWS_REGION", "value": "eu-west-1"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    },
}
#: What is refused, and the words that say where it is wrong.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "several replicas on SQLite": ({"replicas": 2}, "databaseUrl/existingSecret"),
    "a misspelt value": ({"replica": 2}, "replica"),
    "a misspelt part": ({"persistence": {"size": "1Gi", "class": "fast"}}, "persistence"),
    "an ingress for no host": ({"ingress": {"enabled": True}}, "ingress/host"),
    "a monitor of no metrics": ({"metrics": {"serviceMonitor": {"enabled": True}}}, "metrics/enabled"),
    "a size that is none": ({"persistence": {"size": "big"}}, "persistence/size"),
    "a digest that is none": ({"image": {"digest": "latest"}}, "image/digest"),
    "a secret's key for what is no secret": ({"secretKeys": {"APP_ID": "id"}}, "APP_ID"),
    **{f"the setting {name}": ({"settings": {name: "x"}}, name) for name in ("HOST", "PORT", "DATA_DIR", "app_id")},
    **{f"the secret {name}": ({"settings": {name: "x"}}, name) for name in settings.SECRETS},
    **{f"the file of {name}": ({"settings": {f"{name}_FILE": "x"}}, name) for name in settings.SECRETS},
}

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("helm_python") is None,
        reason="Helm is not here: pip install helm-python-sdk, where there is a wheel for this machine",
    ),
    # Rendered once for all of them.
    pytest.mark.xdist_group("chart"),
]
each_good = pytest.mark.parametrize("name", GOOD)


@pytest.fixture(scope="module")
def helm() -> dict[str, Any]:
    """What Helm makes of every case, and what it says of the chart."""
    given = GOOD | {name: values for name, (values, _) in BAD.items()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.packaging.charted"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=CHART.parents[2],
        env={**os.environ, "PYTHONPATH": str(CHART.parents[2])},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def objects(helm: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """What a case makes, by kind; the hook of `helm test` as `Pod`."""
    templates = helm["made"][name]
    assert isinstance(templates, dict), templates
    parsed = [YAML(typ="safe").load(text) for path, text in templates.items() if path.endswith(".yaml")]
    return {one["kind"]: one for one in parsed if one}


def pods(helm: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The specifications of all pods of a case."""
    made = objects(helm, name)
    yield made["StatefulSet"]["spec"]["template"]["spec"]
    yield made["Pod"]["spec"]


def service_container(helm: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The container of the service."""
    found: dict[str, Any] = next(pods(helm, name))["containers"][0]
    return found


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a container."""
    return {one["name"]: one["value"] for one in container["env"]}


def test_helm_has_nothing_to_say_against_it(helm: dict[str, Any]) -> None:
    said = [one for one in helm["lint"]["messages"] if one["error"] != "icon is recommended"]
    assert (said, helm["lint"]["errors"]) == ([], [])


@each_good
def test_kubernetes_knows_every_field(helm: dict[str, Any], name: str) -> None:
    schemas = json.loads(gzip.decompress((Path(__file__).parent / "kubernetes.json.gz").read_bytes()))
    judged = set()
    for kind, made in objects(helm, name).items():
        known = schemas["kinds"].get(f"{made['apiVersion']}/{kind}")
        if known is None:
            assert made["apiVersion"] == "monitoring.coreos.com/v1", kind
            continue
        judged.add(kind)
        root = {"$ref": f"#/$defs/{known}", "$defs": schemas["$defs"]}
        assert [str(one) for one in jsonschema_rs.validator_for(root).iter_errors(made)] == []
    assert {"StatefulSet", "Service", "ServiceAccount", "Pod"} <= judged


def test_all_that_can_be_switched_on_is_off_until_asked_for(helm: dict[str, Any]) -> None:
    few = {"StatefulSet", "Service", "ServiceAccount", "Pod"}
    assert set(objects(helm, "defaults")) == few
    assert set(objects(helm, "everything")) == few | {
        *("ConfigMap", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor"),
    }


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_is_refused_with_its_place(helm: dict[str, Any], name: str) -> None:
    said = helm["made"][name]
    assert isinstance(said, str), "it was rendered"
    assert BAD[name][1] in said


@each_good
def test_everything_bears_the_labels_and_selects_the_service_alone(helm: dict[str, Any], name: str) -> None:
    made = objects(helm, name)
    for one in made.values():
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/part-of"] == "buildhook"
        assert labels["app.kubernetes.io/instance"] == "demo"
        assert labels["app.kubernetes.io/version"] == bot.__version__
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"].startswith("buildhook-")
        assert one["metadata"]["namespace"] == "prod"
    of_pods = made["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [made["Service"]["spec"]["selector"], made["StatefulSet"]["spec"]["selector"]["matchLabels"]]
    selectors += [made[kind]["spec"]["selector"]["matchLabels"] for kind in ("PodDisruptionBudget",) if kind in made]
    selectors += [made[kind]["spec"]["podSelector"]["matchLabels"] for kind in ("NetworkPolicy",) if kind in made]
    for selector in selectors:
        assert selector.items() <= of_pods
        assert not selector.items() <= made["Pod"]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", [name for name in GOOD if name != "sandbox"])
def test_pods_are_what_the_restricted_profile_allows(helm: dict[str, Any], name: str) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    for pod in pods(helm, name):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsUser"] > 0
        assert {"hostNetwork", "hostPID", "hostIPC"} & set(pod) == set()
        kinds = {kind for volume in pod.get("volumes", ()) for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "secret"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert {"privileged", "procMount", "appArmorProfile"} & set(context) == set()


def test_the_sandbox_gets_what_bubblewrap_needs_and_nothing_else_more(helm: dict[str, Any]) -> None:
    pod, _ = pods(helm, "sandbox")
    assert pod["hostUsers"] is False
    context = pod["containers"][0]["securityContext"]
    assert context == {
        **service_container(helm, "sqlite")["securityContext"],
        "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"},
        "procMount": "Unmasked",
    }


@each_good
def test_the_service_is_given_settings_that_it_has(helm: dict[str, Any], name: str) -> None:
    given = environment(service_container(helm, name))
    known = {settings.PREFIX + field.upper() for field in settings.Settings.__struct_fields__}
    known |= {f"{settings.PREFIX}{secret}_FILE" for secret in settings.SECRETS}
    assert {variable for variable in given if variable.startswith(settings.PREFIX)} <= known
    if name != "defaults":
        assert given["BUILDHOOK_APP_ID"] == "1234567"
        assert given["BUILDHOOK_PRIVATE_KEY_FILE"] == "/run/secrets/buildhook/private-key"
    has_server = "BUILDHOOK_DATABASE_URL_FILE" in given
    assert has_server == (name in {"postgresql", "everything"})


@each_good
def test_what_is_mounted_is_there(helm: dict[str, Any], name: str) -> None:
    made = objects(helm, name)
    pod, _ = pods(helm, name)
    there = {one["name"] for one in pod["volumes"]}
    there |= {one["metadata"]["name"] for one in made["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    used = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert used == there
    places = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    given = environment(pod["containers"][0])
    assert places[given["BUILDHOOK_DATA_DIR"]] == "data"
    assert all(os.path.dirname(path) in places for variable, path in given.items() if variable.endswith("_FILE"))


@each_good
def test_probes_ask_what_strangers_may_ask(helm: dict[str, Any], name: str) -> None:
    container = service_container(helm, name)
    paths = {kind: container[kind]["httpGet"]["path"] for kind in container if kind.endswith("Probe")}
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert all("GET" in access.PUBLIC[path] for path in paths.values())
    pod, _ = pods(helm, name)
    assert pod["terminationGracePeriodSeconds"] > listener.GRACE_SECONDS + listener.SHUTDOWN_SECONDS + 10


def test_only_the_doors_are_behind_the_ingress(helm: dict[str, Any]) -> None:
    (rule,) = objects(helm, "everything")["Ingress"]["spec"]["rules"]
    paths = [path["path"] for path in rule["http"]["paths"]]
    assert paths == ["/webhook", "/hooks/"]
    assert all(any(route.startswith(path) for route in access.PUBLIC) for path in paths)


def test_the_pages_are_behind_the_ingress_where_people_sign_in(helm: dict[str, Any]) -> None:
    (rule,) = objects(helm, "signed in")["Ingress"]["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/webhook", "/hooks/", "/"]


def test_the_notes_say_what_is_missing(helm: dict[str, Any]) -> None:
    notes = {name: helm["made"][name]["buildhook/templates/NOTES.txt"] for name in GOOD}
    assert {name for name, text in notes.items() if "NOT SET UP" in text} == {"defaults"}
    assert {name for name, text in notes.items() if "NO SANDBOX" in text} == set(GOOD) - {"sandbox"}
    assert {name for name, text in notes.items() if "NO NETWORK" in text} == {"sandbox"}


def test_the_image_is_of_this_version_or_the_one_that_is_named(helm: dict[str, Any]) -> None:
    assert service_container(helm, "defaults")["image"] == f"buildhook:{bot.__version__}"
    assert service_container(helm, "everything")["image"] == f"ghcr.io/acme/buildhook@sha256:{'a' * 64}"


def test_the_test_of_an_installation_is_python(helm: dict[str, Any]) -> None:
    _, pod = pods(helm, "everything")
    _, _, program, url = pod["containers"][0]["command"]
    ast.parse(program)
    assert url == "http://demo-buildhook:80"
