"""A real task: finding defective solar cells on electroluminescence photos, with an ImageNet ResNet-50.

    pip install '.[elpv]'
    python recipes/solar_cells.py

Accuracy on 656 test cells (95% interval: about 2.5 points either way) and on 295 validation cells, with one seed;
seconds of training on two cores with AVX-512 and bfloat16 (from scratch: without; last layers: other work beside it):

    strategy        test   validation
    new_head        0.877  0.851          44 s
    last_layers     0.849  0.834         180 s
    full_fine_tune  0.878  0.858         827 s
    from_scratch    0.770  0.756         822 s

With `head_first=False` the last layers come to 0.838 and 0.827. The new head at 300 px, where the photos are as large
as they come, comes to 0.892 and 0.881 in 115 s.
"""

import tl_toolkit as tl
from tl_toolkit.cli.tables import print_comparison

BASE = tl.Recipe(
    data="elpv",
    strategy=tl.NewHead(on="all_blocks"),
    weights="imagenet",
    backbone="resnet50",
    image_size=160,
    crop_fraction=1.0,
    test_fraction=0.25,
    validation_fraction=0.15,
)
RECIPES = [
    BASE,
    BASE.replace(strategy=tl.LastLayers(), epochs=5),
    # The experts call one label in seven uncertain, hence the smoothing.
    BASE.replace(
        strategy=tl.FullFineTune(),
        learning_rate=2e-4,
        batch_size=20,
        epochs=9,
        label_smoothing=0.1,
    ),
    BASE.replace(strategy=tl.FromScratch(), weights=None, learning_rate=1e-3, epochs=2),
]

if __name__ == "__main__":
    with tl.terminal() as progress:
        comparison = tl.compare(
            RECIPES, seeds=1, output="saved_models/solar_cells", overwrite=True, progress=progress
        )
        if comparison is not None:  # None in a cluster's other processes
            print_comparison(comparison, progress)
