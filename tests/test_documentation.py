"""Every public name has its place in the reference, every command its help, and the site builds without a broken link."""

import csv
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import tl_toolkit as tl
from tl_toolkit.cli.app import COMMANDS
from tl_toolkit.experiments.written_files import WRITTEN

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
def test_the_site_draws_every_layer(site):
    page = (site / "how_it_is_built" / "index.html").read_text()
    (drawing,) = re.findall(r"<svg viewBox=\"-1.*?</svg>", page, re.DOTALL)
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    for name in " | ".join(layers[0]["layers"]).split(" | "):
        assert f">{name}</text>" in drawing
    assert "<code>" not in drawing


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


def test_every_file_of_an_output_folder_is_described():
    page = (ROOT / "docs" / "run_folder.md").read_text()
    for names in WRITTEN.values():
        for name in names:
            assert f"`{name}`" in page or f"`{name}/`" in page, name


def test_every_key_of_the_figures_is_described(finished_run):
    page = (ROOT / "docs" / "run_folder.md").read_text()
    for key in json.loads((finished_run.folder / "metrics.json").read_bytes()):
        assert f"`{key}`" in page, key
    with (finished_run.folder / "test_answers.csv").open(newline="") as table:
        for column in next(csv.reader(table)):
            assert f"`{re.sub('probability of .*', 'probability of …', column)}`" in page


def test_no_picture_is_large():
    pictures = sorted((ROOT / "docs").glob("*.webp"))
    assert len(pictures) >= 3
    assert {path.name for path in pictures if path.stat().st_size > 200_000} == set()
