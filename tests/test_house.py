"""What a person would forget: complete lists, and names that mean the same everywhere."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import msgspec
import pytest
from gidgethub import sansio
from ruamel.yaml import YAML

import bot.cli
import bot.doctor
import bot.engines
import bot.events
import bot.web.pages
from bot import cli, doctor, engines, events
from bot.events import retrying
from bot.github import needs
from bot.model import delivery
from bot.settings import PREFIX, Settings
from bot.web import pages

ROOT = Path(__file__).parent.parent
#: Events that GitHub sends to every App without being asked.
ALWAYS_SENT = {"installation", "installation_repositories", "ping"}
#: Events that do not come from GitHub.
OURS = {delivery.HOOK, delivery.SCHEDULE, delivery.DISPATCH, delivery.CONSENT}


def modules_with(package: object, attribute: str) -> set[str]:
    """The modules of a package that have an attribute of that name of their own."""
    found = set()
    for info in pkgutil.iter_modules(package.__path__):  # type: ignore[attr-defined]
        module = importlib.import_module(f"{package.__name__}.{info.name}")  # type: ignore[attr-defined]
        if attribute in vars(module):
            found.add(module.__name__)
    return found


def app_manifest() -> dict[str, object]:
    manifest: dict[str, object] = YAML(typ="safe").load((ROOT / "app.yml").read_text())
    return manifest


def test_every_module_of_handlers_is_listed() -> None:
    listed = {module.__name__ for module in events.HANDLERS}
    assert modules_with(bot.events, "router") == listed


def test_the_app_subscribes_to_every_event_that_has_a_handler() -> None:
    router = events.make_router()
    handled = {*router._shallow_routes, *router._deep_routes}
    subscribed = app_manifest()["default_events"]
    assert isinstance(subscribed, list)
    assert handled <= {*subscribed, *ALWAYS_SENT, *OURS}
    assert handled | set(subscribed) <= retrying.KNOWN_EVENTS | {"public"}


def test_t125_the_app_asks_for_no_more_than_it_says() -> None:
    assert app_manifest()["default_permissions"] == {
        "checks": "write",
        "statuses": "write",
        "pull_requests": "write",
        "contents": "read",
        "metadata": "read",
        "merge_queues": "read",
    }


def test_the_doctor_looks_for_what_app_yml_asks_for() -> None:
    manifest = app_manifest()
    assert manifest["default_permissions"] == dict(needs.PERMISSIONS)
    assert manifest["default_events"] == sorted(needs.EVENTS)


def test_every_check_of_the_doctor_is_listed() -> None:
    assert modules_with(bot.doctor, "CHECKS") == {module.__name__ for module in doctor.MODULES}


def test_every_page_is_listed() -> None:
    listed = {page.__name__ for page in (*pages.PAGES, *pages.SIGN_IN_PAGES)}
    assert modules_with(bot.web.pages, "Context") == listed


def test_every_command_is_listed() -> None:
    helpers = {"bench", "opening", "options", "output", "patience", "remote", "running", "serving", "tree", "watching"}
    helpers |= {"worktree"}
    modules = {info.name for info in pkgutil.iter_modules(bot.cli.__path__)} - helpers
    assert set(cli.COMMANDS) == modules


def test_every_engine_is_a_setting() -> None:
    for name in engines.ENGINES:
        assert Settings(engine=name).engine == name


@pytest.mark.parametrize("name", [one.name for one in msgspec.structs.fields(Settings)])
def test_every_setting_has_a_default_that_works_and_its_line_in_the_documents(name: str) -> None:
    assert next(one for one in msgspec.structs.fields(Settings) if one.name == name).default is not msgspec.NODEFAULT
    assert f"`{PREFIX}{name.upper()}`" in (ROOT / "docs/settings.md").read_text()


def test_an_action_that_is_no_text_finds_no_handler() -> None:
    router = events.make_router()
    actions: list[object] = [[], {}, ["opened"], 7, None]
    for action in actions:
        assert router.handlers(sansio.Event({"action": action}, event="pull_request", delivery_id="1")) == []


def test_the_example_of_a_handler_is_the_one_that_is_tested() -> None:
    example = (ROOT / "docs/examples/handlers.py").read_text()
    assert f"```python\n{example}```" in (ROOT / "docs/handlers.md").read_text()


def test_modules_are_small_enough_to_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "bot").rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_the_words_of_the_glossary_have_no_synonyms_in_names() -> None:
    forbidden = re.compile(r"\b(?:def|class) \w*(?:[Tt]ask_?[Ii]d|[Bb]ackend|[Ww]orkflow)\w*")
    found = {
        f"{path.name}: {match.group()}"
        for path in (ROOT / "bot").rglob("*.py")
        for match in forbidden.finditer(path.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(("letter", "last", "page"), [("t", 128, "security.md"), ("f", 102, "reliability.md")])
def test_every_known_threat_and_fault_is_tested_or_explained(letter: str, last: int, page: str) -> None:
    names = re.findall(r"def test_((?:[tf]\d+_)+)", "\n".join(_sources()))
    tested = {int(number) for name in names for number in re.findall(rf"{letter}(\d+)_", name)}
    # What is tested is listed before, by a program.
    written = (ROOT / "docs" / page).read_text().rpartition("<!-- end of generated: faults -->")[2]
    table = re.findall(rf"^\| ([{letter.upper()}0-9, -]+) \|", written, re.MULTILINE)
    explained: set[int] = set()
    for cell in table:
        for first, end in re.findall(rf"{letter.upper()}(\d+)(?:-{letter.upper()}(\d+))?", cell):
            explained |= set(range(int(first), int(end or first) + 1))
    missing = set(range(1, last + 1)) - tested - explained
    assert missing == set(), f"neither tested nor explained in docs/{page}"
    assert tested & explained == set(), f"tested, so docs/{page} need not explain why not"


def _sources() -> list[str]:
    return [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
