"""A small ResNet by the builder of keras.applications: its blocks, names, biases and ε, with fewer layers."""

from keras.src.applications import resnet
from tiny import randomise

BLOCK_COUNTS = (2, 1)
OURS = {"block_counts": BLOCK_COUNTS, "block": "bottleneck", "classifier_activation": None}


def small_resnet(classes, side=64):
    """Randomised, with a head that gives logits."""

    def stages(x):
        x = resnet.stack_residual_blocks_v1(x, 64, BLOCK_COUNTS[0], stride1=1, name="conv2")
        return resnet.stack_residual_blocks_v1(x, 128, BLOCK_COUNTS[1], name="conv3")

    return randomise(
        resnet.ResNet(
            stages,
            preact=False,
            use_bias=True,
            weights=None,
            input_shape=(side, side, 3),
            classes=classes,
            classifier_activation=None,
        )
    )
