"""Flags that need not be given, and whose help says in words what happens then."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import tyro

T = TypeVar("T")


def hint(default: Any) -> Any:
    """Returns the end of a flag's help, for `Annotated`: its default; nothing where that is None."""
    return tyro.conf.arg(help_behavior_hint="" if default is None else f"(default: {default})")


Maybe = Annotated[T | None, hint(None)]
