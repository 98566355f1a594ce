"""Words that several layers share."""

from __future__ import annotations

from typing import Literal, get_args

NO_LABEL = "no label"  # what is said of a photo without any

BASIC, BOTTLENECK = BLOCKS = ("basic", "bottleneck")
V1, V1_5 = VARIANTS = ("v1", "v1.5")
IMAGENET_STEM, CIFAR_STEM = STEMS = ("imagenet", "cifar")

BNMode = Literal["adapt", "affine", "frozen"]  # see models.batch_norm.BatchNormalization
ADAPT, AFFINE, FROZEN = BN_MODES = get_args(BNMode)

# What a new head sits on: the pooled features, the original network's logits, or the averages and maxima of every
# block's output.
On = Literal["features", "logits", "all_blocks"]
FEATURES, LOGITS, ALL_BLOCKS = HEAD_PLACES = get_args(On)

# What the features of an image are averaged over, in training and wherever the model is used.
Tta = Literal["none", "flips"]
NO_VIEWS, FLIPS = TTAS = get_args(Tta)

# How an image that is not square becomes so: its edges are cut off, it is squeezed, or grey is put beside it.
Resize = Literal["crop", "squash", "letterbox"]
CROP, SQUASH, LETTERBOX = RESIZES = get_args(Resize)

Solver = Literal["lbfgs", "gradient"]  # how a new head is trained on its own
LBFGS, GRADIENT = SOLVERS = get_args(Solver)

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
# What folders, tables and TensorFlow Datasets call a split, in lower case.
SPLIT_ALIASES = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "test": TEST,
}

OnBadImage = Literal["error", "skip"]
