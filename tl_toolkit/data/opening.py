"""How the images of a data source are opened."""

from __future__ import annotations

import dataclasses

from tl_toolkit.catalog import ValueRange
from tl_toolkit.progress import SILENT, Progress

ERROR, SKIP = "error", "skip"  # what a bad image does


@dataclasses.dataclass(frozen=True)
class Opening:
    """What a source is told beside its URI. `open_dataset`'s arguments of these names say more.

    Attributes:
        on_bad_image: `"error"`, or `"skip"` to skip bad images and list them in the source's `notes`.
        progress: Shows how far downloading, reading and checking are.
        group_near_duplicates: Whether near-duplicates are looked for, to be kept on one side of a split.
        prepare_photos: Whether shrunk copies of large photos are put into the cache while they are checked.
        value_range: Of 16-bit and float greys, the values that become 0 and 255.
    """

    on_bad_image: str = ERROR
    progress: Progress = SILENT
    group_near_duplicates: bool = True
    prepare_photos: bool = False
    value_range: ValueRange | None = None

    @property
    def finds_all(self) -> bool:
        """Whether every image has to be there."""
        return self.on_bad_image == ERROR


AS_USUAL = Opening()
