"""Finished measurements of a benchmark in a file, so that one that was ended goes on where it stood."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import BinaryIO

from stopwatch import Measured, Spent


@dataclasses.dataclass(frozen=True)
class KeptRows:
    """A file of JSON lines, one a finished case of a round.

    Attributes:
        path: The file; it need not exist. Its folder is made when the first line is added.
        setting: What the measurements belong to, such as machine and versions. Lines of another setting stay in the
            file and are not read: a ratio compares figures of one setting.
    """

    path: pathlib.Path
    setting: str

    def read(self) -> dict[tuple[int, str], dict[str, Measured]]:
        """Returns the figures by round and case. A line that was cut short is not counted."""
        if not self.path.exists():
            return {}
        found = {}
        for text in self.path.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue  # the process was ended while it wrote
            if line["setting"] == self.setting:
                found[line["round"], line["case"]] = {
                    name: figure_of(figure) for name, figure in line["figures"].items()
                }
        return found

    def add(self, round_number: int, case: str, figures: dict[str, Measured]) -> None:
        """Appends a finished case; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {
            "setting": self.setting,
            "round": round_number,
            "case": case,
            "figures": {name: dataclasses.asdict(figure) for name, figure in figures.items()},
        }
        with self.path.open("a+b") as file:
            if file.tell() and not _ends_a_line(file):
                file.write(b"\n")
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def put_aside(self) -> None:
        """Renames the file, so that the next measurement begins anew; the one put aside before is replaced."""
        if self.path.exists():
            self.path.replace(self.path.with_suffix(".before.jsonl"))


def figure_of(fields: dict) -> Measured:
    """Returns a figure from its fields as JSON has them."""
    return Measured(**fields | {"spent": Spent(**fields["spent"])})


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
