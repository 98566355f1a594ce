"""Layer names of Keras' first ResNet-50 (2016), which some files still have: `res3a_branch2b`, `bn3a_branch2b`."""

from __future__ import annotations

import re

import numpy as np

BRANCH = re.compile(r"(res|bn)(\d)([a-z])_branch(1|2[abc])")
PARTS = {"1": 0, "2a": 1, "2b": 2, "2c": 3}
OTHERS = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "predictions"}
BN_EPSILON = 1e-3  # Keras' default, which that builder used


def has_first_names(tensors: dict[str, np.ndarray]) -> bool:
    """Whether the tensors have these names."""
    return any(name.startswith("res2a_branch") for name in tensors)


def renamed(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the tensors under today's names."""
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def _renamed(name: str) -> str:
    layer, _, variable = name.partition("/")
    if match := BRANCH.fullmatch(layer):
        kind, stage, block, branch = match.groups()
        number = ord(block) - ord("a") + 1
        layer = f"conv{stage}_block{number}_{PARTS[branch]}_{'conv' if kind == 'res' else 'bn'}"
    return f"{OTHERS.get(layer, layer)}/{variable}"
