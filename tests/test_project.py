"""The project itself: style, layers, size, and that its documents agree with its code."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TOOLS = pathlib.Path(sys.executable).parent


def run_tool(*command):
    process = subprocess.run(
        [str(TOOLS / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def files():
    """What git tracks, or everything where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def test_ruff_finds_nothing():
    run_tool("ruff", "check", ".")


def test_every_file_is_formatted():
    run_tool("ruff", "format", "--check", ".")


def test_imports_respect_the_layers():
    run_tool("lint-imports")


def test_no_file_is_over_2_mb():
    assert [path.name for path in files() if path.stat().st_size > 2_000_000] == []


def test_no_module_has_the_name_of_a_public_function():
    import tl_toolkit as tl

    modules = {path.stem for path in (ROOT / "tl_toolkit").rglob("*.py")}
    assert modules & set(tl.__all__) == set()


def test_no_source_file_holds_two_things():
    long = {
        p.name: n
        for p in files()
        if p.suffix == ".py" and (n := len(p.read_text().splitlines())) > 350
    }
    assert {name: n for name, n in long.items() if not name.startswith("test_")} == {}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/several_devices.md"])
def test_links_and_paths_of_the_documents_exist(name):
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_every_command_of_the_readme_is_understood():
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^tl-toolkit (\S+)((?: \S+|\s*\\\n)*)", text, re.MULTILINE)
    assert len(commands) >= 6
    for name, words in commands:
        words, _, inner = words.partition(" -- ")
        if inner:
            commands.append(inner.split(" ", 1))
        flags = re.findall(r"--[a-z-]+", words)
        process = subprocess.run(
            [sys.executable, "-m", "tl_toolkit.cli.app", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        for flag in flags:
            assert re.search(rf"{flag}\b", process.stdout), f"{name} {flag}"


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.py")), ids=lambda p: p.name)
def test_every_recipe_opens_with_its_command_and_its_result(path):
    opening = path.read_text().split('"""')[1]
    assert f"python recipes/{path.name}" in opening
    assert re.search(r"0\.\d{2,3}", opening), "no measured figure"
