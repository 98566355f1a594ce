"""A real task: finding defective solar cells on electroluminescence photos, with an ImageNet ResNet-50.

    pip install '.[elpv]'
    python recipes/solar_cells.py

Three quarters of 2,624 photos to learn from, a fifth of them set aside to choose by, and 656 to test on, in three splits.
"""

import tl_toolkit as tl
from tl_toolkit.cli.tables import print_run

SPLITS = (42, 43, 44)
RECIPE = tl.Recipe(
    data="elpv",
    strategy=tl.Auto(minutes=60),
    weights="imagenet",
    backbone="resnet50",
    image_size=300,
    crop_fraction=1.0,
    test_fraction=0.25,
    epochs=5,  # of what is trained by steps
)

if __name__ == "__main__":
    with tl.terminal() as progress:
        for split in SPLITS:
            result = tl.run(
                RECIPE.replace(split_seed=split),
                f"saved_models/solar_cells_{split}",
                overwrite=True,
                progress=progress,
            )
            if result is not None:  # None in a cluster's other processes
                print_run(result, progress)
