"""The figures of splits, a row each, for whoever draws tables."""

from __future__ import annotations

from typing import Any

from tl_toolkit.progress import Table


def metrics_table(metrics: dict[str, Any]) -> Table:
    """A row a split, of what `classification_metrics` returns."""
    splits = {name: values for name, values in metrics.items() if isinstance(values, dict)}
    if any("mean_average_precision" in values for values in splits.values()):
        return _label_metrics_table(splits)
    has_auc = any("roc_auc" in values for values in splits.values())  # of two classes
    rows = []
    for split, values in splits.items():
        low, high = values["top1_interval"]
        row = [
            split,
            str(values["examples"]),
            f"{values['top1']:.3f}",
            f"{low:.3f}–{high:.3f}",
            f"{values['balanced_accuracy']:.3f}",
            f"{values['log_loss']:.3f}",
        ]
        if has_auc:
            auc = values.get("roc_auc")  # none where one of the classes does not occur
            row.append("–" if auc is None else f"{auc:.3f}")
        rows.append(tuple(row))
    columns = ("", "images", "top-1", "95% interval", "balanced accuracy", "log loss")
    return Table((*columns, *(("ROC AUC",) if has_auc else ())), tuple(rows))


def _label_metrics_table(splits: dict[str, Any]) -> Table:
    """A row a split, of what `label_metrics` returns."""
    figures = ("mean_average_precision", "macro_f1", "micro_f1", "subset_accuracy", "hamming_loss")
    rows = [
        (
            split,
            str(values["examples"]),
            *("–" if values[name] is None else f"{values[name]:.3f}" for name in figures),
            f"{values['log_loss']:.3f}",
        )
        for split, values in splits.items()
    ]
    columns = ("mean AP", "macro F1", "micro F1", "all right", "Hamming loss", "log loss")
    return Table(("", "images", *columns), tuple(rows))
