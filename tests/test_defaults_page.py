"""The tables of the study of defaults: means over seeds, `auto` on seeds that it shares, calibration where it is possible."""

import math

import pytest


@pytest.fixture
def page(import_benchmark):
    return import_benchmark("defaults_page")


def row(arm, seed, test, selection=0.5, calibrated_on=0, error=0.1, task="cells"):
    return {
        "task": task,
        "arm": arm,
        "seed": seed,
        "selection_top1": test - 0.1,
        "selection_log_loss": selection,
        "selection_images": 50,
        "test_top1": test,
        "test_log_loss": 0.25,
        "test_calibration_error": error,
        "test_images": 100,
        "calibrated_on": calibrated_on,
        "seconds": 12.4,
    }


def test_a_tasks_table_has_means_and_marks_what_selection_images_prefer(page):
    rows = [
        row("head", 0, 0.8, selection=0.6),
        row("head", 1, 0.9, selection=0.4),
        row("all", 0, 0.7, selection=0.45),
        row("all", 0, 0.1, task="other"),
    ]
    lines = page.task_table(rows, "cells")
    figures = "0.750 | 0.500 | 0.850 | 0.800–0.900 | 0.250 | 0.100 | 12 | 2"
    assert lines[4].startswith("| all | 0.600 | 0.450 | 0.700 | 0.700–0.700 |")
    assert lines[5] == f"| **head** | {figures} |"  # of two seeds, where the other has one
    assert len(lines) == 6
    rows.append(row("all", 1, 0.7, selection=0.45))
    assert page.task_table(rows, "cells")[4].startswith("| **all** |")


def test_auto_is_compared_with_the_best_arm_that_has_its_seeds(page):
    rows = [
        *(row("new head", seed, test) for seed, test in enumerate((0.78, 0.84, 0.1))),
        *(row("all", seed, test) for seed, test in enumerate((0.84, 0.82, 0.9))),
        *(row("auto", seed, test) for seed, test in enumerate((0.81, 0.80))),
        row("another rate", 0, 1.0),
        row("head", 0, 0.8, task="without auto"),
        row("auto", 0, 0.8, task="alone"),
    ]
    lines = page.auto_table(rows, ["cells", "without auto", "alone"])
    of_head, of_all = (math.sqrt(top1 * (1 - top1) / 200) for top1 in (0.81, 0.83))
    strategy = f"0.810 | new head | 0.0050 | {of_head:.4f}"
    arm = f"0.830 | all | 0.0250 | {of_all:.4f}"
    assert lines[2:] == [f"| cells | 0.805 | {strategy} | {arm} | 200 |"]


def test_calibration_errors_are_those_of_arms_that_were_calibrated_on_enough(page):
    rows = [
        row("head", 0, 0.8, calibrated_on=200, error=0.02)
        | {"test_calibration_error_by_chance": 0.015},
        row("head", 1, 0.8, calibrated_on=300, error=0.04),
        row("all", 0, 0.8, calibrated_on=200, error=0.01),
        row("steps", 0, 0.8, calibrated_on=199, error=0.5),
        row("steps", 0, 0.8, task="few"),
    ]
    lines = page.calibration_table(rows, ["cells", "few"])
    assert lines[2:] == ["| cells | 2 | 100 | 0.020 | 0.015 | 0.030, head |"]


def test_the_document_has_a_place_for_every_part_that_is_written(import_benchmark):
    study = import_benchmark("defaults_study")
    with_section = import_benchmark("marked_section").with_section
    text = study.PAGE.read_text(encoding="utf-8")
    for name, part in study.pages([row("new head", 0, 0.8), row("auto", 0, 0.8)]).items():
        assert with_section(text, name, part).count(part) >= 1
