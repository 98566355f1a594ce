"""`tl_toolkit.models`, through which Keras is imported."""

import contextlib
import gc
import subprocess
import sys

import pytest

from tl_toolkit.models import collector_at_rest


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Nothing here holds Keras state."""


@pytest.fixture
def collector():
    """Python's garbage collector; afterwards it is as before."""
    was_enabled = gc.isenabled()
    gc.enable()
    gc.unfreeze()
    yield gc
    gc.unfreeze()
    if not was_enabled:
        gc.disable()


def test_the_collector_rests_while_something_is_imported(collector):
    with contextlib.suppress(ImportError), collector_at_rest():
        assert not collector.isenabled()
        made = [[]]
        raise ImportError
    assert collector.isenabled()
    assert collector.get_freeze_count() == 0
    assert any(one is made for one in collector.get_objects(generation=2))


def test_a_collector_that_somebody_else_has_turned_off_stays_off(collector):
    collector.disable()
    with collector_at_rest():
        assert not collector.isenabled()
    assert not collector.isenabled()


def test_what_somebody_else_has_frozen_stays_frozen(collector):
    collector.freeze()
    frozen = collector.get_freeze_count()
    with collector_at_rest():
        assert collector.isenabled()
    assert 0 < collector.get_freeze_count() <= frozen


@pytest.mark.slow
def test_what_a_run_imports():
    program = (
        "import gc, sys\n"
        "looked = []\n"
        "gc.callbacks.append(lambda phase, info: looked.append(info['generation']))\n"
        "import tl_toolkit.models\n"
        "print(2 in looked, gc.isenabled(), gc.get_freeze_count())\n"
        "from tl_toolkit.experiments.run import run\n"
        "print(*sorted({'tensorflow', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    of_collector, modules = ran.stdout.splitlines()
    assert of_collector == "False True 0"  # no garbage is looked for among all that Keras imports
    assert modules == "tensorflow"  # weights of the Hub alone need an HTTP client
