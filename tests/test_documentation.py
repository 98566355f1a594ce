"""Every public name has its place in the reference, every command its help, and the site builds without a broken link."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import tl_toolkit as tl
from tl_toolkit.cli.app import COMMANDS

ROOT = pathlib.Path(__file__).parent.parent


def test_every_public_name_is_in_the_reference_once():
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("reference.md", "recipe.md"))
    named = re.findall(r"^::: tl_toolkit\.(\w+)$", pages, re.MULTILINE)
    assert sorted(named) == sorted(set(tl.__all__) - {"__version__"})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site's folder."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return folder


@pytest.mark.slow
def test_the_site_builds_and_describes_every_public_name_and_command(site):
    reference = (site / "reference" / "index.html").read_text()
    reference += (site / "recipe" / "index.html").read_text()
    for name in set(tl.__all__) - {"__version__"}:
        assert f'id="tl_toolkit.{name}"' in reference
    commands = (site / "command_line" / "index.html").read_text()
    titles = re.findall(r'<h2 id="([a-z-]+)"', commands)
    assert set(COMMANDS) <= set(titles)
    assert len(COMMANDS) >= 16
    for name in COMMANDS:
        assert f"usage: tl-toolkit {name} " in commands


@pytest.mark.slow
def test_no_page_of_the_site_loads_anything_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', page.read_text()
        )
        assert loaded == [], page


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text())
    assert len(links) >= 15
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_readme_fits_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130
