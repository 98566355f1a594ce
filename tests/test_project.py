"""The project itself: style, layers, names, sizes, and that its documents agree with its code."""

import ast
import pathlib
import re
import runpy
import subprocess
import sys
import tokenize
import warnings

import pytest

import tl_toolkit as tl

ROOT = pathlib.Path(__file__).parents[1]
TOOLS = pathlib.Path(sys.executable).parent
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)

# Names that said little to a stranger; each has a better one now.
OLD_NAMES = {
    "Memory",
    "Processes",
    "contenders",
    "doubts",
    "images_that_count",
    "kept_images",
    "numbers",
    "picture",
    "spread",
    "take_from_chief",
    "text_of_chief",
    "wait_for_all",
}


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


@pytest.mark.slow  # 15 seconds without mypy's cache
def test_mypy_finds_nothing():
    run_tool("mypy")


def test_imports_respect_the_layers():
    run_tool("lint-imports")


def test_no_file_is_over_2_mb():
    assert [path.name for path in files() if path.stat().st_size > 2_000_000] == []


def test_no_module_at_the_root_has_a_public_name():
    """Importing `tl_toolkit.run` as a module would replace the lazy `tl.run`."""
    modules = {path.stem for path in (ROOT / "tl_toolkit").iterdir() if path.suffix in (".py", "")}
    assert {"recipe", "experiments"} <= modules
    assert modules & set(tl.__all__) == set()


def test_no_old_name_is_left():
    found = []
    for folder in ("tl_toolkit", "tests", "benchmarks", "recipes"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(name in path.read_text() for name in OLD_NAMES):
                continue
            with path.open("rb") as source:
                for token in tokenize.tokenize(source.readline):
                    if token.type == tokenize.NAME and token.string in OLD_NAMES:
                        found.append(f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}")
    assert found == []


def test_warnings_of_our_own_modules_are_errors():
    warn = "import warnings; warnings.warn('old', DeprecationWarning)"
    with pytest.raises(DeprecationWarning, match="old"):
        exec(warn, {"__name__": "tl_toolkit.data.folder"})
    with warnings.catch_warnings(record=True) as shown:
        exec(warn, {"__name__": "keras.layers"})
    assert shown == []


def test_no_source_file_holds_two_things():
    long = {
        p.name: n
        for p in files()
        if p.suffix == ".py" and (n := len(p.read_text().splitlines())) > 350
    }
    assert {name: n for name, n in long.items() if not name.startswith("test_")} == {}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_paths_of_the_documents_exist(name):
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert ((ROOT / name).parent / target).exists(), target


def test_contributing_says_what_every_folder_and_file_at_the_root_is_for():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2]
    tracked = {path.relative_to(ROOT).parts for path in files()}
    names = {parts[1] + "/" * (len(parts) > 2) for parts in tracked if parts[0] == "tl_toolkit"}
    assert {"recipe.py", "cli/"} <= names
    assert {name for name in names - {"py.typed"} if f"`{name}`" not in table} == set()


def test_the_changelog_begins_with_this_version():
    versions = re.findall(
        r"^## .*?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert versions[0] == tl.__version__


def test_no_function_is_left_to_autograph():
    """It would rewrite functions that need none of it: tens of milliseconds each, and files in the temporary folder."""
    for path in sorted((ROOT / "tl_toolkit").rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "tf.function" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "tf.function":
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert options.get("autograph") == "False", f"{path}:{node.lineno}"


RECIPES = sorted((ROOT / "recipes").glob("*.py"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_what_a_recipe_imports_and_asks_for_exists(path):
    """Its choices are checked when it is imported; what it trains is not started."""
    names = runpy.run_path(str(path), run_name="imported")
    recipes = [names[name] for name in ("RECIPE", "BASE") if name in names]
    assert all(isinstance(recipe, tl.Recipe) for recipe in recipes)
    assert recipes or path.name == "compare.py"
    for name in re.findall(r"\btl\.(\w+)", path.read_text()):
        assert name in tl.__all__


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_every_recipe_opens_with_its_command_and_its_result(path):
    opening = path.read_text().split('"""')[1]
    assert f"python recipes/{path.name}" in opening
    assert re.search(r"0\.\d{2,3}", opening), "no measured figure"
