"""Each command that a page shows is run, by the real programs, in an empty folder; and prints what the page says."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import getpass
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt
from typer.core import TyperGroup

from bot import cli
from tests.docs import blocks, comparing, session
from tests.docs.beside import Beside, beside

#: Pages whose commands need nothing that is not on them.
ALONE = ("docs/tutorial.md", *sorted(f"docs/recipes/{path.name}" for path in (blocks.ROOT / "docs/recipes").iterdir()))
#: Pages whose commands ask a service, or work on what it keeps.
BESIDE = ("docs/api.md", "docs/backup.md", "docs/doctor.md", "docs/hooks.md", "docs/pipeline.md", "docs/secrets.md")
#: Pages whose commands are targets of make. What these do is what CI does; here it is seen that there are such.
MADE = ("README.md", "CONTRIBUTING.md")
#: The examples that every command has in its help.
EXAMPLES = "docs/cli.md"
#: How many blocks may be left out, each with its reason.
MOST_NOT_RUN = 13
#: Commands that end otherwise than with 0 beside the service.
ENDS = {
    "buildhook setup": (1, "set up already"),
    "buildhook dev": (1, "cannot be asked for a channel"),
    "buildhook doctor": (1, "mistakes? found"),
    "buildhook pr checks": (3, "test failed"),
    "buildhook builds watch": (3, "test failed"),
    "buildhook subscribers enable": (1, "Subscriber chat is not disabled"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    folder: Path
    #: What the page calls otherwise than it is called here, e.g. ports, which others may have taken.
    real: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Commands that end otherwise than with 0, and what they say then.
    ends: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Where the commands are typed."""
        return self.folder / "work"

    def follow(self, page: Path) -> None:
        """Do what a page says from its first line to its last."""
        self.work.mkdir(exist_ok=True)
        names = comparing.Names()
        with session.session(self.work, session.environment(self.folder, **self.settings)) as shell:
            for block in blocks.of(page):
                if block.reason is not None:
                    continue
                if block.file is not None:
                    put = f"cat > '{block.file}' <<'END OF FILE'\n{self._here(block.text)}END OF FILE"
                    assert shell.run(put)[0] == 0, block.place
                    continue
                for first in (block.first or "").splitlines():
                    status, printed = shell.run(self._here(first)) if first else (0, "")
                    assert status == 0, f"{block.place}: `{first}`, which comes first, ended so:\n{printed}"
                for command in block.commands:
                    self._type(command, block.place, shell, names)

    def _type(self, command: blocks.Command, place: str, shell: session.Session, names: comparing.Names) -> None:
        text = self._here(names.typed(command.text))
        status, printed = shell.run(text)
        told = f"{place}: `{text}` ended with status {status} and printed:\n{printed}"
        name = next((one for one in self.ends if session.is_of(text, one)), "")
        wanted, said = self.ends.get(name, (0, ""))
        assert status == wanted, told
        assert re.search(said, printed), told
        for shown, real in self.real.items():
            printed = printed.replace(real, shown)
        # Whoever did it is the same person on every page.
        printed = re.sub(rf"\b{re.escape(getpass.getuser())}$", "octo", printed, flags=re.MULTILINE)
        missing = names.differ(command.shown, printed) if command.shown else None
        assert missing is None, f"{told}\nThe page says otherwise: {missing or 'nothing more'}"

    def _here(self, text: str) -> str:
        for shown, real in self.real.items():
            text = text.replace(shown, real)
        return text


def page(name: str) -> Path:
    """A page by its name."""
    return blocks.ROOT / name


def reader_beside(there: Beside, folder: Path) -> Reader:
    """A reader in a checkout of what the service builds, as the machine's operator."""
    real = {
        "https://builds.example.com": there.service.url,
        "/backups/": f"{folder}/backups/",
        "/var/lib/buildhook-new": f"{folder}/new",
        "octo/hello#7": f"octo/hello#{there.failed}",
        "pr checks 7": f"pr checks {there.failed}",
        "72d3162e-cc78-11e3-81ab-4c9367dc0958": there.delivery,
        "--folder ./github": "--folder ./github --port 0",
    }
    return Reader(folder=folder, real=real, settings=there.settings, ends=ENDS)


async def prepared(there: Beside, folder: Path) -> None:
    """The checkout, and the files that a reader has."""
    (folder / "backups").mkdir()
    clone = await asyncio.create_subprocess_exec(
        "git", "clone", "-q", f"{there.github.url}/octo/hello.git", folder / "work"
    )
    assert await clone.wait() == 0
    for name in ("token", "token.txt", "production.txt"):
        (folder / "work" / name).write_text("a-secret-of-the-tests\n")


@pytest.mark.long
@pytest.mark.parametrize("name", ALONE)
def test_a_page_can_be_followed_from_its_first_line_to_its_last(name: str, tmp_path: Path) -> None:
    ports = {one: str(session.free_port()) for one in ("3000", "8080")}
    real = {f"127.0.0.1:{shown}": f"127.0.0.1:{port}" for shown, port in ports.items()}
    real["simulator --folder github"] = (
        f"simulator --folder github --port {ports['3000']} --webhook-url http://127.0.0.1:{ports['8080']}/webhook"
    )
    Reader(folder=tmp_path, real=real, settings={"BUILDHOOK_PORT": ports["8080"]}).follow(page(name))


@pytest.mark.long
@pytest.mark.parametrize("name", BESIDE)
async def test_the_commands_of_a_page_do_beside_a_service_what_it_says(name: str, tmp_path: Path) -> None:
    async with beside(tmp_path) as there:
        await prepared(there, tmp_path)
        if name == "docs/pipeline.md":
            (tmp_path / "work/.buildhook.yml").unlink()
        await asyncio.to_thread(reader_beside(there, tmp_path).follow, page(name))


@pytest.mark.long
async def test_every_example_of_the_help_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    async with beside(tmp_path) as there:
        await prepared(there, tmp_path)
        nothing = f"BUILDHOOK_DATA_DIR={tmp_path}/nothing buildhook"
        of_build = {
            "builds cancel 01JZZZ1X5GQKSTZ8V0A9E2M3N4": f"builds cancel {there.lasting_build}",
            "logs 01JZZZ1X5GQKSTZ8V0A9E2M3N4": f"logs {there.job}",
            "artifacts get 01JZZZ1X5GQKSTZ8V0A9E2M3N4": f"artifacts get {there.artifact}",
            "01JZZZ1X5GQKSTZ8V0A9E2M3N4": there.failed_build,
            # A relay that is not there.
            "buildhook dev --relay https://smee.io/new": f"{nothing} dev --relay http://127.0.0.1:9/new",
            # Another service, and a database that is empty.
            "WEBHOOK_SECRET_FILE=secret buildhook serve": f"WEBHOOK_SECRET_FILE=secret {nothing} serve",
            "buildhook restore": f"BUILDHOOK_DATA_DIR={tmp_path}/restored buildhook restore",
            # It would write over the file that is there.
            "init --from .github/workflows/ci.yml": "init --from .github/workflows/ci.yml --force",
        }
        (tmp_path / "work/key.pem").write_text(there.github.private_key)
        (tmp_path / "work/secret").write_text("a-secret-of-the-tests\n")
        reader = reader_beside(there, tmp_path)
        reader = dataclasses.replace(reader, real={**of_build, **reader.real})
        await asyncio.to_thread(reader.follow, page(EXAMPLES))


@pytest.mark.parametrize("name", MADE)
def test_every_target_of_make_that_a_page_names_is_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (blocks.ROOT / "Makefile").read_text(), re.MULTILINE))
    typed = [one.text for block in blocks.of(page(name)) if block.reason is None for one in block.commands]
    assert typed
    assert {text.partition("#")[0].strip() for text in typed} <= {f"make {target}" for target in targets}


def test_every_page_with_commands_is_followed_and_what_is_left_out_has_its_reason() -> None:
    followed = {*ALONE, *BESIDE, *MADE, EXAMPLES}
    left_out = []
    for path in blocks.PAGES:
        name = path.relative_to(blocks.ROOT).as_posix()
        found = [block for block in blocks.of(path) if block.is_commands]
        left_out += [f"{block.place}: {block.reason}" for block in found if block.reason is not None]
        assert any(block.reason is None for block in found) == (name in followed), name
        assert all(block.commands for block in found), f"{name} has a block of commands without a prompt"
    assert all(len(one.partition(": ")[2].split()) >= 4 for one in left_out), left_out
    tests = re.findall(r"tests/[\w./]+", " ".join(left_out))
    assert all((blocks.ROOT / one).exists() for one in tests), tests
    assert len(left_out) <= MOST_NOT_RUN, "\n".join(left_out)


def test_every_command_that_a_sentence_names_is_there_with_its_options() -> None:
    program = typer.main.get_command(cli.make())
    assert isinstance(program, TyperGroup)
    named = [
        (path, words)
        for path in (*blocks.PAGES, blocks.ROOT / "docs/explain.md")
        for words in spoken(path)
        # A name of the project itself, as `buildhook / test`, is no command.
        if words[1:] and re.fullmatch("[a-z]+", words[1]) and words[0] == "buildhook"
    ]
    assert len(named) > 100
    for path, (_, *words) in named:
        place = f"{path.name}: buildhook {' '.join(words)}"
        command: Any = program
        while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
            command = command.commands.get(words.pop(0))
        assert command is not None, place
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
        assert {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)} <= known, place


def spoken(page: Path) -> Iterator[list[str]]:
    """What stands in code within the sentences of a page, in words."""
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        for inner in token.children or ():
            if inner.type == "code_inline":
                with contextlib.suppress(ValueError):
                    yield shlex.split(inner.content)
