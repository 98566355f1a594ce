"""The code blocks of the documents, their commands, and the folder that they assume."""

import contextlib
import dataclasses
import functools
import pathlib
import re
import shlex
import shutil

import tyro
from PIL import Image
from sybil.document import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from tiny import randomise, write_safetensors

import tl_toolkit as tl
from tl_toolkit.catalog import PREPROCESSING, Architecture, WeightSpec
from tl_toolkit.cli.app import COMMANDS
from tl_toolkit.experiments.context import Context
from tl_toolkit.models.head import assemble_classifier
from tl_toolkit.weights import safetensors_file
from tl_toolkit.weights.resolve import WeightSource

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)
ANIMALS = {"blue": "cat", "green": "dog", "red": "horse"}
EVERY_KIND = re.compile(r"(?P<language>[^\n]*)$\n", re.MULTILINE)
SEPARATORS = {"&&", "||", ";", "|", "&"}
# What stands before the command that it runs.
PREFIXES = {"srun", "exec", "env"}


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    page: str
    line: int
    language: str
    source: str


def blocks(page, language=None):
    """Every fenced block of a page, or those of one language."""
    document = Document((ROOT / page).read_text("utf-8"), page)
    found = []
    for region in RawFencedCodeBlockLexer(EVERY_KIND)(document):
        line = document.text.count("\n", 0, region.start) + 1
        kind = region.lexemes["language"].strip()
        found.append(Block(page, line, kind, str(region.lexemes["source"])))
    return [block for block in found if language in (None, block.language)]


def commands_of(block):
    """The words of each command of a block of `bash`, without comments, variables and redirections."""
    commands = []
    for line in block.source.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;>")
        lexer.whitespace_split, words = True, []
        for word in [*lexer, ";"]:
            if word not in SEPARATORS:
                words.append(word)
                continue
            command = _without_prefixes(words)
            if command:
                commands.append(command)
            words = []
    return commands


def _without_prefixes(words):
    words = words[: words.index(">")] if ">" in words else words
    while words and (words[0] in PREFIXES or re.match(r"\w+=", words[0])):
        words = words[1:]
    # What a container runs.
    if words[:1] == ["docker"] and "tl-toolkit" in words:
        return words[words.index("tl-toolkit") :]
    return words


def parsed(words):
    """The arguments that `tl-toolkit` would give to a command's function.

    Raises:
        SystemExit: It would not understand them.
    """
    name, *arguments = words
    given = {}

    @functools.wraps(COMMANDS[name])
    def command(*values, **named):
        given.update(named)

    tyro.cli(command, args=arguments, prog=f"tl-toolkit {name}")
    return given


def make_folder(folder, photos, weights):
    """Makes what the documents assume to be there: photos of three animals, two runs of them, and new photos."""
    for colour, animal in ANIMALS.items():
        shutil.copytree(photos / colour, folder / "photos" / animal)
    (folder / "new_photos").mkdir()
    for number in range(3):
        shutil.copy(photos / "red" / f"{number}.jpg", folder / "new_photos")
    shutil.copytree(folder / "new_photos", folder / "new")
    shutil.copytree(folder / "photos", folder / "more_photos")
    image = Image.new("RGB", (48, 36), (30, 60, 220))
    for name in ("new_photo.jpg", "new_photo.png", "photo.jpg"):
        image.save(folder / name)
    with contextlib.chdir(folder):
        recipe = tl.Recipe(
            data="folder:photos", strategy=tl.NewHead(), weights=str(weights), precision="float32"
        )
        tl.run(recipe, "my_run", context=Context(photos=False))
        shutil.copytree("my_run", "my_second_run")
    return folder


def copy_folder(made, folder, without=()):
    """Copies that folder, for a test that writes into it."""
    folder.mkdir()
    for path in made.iterdir():
        if path.name not in without:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)


def stand_in_for_imagenet(folder, architecture, tiny):
    """Random weights of a small network, where the toolkit would look for ImageNet's.

    Args:
        folder: To write weights to.
        architecture: What they are asked for.
        tiny: A file that stands for the default network's.
    """
    if architecture in (None, "resnet50"):
        return WeightSource(tiny, safetensors_file.read_spec(tiny), safetensors_file)
    narrow = Architecture.named(architecture, width=4)
    preprocessing = dataclasses.replace(PREPROCESSING["imagenet"], image_size=32)
    spec = WeightSpec("narrow", narrow, preprocessing, tuple("abcdefg"), 7, licence="MIT")
    folder.mkdir(exist_ok=True)
    path = folder / f"{architecture}.safetensors"
    write_safetensors(path, randomise(assemble_classifier(narrow, preprocessing, 7)), spec)
    return WeightSource(path, spec, safetensors_file)
