"""The wheel, installed into an empty environment and used from another folder."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import tl_toolkit as tl
from tl_toolkit.weights.resolve import open_weights

ROOT = pathlib.Path(__file__).parents[1]

USE = """
import pathlib
import tl_toolkit as tl

print(pathlib.Path(tl.__file__).parent)
print(tl.__version__, len(dir(tl)), tl.Recipe(data="digits", strategy=tl.NewHead()).start)

from tl_toolkit.weights.resolve import open_weights
source = open_weights("digits")
print(source.spec.top1, sum(tensor.size for tensor in source.read_tensors().values()))

from tl_toolkit.report.page.shell import render_page
print(len(render_page("page.html.j2", "A page")))
"""


def run(*command, cwd, env=None):
    process = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Python with the wheel in it, which finds the packages that it needs where this Python has them."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    # A path in a .pth file: the packages are found, and this checkout, which a .pth file of theirs names, is not.
    site_packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    pathlib.Path(site_packages, "present.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.mark.slow  # builds, and makes an environment
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {name for name in names if name.startswith("tl_toolkit/")}
    files = [path for path in (ROOT / "tl_toolkit").rglob("*") if path.is_file()]
    sources = {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    assert package == {*sources, "tl_toolkit/shipped_weights/digits.safetensors"}
    data = {name for name in package if not name.endswith(".py")}
    assert {"tl_toolkit/py.typed", "tl_toolkit/__init__.pyi"} <= data
    assert "tl_toolkit/catalog/imagenet_classes.txt" in data
    page = {"page.html.j2", "page.css", "page.js", "run.html.j2", "parts/answers.html.j2"}
    assert {f"tl_toolkit/report/page/{name}" for name in page} <= data
    assert {name.partition("/")[0].partition("-")[2] for name in names - package} == {
        f"{tl.__version__}.dist-info"
    }


@pytest.mark.long
@pytest.mark.slow  # builds, and makes an environment
def test_the_wheel_is_used_from_another_folder(environment, tmp_path):
    elsewhere = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": ""}}
    python, tl_toolkit = environment / "bin" / "python", environment / "bin" / "tl-toolkit"
    place, names, weights, page = run(python, "-c", USE, **elsewhere).splitlines()
    assert pathlib.Path(place).is_relative_to(environment)
    assert names == f"{tl.__version__} {len(dir(tl))} digits"
    spec = open_weights("digits").spec
    assert weights.split()[0] == str(spec.top1)
    assert int(weights.split()[1]) > 700_000
    assert int(page) > 10_000  # with its styles and its script
    listed = run(tl_toolkit, "weights", "resnet18", **elsewhere)
    assert "digits" in listed
    assert "tv_in1k" in listed
