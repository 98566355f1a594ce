"""Searches batch size and learning rate, then trains the best recipe on training and validation images.

    python recipes/search.py

UCI digits, 10 labels a class, half of them for validation. The best of 24 trials has a batch size of 16 and a
learning rate of 0.017. Trained on all 100 images with three seeds, it has a test accuracy of 0.968 (0.963–0.973)
on 898 others.
"""

import tl_toolkit as tl
from tl_toolkit.cli.tables import print_search

RECIPE = tl.Recipe(
    data="digits",
    strategy=tl.NewHead(),
    weights="digits",
    labels_per_class=10,
    validation_fraction=0.5,
    test_fraction=0.5,
)
# A list holds the values to try; a tuple is a range, drawn from on a logarithmic scale.
SPACE = {"batch_size": [8, 16, 32], "learning_rate": (1e-4, 1e-1)}

if __name__ == "__main__":
    with tl.terminal() as progress:
        result = tl.search(
            RECIPE,
            SPACE,
            tuner="bayesian",
            trials=24,
            retrain=3,
            output="saved_models/digits_search",
            overwrite=True,
            progress=progress,
        )
        if result is not None:  # None in a cluster's other processes
            print_search(result, progress)
