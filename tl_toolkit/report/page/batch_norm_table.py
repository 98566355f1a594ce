"""Batch normalisation of a run's page: every layer's mode and, where they were measured, its gaps."""

from __future__ import annotations

from tl_toolkit.progress import Table
from tl_toolkit.report.batch_norm_page import HEALTHY
from tl_toolkit.report.page.run_files import RunFiles

GAPS = {
    "gap of means": "mean_gap",
    "worst mean": "worst_mean_gap",
    "gap of variances": "variance_gap",
    "worst variance": "worst_variance_gap",
}
NOT_MEASURED = "–"


def batch_norm_table(files: RunFiles) -> Table:
    """Returns a row a layer, in the order of the network."""
    modes = files.plan["bn_modes"]
    if not files.batch_norm:
        return Table(("layer", "mode"), tuple(modes.items()))
    measured = {row["layer"]: row for row in files.batch_norm}
    rows = []
    for layer, mode in modes.items():
        row = measured.get(layer)
        gaps = [NOT_MEASURED] * len(GAPS)
        if row is not None:
            gaps = [f"{float(row[name]):.2f}" for name in GAPS.values()]
        finding = NOT_MEASURED if row is None else row["cause"] or HEALTHY
        rows.append((layer, mode, *gaps, finding))
    return Table(("layer", "mode", *GAPS, "finding"), tuple(rows))
