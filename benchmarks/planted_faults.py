"""What an audit finds of faults that were planted in sound data.

    python benchmarks/planted_faults.py [--data NAME …] [--on features …] [--seeds 3] [--minutes 60]

Photos are copied to a temporary folder, a folder a split and class, and `tl.audit` looks at them as at a user's. Planted are,
by the seed: 3% wrong labels, each another class at random; 20 near-duplicates in the other split, five each
resized to 70%, compressed as a JPEG of quality 50, cut by 5% of their sides, and turned; 10 copies in the other split; 5
files cut off in their middle; 5 blank photos, one grey with noise of one level.

A wrong label counts as found where it is in the list of doubtful labels and in the first places of it, as many as 6% of the
photos that can be read. Near-duplicates that nobody planted may be true ones: a link between two photos counts as
false only if `finer_check.py` does not confirm it either. Of a group of n photos there are n - 1 links, and the parts that
the confirmed pairs leave, less one, are false. Digits and clothes have no finer detail: of
them every link is false that was not planted.

Every audit appends a line to `kept/planted_faults.jsonl`; started again, it goes on with what is missing. `--anew` begins from
the beginning. Then it prints a table. The data: `pip install 'tl-toolkit[elpv]'`, and what `study_data.py` names, which has to
lie in `--files`, unpacked.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import tempfile
import time

from finer_check import FinerCheck
from kept_lines import add_line, put_aside, read_lines
from planting import DATA, Photos, Planted, plant

HERE = pathlib.Path(__file__).parent
KEPT = HERE / "kept" / "planted_faults.jsonl"
LOOKED_AT = 0.06  # of the photos


def measure(photos: Photos, seed: int, check: FinerCheck | None, on: str) -> dict[str, object]:
    """Plants, audits, and returns what was found of it."""
    import tl_toolkit as tl
    from tl_toolkit.experiments.context import Context
    from tl_toolkit.transfer.feature_cache import FeatureCache

    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place).resolve()
        planted = plant(photos, folder / "photos", seed)
        context = Context(feature_cache=FeatureCache(folder / "cache"))
        spent = time.process_time()
        found = tl.audit(
            f"folder:{folder / 'photos'}", on=on, weights=photos.weights, context=context
        )
        spent = time.process_time() - spent
        return {
            "photos": len(found.listing),
            "cpu_seconds": round(spent),
            **_of_labels(found, planted, photos),
            **_of_pictures(found, planted, check),
            **_of_files(found, planted),
        }


def _of_labels(found, planted: Planted, photos: Photos) -> dict[str, object]:
    listed = [path for path, *_ in found.findings().get("doubtful label", [])]
    first = listed[: round(LOOKED_AT * int(found.is_sound.sum()))]
    others = [planted.origin[p] for p in first if p not in planted.wrong and p in planted.origin]
    sure = {p for p in planted.wrong if photos.is_sure[planted.origin[p]]}
    features = found.features
    names = [found.name(k) for k in features.rows]
    issues = features.label_issues
    in_order = {names[k] for k in issues.order[: round(LOOKED_AT * len(names))]}
    # Of two classes, the other one is then the likelier.
    against = {names[k] for k in (issues.self_confidence < 0.5).nonzero()[0]}
    return {
        "wrong": len(planted.wrong),
        "wrong_in_first": len(planted.wrong.intersection(first)),
        "wrong_listed": len(planted.wrong.intersection(listed)),
        "wrong_in_first_of_order": len(planted.wrong & in_order),
        "wrong_under_half": len(planted.wrong & against),
        "sure_wrong": len(sure),
        "sure_wrong_in_first": len(sure.intersection(first)),
        "listed": len(listed),
        "other_in_first": len(others),
        "unsure_other_in_first": int((~photos.is_sure[others]).sum()),
        "unsure_share": float((~photos.is_sure).mean()),
    }


def _of_pictures(found, planted: Planted, check: FinerCheck | None) -> dict[str, object]:
    names = [[found.name(k) for k in group] for group in found.groups("near-duplicate")]
    missed, links, false = dict(planted.near), 0, 0
    for group in names:
        shown = [planted.origin.get(name, -1) for name in group]
        whole = {
            number
            for name, number in zip(group, shown, strict=True)
            if name not in planted.near and name not in planted.copies
        }
        for name, number in zip(group, shown, strict=True):
            if name in planted.near and number in whole:
                missed.pop(name)
        links += len(group) - 1
        false += _parts(sorted(set(shown)), check) - 1
    copies = [[found.name(k) for k in group] for group in found.groups("copy")]
    together = {
        name
        for group in copies
        for name in group
        if name in planted.copies
        and any(planted.origin.get(n) == planted.origin[name] for n in group if n != name)
    }
    return {
        "near": len(planted.near),
        "near_found": len(planted.near) - len(missed),
        "near_missed": sorted(missed.values()),
        "links": links,
        "false_links": false,
        "copies": len(planted.copies),
        "copies_found": len(together),
    }


def _parts(photos: list[int], check: FinerCheck | None) -> int:
    """Returns how many parts the confirmed pairs leave of a group; a blank photo, -1, is one of its own."""
    part = {number: number for number in photos}
    for one, other in itertools.combinations(photos, 2):
        is_apart = part[one] != part[other] and one >= 0
        if is_apart and check is not None and check.confirms(one, other):
            old = part[other]
            part = {number: part[one] if own == old else own for number, own in part.items()}
    return len(set(part.values()))


def _of_files(found, planted: Planted) -> dict[str, object]:
    findings = found.findings()
    damaged = {path for kind in ("truncated", "unreadable") for path, *_ in findings.get(kind, [])}
    blank = {path for path, *_ in findings.get("blank", [])}
    return {
        "truncated": len(planted.truncated),
        "truncated_found": len(planted.truncated & damaged),
        "damaged_listed": len(damaged),
        "blank": len(planted.blank),
        "blank_found": len(planted.blank & blank),
        "blank_listed": len(blank),
    }


def table(rows: list[dict]) -> str:
    """A line a data set and place of the head, shares over all seeds together."""
    lines = [
        "| | head on | wrong labels in the first 6% | by seed | listed at all | near-duplicates | false links | copies "
        "| cut off | blank | CPU s | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    below = []
    for data, on in dict.fromkeys((row["data"], row["on"]) for row in rows):
        some = [row for row in rows if (row["data"], row["on"]) == (data, on)]
        total = {
            key: sum(row[key] for row in some)
            for key, value in some[0].items()
            if isinstance(value, int | float)
        }
        shares = ", ".join(f"{row['wrong_in_first'] / row['wrong']:.2f}" for row in some)

        def of(key: str, total: dict = total) -> str:
            return f"{total[f'{key}_found']} of {total[key]}"

        lines.append(
            f"| {data} | {on} | {total['wrong_in_first'] / total['wrong']:.3f} | {shares} "
            f"| {total['wrong_listed'] / total['wrong']:.3f} | {of('near')} "
            f"| {total['false_links']} of {total['links']} | {of('copies')} | {of('truncated')} | {of('blank')} "
            f"| {total['cpu_seconds'] / len(some):.0f} | {len(some)} |"
        )
        if total["unsure_share"]:
            below.append(
                f"{data}, {on}: {total['sure_wrong_in_first'] / total['sure_wrong']:.3f} of the wrong labels of photos that "
                f"were sure are in the first 6%. Unsure are {total['unsure_share'] / len(some):.1%} of all photos and "
                f"{total['unsure_other_in_first'] / total['other_in_first']:.1%} of those listed there that were not planted. "
                f"The head is against {total['wrong_under_half'] / total['wrong']:.3f} of the wrong labels."
            )
    return "\n".join([*lines, *below])


def main() -> None:
    """Runs what is missing, within the minutes, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=list(DATA), choices=list(DATA))
    parser.add_argument("--on", nargs="*", default=["features"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--files", type=pathlib.Path, default=HERE / "study_data")
    parser.add_argument("--anew", action="store_true")
    asked = parser.parse_args()
    if asked.anew:
        put_aside(KEPT)
    rows, until = read_lines(KEPT), time.monotonic() + 60 * asked.minutes
    checks: dict[str, FinerCheck | None] = {}
    for seed, data, on in itertools.product(range(asked.seeds), asked.data, asked.on):
        key = {"data": data, "on": on, "seed": seed}
        if any(key.items() <= row.items() for row in rows) or time.monotonic() > until:
            continue
        photos = DATA[data](asked.files.resolve())
        if data not in checks:
            checks[data] = FinerCheck(photos.paths) if photos.are_fine else None
        rows.append({**key, **measure(photos, seed, checks[data], on)})
        add_line(KEPT, rows[-1])
        print(json.dumps(rows[-1]), flush=True)
    print(table([row for row in rows if row["data"] in asked.data and row["on"] in asked.on]))


if __name__ == "__main__":
    main()
