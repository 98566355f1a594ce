"""A real task: which solar cells are defective? ImageNet ResNet-50 on electroluminescence photos.

pip install '.[elpv]'
python recipes/solar_cells.py
"""

from rich.console import Console

import tl_toolkit as tl
from tl_toolkit.comparison import run_comparison

BASE = tl.Recipe(
    data="elpv",
    strategy=tl.NewHead(),
    weights="imagenet",
    backbone="resnet50",
    image_size=150,
    crop_fraction=1.0,
    test_fraction=0.25,
    validation_fraction=0.15,
)
RECIPES = [
    BASE,
    BASE.replace(strategy=tl.LastLayers(), epochs=10),
    BASE.replace(strategy=tl.FullFineTune(), learning_rate=2e-4, epochs=8),
    BASE.replace(strategy=tl.FromScratch(), weights=None, learning_rate=1e-3, epochs=8),
]

if __name__ == "__main__":
    run_comparison(
        RECIPES,
        seeds=1,
        output="saved_models/solar_cells",
        overwrite=True,
        console=Console(),
    )
