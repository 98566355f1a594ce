"""Runs scripts in fresh processes that have imported TensorFlow already, which takes most of their start."""

import multiprocessing
import runpy
import sys

WITH_TENSORFLOW = multiprocessing.get_context("forkserver")
WITH_TENSORFLOW.set_forkserver_preload(["tensorflow"])


def run_script(path, *words):
    """Runs a file as `python FILE WORDS` does, in a process of its own, and returns its exit code."""
    process = WITH_TENSORFLOW.Process(target=_run, args=(str(path), *map(str, words)))
    process.start()
    process.join()
    return process.exitcode


def _run(path, *words):
    sys.argv = [path, *words]
    runpy.run_path(path, run_name="__main__")
