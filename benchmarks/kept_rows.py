"""Finished measurements of a benchmark in a file, so that one that was ended goes on where it stood."""

from __future__ import annotations

import dataclasses
import pathlib

from kept_lines import add_line, put_aside, read_lines
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
        return {
            (line["round"], line["case"]): {
                name: figure_of(figure) for name, figure in line["figures"].items()
            }
            for line in read_lines(self.path)
            if line["setting"] == self.setting
        }

    def add(self, round_number: int, case: str, figures: dict[str, Measured]) -> None:
        """Appends a finished case; it is on the disk when this returns."""
        line = {
            "setting": self.setting,
            "round": round_number,
            "case": case,
            "figures": {name: dataclasses.asdict(figure) for name, figure in figures.items()},
        }
        add_line(self.path, line)

    def put_aside(self) -> None:
        """Renames the file, so that the next measurement begins anew; the one put aside before is replaced."""
        put_aside(self.path)


def figure_of(fields: dict) -> Measured:
    """Returns a figure from its fields as JSON has them."""
    return Measured(**fields | {"spent": Spent(**fields["spent"])})
