"""A first pipeline file for a repository, by the files at its top. Pure: it is told what is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

import msgspec

#: Files whose content is looked at.
READ = ("package.json", "pyproject.toml", "Makefile")


class Job(msgspec.Struct, frozen=True):
    """A job of the first file."""

    key: str
    #: What was found that speaks for it, e.g. "`go.mod`".
    found: str
    commands: tuple[str, ...]


def detect(names: Collection[str], contents: Mapping[str, str]) -> list[Job]:
    """The jobs that the files of a repository speak for; none where nothing is known of it.

    :param names: of the files at its top.
    :param contents: of those in `READ` that are there.
    """
    return [one for look in _LOOKS if (one := look(names, contents)) is not None]


def text(jobs: Collection[Job], *, schema_url: str) -> str:
    """The file. Without jobs it holds one that says what to write."""
    shown = list(jobs) or [
        Job("test", "nothing that is known", ('echo "Write here what tests this repository."', "exit 1"))
    ]
    lines = [
        f"# yaml-language-server: $schema={schema_url}",
        "on:",
        "  push:",
        "    branches: [main]",
        "  pull_request:",
        "jobs:",
    ]
    for one in shown:
        lines += [f"  # Found: {one.found}.", f"  {one.key}:", "    steps:"]
        lines += [f"      - run: {_scalar(command)}" for command in one.commands]
    return "\n".join(lines) + "\n"


def _scalar(command: str) -> str:
    is_plain = not any(sign in command for sign in (": ", " #", '"', "'", "{", "[")) and command[0].isalnum()
    return command if is_plain else "'" + command.replace("'", "''") + "'"


def _python(names: Collection[str], contents: Mapping[str, str]) -> Job | None:
    virtual = ("python3 -m venv .venv", ".venv/bin/pip install --upgrade pip")
    if "noxfile.py" in names:
        return Job("python", "`noxfile.py`", (*virtual, ".venv/bin/pip install nox", ".venv/bin/nox"))
    if "tox.ini" in names or "[tool.tox" in contents.get("pyproject.toml", ""):
        return Job("python", "the configuration of tox", (*virtual, ".venv/bin/pip install tox", ".venv/bin/tox"))
    tested = (".venv/bin/pip install pytest", ".venv/bin/python -m pytest")
    if "uv.lock" in names:
        return Job("python", "`uv.lock`", ("uv sync --locked", "uv run pytest"))
    if "pyproject.toml" in names or "setup.py" in names:
        what = "`pyproject.toml`" if "pyproject.toml" in names else "`setup.py`"
        return Job("python", what, (*virtual, ".venv/bin/pip install -e .", *tested))
    if "requirements.txt" in names:
        return Job("python", "`requirements.txt`", (*virtual, ".venv/bin/pip install -r requirements.txt", *tested))
    return None


#: By its lock file: how each manager installs exactly what is locked, and how it runs a script.
_MANAGERS = (
    ("pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm"),
    ("yarn.lock", "yarn install --frozen-lockfile", "yarn"),
    ("bun.lock", "bun install --frozen-lockfile", "bun"),
    ("bun.lockb", "bun install --frozen-lockfile", "bun"),
    ("package-lock.json", "npm ci", "npm"),
)


def _node(names: Collection[str], contents: Mapping[str, str]) -> Job | None:
    if "package.json" not in names:
        return None
    try:
        told = json.loads(contents.get("package.json", "{}"))
    except ValueError:
        told = {}
    scripts = told.get("scripts", {}) if isinstance(told, dict) else {}
    lock, install, manager = next((one for one in _MANAGERS if one[0] in names), ("package.json", "npm install", "npm"))
    wanted = [script for script in ("lint", "build", "test") if isinstance(scripts, dict) and script in scripts]
    return Job("node", f"`{lock}`", (install, *(f"{manager} run {script}" for script in wanted)))


def _make(names: Collection[str], contents: Mapping[str, str]) -> Job | None:
    if "Makefile" not in names:
        return None
    targets = [line.partition(":")[0] for line in contents.get("Makefile", "").splitlines() if ":" in line]
    target = next((one for one in ("check", "test") if one in targets), None)
    return None if target is None else Job("make", f"`{target}` in `Makefile`", (f"make {target}",))


def _by_file(name: str, key: str, *commands: str) -> Callable[[Collection[str], Mapping[str, str]], Job | None]:
    def look(names: Collection[str], _contents: Mapping[str, str]) -> Job | None:
        return Job(key, f"`{name}`", commands) if name in names else None

    return look


def _gradle(names: Collection[str], _contents: Mapping[str, str]) -> Job | None:
    found = next((name for name in ("build.gradle", "build.gradle.kts") if name in names), None)
    if found is None:
        return None
    return Job("gradle", f"`{found}`", ("./gradlew build" if "gradlew" in names else "gradle build",))


_LOOKS = (
    _python,
    _node,
    _by_file("go.mod", "go", "go vet ./...", "go test ./..."),
    _by_file("Cargo.toml", "rust", "cargo build --locked", "cargo test --locked"),
    _by_file("pom.xml", "maven", "mvn --batch-mode verify"),
    _gradle,
    _by_file("CMakeLists.txt", "cmake", "cmake -S . -B build", "cmake --build build", "ctest --test-dir build"),
    _make,
)
