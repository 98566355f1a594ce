"""Options that stand behind a data URI's path: `?NAME=VALUE&NAME=VALUE`."""

from __future__ import annotations

import urllib.parse
from collections.abc import Collection

from tl_toolkit.errors import InputError, unknown_name


def parse_options(
    query: str, known: Collection[str], argument: str, what: str, hint: str
) -> dict[str, str]:
    """Returns the options by name.

    Values are percent-decoded, so that `%26` is `&` and `%3B` is `;`.

    Args:
        query: What follows the question mark; may be empty.
        known: Names that there are.
        argument: The URI's part that it was taken from, for errors.
        what: Kind of an option, such as `"option of a table"`.
        hint: What an error about an unknown name ends with.

    Raises:
        InputError: An option is unknown, given twice, or empty.
    """
    options: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name not in known:
            raise unknown_name(what, name, known, hint)
        if name in options:
            raise InputError(f"The option {name!r} is given twice in {argument!r}: give one.")
        try:
            options[name] = urllib.parse.unquote(value, errors="strict")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}={value} in {argument!r} is not UTF-8: {error}.") from error
        if not options[name] or "\0" in options[name]:
            raise InputError(f"The option {name!r} in {argument!r} needs a value: {name}=VALUE.")
    return options
