"""Loading users' own handlers: what can be loaded is, by name only; what cannot stops the start with one clear line."""

from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path

import pytest
from gidgethub import routing, sansio

from bot import errors
from bot.plugins import loading
from bot.settings import Settings

GOOD = """\
import gidgethub.routing

router = gidgethub.routing.Router()


@router.register("pull_request", action="opened")
@router.register("pull_request", action="reopened")
async def greet(event, gh, *args):
    pass


@router.register("issues", state="open")
async def triage(event, gh):
    pass
"""


def write(folder: Path, text: str, name: str = "handlers.py") -> str:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def refusal(*names: str) -> str:
    with pytest.raises(errors.SettingsError) as refused:
        loading.load(names)
    return str(refused.value)


def test_a_file_is_loaded_with_each_handler_under_its_name(tmp_path: Path) -> None:
    found = loading.load([write(tmp_path, GOOD)])
    assert set(found.by_name) == {"handlers:greet", "handlers:triage"}
    assert found.candidates("pull_request", "opened") == ("handlers:greet",)
    assert found.candidates("pull_request", "closed") == ()
    assert found.candidates("issues", "labeled") == ("handlers:triage",)
    assert found.candidates("push", None) == ()


def test_what_a_handler_takes_is_known_once_the_payload_is_read(tmp_path: Path) -> None:
    found = loading.load([write(tmp_path, GOOD)])

    def takes(data: object) -> bool:
        return found.takes("handlers:triage", sansio.Event(data, event="issues", delivery_id="1"))

    assert takes({"state": "open"})
    assert not takes({"state": "closed"})
    assert not takes({})
    assert not takes({"state": ["open"]})
    assert not takes({"state": {}})


def test_without_a_setting_nothing_is_loaded() -> None:
    assert loading.load(Settings().handler_names).by_name == {}
    assert Settings(handlers=" ./a.py, greeter ,,./a.py").handler_names == ("./a.py", "greeter")


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    loading.load([path])
    write(tmp_path, GOOD.replace("def greet", "def welcome"))
    assert set(loading.load([path]).by_name) == {"handlers:welcome", "handlers:triage"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import gidgethub\nrouter = (\n", ", line 2: SyntaxError: '(' was never closed"),
        ("import os\nimport nothing_of_this_name\n", ", line 2: ModuleNotFoundError: No module named"),
        ("def f():\n    raise KeyError('x')\n\nf()\n", ", line 2: KeyError: 'x'"),
        ("x = 1\n", ": it has no `router`: write `router = gidgethub.routing.Router()`"),
        ("router = {}\n", ": its `router` is a dict: write `router"),
        ("import sys\nsys.exit(3)\n", ": it ends the process (3) instead of being loaded"),
        (GOOD.replace("async def triage", "def triage"), "handlers:triage (line 12) is no `async def` function"),
        (GOOD.replace("triage(event, gh)", "triage(event)"), "is called as triage(event, gh), which it does not take"),
        (GOOD.replace("triage(event, gh)", "triage(event, gh, db)"), "missing a required argument: 'db'"),
        (GOOD.replace("def triage", "def greet"), "two handlers are called handlers:greet"),
        ("token = 'ghp_" + "a" * 36 + "'\nraise ValueError(token)\n", ", line 2: ValueError: [secret]"),
    ],
)  # fmt: skip
def test_f86_a_file_that_cannot_be_loaded_says_where_and_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    said = refusal(write(tmp_path, text))
    assert said.startswith("BUILDHOOK_HANDLERS: ")
    assert says in said
    assert len(said.splitlines()) == 1


def test_a_file_that_is_not_there_and_a_package_that_is_not_installed_say_so(tmp_path: Path) -> None:
    lines = refusal(str(tmp_path / "nowhere.py"), "nobody").splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("nowhere.py: there is no such file")
    assert "no installed package has an entry point of that name in the group `buildhook.handlers`" in lines[1]
    assert "write ./nobody.py for a file" in lines[1]


def test_two_files_whose_handlers_have_the_same_name_say_so(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = write(tmp_path, GOOD), write(tmp_path / "other", GOOD)
    assert "two handlers are called handlers:greet" in refusal(first, second)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with two entry points, as an installer leaves it."""
    site = tmp_path / "site"
    info = site / "greeter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[buildhook.handlers]\ngreeter = greeter_of_a_test\nrouting = greeter_of_a_test:router\nbad = bad_of_a_test\n"
    )
    (site / "greeter_of_a_test.py").write_text(GOOD)
    (site / "bad_of_a_test.py").write_text("raise RuntimeError('it was loaded')\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["greeter", "routing"])
def test_t113_only_an_entry_point_that_is_named_is_loaded(name: str) -> None:
    found = loading.load([name])
    assert set(found.by_name) == {f"{name}:greet", f"{name}:triage"}
    assert "bad_of_a_test" not in sys.modules
    assert refusal("bad") == "BUILDHOOK_HANDLERS: bad (bad_of_a_test): RuntimeError: it was loaded"


def test_an_object_that_is_called_with_await_is_a_handler_too() -> None:
    class Counting:
        async def __call__(self, event: sansio.Event, gh: object) -> None:
            """Count."""

    router = routing.Router()
    router.add(Counting(), "push")
    (one,) = loading._handlers("x", router)
    assert one.name.startswith("x:")
