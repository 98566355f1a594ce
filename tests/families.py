"""A family of cases of one test, of which `make test` runs the first ones and `make test-long` all."""

import pytest


def long_after(count, cases):
    """Returns the cases, those after the first `count` marked `long`.

    Args:
        count: How many.
        cases: Values of one parameter, or tuples of values of several.
    """

    def marked(case):
        values = case if isinstance(case, tuple) else (case,)
        return pytest.param(*values, marks=pytest.mark.long)

    cases = list(cases)
    return [*cases[:count], *map(marked, cases[count:])]
