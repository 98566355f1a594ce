"""Parameters and multiply-adds, counted, beside the paper's."""

import pytest
from families import long_after

from tl_toolkit.catalog import Architecture
from tl_toolkit.models.architecture_table import costs, stage_rows

# Multiply-adds of convolutions and dense layer for one 224 px image.
EXPECTED = {
    ("resnet18", "v1 = v1.5"): (11_689_512, 1_814_073_344, 1.8e9),
    ("resnet34", "v1 = v1.5"): (21_797_672, 3_663_761_408, 3.6e9),
    ("resnet50", "v1"): (25_557_032, 3_857_973_248, 3.8e9),
    ("resnet50", "v1.5"): (25_557_032, 4_089_184_256, 3.8e9),
    ("resnet101", "v1"): (44_549_160, 7_570_194_432, 7.6e9),
    ("resnet101", "v1.5"): (44_549_160, 7_801_405_440, 7.6e9),
    ("resnet152", "v1"): (60_192_808, 11_282_415_616, 11.3e9),
    ("resnet152", "v1.5"): (60_192_808, 11_513_626_624, 11.3e9),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", long_after(2, ["resnet18", "resnet50", "resnet34", "resnet101", "resnet152"])
)
def test_costs_are_exact_and_v1_is_the_paper_s_network(name):
    counted = {
        (cost.name, cost.variant): (cost.parameters, cost.multiply_adds, cost.paper)
        for cost in costs(name)
    }
    assert counted == {key: value for key, value in EXPECTED.items() if key[0] == name}
    _, multiply_adds, paper = next(iter(counted.values()))
    assert multiply_adds == pytest.approx(paper, rel=0.02)


def test_bottlenecks_project_channels_only_in_conv2():
    rows = stage_rows(Architecture.named("resnet50"))
    assert [(row.stage, row.output_size) for row in rows] == [
        ("conv1", 112),
        ("conv2", 56),
        ("conv3", 28),
        ("conv4", 14),
        ("conv5", 7),
        ("head", 1),
    ]
    assert rows[1].shortcut == "block 1 projection (channels only)"
    assert {row.shortcut for row in rows[2:5]} == {"block 1 projection (size and channels)"}


def test_the_cifar_form_keeps_the_size_until_conv3():
    rows = stage_rows(Architecture.named("resnet18", stem="cifar", width=16), 10, 32)
    assert [row.output_size for row in rows] == [32, 32, 16, 8, 4, 1]
    assert rows[0].layers == "3x3, 16"
    assert rows[1].shortcut == "all identity"
