"""ResNet-18 and ResNet-50 (v1.5) in PyTorch's idiom, after He et al. 2015, table 1."""

from __future__ import annotations

import torch
from torch import nn

COUNTS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


def _convolution(channels: int, filters: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


class Block(nn.Module):
    """relu(branch(x) + shortcut(x))."""

    def __init__(self, channels: int, filters: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * filters if bottleneck else filters
        layout = [(filters, 3, stride), (filters, 3, 1)]
        if bottleneck:
            layout = [(filters, 1, 1), (filters, 3, stride), (outputs, 1, 1)]
        layers, before = [], channels
        for number, (width, size, step) in enumerate(layout):
            layers += [nn.ReLU(inplace=True)] if number else []
            layers.append(_convolution(before, width, size, step))
            before = width
        self.branch = nn.Sequential(*layers)
        projects = stride > 1 or channels != outputs
        self.shortcut = _convolution(channels, outputs, 1, stride) if projects else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.branch(x) + self.shortcut(x))


def resnet(depth: int, classes: int) -> nn.Module:
    """Maps float32[batch, 3, height, width] to logits, float32[batch, classes]."""
    bottleneck = depth == 50
    layers = [_convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, count in enumerate(COUNTS[depth]):
        for number in range(count):
            filters, stride = 64 * 2**stage, 2 if stage and not number else 1
            layers.append(Block(channels, filters, stride, bottleneck))
            channels = 4 * filters if bottleneck else filters
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)


def channels_last(depth: int, classes: int) -> nn.Module:
    """The network in channels-last layout, which PyTorch's convolutions are fastest in."""
    torch.manual_seed(0)
    return resnet(depth, classes).to(memory_format=torch.channels_last)
