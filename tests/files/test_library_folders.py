"""Keras and matplotlib are told of another folder only where their own is of no use."""

import os

import pytest

from tl_toolkit.files.library_folders import name_library_folders, some_home


@pytest.fixture
def named(monkeypatch, tmp_path):
    """A function that gives the environment a home folder, and returns what the libraries are told then."""
    (tmp_path / "home" / "read_only").mkdir(parents=True)
    (tmp_path / "file").write_text("no folder")
    told = ("KERAS_HOME", "MPLCONFIGDIR")
    for variable in (*told, "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, "")  # to be unset after the test
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TL_TOOLKIT_CACHE", "/cache")

    def set_and_look(home="home", **variables):
        monkeypatch.setenv("HOME", str(tmp_path / home))
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value and str(tmp_path / value))
        name_library_folders()
        return [os.environ.get(variable) for variable in told]

    return set_and_look


def test_a_home_that_works_is_left_to_them(named, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert named() == [None, None]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("home", ["file", "file/below", "not/there"])
def test_a_home_that_does_not_work_is_replaced(named, home):
    keras, matplotlib = named(home)
    assert keras == "/cache/keras"
    assert matplotlib == (None if home == "not/there" else "/cache/matplotlib")


def test_what_the_user_has_set_stays(named, tmp_path):
    assert named("file", KERAS_HOME="mine", MPLCONFIGDIR="file") == [
        str(tmp_path / "mine"),
        str(tmp_path / "file"),
    ]


def test_matplotlib_needs_its_settings_and_its_caches(named):
    assert named(XDG_CACHE_HOME="file") == [None, "/cache/matplotlib"]


def test_matplotlib_can_do_without_a_home(named):
    assert named("file", XDG_CACHE_HOME="home", XDG_CONFIG_HOME="home") == ["/cache/keras", None]


def test_there_is_a_home_for_those_who_need_one(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    with some_home():
        assert os.environ["HOME"] == "/somewhere"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user without a name
    monkeypatch.setenv("TL_TOOLKIT_CACHE", "/cache")
    monkeypatch.delenv("HOME")
    with some_home():
        assert os.environ["HOME"] == "/cache"
    assert "HOME" not in os.environ
