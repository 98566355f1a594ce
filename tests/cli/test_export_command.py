"""`tl-toolkit export`: its table, its JSON, and its exit codes."""

import json
import sys

from tl_toolkit.cli.app import main
from tl_toolkit.cli.tables import exports_table
from tl_toolkit.experiments import export_run as module
from tl_toolkit.experiments.export_run import Exports
from tl_toolkit.experiments.measured_exports import MeasuredExport

SPEEDS = {"1": 12.4, "32": 2048.9}
ROWS = {
    "savedmodel": MeasuredExport(
        "savedmodel", ("saved_model",), 3.12, 200, 0.0, 0, 1.0, 0.965, 0.0123, SPEEDS
    ),
    "litert-int8": MeasuredExport(
        "litert-int8", ("exports/a",), 0.8, 200, 0.0213, 3, 0.25, 0.95, 0.02, SPEEDS
    ),
}


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["tl-toolkit", "export", *map(str, words)])
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def test_the_table_has_a_row_a_format(tmp_path):
    table = exports_table(Exports(tmp_path, "200 validation images", ROWS))
    assert table.rows == (
        ("savedmodel", "–", "–", "0.965", "0.012", "3.12", "12", "2,049"),
        ("litert-int8", "2.1e-02", "3 (p = 0.25)", "0.950", "0.020", "0.80", "12", "2,049"),
    )
    assert table.columns[-2:] == ("img/s 1", "img/s 32")
    assert "200 validation images" in table.caption


def test_the_flags_reach_it_and_figures_come_as_json(tmp_path, monkeypatch, capsys):
    asked = []

    def export_run(*arguments, progress, **options):
        asked.append((arguments, options))
        return Exports(tmp_path, "200 validation images", ROWS)

    monkeypatch.setattr(module, "export_run", export_run)
    assert call(monkeypatch, tmp_path, "--to", "litert-int8", "--accept-changes", "--json") == 0
    assert asked == [((str(tmp_path), "litert-int8"), {"accept_changes": True})]
    found = json.loads(capsys.readouterr().out)
    assert found["compared_on"] == "200 validation images"
    assert found["formats"]["litert-int8"]["changed_answers"] == 3
    assert call(monkeypatch, tmp_path) == 0
    assert asked[-1] == ((str(tmp_path), "all"), {"accept_changes": False})
    said = capsys.readouterr().out
    assert "litert-int8: " in said
    assert said.rstrip().endswith("exports/a PHOTO.jpg")  # how to ask the file


def test_what_is_no_run_ends_with_2(tmp_path, monkeypatch, capsys):
    assert call(monkeypatch, tmp_path, "--to", "onnx") == 2
    assert "is no finished run" in capsys.readouterr().err
