"""Parts of a document that a benchmark writes, between two markers."""

from __future__ import annotations

import pathlib


def markers(name: str) -> tuple[str, str]:
    """Returns the comments that stand before and behind the part of that name."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def with_section(page: str, name: str, text: str) -> str:
    """Returns a page with the text between its markers.

    Raises:
        ValueError: It has no markers.
    """
    begin, end = markers(name)
    before, has_begin, rest = page.partition(begin)
    _, has_end, after = rest.partition(end)
    if not has_begin or not has_end:
        raise ValueError(f"the page must have {begin} and {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def write_section(page: pathlib.Path, name: str, text: str) -> None:
    """Puts the text between the markers of a page."""
    new = with_section(page.read_text(encoding="utf-8"), name, text)
    page.write_text(new, encoding="utf-8")
