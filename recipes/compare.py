"""The three transfer strategies and training from scratch, side by side: `make demo`.

    python recipes/compare.py

UCI digits, 5 labels a class in all, three seeds; each seed draws its own 50 images to learn from, and
all are tested on the same 898.

Test accuracy over the three seeds, and the median seconds of a training on two cores:

    new_head        0.966  (0.963–0.971)   2.8 s
    last_layers     0.942  (0.922–0.955)   7.5 s
    full_fine_tune  0.960  (0.954–0.967)  20.9 s
    from_scratch    0.899  (0.893–0.908)  27.3 s
"""

from rich.console import Console

from tl_toolkit.comparison import comparison_recipes, run_comparison

RECIPES = comparison_recipes("digits", "digits", labels_per_class=5, test_fraction=0.5)

if __name__ == "__main__":
    run_comparison(
        RECIPES,
        seeds=3,
        output="saved_models/comparison",
        overwrite=True,
        console=Console(),
    )
