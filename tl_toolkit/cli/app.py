"""`tl-toolkit`: its commands by name. TensorFlow is imported by the command that needs it, not by `--help`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

import tyro

from tl_toolkit.cli import (
    audit,
    batch_norm,
    compare,
    cross_validate,
    evaluate,
    export,
    find_learning_rate,
    launch,
    models,
    paired,
    predict,
    report,
    search,
    train,
    try_classifier,
    verify,
    weights,
)
from tl_toolkit.cli.exit_codes import exit_codes
from tl_toolkit.files.user_cache import VARIABLE

COMMANDS: dict[str, Callable[..., None]] = {
    "audit": audit.audit,
    "train": train.train,
    "search": search.search,
    "compare": compare.compare,
    "cross-validate": cross_validate.cross_validate,
    "predict": predict.predict,
    "evaluate": evaluate.evaluate,
    "export": export.export,
    "report": report.report,
    "paired": paired.paired,
    "batch-norm": batch_norm.batch_norm,
    "find-learning-rate": find_learning_rate.find_learning_rate,
    "try": try_classifier.try_classifier,
    "verify": verify.verify,
    "models": models.models,
    "weights": weights.weights,
    "launch": launch.launch,
}


def main() -> None:
    """Runs the command line.

    The exit code is 2 for wrong input, 130 after Ctrl-C, 75 after SIGTERM, and 69 if another process of the
    cluster is gone; after the last three the same command resumes.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for stream in (sys.stdout, sys.stderr):  # file names and locales need not be UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with exit_codes():
        if sys.argv[1:2] and sys.argv[1] in COMMANDS:  # the other commands' flags need not be read
            name, *args = sys.argv[1:]
            tyro.cli(COMMANDS[name], prog=f"tl-toolkit {name}", args=args)
            return
        app = tyro.extras.SubcommandApp()
        for name, command in COMMANDS.items():
            app.command(name=name)(command)
        app.cli(
            prog="tl-toolkit",
            description="Transfer learning with ResNets: from labelled photos to a served classifier. "
            f"The variable {VARIABLE} names the folder for features and downloads. Default: the user's cache folder.",
        )
