"""How replicas share a batch."""

from __future__ import annotations

from tl_toolkit.errors import InputError


def check_batch_size(batch_size: int, replicas: int) -> None:
    """Checks that replicas get equal shares of a full batch.

    Raises:
        InputError: They do not; the message names the nearest size that works.
    """
    if batch_size % replicas:
        nearest = max(round(batch_size / replicas), 1) * replicas
        raise InputError(
            f"`batch_size` counts the images on all {replicas} replicas together, which do not divide "
            f"{batch_size}. The nearest that works is {nearest}."
        )


def largest_share(batch_size: int, replicas: int) -> int:
    """Returns how many images of a batch one replica gets at most; a smaller batch may not divide evenly."""
    return -(-batch_size // replicas)
