"""Generates the pages that the code itself knows best: commands, settings, and the drawing of the rooms.

`--check` only looks and fails where a page is stale.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import grimp
import msgspec
import typer.main
from typer.core import TyperGroup

from bot import doctor, failpoint, metrics, telemetry
from bot.cli import make
from bot.engines.local import escapes
from bot.github import needs
from bot.settings import PREFIX, SECRETS, Settings
from bot.web.api import OPERATIONS, describing
from scripts import schema_page

ROOT = Path(__file__).parent.parent
ROOMS = {
    "cli": "cli",
    "app": "app",
    "doctor": "doctor",
    "acting": "acting",
    "work": "work",
    "listener": "listener",
    "replica": "replica",
    "measuring": "measuring",
    "keyring": "keyring",
    "plugins": "plugins",
    "web": "web",
    "shapes": "shapes",
    "webhooks": "webhooks",
    "events": "events",
    "builds": "builds",
    "checks": "checks",
    "onboarding": "onboarding",
    "subscribers": "subscribers",
    "tracing": "tracing",
    "engines": "engines",
    "relay": "relay",
    "github": "github",
    "logs": "logs",
    "store": "store",
    "pipelines": "pipelines",
    "expressions": "expressions",
    "reports": "reports",
    "trust": "trust",
    "simulator": "simulator",
}
#: Everybody may import these; drawing them would hide the rest.
FLOOR = (
    "model",
    "errors",
    "telemetry",
    "metrics",
    "collector",
    "settings",
    "clock",
    "hint",
    "failpoint",
    "identity",
    "policy",
    "egress",
    "addresses",
    "proxies",
    "setting_values",
    "visitors",
    "sealing",
    "signing",
    "allowance",
)
BEGIN, END = "<!-- generated: {name} -->", "<!-- end of generated: {name} -->"


def main() -> None:
    """Write the pages, or look whether they are fresh."""
    is_check = "--check" in sys.argv[1:]
    pages = {
        ROOT / "docs/cli.md": commands(),
        ROOT / "docs/api.md": operations(),
        ROOT / "docs/keys.md": schema_page.page(),
        ROOT / "docs/settings.md": settings(),
        ROOT / "docs/metrics.md": metrics_page(),
        ROOT / "docs/architecture.md": architecture(),
        ROOT / "docs/reliability.md": reliability(),
        ROOT / "docs/engines.md": sandbox(),
        ROOT / "docs/doctor.md": checks(),
        ROOT / "app.yml": app_manifest(),
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if is_check:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `make fix`")
        sys.exit(1 if stale else 0)
    for path in stale:
        path.write_text(pages[path])
        print(f"{path.relative_to(ROOT)} is written")


def commands() -> str:
    """The reference of all commands, from their own help."""
    root = typer.main.get_command(make())
    assert isinstance(root, TyperGroup)
    lines = [
        "# Commands",
        "",
        "Generated from `--help`. Every command prints tables for people and JSON with `--json`.",
        "",
        "Exit codes: 0 well, 1 error, 2 wrong usage, 4 not logged in; and of a command that tells how a build ended,",
        "3 failed, 5 took too long, 6 cancelled.",
        "",
        "What has `--server` asks a service elsewhere through [its API](api.md), with the token in `BUILDHOOK_TOKEN`;",
        "without it, and without `BUILDHOOK_SERVER`, it works on the database of the data folder.",
    ]
    for name, command in root.commands.items():
        children = command.commands.items() if isinstance(command, TyperGroup) else [(None, command)]
        for child, leaf in children:
            lines += ["", *_command(" ".join(filter(None, ("buildhook", name, child))), leaf)]
    return "\n".join(lines) + "\n"


def _command(path: str, command: Any) -> list[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    described, _, example = (command.help or "").partition("Example:")
    lines = [f"## `{path}`", "", " ".join(described.split()), "", "```text", f"{path} {usage}", "```"]
    if example:
        lines += ["", "For example:", "", "```console", f"$ {' '.join(example.split())}", "```"]
    records = [record for one in command.params if (record := one.get_help_record(context)) is not None]
    records = [record for record in records if "completion" not in record[0] and "--help" not in record[0]]
    if records:
        lines += ["", "| option | meaning |", "|---|---|"]
        lines += [f"| `{_cell(name)}` | {_cell(' '.join(text.split()))} |" for name, text in records]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def operations() -> str:
    """The page of the API, with the table of its operations made anew."""
    lines = ["| ask | what it gives or does | needs |", "|---|---|---|"]
    for one in OPERATIONS:
        fields = "" if one.query is None else f"?{'&'.join(one.query.__struct_fields__)}"
        ask = f"{one.method} {describing.plain(one.path)}{fields}"
        needs = describing.need(describing.rule_of(one))
        lines.append(f"| `{ask}` | {_cell(one.summary)} | {_cell(needs)} |")
    return _replaced((ROOT / "docs/api.md").read_text(), "operations", "\n".join(lines))


def settings() -> str:
    """The reference of all settings, from the class that reads them."""
    lines = [
        "# Settings",
        "",
        "Read in this order, the first that gives a value wins: the environment, `.env` in the working directory,",
        "`settings.env` in the data folder, which [the set-up](setup.md) writes. An empty one counts as not given.",
        "They are read again on SIGHUP; a wrong file keeps the old values and the log says why. A wrong value stops",
        "the start with one line that says what to write instead.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for field in msgspec.structs.fields(Settings):
        name, default = field.name, field.default
        written = str(default).lower() if isinstance(default, bool) else getattr(default, "value", default)
        shown = "" if default is None else f"`{written}`"
        if name == "max_jobs":
            shown = "the number of cores, at least 2"
        lines.append(f"| `{PREFIX}{name.upper()}` | {shown} | {_cell(_description(field.type))} |")
    secrets = ", ".join(f"`{PREFIX}{name}_FILE`" for name in SECRETS)
    lines += ["", f"Secrets may also come from files: {secrets}.", ""]
    lines += [
        "OpenTelemetry is switched on by its own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`, in the environment:",
        "see [observability](observability.md).",
        "",
    ]
    lines += ["## Failpoints", ""]
    lines += [
        "`BUILDHOOK_FAILPOINT=name:action[:nth]`, several with commas between, is for tests of crashes: at the nth",
        "time that the service gets there, from 1, it ends at once (`kill`), raises an error (`exception`) or waits",
        f"{failpoint.DELAY_SECONDS:.0f} s (`delay`, or `delay=SECONDS`). It happens once, and the log says so before.",
        "",
        "| name | where |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {_cell(where)} |" for name, where in failpoint.POINTS.items()]
    return "\n".join(lines) + "\n"


def _description(kind: Any) -> str:
    """What a type is said to mean."""
    told = [one.description for one in getattr(kind, "__metadata__", ()) if isinstance(one, msgspec.Meta)]
    return "".join(filter(None, told))


def metrics_page() -> str:
    """The reference of all metrics, from the class that makes them."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` shows these to a Prometheus, or an agent of it, on this machine. What follows from them, with",
        "rules for alerts and a dashboard, is in [observability](observability.md).",
        "",
        f"No label grows: each has at most {metrics.MAX_VALUES} values and `{metrics.OTHER}` for the rest, whatever",
        "comes from outside. No repository, person or branch is one.",
        "",
        "| metric | kind | labels | what |",
        "|---|---|---|---|",
    ]
    for one in telemetry.Metrics().about:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {_cell(one.text)} |")
    lines += ["", "## Labels", "", "| label | its values |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(text)} |" for name, text in metrics.LABELS.items()]
    return "\n".join(lines) + "\n"


def architecture() -> str:
    """The architecture page, with the parts between its marks made anew from the imports and the docstrings."""
    path = ROOT / "docs/architecture.md"
    text = path.read_text()
    text = _replaced(text, "rooms", _drawing())
    return _replaced(text, "modules", _modules())


def reliability() -> str:
    """The reliability page, with the list of tested faults made anew from the names of the tests."""
    return _replaced((ROOT / "docs/reliability.md").read_text(), "faults", _tested_faults())


def sandbox() -> str:
    """The page of the engines, with the table of the probes made anew."""
    lines = ["| what is tried to reach | by |", "|---|---|"]
    for one in escapes.probes():
        script = _cell(one.script).replace("`", "'")
        lines.append(f"| {_cell(one.name)} | `{script}` |")
    return _replaced((ROOT / "docs/engines.md").read_text(), "probes", "\n".join(lines))


def checks() -> str:
    """The page of the doctor, with the table of what it looks for."""
    lines = ["| check | looks for |", "|---|---|"]
    lines += [f"| `{one.name}` | {_cell(one.about)} |" for one in doctor.CHECKS]
    return _replaced((ROOT / "docs/doctor.md").read_text(), "checks", "\n".join(lines))


def app_manifest() -> str:
    """What the App may do and what it hears of, for people."""
    lines = [
        "# The GitHub App: what it may do and what it hears, each with its reason. `buildhook setup` registers one",
        "# of exactly this. Made by `make fix` of `bot/github/needs.py`.",
        "# A permission that is added later needs the consent of every installation: this is the whole design's list.",
        "# https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app/choosing-permissions-for-a-github-app",
        f"name: {needs.NAME}",
        f"description: {needs.DESCRIPTION}",
        "public: false",
        "",
        "default_permissions:",
        *_aligned([(f"  {one.name}: {one.level}", one.why) for one in needs.ASKED]),
        "",
        "# `installation`, `installation_repositories` and `ping` are always sent.",
        "default_events:",
        *_aligned([(f"  - {one.name}", one.why) for one in needs.HEARD]),
    ]
    return "\n".join(lines) + "\n"


def _aligned(told: list[tuple[str, str]]) -> list[str]:
    width = max(len(what) for what, _ in told)
    return [f"{what:<{width}}  # {why}" for what, why in told]


def _tested_faults() -> str:
    places: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"def test_((?:[tf]\d+_)+)", path.read_text()):
            for number in {int(found) for found in re.findall(r"f(\d+)_", name)}:
                places[number][str(path.relative_to(ROOT / "tests"))] += 1
    lines = ["| fault | tests |", "|---|---|"]
    for number, found in sorted(places.items()):
        told = ", ".join(f"`{path}`" + (f" ({count})" if count > 1 else "") for path, count in found.items())
        lines.append(f"| F{number} | {told} |")
    return "\n".join(lines)


def _replaced(text: str, name: str, body: str) -> str:
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{body}\n{end}{after}"


def _drawing() -> str:
    graph = grimp.build_graph("bot", cache_dir=None)
    arrows = set()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            source, target = _room(importer), _room(imported)
            if source in ROOMS and target in ROOMS and source != target:
                arrows.add((source, target))
    order = list(ROOMS)
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {room}" for room in ROOMS]
    lines += [
        f"    {source} --> {target}"
        for source, target in sorted(arrows, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    ]
    return "\n".join([*lines, "```"])


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _modules() -> str:
    lines = ["| module | its promise |", "|---|---|"]
    for path in sorted((ROOT / "bot").rglob("*.py")):
        relative = path.relative_to(ROOT)
        if "migrations" in relative.parts or relative == Path("bot/__init__.py"):
            continue
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        lines.append(f"| `{relative}` | {_cell(docstring.partition(chr(10))[0])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
