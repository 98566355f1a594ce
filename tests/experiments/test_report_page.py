"""Pages of finished outputs: left by every run, and made anew when they are asked for."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import tl_toolkit as tl
from tl_toolkit.experiments.context import Context
from tl_toolkit.experiments.page_photos import GONE, WITHOUT
from tl_toolkit.report.answer_table import read_answer_table

PAGE = "report.html"


def data_of(page):
    """What a page's script knows."""
    (text,) = re.findall(
        r'<script id="data" type="application/json">(.*?)</script>',
        page.read_text("utf-8"),
        re.DOTALL,
    )
    return json.loads(text)


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of a finished run that a test may change."""
    return shutil.copytree(finished_run.folder, tmp_path / "my run")


def test_a_run_leaves_a_page_with_its_figures_and_photos(finished_run):
    page = finished_run.page
    assert page == finished_run.folder / PAGE
    html, data = page.read_text("utf-8"), data_of(page)
    table = read_answer_table(finished_run.folder / "test_answers.csv")
    assert f"{100 * finished_run.test['top1']:.1f}%" in html
    assert data["classes"] == ["blue", "green", "red"]
    assert len(data["ids"]) == len(data["thumbs"]) == len(table)
    assert [f"{data['folder']}/{name}" for name in data["names"]] == list(table.images)
    assert [said[0] for said in data["said"]] == table.said.tolist()
    assert "MIT" in html  # licence of the weights
    assert "frozen" in html
    name = finished_run.folder
    assert f"tl-toolkit train --recipe {name}/recipe.json --output {name}_again" in html


def test_what_the_page_needs_beyond_the_figures_is_in_the_metrics(finished_run):
    metrics = json.loads((finished_run.folder / "metrics.json").read_text())
    assert metrics["facts"]["licence of the weights"] == "MIT"
    assert metrics["images"].endswith("test images")
    assert 0 <= metrics["kept"] < len(finished_run.history)


def test_a_page_is_made_anew_and_its_folder_stays_whole(run):
    before = (run / PAGE).read_text("utf-8")
    (run / PAGE).unlink()
    assert tl.report_page(run) == run / PAGE
    assert tl.verify(run).is_whole
    assert data_of(run / PAGE) == data_of_text(before)
    first = (run / PAGE).read_bytes()
    tl.report_page(run)
    assert (run / PAGE).read_bytes() == first
    assert tl.verify(run).is_whole


def data_of_text(text):
    return json.loads(re.findall(r'application/json">(.*?)</script>', text, re.DOTALL)[0])


def test_a_run_of_an_earlier_version_gets_a_page_that_is_then_ours(run, photo_recipe):
    (run / PAGE).unlink()
    for name in ("tl_toolkit.json", "tl_toolkit.manifest.json"):
        values = json.loads((run / name).read_text())
        if name == "tl_toolkit.json":
            values["files"].remove(PAGE)
            (run / name).write_text(json.dumps(values))
        else:
            (run / name).unlink()
    metrics = json.loads((run / "metrics.json").read_text())
    for name in ("facts", "images", "kept"):
        del metrics[name]
    (run / "metrics.json").write_text(json.dumps(metrics))
    tl.report_page(run)
    assert len(data_of(run / PAGE)["thumbs"]) == metrics["test"]["examples"]
    assert PAGE in json.loads((run / "tl_toolkit.json").read_text())["files"]


def test_where_the_data_are_gone_the_page_says_so_and_has_all_the_rest(run, photos, tmp_path):
    moved = shutil.copytree(photos, tmp_path / "photos")
    change_data(run, moved)
    tl.report_page(run)
    assert len(data_of(run / PAGE)["thumbs"]) == 0
    assert "photos are gone, or are not what they were" in (run / PAGE).read_text("utf-8")
    shutil.rmtree(moved)
    tl.report_page(run)
    html = (run / PAGE).read_text("utf-8")
    assert GONE in html
    assert data_of(run / PAGE)["thumbs"] == {}
    assert 'data-cell="0,0"' in html


def change_data(run, folder):
    """Says that a run's data lie elsewhere."""
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {"data": f"folder:{folder}"}))
    (run / "tl_toolkit.manifest.json").unlink()


def test_a_photo_that_is_another_one_now_is_not_shown(run, photos, tmp_path):
    moved = shutil.copytree(photos, tmp_path / "photos")
    change_data(run, moved)
    answers = (run / "test_answers.csv").read_text().replace(str(photos), str(moved))
    (run / "test_answers.csv").write_text(answers)
    table = read_answer_table(run / "test_answers.csv")
    Image.new("RGB", (30, 20), (9, 9, 200)).save(table.images[0])
    tl.report_page(run)
    data = data_of(run / PAGE)
    assert "0" not in data["thumbs"]
    assert len(data["thumbs"]) == len(table) - 1
    assert "1 photo is gone" in (run / PAGE).read_text("utf-8")


def test_photos_can_be_left_out(run, photo_recipe, tmp_path, no_saved_model):
    tl.report_page(run, photos=False)
    assert data_of(run / PAGE)["thumbs"] == {}
    assert WITHOUT in (run / PAGE).read_text("utf-8")
    recipe = photo_recipe.replace(epochs=1)
    result = tl.run(recipe, tmp_path / "private", context=Context(photos=False))
    assert data_of(result.page)["thumbs"] == {}
    assert b"data:image" not in result.page.read_bytes().replace(b"data:image/${", b"").replace(
        b"data:image/webp;base64,${", b""
    )


def test_an_audit_is_shown_from_the_folder_or_from_elsewhere(run, tmp_path):
    found = {"findings": [{"file": "<i>x</i>.jpg", "finding": "blank", "figure": 0.25}]}
    (tmp_path / "audit.json").write_text(json.dumps(found))
    tl.report_page(run, audit=tmp_path / "audit.json", photos=False)
    html = (run / PAGE).read_text("utf-8")
    assert "&lt;i&gt;x&lt;/i&gt;.jpg" in html
    assert 'id="audit"' in html
    tl.report_page(run, photos=False)
    assert 'id="audit"' not in (run / PAGE).read_text("utf-8")
    shutil.copy(tmp_path / "audit.json", run / "audit.json")
    tl.report_page(run, photos=False)
    assert 'id="audit"' in (run / PAGE).read_text("utf-8")


def test_nothing_of_the_user_s_is_overwritten(run, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    (run / PAGE).write_text("edited by hand, and no page any more")
    for options in ({}, {"output": tmp_path / "mine.html", "overwrite": True}):
        with pytest.raises(tl.InputError, match="was not made by this toolkit"):
            tl.report_page(run, **options)
    assert (tmp_path / "mine.html").read_text() == "mine"
    page = tl.report_page(run, output=tmp_path / "page.html", photos=False)
    with pytest.raises(tl.InputError, match="overwrite"):
        tl.report_page(run, output=page)
    assert tl.report_page(run, output=page, overwrite=True, photos=False) == page
    assert (run / PAGE).read_text() == "edited by hand, and no page any more"


def test_what_is_no_finished_output_is_refused(tmp_path, run):
    with pytest.raises(tl.InputError, match="no finished run, comparison"):
        tl.report_page(tmp_path)
    with pytest.raises(tl.InputError, match=r"cannot be written.*--output"):
        tl.report_page(run, output=tmp_path / "no folder" / "page.html")
    (run / "plan.json").write_text("{")
    with pytest.raises(tl.InputError, match=r"plan\.json' is damaged"):
        tl.report_page(run)


def test_several_runs_stand_side_by_side(run, tmp_path, monkeypatch):
    other = shutil.copytree(run, tmp_path / "other")
    (other / "tl_toolkit.manifest.json").unlink()
    rows = (other / "test_answers.csv").read_text().splitlines()
    # Two more answers are wrong in the copy, whose rows come in another order.
    table = read_answer_table(run / "test_answers.csv")
    changed = []
    for place in np.flatnonzero(table.is_right)[:2]:
        cells = rows[place + 1].split(",")
        cells[2], cells[3:6] = ("red" if cells[1] != "red" else "blue"), cells[3:6]
        probabilities = {"blue": 3, "green": 4, "red": 5}
        for name, column in probabilities.items():
            cells[column] = "0.900000" if name == cells[2] else "0.050000"
        rows[place + 1] = ",".join(cells)
        changed.append(int(place))
    (other / "test_answers.csv").write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    monkeypatch.chdir(tmp_path)
    page = tl.report_page(run, other)
    assert str(page) == PAGE
    html = page.read_text("utf-8")
    (shown,) = re.findall(r'data-photos="([^"]*)"', html)
    assert sorted(map(int, shown.split(","))) == changed
    assert set(data_of(page)["thumbs"]) == set(map(str, changed))
    assert "photos cannot tell A from B (p = 0.50)" in html
    with pytest.raises(tl.InputError, match="exists"):
        tl.report_page(run, other)


def test_runs_on_other_photos_are_listed_and_not_compared(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    (other / "tl_toolkit.manifest.json").unlink()
    rows = (other / "test_answers.csv").read_text().splitlines()
    (other / "test_answers.csv").write_text("\n".join(rows[:-1]) + "\n")
    html = tl.report_page(run, other, output=tmp_path / "page.html").read_text("utf-8")
    assert "A and B cannot be compared: The two runs were not tested on the same images" in html


def test_only_runs_stand_together(run, tmp_path):
    comparison = tmp_path / "comparison"
    comparison.mkdir()
    (comparison / "comparison.json").write_text("[]")
    with pytest.raises(tl.InputError, match="Only runs stand together"):
        tl.report_page(run, comparison)
    with pytest.raises(tl.InputError, match="at least one"):
        tl.report_page()
