"""Every entry of the reference has an example, and each gives what it says."""

import re

import griffe
import numpy as np
import pytest
from documents import ROOT
from sybil.document import Document
from sybil.parsers.rest import DocTestParser

import tl_toolkit as tl

# They train, or build large networks.
LONG = {
    "Recipes and runs",
    "Comparisons and searches",
    "Finished models",
    "Networks, weights and batch normalisation",
}
PAGES = ("docs/reference.md", "docs/recipe.md")
TEXT = "".join((ROOT / page).read_text() for page in PAGES)
SECTIONS = {
    title: re.findall(r"^::: tl_toolkit\.(\w+)$", text, re.M)
    for title, text in re.findall(r"^##? (.+?)$(.*?)(?=^##? |\Z)", TEXT, re.M | re.S)
    if "::: " in text
}


@pytest.fixture(scope="module")
def docstrings():
    """Docstrings of the public names, as the site shows them: read from the source."""
    package = griffe.load("tl_toolkit", search_paths=[ROOT], resolve_aliases=True)
    found = {}
    for name in set(tl.__all__) - {"__version__"}:
        entry = package[name].final_target
        found[name] = entry.docstring.value if entry.docstring else ""
    return found


def examples_of(name, docstring):
    document = Document(docstring, f"the example of tl.{name}")
    for region in DocTestParser()(document):
        document.add(region)
    return document


def test_every_entry_has_an_example(docstrings):
    assert {name for names in SECTIONS.values() for name in names} == set(docstrings)
    without = [
        name for name, text in docstrings.items() if not list(examples_of(name, text).examples())
    ]
    assert without == []


@pytest.mark.parametrize(
    "section",
    [pytest.param(title, marks=[pytest.mark.long] if title in LONG else []) for title in SECTIONS],
)
def test_the_examples_of_a_section_give_what_they_say(section, docstrings, documented):
    """In the order of the page, since some go on where the one before ended."""
    documented()
    names = {"tl": tl, "np": np}
    failed = []
    for name in SECTIONS[section]:
        document = examples_of(name, docstrings[name])
        document.namespace = names
        for example in document.examples():
            try:
                example.evaluate()
            except Exception as error:  # so that one run tells all that is wrong
                failed.append(f"{name}: {error}")
    assert not failed, "\n".join(failed)
