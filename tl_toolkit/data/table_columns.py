"""Which column of a table holds what: as its URI says, by the standard names, or by names that are usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tl_toolkit.data.table_uri import FILE, LABEL, ROLES
from tl_toolkit.errors import InputError

# Of other tools' and competitions' tables; looked for where the standard name is absent, whatever their case.
USUAL_NAMES = {
    FILE: (
        *("file", "filename", "file_name", "filepath", "file_path", "image", "image_id"),
        *("image_name", "image_path", "imagepath", "img", "img_path", "photo", "path", "id"),
    ),
    LABEL: (
        *("label", "label_name", "class", "class_name", "classname", "category"),
        *("category_name", "target", "species", "breed"),
    ),
}


def choose_column(columns: Sequence[str], role: str, given: str | None = None) -> str | None:
    """Returns the name of the column for a role.

    Args:
        columns: All names.
        role: One of `ROLES`; the standard name of its column is the same.
        given: What the URI says.

    Returns:
        The given one, else the one of the standard name, else, for file and label, the only one of a usual
        name; None where there is none.

    Raises:
        InputError: The given one is not there, or several have usual names.
    """
    if given is not None:
        if given in columns:
            return given
        alike = [name for name in columns if _plain(name) == _plain(given)]
        if len(alike) == 1:
            return alike[0]
        raise InputError(f"There is no column {given!r} ({role}={given}). {_found(columns)}")
    if role in columns:
        return role
    usual = [name for name in columns if _plain(name) in USUAL_NAMES.get(role, ())]
    if len(usual) > 1:
        raise InputError(
            f"Several columns may hold the {role}: {', '.join(usual)}. Say which in the URI, such as "
            f"csv:labels.csv?{role}={usual[0]}. {_found(columns)}"
        )
    return usual[0] if usual else None


def columns_by_role(columns: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Returns the column of each role that has one.

    Args:
        columns: All names.
        given: Of roles, the columns that the URI names.

    Raises:
        InputError: There is none for the file or the label, or as `choose_column` says.
    """
    chosen = {role: choose_column(columns, role, given.get(role)) for role in ROLES}
    if chosen[FILE] is None or chosen[LABEL] is None:
        raise InputError(
            f"The first line must name the columns, {FILE!r} and {LABEL!r} among them. {_found(columns)} Columns of "
            "other names are chosen in the URI: csv:labels.csv?file=COLUMN&label=COLUMN."
        )
    return {role: name for role, name in chosen.items() if name is not None}


def has_columns(columns: Sequence[str], given: Mapping[str, str], roles: Sequence[str]) -> bool:
    """Whether each of some roles has a column, or several: what is said of those is said later."""
    for role in {*roles, *(role for role in ROLES if role in given)}:
        name = given.get(role)
        wanted = {_plain(name)} if name is not None else {role, *USUAL_NAMES.get(role, ())}
        if wanted.isdisjoint(map(_plain, columns)):
            return False
    return True


def usual_names_note(chosen: Mapping[str, str], given: Mapping[str, str]) -> str:
    """Returns which columns were taken for their usual names; "" for none."""
    taken = [
        f"{name!r} as the {role}"
        for role, name in chosen.items()
        if role not in given and name != role
    ]
    return f"the table's column {' and '.join(taken)}" if taken else ""


def _plain(name: str) -> str:
    return name.strip().casefold()


def _found(columns: Sequence[str]) -> str:
    return f"Found: {', '.join(columns) or 'nothing'}."
