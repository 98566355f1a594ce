"""Every code block of the README and the site is run, or understood by what it is written for."""

import json
import pathlib
import re
import sys
import tomllib

import pytest
import yaml
from documents import DOCUMENTS, ROOT, blocks, commands_of, parsed
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from tl_toolkit.cli.app import main
from tl_toolkit.cli.recipe_flags import recipe_from

# Blocks that are run by a test file of their own.
RUN_ELSEWHERE = {
    ("docs/exporting.md", "python"): "tests/test_exporting_examples.py",
    ("docs/exporting.md", "js"): "tests/test_exporting_examples.py",
    ("docs/several_labels.md", "python"): "tests/data/test_several_labels_document.py",
}
READERS = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: [*yaml.safe_load_all(text)],
}
PYTHON, SHELL, OUTPUT = "python", "bash", "text"
# Programs of others that the documents name.
OF_OTHERS = {".", "[", "docker", "exit", "hf", "mkdir", "python", "python3", "scontrol", "source"}
PAGES_WITH_PYTHON = [
    page for page in DOCUMENTS if blocks(page, PYTHON) and (page, PYTHON) not in RUN_ELSEWHERE
]
# The code of other pages trains, for longer than a test of every day may.
TRAINS_NOTHING = {"docs/asking_a_model.md"}
SHELL_COMMANDS = [
    (f"{page}:{block.line}", words)
    for page in DOCUMENTS
    for block in blocks(page, SHELL)
    for words in commands_of(block)
]
# Flags of completion, which tests/cli/test_completion.py runs, stand in the place of a command.
OURS = {
    tuple(words[1:]): place
    for place, words in SHELL_COMMANDS
    if words[0] == "tl-toolkit" and not words[1].startswith("--")
}
WITH_A_RECIPE = ("train", "find-learning-rate", "cross-validate")
# What runs on a folder with runs in it, at once or within seconds.
CHEAP = ("weights", "verify", "paired")
TAKES_SECONDS = ("predict", "evaluate", "report", "batch-norm", "models")
# What is not in that folder: a download, and what other commands of the pages leave.
NOT_THERE = {"resnet50", "my_run/exports/model.onnx", "balanced_run", "my_run_again"}
OF_THE_TUTORIAL = {"cells", "cells_features"}
WALK = "docs/index.md"  # whose commands follow each other from the photos on
SERVERS = {"try"}


@pytest.mark.parametrize("page", DOCUMENTS)
def test_every_block_is_of_a_kind_that_a_test_takes(page):
    for block in blocks(page):
        place = f"{page}:{block.line}"
        if block.language in READERS:
            assert READERS[block.language](block.source), place
        elif (page, block.language) not in RUN_ELSEWHERE:
            assert block.language in (PYTHON, SHELL, OUTPUT), place
        # Code does not hide among outputs.
        if block.language == OUTPUT:
            assert not re.search(r"^(>>> |\$ |import |from \w+ import)", block.source, re.M), place


@pytest.mark.parametrize("page", DOCUMENTS)
def test_no_code_stands_outside_of_fences(page):
    """Four spaces would make a block of it that no test sees."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.M | re.S)
    assert re.findall(r"\n\n {4,}[^\s*-].*", text) == []


def test_what_is_run_elsewhere_is_there():
    for (page, language), file in RUN_ELSEWHERE.items():
        assert blocks(page, language)
        text = (ROOT / file).read_text()
        assert f'"{page.removeprefix("docs/")}"' in text
        assert f'blocks("{language}")' in text or f"```{language}" in text


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page in TRAINS_NOTHING else [pytest.mark.long])
        for page in PAGES_WITH_PYTHON
    ],
)
def test_the_python_of_a_page_runs(page, documented):
    made_here = re.findall(r'tl\.run\([^\n]*, "(\w+)"', (ROOT / page).read_text())
    documented(without=made_here)
    document = Document.parse(str(ROOT / page), PythonCodeBlockParser())
    examples = list(document.examples())
    assert len(examples) >= len(blocks(page, PYTHON))
    for example in examples:
        example.evaluate()


@pytest.mark.parametrize(("place", "words"), SHELL_COMMANDS)
def test_every_command_exists(place, words):
    program, *arguments = words
    if program == "tl-toolkit":
        return  # the next test parses it
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert {word for word in arguments if "=" not in word} <= set(targets)
    elif program in ("pip", "python") and arguments[0] in ("install", "recipes", "benchmarks"):
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for names in re.findall(r"\[([a-z,-]+)\]", " ".join(arguments)):
            assert set(names.split(",")) <= set(extras["optional-dependencies"])
    else:
        assert program in OF_OTHERS
    for script in re.findall(r"(?:recipes|benchmarks|docs)/\w+\.py", " ".join(arguments)):
        assert (ROOT / script).exists()


@pytest.mark.parametrize("words", OURS, ids=lambda words: OURS[words])
def test_every_command_of_ours_is_understood(words):
    """By the command line's own parser, and as a recipe."""
    while words:
        given = parsed(words)
        if words[0] in WITH_A_RECIPE and given.get("recipe") is None:
            recipe_from(given["flags"], None)
        words = tuple(given.get("command", ()))  # of `launch`


@pytest.mark.parametrize(
    "name", [*CHEAP, *(pytest.param(name, marks=pytest.mark.long) for name in TAKES_SECONDS)]
)
def test_commands_that_train_nothing_run(name, documented, monkeypatch):
    documented()
    for words in OURS:
        if words[0] == name and not {*words} & (NOT_THERE | OF_THE_TUTORIAL):
            pathlib.Path("answers.html").unlink(missing_ok=True)  # of the command before
            run(words, monkeypatch)


@pytest.mark.long
def test_the_start_page_runs_from_begin_to_end(documented, monkeypatch):
    documented(without=("my_run", "my_second_run"))
    for place, words in SHELL_COMMANDS:
        if place.startswith(f"{WALK}:") and words[0] == "tl-toolkit" and words[1] not in SERVERS:
            run(words[1:], monkeypatch)


def run(words, monkeypatch):
    """Runs `tl-toolkit` in this process."""
    monkeypatch.setattr(sys, "argv", ["tl-toolkit", *words])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    assert not code, words
