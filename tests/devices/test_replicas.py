"""How replicas share a batch: evenly, or the nearest size that works is named."""

import pytest

from tl_toolkit.devices.replicas import check_batch_size, largest_share
from tl_toolkit.errors import InputError


@pytest.mark.parametrize(
    ("batch_size", "replicas", "nearest"),
    [(33, 2, 32), (35, 2, 36), (1, 8, 8), (30, 4, 32), (10, 4, 8), (100, 3, 99)],
)
def test_a_batch_that_replicas_do_not_divide_is_refused_with_the_nearest(
    batch_size, replicas, nearest
):
    with pytest.raises(
        InputError, match=rf"do not divide {batch_size}\. The nearest that works is {nearest}\."
    ):
        check_batch_size(batch_size, replicas)
    check_batch_size(nearest, replicas)
    assert largest_share(nearest, replicas) * replicas == nearest


@pytest.mark.parametrize(("batch_size", "replicas", "share"), [(25, 2, 13), (24, 2, 12), (3, 8, 1)])
def test_the_largest_share_of_an_uneven_batch(batch_size, replicas, share):
    assert largest_share(batch_size, replicas) == share
