"""`csv:PATH?labels=A,B,C` and `csv:PATH?label=COLUMN&separator=|`: a table of photos with several labels each."""

from __future__ import annotations

import urllib.parse

import numpy as np

from tl_toolkit.data.file_names import user_path
from tl_toolkit.data.label_columns import labels_of_columns, labels_of_lists
from tl_toolkit.data.labelled_rows import LabelledRows, open_table, splits_of, weights_of
from tl_toolkit.data.named_photos import photo_paths
from tl_toolkit.data.table import Table
from tl_toolkit.data.table_columns import choose_column
from tl_toolkit.data.table_uri import FILE, GROUP, LABEL, ROLES, SUFFIX, TableUri, parse_table_uri
from tl_toolkit.errors import InputError, unknown_name

LABELS, SEPARATOR = "labels", "separator"


def names_several_labels(argument: str) -> bool:
    """Whether what follows `csv:` names columns of several labels a photo."""
    path, _, query = argument.rpartition("?")
    if not path or user_path(argument).is_file():  # a name with a question mark
        return False
    names = {pair.partition("=")[0] for pair in query.split("&")}
    return bool(names & {LABELS, SEPARATOR})


def without_label_options(argument: str) -> str:
    """Returns what follows `csv:` as `parse_table_uri` takes it, without the options that name several labels."""
    return _parted(argument)[1] if names_several_labels(argument) else argument


def read_label_table(argument: str, finds_all: bool = True) -> LabelledRows:
    """Reads a table of photos with several labels.

    Args:
        argument: `PATH?labels=A,B,C`, a column of 0 and 1 a label, in the order that is given; or
            `PATH?label=COLUMN&separator=|`, a column that lists each photo's labels, which may be empty. Values are
            percent-decoded (`%2C` is a comma). Everything else, such as `file=COLUMN`, `root` and the columns `split`, `weight` and
            `group`, is as `load_csv` has it.
        finds_all: Whether a name without an ending that no file has is an error.

    Raises:
        InputError: The table is not as described.
    """
    options, rest = _parted(argument)
    uri = parse_table_uri(rest)
    _check(options, uri, argument)
    table = open_table(uri, needed=(FILE,))
    names, labels = _labels(table, options, uri)
    chosen = _columns(table, uri)
    cells = table.columns[chosen[FILE]]
    for row, name in enumerate(cells):
        if not name or "\0" in name:
            raise InputError(f"{table.where(row)} must name a file.")
    paths, found_endings = photo_paths(cells, uri.root, uri.options.get(SUFFIX), finds_all)
    return LabelledRows(
        table=uri.path,
        class_names=names,
        paths=paths,
        labels=labels,
        splits=splits_of(table, chosen),
        weights=weights_of(table, chosen),
        groups=table.columns[chosen[GROUP]] if GROUP in chosen else [],
        notes=tuple(filter(None, (*table.notes, found_endings))),
    )


def _parted(argument: str) -> tuple[dict[str, str], str]:
    """Returns the options that name several labels, not decoded, and the URI without them."""
    path, _, query = argument.rpartition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    own: dict[str, str] = {}
    for name, _, value in pairs:
        if name in (LABELS, SEPARATOR):
            if not value or name in own:
                raise InputError(
                    f"The option {name!r} in {argument!r} needs one value: {name}=VALUE."
                )
            own[name] = value
    rest = "&".join("=".join((name, value)) for name, _, value in pairs if name not in own)
    return own, "?".join(filter(None, (path, rest)))


def _check(options: dict[str, str], uri: TableUri, argument: str) -> None:
    in_columns, in_lists = LABELS in options, SEPARATOR in options
    if in_columns == in_lists or (in_columns and LABEL in uri.options):
        raise InputError(
            f"Name the labels of {argument!r} in one way: labels=A,B,C, a column of 0 and 1 each, or label=COLUMN&separator=|, "
            "a column that lists them."
        )


def _labels(
    table: Table, options: dict[str, str], uri: TableUri
) -> tuple[tuple[str, ...], np.ndarray]:
    if LABELS in options:
        names = tuple(urllib.parse.unquote(name) for name in options[LABELS].split(","))
        return names, labels_of_columns(table.columns, names, table.where)
    column = choose_column(list(table.columns), LABEL, uri.options.get(LABEL))
    if column is None:
        raise unknown_name("column", LABEL, table.columns, "label=COLUMN names that of the labels.")
    separator = urllib.parse.unquote(options[SEPARATOR])
    return labels_of_lists(table.columns[column], separator, table.where)


def _columns(table: Table, uri: TableUri) -> dict[str, str]:
    """Returns the columns by role; that of the files must be there."""
    names = list(table.columns)
    found = {role: choose_column(names, role, uri.options.get(role)) for role in ROLES}
    chosen = {role: name for role, name in found.items() if name is not None and role != LABEL}
    if FILE not in chosen:
        raise unknown_name("column", FILE, names, "file=COLUMN names that of the files.")
    return chosen
