"""Of the two copies of BLAS, only scipy's is held to one thread, and only within the block."""

import pytest
import scipy.linalg  # noqa: F401  (its copy is loaded)
from threadpoolctl import threadpool_info, threadpool_limits

from tl_toolkit.transfer.blas_threads import scipy_in_one_thread


def threads():
    return {
        "scipy" if "scipy.libs" in library["filepath"] else "numpy": library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }


def test_only_scipy_s_copy_is_held_to_one_thread():
    with threadpool_limits(2, "blas"):
        before = threads()
        if set(before) != {"numpy", "scipy"}:
            pytest.skip("numpy and scipy share one BLAS here")
        with scipy_in_one_thread():
            assert threads() == {"numpy": 2, "scipy": 1}
        assert threads() == before == {"numpy": 2, "scipy": 2}
