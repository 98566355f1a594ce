"""Graphs of tests: as users run them where that matters, and elsewhere without the time of TensorFlow's optimiser."""

import contextlib
import os

import tensorflow as tf

# Where graphs are optimised in every run: batch normalisation is fused there, and precisions are rewritten.
OPTIMISED_FOLDERS = {"models", "training", "devices"}
SWITCH = "disable_meta_optimizer"


@contextlib.contextmanager
def optimised_graphs(on):
    """Whether TensorFlow optimises graphs: a fifth to two fifths of a training's time where the network is tiny."""
    before = tf.config.optimizer.get_experimental_options().get(SWITCH, False)
    tf.config.optimizer.set_experimental_options({SWITCH: not on})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({SWITCH: before})


def quick_graphs():
    """Graphs as they were traced; in `make test-long` they are optimised."""
    return optimised_graphs(os.environ.get("HYPOTHESIS_PROFILE") == "long")
