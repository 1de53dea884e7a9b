"""Makes the documentation a site, of the same files that are read on GitHub: a link that leads nowhere is an error.

`python scripts/build_docs.py` writes it into `site/`; with `--check` nothing is written: only links and order count.
The order of the pages is that of the lists in `docs/index.md`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sphinx.cmd.build import build_main

import bot

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
#: Pages that stand elsewhere, and what they are called in the site.
ELSEWHERE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
}
#: Where other files that are linked to go.
FILES = "files"
_LINK = re.compile(r"(?<=\]\()(?P<path>[^()\s#]+)(?P<anchor>#[^()\s]*)?(?=\))")
_ANCHOR = re.compile(r'^(?P<heading>#+ .*?) <a id="(?P<anchor>[a-z0-9-]+)"></a>')
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_CONFIGURATION = f"""\
project = "buildhook"
release = version = "{bot.__version__}"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "buildhook"
# As GitHub makes them of headings.
myst_heading_anchors = 4
# Samples have gaps, which no lexer of their language takes: they are shown without colours.
suppress_warnings = ["misc.highlighting_failure"]
html_copy_source = False
"""


def main() -> None:
    """Build, or only check."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="only look")
    is_check = arguments.parse_args().check
    if not is_check:
        # Of a page that is gone nothing stays.
        shutil.rmtree(SITE, ignore_errors=True)
    status = build(ROOT, SITE, is_check=is_check)
    if status == 0 and not is_check:
        print(f"{(SITE / 'index.html').relative_to(ROOT)} is written")
    sys.exit(status)


def build(root: Path, site: Path, *, is_check: bool) -> int:
    """Build the site of the repository at `root`; gives Sphinx's status.

    :param is_check: nothing is written to `site`.
    """
    with tempfile.TemporaryDirectory(prefix="buildhook-docs-") as folder:
        sources, doctrees = Path(folder, "docs"), Path(folder, "doctrees")
        stage(root, sources)
        target = Path(folder, "nothing") if is_check else site
        builder = "dummy" if is_check else "html"
        return build_main(["-q", "-W", "--keep-going", "-b", builder, "-d", str(doctrees), str(sources), str(target)])


def stage(root: Path, sources: Path) -> None:
    """Copy what the site is made of, each link changed to where its target is there."""
    shutil.copytree(root / "docs", sources)
    for path in sorted((root / "docs").rglob("*.md")):
        inside = path.relative_to(root / "docs").as_posix()
        (sources / inside).write_text(_page(path, inside, root, sources), encoding="utf-8")
    for name, inside in ELSEWHERE.items():
        (sources / inside).write_text(_page(root / name, inside, root, sources), encoding="utf-8")
    (sources / "conf.py").write_text(_CONFIGURATION, encoding="utf-8")
    index = sources / "index.md"
    index.write_text(_with_order(index.read_text(encoding="utf-8")), encoding="utf-8")


def _page(path: Path, inside: str, root: Path, sources: Path) -> str:
    """The text of a page.

    :param inside: its place in the site.
    """

    def moved(found: re.Match[str]) -> str:
        if ":" in found["path"]:
            return found.group()
        target = Path(os.path.normpath(path.parent / found["path"]))
        if not target.is_relative_to(root) or not target.exists():
            # Sphinx says so.
            return found.group()
        wanted = target.relative_to(root).as_posix()
        if wanted in ELSEWHERE:
            place = ELSEWHERE[wanted]
        elif wanted.startswith("docs/"):
            place = wanted.removeprefix("docs/")
        elif target.is_file():
            place = f"{FILES}/{wanted}"
            (sources / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, sources / place)
        else:
            return found.group()
        return os.path.relpath(place, os.path.dirname(inside) or ".") + (found["anchor"] or "")

    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(
        line.replace("```mermaid", "```text") if is_code else _ANCHOR.sub(_targeted, _LINK.sub(moved, line))
        for line, is_code in _told(lines)
    )


def _targeted(found: re.Match[str]) -> str:
    """A heading with an anchor of its own, as MyST writes it."""
    return f"({found['anchor']})=\n{found['heading']}"


def _told(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a block of code."""
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        if found is not None and not fence:
            fence = found[1]
            yield line, True
        elif found is not None and found[1].startswith(fence):
            fence = ""
            yield line, True
        else:
            yield line, bool(fence)


def _with_order(index: str) -> str:
    """The first page, with what Sphinx goes by: the pages that each of its lists names, below the list's heading."""
    head, *sections = re.split(r"^## ", index, flags=re.M)
    shown = [head]
    for section in sections:
        title = section.partition("\n")[0]
        pages = re.findall(r"^- \[[^\]]+\]\(([^)#]+)\.md\)", section, re.M)
        order = [f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n", *(f"{one}\n" for one in pages), "```\n\n"]
        shown += [f"## {section}\n", *order]
    return "".join(shown)


if __name__ == "__main__":
    main()
