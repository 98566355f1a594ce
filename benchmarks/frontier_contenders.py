"""Who takes part in `frontier.py`: this toolkit and its peers, by what their documentation names."""

from __future__ import annotations

import dataclasses
from typing import Any

OURS, KERAS, TORCH = "frontier_ours.py", "frontier_keras.py", "frontier_torch.py"
TUTORIAL_EPOCHS = 25


@dataclasses.dataclass(frozen=True)
class Contender:
    """One process that trains.

    Attributes:
        name: In table and plot; contenders that differ in their length alone have one line there.
        program: The file that is run.
        options: What the program is told.
        label: Tells it from others of its name; empty where there is one.
    """

    name: str
    program: str
    options: dict[str, Any]
    label: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is this toolkit."""
        return self.program == OURS

    @property
    def title(self) -> str:
        """Its name, and its label where it has one."""
        return f"{self.name}, {self.label}" if self.label else self.name


def all_contenders() -> tuple[Contender, ...]:
    """Returns all of them, ours first and then by how long they take."""
    return (
        Contender("new head", OURS, {"name": "new_head"}),
        Contender("new head on all blocks", OURS, {"name": "new_head", "on": "all_blocks"}),
        Contender("last layers", OURS, {"name": "last_layers"}),
        Contender("everything, head first", OURS, {"name": "full_fine_tune", "head_first": True}),
        *(
            Contender("auto", OURS, {"name": "auto", "minutes": minutes}, f"{60 * minutes:.0f} s")
            for minutes in (0.5, 2)
        ),
        Contender("Keras guide", KERAS, {"of": "guide", "epochs": [2, 1]}, "example"),
        Contender("Keras guide", KERAS, {"of": "guide", "epochs": [20, 10]}, "workflow"),
        Contender("KerasHub, defaults", KERAS, {"of": "hub", "epochs": [1, 3]}),
        Contender("KerasHub, guide", KERAS, {"of": "hub", "epochs": [1, 3], "sgd": 0.01}),
        Contender("fastai", TORCH, {"of": "fastai", "epochs": 1}, "1 epoch"),
        Contender("fastai", TORCH, {"of": "fastai", "epochs": 5}, "5 epochs"),
        *(
            Contender(
                f"PyTorch tutorial, {trains}",
                TORCH,
                {"of": "tutorial", "trains": trains, "epochs": TUTORIAL_EPOCHS},
            )
            for trains in ("last layer", "everything")
        ),
    )
