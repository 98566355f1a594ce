"""The three transfer strategies and training from scratch, side by side: `make demo`.

    python recipes/compare.py

UCI digits, 5 labels a class, three seeds. Each seed draws its own 50 images to learn from; all are tested on the
same 898.

Mean test accuracy and its range over the seeds, and the median seconds of a training on two cores:

    new_head                 0.965  (0.963–0.967)   0.6 s
    new_head, on=all_blocks  0.957  (0.945–0.973)   0.4 s
    last_layers              0.964  (0.959–0.971)   5.4 s
    full_fine_tune           0.960  (0.954–0.968)   7.8 s
    from_scratch             0.901  (0.895–0.909)  15.9 s
"""

import tl_toolkit as tl
from tl_toolkit.cli.tables import print_comparison

if __name__ == "__main__":
    with tl.terminal() as progress:
        comparison = tl.compare(
            tl.comparison_recipes("digits", labels_per_class=5, test_fraction=0.5),
            seeds=3,
            output="saved_models/comparison",
            overwrite=True,
            progress=progress,
        )
        if comparison is not None:  # None in a cluster's other processes
            print_comparison(comparison, progress)
