"""An audit of photos with several labels: each label is doubted on its own, and the table that is left keeps them all."""

import csv

import numpy as np
import pytest
from digit_photos import digit_photos
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.experiments.cleaned_csv import rows_left
from tl_toolkit.experiments.label_issues import issues_of, label_issues

PHOTOS, WRONG = 240, 8
NAMES = ("has a hole", "even", "one of 0 and 1")
OF_DIGIT = np.array([[d in (0, 6, 8, 9), d % 2 == 0, d < 2] for d in range(10)], np.uint8)


@pytest.fixture(scope="module")
def planted(made_once):
    """Digits in files with a table of labels beside them, some of which are turned over."""

    def make(folder):
        images, shown = digit_photos(PHOTOS)
        labels = OF_DIGIT[shown]
        rng = np.random.default_rng(1)
        photos = rng.choice(PHOTOS - 20, WRONG, replace=False) + 20
        wrong = [(f"{k}.png", int(rng.integers(3))) for k in photos]
        rows = [(f"{k}.png", row) for k, row in enumerate(labels)]
        for k, (name, label) in zip(photos, wrong, strict=True):
            row = labels[k].copy()
            row[label] = 1 - row[label]
            rows[k] = (name, row)
        for name, image in zip((name for name, _ in rows), images, strict=True):
            image.save(folder / name)
        images[3].transpose(Image.Transpose.ROTATE_90).save(folder / "near.png")
        rows.append(("near.png", 1 - labels[3]))
        (folder / "copy.png").write_bytes((folder / "4.png").read_bytes())
        rows.append(("copy.png", labels[4]))
        (folder / "cut.png").write_bytes((folder / "5.png").read_bytes()[:200])
        rows.append(("cut.png", labels[5]))
        with (folder / "labels.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["file", *NAMES])
            table.writerows([name, *row.tolist()] for name, row in rows)
        return {"table": folder / "labels.csv", "wrong": wrong, "rows": dict(rows)}

    return made_once("planted_labels", make)


@pytest.fixture(scope="module")
def found(planted):
    labels = ",".join(NAMES)
    return tl.audit(f"csv:{planted['table']}?labels={labels}", weights="digits", on="all_blocks")


@pytest.mark.slow
def test_labels_that_were_turned_over_are_doubted_by_name(found, planted):
    issues, rows = found.features.label_issues, found.features.rows
    first = issues.order[: round(0.06 * len(issues.order))]
    names = [str(found.listing.names[row]).rpartition("/")[2] for row in rows[issues.photo[first]]]
    listed = set(zip(names, issues.label[first].tolist(), strict=True))
    assert len(listed & set(planted["wrong"])) >= 0.8 * WRONG
    said = [
        (path.rpartition("/")[2], reason) for path, reason, _ in found.findings()["doubtful label"]
    ]
    assert len(said) == issues.count
    for (name, reason), label in zip(said, issues.label[issues.doubted], strict=True):
        is_given = planted["rows"][name][label]
        name = NAMES[label]
        assert reason == (f"{name}, rather not" if is_given else f"not {name}, rather {name}")


@pytest.mark.slow
def test_files_copies_and_labels_are_counted(found, planted):
    findings = found.findings()
    assert [path.rpartition("/")[2] for path, *_ in findings["truncated"]] == ["cut.png"]
    assert [path.rpartition("/")[2] for path, *_ in findings["copy"]] == ["copy.png"]
    contradicted = {path.rpartition("/")[2] for path, *_ in findings["copies with other labels"]}
    assert contradicted == {"3.png", "near.png"}
    rows = np.array(list(planted["rows"].values()))
    counts = dict(zip(NAMES, rows.sum(0).tolist(), strict=True))
    assert found.to_json()["classes"] == {"train": counts}


@pytest.mark.slow
def test_the_table_that_is_left_opens_with_the_same_labels(found, planted, tmp_path):
    table = tmp_path / "clean.csv"
    left = tl.write_csv(found, table, ["doubtful"])
    assert left == len(rows_left(found, ["doubtful"])) < len(planted["rows"]) - 2
    dataset = tl.open_dataset(f"csv:{table}?separator=|")
    assert dataset.class_names == tuple(sorted(NAMES))
    order = [NAMES.index(name) for name in dataset.class_names]
    opened = 0
    for split in (dataset.train, dataset.validation, dataset.test):
        for path, row in zip(split.images.paths, split.labels, strict=True):
            name = str(path).rpartition("/")[2]
            np.testing.assert_array_equal(row, planted["rows"][name][order])
            opened += 1
    assert opened == left


def test_a_label_that_the_features_hardly_show_doubts_no_photo_without_it():
    rng = np.random.default_rng(0)
    labels = np.zeros((300, 2), np.uint8)
    labels[:150, 0] = 1
    labels[rng.choice(300, 4, replace=False), 1] = 1
    logits = np.stack([np.where(labels[:, 0] > 0, 3.0, -3.0), rng.normal(-4, 1, 300)], 1)
    found = issues_of(logits, labels)
    doubted = found.doubted[found.label[found.doubted] == 1]
    assert labels[found.photo[doubted], 1].all()
    alone = label_issues(
        np.stack([1 - 1 / (1 + np.exp(-logits[:, 1])), 1 / (1 + np.exp(-logits[:, 1]))], 1),
        labels[:, 1].astype(np.int64),
    )
    assert alone.count > 40  # of 300: what would be doubted


def test_every_label_is_judged_as_one_of_two_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (60, 2)).astype(np.uint8)
    logits = np.where(labels > 0, 2.0, -2.0) + rng.normal(0, 0.5, (60, 2))
    logits[7, 1] *= -2
    logits[9, 0] *= -3
    found = issues_of(logits, labels)
    first = [(found.photo[k], found.label[k], found.suggested[k]) for k in found.order[:2]]
    assert first == [(9, 0, 1 - labels[9, 0]), (7, 1, 1 - labels[7, 1])]
    there = 1 / (1 + np.exp(-logits[:, 0]))
    alone = label_issues(np.stack([1 - there, there], 1), labels[:, 0].astype(np.int64))
    np.testing.assert_allclose(found.margin[:60], alone.margin)
    np.testing.assert_array_equal(found.suggested[:60], alone.suggested)
    assert found.count == len(found.doubted) >= 2
