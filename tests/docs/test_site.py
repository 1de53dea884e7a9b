"""The documentation as a site: a link that leads nowhere, or a page that nobody finds, is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = """\
import sys
from pathlib import Path

import pytest
from scripts import build_docs
sys.exit(build_docs.build(Path(sys.argv[1]), Path(sys.argv[2]), is_check=False))
"""
GOOD = {
    "README.md": "# Hello\n\n[The page](docs/page.md#part), [a file](app.yml), [changes](CHANGELOG.md).\n",
    "CONTRIBUTING.md": "# Contributing\n",
    "CHANGELOG.md": "# Changes\n",
    "SECURITY.md": "# Security\n",
    "app.yml": "name: hello\n",
    "docs/index.md": "# Docs\n\n## Begin\n\n- [Hello](../README.md)\n- [Page](page.md): a page.\n- [Contributing]"
    "(../CONTRIBUTING.md)\n\n## More\n\n- [Changes](../CHANGELOG.md)\n- [Holes](../SECURITY.md)\n"
    "- [Inner](recipes/inner.md)\n",
    "docs/page.md": '# Page\n\n## Part\n\n[Hello](../README.md), [own](#own)\n\n## Other <a id="own"></a>\n\n'
    "```console\n$ echo '[x](nowhere.md)'\n```\n",
    "docs/recipes/inner.md": "# Inner\n\n[Page](../page.md#own), [file](../../app.yml)\n",
}
BAD = {
    "docs/page.md": "# Page\n\n[a](missing.md) [b](#nothing) [c](index.md#nowhere) [d](../missing.yml) [e](../docs)\n",
    "docs/orphan.md": "# Orphan\n",
}


def build(folder: Path, files: dict[str, str]) -> tuple[int, str]:
    """Build a site of these files; gives the status and what was said."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, folder, folder / "site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.long
def test_a_site_is_made_of_the_files_as_they_are_read_on_github(tmp_path: Path) -> None:
    status, said = build(tmp_path, GOOD)
    assert (status, said) == (0, "")
    page = (tmp_path / "site/page.html").read_text()
    assert 'href="readme.html"' in page
    assert 'id="own"' in page
    # Code stays as it is.
    assert "nowhere.md" in page
    assert 'href="page.html#part"' in (tmp_path / "site/readme.html").read_text()
    (file,) = (tmp_path / "site/_downloads").rglob("app.yml")
    assert file.read_text() == GOOD["app.yml"]
    # Nothing is fetched from elsewhere when it is read.
    assert "//fonts." not in page
    assert 'src="http' not in page


@pytest.mark.long
def test_every_link_that_leads_nowhere_and_every_page_that_stands_in_no_list_is_told(tmp_path: Path) -> None:
    status, said = build(tmp_path, GOOD | BAD)
    assert status == 1
    # `#part` and `#own` are gone with the page that had them.
    for place in ("missing.md", "nothing", "nowhere", "missing.yml", "../docs", "part", "own"):
        assert f"{place}'" in said, place
    assert "orphan.md: WARNING: document isn't included in any toctree" in said
