"""`tl-toolkit launch`."""

from __future__ import annotations

import sys

import tyro

from tl_toolkit.errors import InputError


def launch(
    command: tyro.conf.Positional[tuple[str, ...]], workers: int = 2, restarts: int = 0
) -> None:
    """Runs a command as a cluster of processes on this machine: launch --workers 2 -- train --data …

    Each process gets its own TF_CONFIG, as on several hosts. If one fails, all end.

    Args:
        command: The command and its flags, after --.
        workers: Number of processes.
        restarts: Maximum number of times that all are started again after one was killed by a signal.
    """
    if not command:
        raise InputError("Name the command after --, such as: launch --workers 2 -- train --data …")
    from tl_toolkit.devices.launch import launch as launch_processes

    words = [sys.executable, "-m", "tl_toolkit.cli", *command]
    raise SystemExit(launch_processes(words, workers, restarts))
