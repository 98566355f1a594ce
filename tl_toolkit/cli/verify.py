"""`tl-toolkit verify`."""

from __future__ import annotations

import pathlib

import tyro

from tl_toolkit.cli.tables import print_json
from tl_toolkit.errors import InputError
from tl_toolkit.files.manifest import verify as verify_folder


def verify(folder: tyro.conf.Positional[pathlib.Path], json: bool = False) -> None:
    """Checks that every file of a finished folder is as it was written.

    The exit code is 2 if a file is damaged or missing. Files of your own are listed as unknown; nothing is wrong with
    them.

    Args:
        folder: Of a finished run, comparison or search, or a SavedModel of one, wherever it is now.
        json: Print JSON.
    """
    found = verify_folder(folder)
    if json:
        print_json(
            {
                "intact": found.intact,
                "damaged": found.damaged,
                "missing": found.missing,
                "unknown": found.unknown,
            }
        )
    else:
        for name, fault in found.damaged.items():
            print(f"damaged: {name} {fault}")
        for name in found.missing:
            print(f"missing: {name}")
        for name in found.unknown:
            print(f"unknown: {name}")
        print(f"{len(found.intact)} files are as they were written")
    wrong = [*found.damaged, *found.missing]
    if wrong:
        raise InputError(
            f"Damaged or missing: {len(wrong)} of {len(wrong) + len(found.intact)} files of {str(folder)!r}, such as "
            f"{wrong[0]!r}. Restore them from a copy, or make the folder anew."
        )
