"""Private names of other packages: all of them are listed, and each is what this package relies on."""

import ast
import functools
import importlib
import inspect
import operator
import pathlib
import pkgutil
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_toolkit
from tl_toolkit import private_names
from tl_toolkit.private_names import INHERITED, release_pages, slurm_hosts, sums_gradients_as_known

FOLDER = pathlib.Path(tl_toolkit.__file__).parent
OURS = "tl_toolkit"
SELVES = ("self", "cls", "super()")


def modules():
    """Every module of the package but the one that may use private names."""
    for module in pkgutil.walk_packages([str(FOLDER)], f"{OURS}."):
        if module.name not in (private_names.__name__, "tl_toolkit.cli.__main__"):
            yield module.name


def tree_of(name):
    path = FOLDER.joinpath(*name.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text())


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def private_attributes(tree):
    """Pairs of what stands before the point, and the private name behind it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield ast.unparse(node.value), node.attr


def own_names(cls):
    """Names that the classes of this package among the bases define or assign."""
    names = set()
    for base in cls.__mro__:
        if base.__module__.startswith(OURS):
            names |= set(vars(base)) | set(getattr(base, "__annotations__", {}))
            for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(base)))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    names.add(node.attr)
    return names


def inherited_private_names(module_name):
    """Private names that classes of a module take over from, or override in, another package's class."""
    module = importlib.import_module(module_name)
    for node in tree_of(module_name).body:
        if not isinstance(node, ast.ClassDef):
            continue
        cls = getattr(module, node.name)
        others = [b for b in cls.__mro__ if b is not object and not b.__module__.startswith(OURS)]
        used = {name for before, name in private_attributes(node) if before in SELVES}
        used |= {f.name for f in node.body if isinstance(f, ast.FunctionDef) and is_private(f.name)}
        for name in used:
            if any(hasattr(base, name) for base in others) or name not in own_names(cls):
                yield f"{cls.__name__}.{name}"


def test_no_private_name_of_anything_else_is_used():
    found = {
        (module, f"{before}.{name}")
        for module in modules()
        for before, name in private_attributes(tree_of(module))
        if before not in SELVES and f"{before}.{name}" != "os._exit"  # documented, despite its name
    }
    assert found == set()


def test_no_private_module_is_imported():
    for module in modules():
        for node in ast.walk(tree_of(module)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                private = [part for part in name.split(".") if part == "src" or is_private(part)]
                assert name.startswith("tensorflow.python") or not private, (module, name)
                assert not name.startswith("tensorflow.python"), (module, name)


def test_every_inherited_private_name_is_listed():
    found = {name.partition(".")[2] for m in modules() for name in inherited_private_names(m)}
    assert sorted(found) == sorted(name.name for name in INHERITED)


@pytest.mark.parametrize("listed", INHERITED, ids=lambda listed: f"{listed.owner}.{listed.name}")
def test_inherited_names_are_what_is_relied_on(listed):
    package, *path = listed.owner.split(".")
    owner = functools.reduce(getattr, path, importlib.import_module(package))
    assert listed.reason
    if listed.parameters is None:
        assert f"self.{listed.name} = " in inspect.getsource(owner)
        return
    function = operator.attrgetter(listed.name)(owner)
    assert tuple(inspect.signature(function).parameters) == ("self", *listed.parameters)


def test_keras_sum_of_gradients():
    optimizer = keras.optimizers.SGD()
    assert sums_gradients_as_known(optimizer)
    method = getattr(optimizer, private_names.KERAS_SUM_OF_GRADIENTS)
    assert list(inspect.signature(method).parameters) == ["grads_and_vars"]


def test_slurms_own_order_of_hosts(monkeypatch):
    for name, value in {
        "STEP_NUM_TASKS": "2",
        "STEP_NODELIST": "node[9-10]",
        "STEP_TASKS_PER_NODE": "1(x2)",
        "PROCID": "0",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        gpus_per_node=2, gpus_per_task=1, auto_set_gpu=False
    )
    resolver.cluster_spec()
    assert slurm_hosts(resolver) == ["node9", "node10"]


def test_pages_of_a_mapped_array_are_released(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(100_000))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert rows._mmap is not None
    assert rows.sum() == 4_999_950_000
    release_pages(rows)
    assert rows.sum() == 4_999_950_000
