"""A real task: finding defective solar cells on electroluminescence photos, with an ImageNet ResNet-50.

    pip install '.[elpv]'
    python recipes/solar_cells.py

Accuracy on 656 test cells (95% interval: about 2.5 points either way) and on 295 validation cells, with one seed;
seconds of training on two cores without AVX-512, with other work on them for half of the time. 71 minutes in all,
including installation and downloads:

    strategy        test   validation
    new_head        0.837  0.837         151 s
    last_layers     0.841  0.817         288 s
    full_fine_tune  0.887  0.881        2490 s
    from_scratch    0.770  0.756         822 s
"""

import tl_toolkit as tl
from tl_toolkit.cli.tables import print_comparison

BASE = tl.Recipe(
    data="elpv",
    strategy=tl.NewHead(),
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
