"""What is planted in a folder of digits is found: the whole audit, and what is written of it."""

import csv
import json
import types

import numpy as np
import pytest
from digit_photos import digit_photos
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.cli.audit import LISTED, _print
from tl_toolkit.experiments.cleaned_csv import rows_left

pytestmark = pytest.mark.slow
PHOTOS, WRONG = 200, 6


@pytest.fixture(scope="module")
def planted(made_once):
    """Digits in files, and by name what was done to some of them."""

    def make(folder):
        images, labels = digit_photos(PHOTOS)
        rng = np.random.default_rng(0)
        wrong = rng.choice(PHOTOS, WRONG, replace=False)
        labels[wrong] = (labels[wrong] + rng.integers(1, 10, WRONG)) % 10
        paths = []
        for k, image in enumerate(images):
            split = "test" if k % 5 == 0 else "train"
            place = folder / "data" / split / str(labels[k])
            place.mkdir(parents=True, exist_ok=True)
            image.save(place / f"{k}.png")
            paths.append(place / f"{k}.png")
        sound = [k for k in range(PHOTOS) if k % 5 and k not in wrong]
        test, near = folder / "data/test", []
        for n, k in enumerate(sound[:8]):
            changed = (
                images[k].resize((40, 40), 3),
                images[k].crop((2, 1, 63, 62)),
                images[k].transpose(Image.Transpose.ROTATE_90),
                images[k],
            )[n % 4]
            name = f"near{n}.jpg" if n % 4 == 3 else f"near{n}.png"
            (test / str(labels[k])).mkdir(exist_ok=True)
            changed.save(test / str(labels[k]) / name)
            near.append((str(paths[k]), str(test / str(labels[k]) / name)))
        copy, contradicted = (test / str(labels[sound[k]]) / f"copy{k}.png" for k in (8, 9))
        contradicted = test / str((labels[sound[9]] + 1) % 10) / contradicted.name
        copy.write_bytes(paths[sound[8]].read_bytes())
        contradicted.write_bytes(paths[sound[9]].read_bytes())
        cut = folder / "data/train/0/cut.png"
        cut.write_bytes(paths[0].read_bytes()[:300])
        blank = folder / "data/train/1/blank.jpg"
        Image.new("RGB", (64, 64), (60, 90, 200)).save(blank)
        return {
            "data": f"folder:{folder / 'data'}",
            "wrong": {str(paths[k]) for k in wrong},
            "near": near,
            "copy": (str(paths[sound[8]]), str(copy)),
            "contradicted": {str(paths[sound[9]]), str(contradicted)},
            "cut": str(cut),
            "blank": str(blank),
        }

    return made_once("planted_digits", make)


@pytest.fixture(scope="module")
def found(planted):
    return tl.audit(planted["data"], weights="digits")


def test_every_bad_file_is_named_and_the_rest_is_looked_at(found, planted):
    findings = found.findings()
    assert [path for path, _, _ in findings["truncated"]] == [planted["cut"]]
    assert [path for path, _, _ in findings["blank"]] == [planted["blank"]]
    assert len(found.listing) == PHOTOS + 8 + 2 + 2
    assert found.is_sound.sum() == len(found.listing) - 1


def test_copies_and_near_duplicates_are_found_and_no_others(found, planted):
    number = {str(name): k for k, name in enumerate(found.listing.names)}
    near = found.columns.near
    hits = [near[number[a]] == near[number[b]] for a, b in planted["near"]]
    assert sum(hits) >= 7
    in_groups = {str(found.listing.names[k]) for g in found.groups("near-duplicate") for k in g}
    assert in_groups <= {path for pair in planted["near"] for path in pair}
    copies = [{str(found.listing.names[k]) for k in group} for group in found.groups("copy")]
    assert sorted(map(sorted, copies)) == sorted(
        map(sorted, [set(planted["copy"]), planted["contradicted"]])
    )
    assert len(found.across_splits()) == sum(hits) + 2


def test_wrong_labels_are_listed_first(found, planted):
    features = found.features
    order = [str(found.listing.names[features.rows[k]]) for k in features.label_issues.order]
    first = set(order[: round(0.06 * len(order))])
    assert len(first & planted["wrong"]) >= 0.8 * WRONG


def test_all_blocks_can_look_at_labels_too(planted, tmp_path):
    found = tl.audit(planted["data"], weights="digits", on="all_blocks")
    listed = [path for path, *_ in found.findings()["doubtful label"]]
    first = set(listed[: round(0.06 * len(found.features.rows))])
    assert len(first & planted["wrong"]) >= 0.8 * WRONG
    assert found.to_json()["on"] == "all_blocks"


def test_a_place_that_a_network_has_not_is_refused_before_photos_are_read(planted, monkeypatch):
    monkeypatch.delattr("tl_toolkit.experiments.audit_photos.list_photos")
    with pytest.raises(tl.InputError, match=r"'all_block'.*all_blocks"):
        tl.audit(planted["data"], on="all_block")


def test_the_terminal_says_how_many_doubtful_labels_it_does_not_list(found):
    said = []
    console = types.SimpleNamespace(print=lambda table: None)
    _print(found, types.SimpleNamespace(message=said.append, console=console))
    doubtful = len(found.findings()["doubtful label"])
    assert doubtful > LISTED
    lines = [line for line in said if line.startswith("doubtful label: ")]
    assert len(lines) == LISTED + 1
    assert lines[-1] == f"doubtful label: {doubtful - LISTED} more; --output audit.json has all"


def test_the_table_opens_and_holds_what_is_left(found, planted, tmp_path):
    table = tmp_path / "clean.csv"
    left = tl.write_csv(found, table)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = {row["file"] for row in rows}
    assert left == len(rows) == len(rows_left(found))
    assert not names & {planted["cut"], *planted["contradicted"]}
    assert len(names & set(planted["copy"])) == 1
    assert planted["copy"][1] in names  # the test split stays as it was
    assert planted["blank"] in names
    dataset = tl.open_dataset(f"csv:{table}")
    validation = len(dataset.validation)
    assert len(dataset.train) + validation + len(dataset.test) == left
    with pytest.raises(tl.InputError, match="may be yours"):
        tl.write_csv(found, table)


def test_more_is_left_out_on_request(found, planted):
    all_left = set(rows_left(found).tolist())
    fewer = set(rows_left(found, ["doubtful", "blank"]).tolist())
    number = {str(name): k for k, name in enumerate(found.listing.names)}
    assert number[planted["blank"]] in all_left - fewer
    doubted = {int(found.features.rows[k]) for k in found.features.label_issues.doubted}
    assert all_left - fewer == (doubted | {number[planted["blank"]]}) & all_left
    with pytest.raises(tl.InputError, match="Did you mean 'doubtful'"):
        rows_left(found, ["doubtfull"])


def test_near_duplicates_are_left_out_on_request_alone(found):
    everything, fewer = (
        set(rows_left(found).tolist()),
        set(rows_left(found, ["near-duplicates"]).tolist()),
    )
    groups = found.groups("near-duplicate")
    assert len(groups) >= 2
    for group in groups:
        of_one_label = len(set(found.listing.labels[group])) == 1
        assert len(fewer & set(group.tolist())) == int(of_one_label)
    assert everything - fewer <= {int(k) for group in groups for k in group}
    assert len(everything) > len(fewer)


def test_what_is_written_can_be_read_and_replaces_no_other_file(found, tmp_path):
    target = tmp_path / "audit.json"
    found.save(target)
    values = json.loads(target.read_text("utf-8"))
    assert values["photos"] == len(found.listing)
    assert sum(sum(classes.values()) for classes in values["classes"].values()) == values["photos"]
    with pytest.raises(tl.InputError, match="replace it"):
        found.save(target)
    found.save(target, overwrite=True)
    target.write_text("mine")
    with pytest.raises(tl.InputError, match="no audit"):
        found.save(target, overwrite=True)
    assert target.read_text() == "mine"


@pytest.mark.long
def test_the_commands_exit_code_is_0_whatever_is_found(planted, tmp_path, capsys, monkeypatch):
    from tl_toolkit.cli import app

    words = ["audit", planted["data"], "--no-features", "--output", tmp_path / "a.json"]
    words += ["--write-csv", tmp_path / "a.csv"]
    monkeypatch.setattr("sys.argv", ["tl-toolkit", *map(str, words)])
    app.main()
    out = capsys.readouterr().out
    assert "truncated" in out
    assert "near-duplicate" in out
    assert (tmp_path / "a.json").is_file()
    assert (tmp_path / "a.csv").is_file()


@pytest.mark.long
def test_images_that_are_no_files_are_audited_too_but_no_table_names_them(tmp_path):
    found = tl.audit("digits", features=False)
    assert len(found.listing) == 1797
    assert found.is_sound.all()
    assert found.groups("near-duplicate") == found.groups("copy") == []
    with pytest.raises(tl.InputError, match="no files"):
        tl.write_csv(found, tmp_path / "a.csv")
