"""`tl-toolkit audit`."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import tyro

from tl_toolkit.catalog import FEATURES, On
from tl_toolkit.cli.cache_limit import feature_cache
from tl_toolkit.cli.maybe import Maybe
from tl_toolkit.cli.tables import print_json
from tl_toolkit.cli.terminal import TerminalProgress, drawn, terminal
from tl_toolkit.progress import Table

if TYPE_CHECKING:
    from tl_toolkit.experiments.audit_result import Audit

LISTED = 5  # of each kind


def audit(
    data: tyro.conf.Positional[str],
    features: bool = True,
    weights: Maybe[str] = None,
    on: On = FEATURES,
    value_range: Maybe[tuple[float, float]] = None,
    output: Maybe[pathlib.Path] = None,
    write_csv: Maybe[pathlib.Path] = None,
    leave_out: tuple[str, ...] = (),
    overwrite: bool = False,
    cache_limit: Maybe[float] = None,
    json: bool = False,
    verbose: bool = False,
) -> None:
    """Looks at all photos before anything is trained: bad files, copies, near-duplicates, doubtful labels.

    Nothing of yours is changed or moved. The exit code is 0 whatever is found, unless the data cannot be opened.

    Args:
        data: Where the images are, such as folder:photos; see `tl-toolkit train --help`.
        features: Let a frozen network look at the photos too: doubtful labels, outliers, photos that stand alone.
        weights: Its weights. Default: those that a training on this data would start from.
        on: What of it is looked at: features (the last block's average), logits, or all_blocks (averages and maxima of every
            block: more time, memory and disk).
        value_range: Of 16-bit or float greys, the values that become black and white, such as 0 4095. Default: all that they hold.
        output: File for everything that was found, such as audit.json.
        write_csv: File for a table without the unreadable photos, all but one of copies, and all of those whose labels
            differ. Train on it with --data csv:FILE, or 'csv:FILE?separator=|' where photos have several labels.
        leave_out: Leave out of that table too: near-duplicates, doubtful, outliers, alone, blank, dark, bright,
            blurred, tiny, ….
        overwrite: Replace an earlier audit of the name of --output.
        cache_limit: Gigabytes of disk for the features of frozen layers. Default: 20.
        json: Print JSON.
        verbose: Show TensorFlow's own messages.
    """
    with terminal(verbose, beside_json=json) as progress:
        from tl_toolkit.experiments.audit_photos import audit as audit_photos
        from tl_toolkit.experiments.cleaned_csv import write_csv as write_table
        from tl_toolkit.experiments.context import Context

        context = Context(feature_cache=feature_cache(cache_limit))
        found = audit_photos(
            data,
            features=features,
            weights=weights,
            on=on,
            context=context,
            progress=progress,
            value_range=value_range,
        )
        if output is not None:
            found.save(output, overwrite)
        if write_csv is not None:
            left = write_table(found, write_csv, leave_out)
            scaled = (
                "" if value_range is None else " --value-range {:.15g} {:.15g}".format(*value_range)
            )
            uri = (
                f"'csv:{write_csv}?separator=|'" if found.has_several_labels else f"csv:{write_csv}"
            )
            progress.message(
                f"{left} of {len(found.listing)} photos are named in the table. Train on it: "
                f"tl-toolkit train --data {uri}{scaled}"
            )
        if json:
            print_json(found.to_json())
            return
        _print(found, progress)
        if output is not None:
            progress.message(f"Everything is in {output}")


def _print(found: Audit, progress: TerminalProgress) -> None:
    values = found.to_json()
    names = found.listing.class_names
    splits = list(values["classes"])
    balance = [
        (name, *(str(values["classes"][split].get(name, 0)) for split in splits)) for name in names
    ]
    progress.message(f"{found.uri}: {values['photos']} photos, {values['readable']} can be read")
    progress.console.print(drawn(Table(("class", *splits), tuple(balance))))
    findings = found.findings()
    rows = tuple(
        (kind, str(len({path for path, *_ in some})), some[0][0]) for kind, some in findings.items()
    )
    if rows:
        progress.console.print(drawn(Table(("found", "photos", "such as"), rows)))
    else:
        progress.message("Nothing was found.")
    for kind in ("doubtful label", "copies with other labels"):
        listed = findings.get(kind, [])
        for path, reason, _ in listed[:LISTED]:
            progress.message(f"{kind}: {path} ({reason})")
        if len(listed) > LISTED:
            progress.message(f"{kind}: {len(listed) - LISTED} more; --output audit.json has all")
    across = found.across_splits()
    if across:
        progress.message(
            f"{len(across)} pictures stand in more than one split, copies and near-duplicates of each other."
        )
    for note in found.notes:
        progress.message(f"note: {note}")
