"""Users without a name, without a home folder, or with one that cannot be written to."""

import functools
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest
from families import long_after

from tl_toolkit.data.open import open_dataset
from tl_toolkit.errors import InputError
from tl_toolkit.experiments.run_folder import check_output
from tl_toolkit.export.classifier import load_classifier
from tl_toolkit.weights.resolve import open_weights

ROOT = pathlib.Path(__file__).parents[1]
UID = 43210  # of nobody here
SETPRIV = f"setpriv --reuid={UID} --regid={UID} --clear-groups"
# An interpreter in a folder that is root's alone is run with the right to read everything.
READ_ALL = "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search"

# This very interpreter can be run, also by itself, and its packages can be read.
PROBE = """
import subprocess, sys, rich, tl_toolkit.recipe
subprocess.run([sys.executable, "-c", ""], check=True)
print(sys.version)
"""


@pytest.fixture(scope="module")
def as_stranger():
    """A function that runs Python as a user whom the system does not know, in an empty environment."""
    if os.getuid() != 0:
        pytest.skip("only root can run a process as another user")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed")

    def run(words, folder, prefix, **environment):
        return subprocess.run(
            [*prefix.split(), sys.executable, *words],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "TF_CPP_MIN_LOG_LEVEL": "2",
                **environment,
            },
            cwd=folder,
        )

    tried = []
    for prefix in (SETPRIV, f"{SETPRIV} {READ_ALL}"):
        process = run(["-c", PROBE], "/", prefix)
        if (process.returncode, process.stdout) == (0, f"{sys.version}\n"):
            return functools.partial(run, prefix=prefix)
        tried.append(process.stderr.strip().rpartition("\n")[2])
    return pytest.skip(f"another user cannot run {sys.executable}: {'; '.join(tried)}")


@pytest.fixture
def folder(as_stranger):
    """A folder of the stranger's; pytest's own ones are closed to others."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tl_toolkit_stranger_"))
    os.chown(path, UID, UID)
    yield path
    shutil.rmtree(path)


def test_nobody_has_this_user_id():
    with pytest.raises(KeyError):
        pwd.getpwuid(UID)


LOOK = """
import json, os
import tl_toolkit
from tl_toolkit.files.user_cache import cache_folder
names = ("KERAS_HOME", "MPLCONFIGDIR")
print(json.dumps({"cache": str(cache_folder()), **{n: os.environ.get(n) for n in names}}))
"""


def places(process):
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def in_cache(cache):
    cache = str(cache)
    return {"cache": cache, "KERAS_HOME": f"{cache}/keras", "MPLCONFIGDIR": f"{cache}/matplotlib"}


@pytest.mark.parametrize("home", [None, "/", "/root", "/nowhere/at/all", "nowhere"])
def test_without_a_home_all_goes_to_a_folder_of_the_user_s_own_and_one_line_says_so(
    as_stranger, folder, home
):
    (folder / "tmp").mkdir()
    os.chown(folder / "tmp", UID, UID)
    environment = {"TMPDIR": str(folder / "tmp")} | ({"HOME": home} if home else {})
    process = as_stranger(["-c", LOOK], folder, **environment)
    cache = folder / "tmp" / f"tl_toolkit-{UID}"
    assert places(process) == in_cache(cache)
    (line,) = process.stderr.splitlines()
    assert f"go to {str(cache)!r}" in line
    assert "TL_TOOLKIT_CACHE" in line
    assert cache.stat().st_mode & 0o777 == 0o700
    again = as_stranger(["-c", LOOK], folder, **environment)
    assert places(again) == in_cache(cache)
    assert sorted(path.name for path in folder.iterdir()) == ["tmp"]


def test_a_folder_that_somebody_else_put_there_is_not_used(as_stranger, folder):
    name = f"tl_toolkit-{UID}"
    (folder / name).mkdir()  # root's, and in sight of all
    (folder / name).chmod(0o777)
    process = as_stranger(["-c", LOOK], folder, TMPDIR=str(folder))
    cache = pathlib.Path(places(process)["cache"])
    assert cache.name.startswith(f"{name}-")
    assert cache.stat().st_uid == UID
    assert cache.stat().st_mode & 0o777 == 0o700
    assert list((folder / name).iterdir()) == []


# A read-only root: Python looks into these and the working folder.
NO_TEMPORARY_FOLDER = """
import os, tempfile
tempfile._candidate_tempdir_list = lambda: ["/nowhere", "/", os.getcwd()]
"""
QUIET = """
from tl_toolkit.cli.quiet import quiet_tensorflow
with quiet_tensorflow() as log:
    print(log)
print(os.environ.get("TMPDIR"))
"""


def test_a_read_only_root_with_one_folder_that_is_named(as_stranger, folder):
    named = folder / "cache"
    process = as_stranger(
        ["-c", NO_TEMPORARY_FOLDER + LOOK + QUIET], "/", TL_TOOLKIT_CACHE=str(named)
    )
    assert process.stderr == ""  # it is where the user said
    found, log, temporary = process.stdout.splitlines()
    assert json.loads(found) == in_cache(named)
    assert pathlib.Path(log).parent == pathlib.Path(temporary) == named / "tmp"
    assert list((named / "tmp").iterdir()) == []


def test_a_read_only_root_with_one_folder_that_is_the_working_folder(as_stranger, folder):
    process = as_stranger(["-c", NO_TEMPORARY_FOLDER + LOOK + QUIET], folder)
    found, log, temporary = process.stdout.splitlines()
    cache = folder / f"tl_toolkit-{UID}"
    assert json.loads(found) == in_cache(cache)
    assert pathlib.Path(log).parent == pathlib.Path(temporary) == cache / "tmp"
    (line,) = process.stderr.splitlines()
    assert f"go to {str(cache)!r}" in line


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            "",
            "There is no folder for downloads, features and temporary files: there is no home folder, and no "
            "temporary folder can be written to either",
        ),
        (
            "/cache",
            "No temporary folder can be written to, and '/cache/tmp' cannot be made: Permission denied",
        ),
    ],
)
@pytest.mark.parametrize(
    "words",
    long_after(
        1, ["train --data digits --strategy new-head", "predict run x.jpg", "models resnet18"]
    ),
)
def test_where_nothing_can_be_written_the_error_says_what_helps(
    as_stranger, folder, named, message, words
):
    script = (
        "import sys; from tl_toolkit.cli import app; sys.argv = ['tl-toolkit', *sys.argv[1:]]\n"
        "app.main()"
    )
    process = as_stranger(
        ["-c", NO_TEMPORARY_FOLDER + script, *words.split()], "/", TL_TOOLKIT_CACHE=named
    )
    assert (process.returncode, process.stdout) == (2, "")
    message += ". Set TL_TOOLKIT_CACHE to a folder that can be written to"
    assert process.stderr == f"error: {message}\n"


def test_what_needs_no_cache_works_without_one(as_stranger, folder):
    script = (
        "import tl_toolkit as tl\n"
        "assert tl.list_weights() and tl.Recipe(data='digits', strategy=tl.NewHead())\n"
        "import sys; from tl_toolkit.cli import app; sys.argv = ['tl-toolkit', 'weights', 'resnet18']\n"
        "app.main()"
    )
    process = as_stranger(["-c", NO_TEMPORARY_FOLDER + script], "/")
    assert (process.returncode, process.stderr) == (0, "")
    assert "resnet18.a1_in1k" in process.stdout


@pytest.mark.parametrize(
    "use",
    [
        lambda path: check_output(path, overwrite=False),
        load_classifier,
        open_weights,
        lambda path: open_dataset(f"folder:{path}"),
    ],
)
def test_a_path_in_a_home_folder_that_is_not_there_is_refused(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"~nobody-at-all/x.*home directory"):
        use("~nobody-at-all/x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_keras_and_matplotlib_leave_nothing_in_the_working_folder_and_say_nothing(
    as_stranger, folder
):
    script = (
        "import tl_toolkit as tl\n"
        "from keras.src.backend import config\n"
        "tl.ResNet18(weights=None, width=8, classes=2).summary\n"
        "import matplotlib\n"
        "print(config.keras_home(), matplotlib.get_cachedir(), matplotlib.get_configdir())"
    )
    cache, work = folder / "cache", folder / "work"
    work.mkdir()
    os.chown(work, UID, UID)
    process = as_stranger(["-c", script], work, TL_TOOLKIT_CACHE=str(cache))
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [f"{cache}/keras", *[f"{cache}/matplotlib"] * 2]
    assert [line for line in process.stderr.splitlines() if "atplotlib" in line] == []
    assert list(work.iterdir()) == []
    assert (cache / "keras" / "keras.json").is_file()


@pytest.mark.parametrize(
    ("home", "seen"), [(None, "{cache}:"), ("/", "/:{cache}/npm"), ("{folder}", "{folder}:")]
)
def test_npm_gets_a_home_and_a_cache(as_stranger, folder, home, seen):
    npm = folder / "npm"
    npm.write_text('#!/bin/sh\necho "error: $HOME:$npm_config_cache" >&2; exit 1\n')
    npm.chmod(0o755)
    script = (
        "from tl_toolkit.weights.npm_resnet50 import CATALOG, NAME, fetch\n"
        "try: fetch(CATALOG[NAME])\n"
        "except Exception as error: print(error)"
    )
    cache, path = str(folder / "cache"), f"{folder}:{os.environ['PATH']}"
    environment = {"HOME": home.format(folder=folder)} if home else {}
    process = as_stranger(["-c", script], folder, PATH=path, TL_TOOLKIT_CACHE=cache, **environment)
    expected = seen.format(cache=cache, folder=folder)
    assert process.stdout == f"npm failed: error: {expected}\n", process.stderr


@pytest.mark.long
def test_a_stranger_trains_and_nothing_is_left_in_the_working_folder(as_stranger, folder):
    words = "-m tl_toolkit.cli train --data digits --weights digits --strategy new-head --epochs 1 --views 1"
    (folder / "tmp").mkdir()
    os.chown(folder / "tmp", UID, UID)
    process = as_stranger(
        [*words.split(), "--output", "run"], folder, TMPDIR=str(folder / "tmp"), HOME="/"
    )
    assert process.returncode == 0, process.stderr
    cache = folder / "tmp" / f"tl_toolkit-{UID}"
    (line,) = process.stderr.splitlines()
    assert f"go to {str(cache)!r}" in line
    assert sorted(path.name for path in folder.iterdir()) == ["run", "tmp"]
    assert (cache / "keras" / "keras.json").is_file()
    assert any((cache / "features").rglob("*.npy"))
