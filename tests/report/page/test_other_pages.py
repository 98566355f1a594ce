"""Pages of comparisons, cross-validations and searches: what they say, and that they fit on a phone."""

import dataclasses
import re

import numpy as np
import pytest
from synthetic import answers, noise_thumbnails, run_files

from tl_toolkit.report.label_metrics import label_metrics
from tl_toolkit.report.metrics import classification_metrics
from tl_toolkit.report.page.comparison_page import comparison_page
from tl_toolkit.report.page.folds_page import folds_page
from tl_toolkit.report.page.photo_choice import choose_photos
from tl_toolkit.report.page.search_page import ranked_trials, search_page

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def strategy(name, top1, seconds, p_value=None, difference=0.0):
    return {
        "strategy": name,
        "test_top1": [top1 - 0.01, top1 + 0.01],
        "seconds": [seconds, seconds],
        "trained_parameters": 1000,
        "difference": difference,
        "p_value": p_value,
    }


RESULTS = [
    strategy("new_head", 0.9, 1.5),
    strategy("new_head, on=all_blocks", 0.89, 0.5, 0.4, -0.01),
    strategy("from_scratch", 0.7, 30.0, 0.0004, -0.2),
]


def trial(number, rate, loss, status="completed"):
    figures = {"val_top1": "0.9", "val_balanced_accuracy": "0.9", "val_loss": str(loss)}
    if status != "completed":
        figures = dict.fromkeys(figures, "")
    return {
        "trial": str(number),
        "status": status,
        "batch_size": "16",
        "learning_rate": str(rate),
        **figures,
        "executions": "1",
        "seconds": "2.5",
        "message": "" if status == "completed" else "out of <memory>",
    }


TRIALS = [
    trial(0, 0.001, 0.9),
    trial(1, 0.01, 0.3),
    trial(2, 0.1, 0.2),
    trial(3, 0.05, 0, "infeasible"),
]
SEARCH = {"objective": "val_loss", "tuner": "bayesian"}
RECIPE = {"data": "folder:photos", "strategy": {"name": "new_head"}, "seed": 0}


def comparison():
    return comparison_page(RESULTS, run_files(answers()), "my comparison")


def label_comparison():
    """Of 20 photos: a quarter have the one label, and three quarters the other."""
    of_labels = {"measure": "labels right", "test_macro_f1": [0.25, 0.35]}
    results = [
        {**result, **of_labels, "test_mean_average_precision": precisions}
        for result, precisions in zip(RESULTS, ([0.5, 0.6], [0.7, 0.7], [None, None]), strict=True)
    ]
    has = np.arange(20)[:, None] % 4 < (1, 3)
    test = label_metrics(np.zeros((20, 2)), has.astype(np.uint8), ("dent", "rust"), (0.5, 0.5))
    best = dataclasses.replace(run_files(answers()), metrics={"test": test})
    return comparison_page(results, best, "my comparison")


def search(retrained=()):
    return search_page(TRIALS, SEARCH, RECIPE, retrained, "my_search")


def folds():
    table = answers(80)
    pooled = classification_metrics(table.log_probabilities, table.labels, table.class_names)
    values = {
        "folds": [
            {"fold": n, "images": 40, "top1": 0.7 + n / 10, "log_loss": 0.5, "seconds": 1.0}
            for n in range(2)
        ],
        "mean_top1": 0.75,
        "range_top1": [0.7, 0.8],
        "pooled": pooled,
        "notes": ["a <note>"],
    }
    chosen = choose_photos(table)
    thumbnails = noise_thumbnails(chosen.by_importance(), side=16)
    return folds_page(values, RECIPE, table, "my_folds", thumbnails, chosen)


def test_a_comparison_names_the_best_and_what_differs_from_it():
    html = comparison()
    assert "90.0%" in html
    assert "Less often right than “new_head” beyond chance: “from_scratch”." in html
    assert "These test photos cannot tell from it: “new_head, on=all_blocks”." in html
    assert "is the cheapest to train: 0.5 s against 1.5 s." in html
    assert "−20.0 points" in html
    assert 'href="best/report.html"' in html
    assert "tl-toolkit report &#39;my comparison&#39;" in html


def test_a_comparison_of_several_labels_a_photo_speaks_of_labels():
    html = label_comparison()
    assert '<span class="number">0.550</span>' in html
    assert "mean average precision on 20 test photos, on average over 2 seeds" in html
    assert "90.0% of the labels are right, 89.0% to 91.0% by the seed" in html
    assert "macro F1 is 0.300" in html
    assert "Fewer labels right than “new_head” beyond chance: “from_scratch”." in html
    assert "whichever is right more often, would have 75.0% of the labels right." in html
    assert "The best is 15.0 points above that." in html
    assert re.search(r'scope="row"><bdi>from_scratch.*70\.0%.*0\.001.*–.*0\.300', html)
    assert "since labels of one photo are not independent" in html
    shown = html.partition("<main")[2].partition("<script")[0]
    for words in ("accuracy", "photos right", "often right"):
        assert words not in shown


def test_a_search_ranks_its_trials_and_points_beyond_its_edge():
    assert [t["trial"] for t in ranked_trials(TRIALS, "val_loss")] == ["2", "1", "0"]
    html = search()
    assert "The best learning rate, 0.1, is at an end of those that were tried." in html
    assert "out of &lt;memory&gt;" in html
    assert "--retrain 3" in html
    run = run_files(answers()).metrics
    again = search([("seed_0", run)])
    assert 'href="retrained/seed_0/report.html"' in again
    assert "--retrain 3" not in again


def test_folds_are_listed_beside_all_photos_out_of_fold():
    html = folds()
    assert "Mean of the folds 75.0%, from 70.0% to 80.0%." in html
    assert "a &lt;note&gt;" in html
    assert re.search(r"--folds 2\s+--output my_folds_again", html)


@pytest.mark.slow  # a browser is started
@pytest.mark.parametrize("make", [comparison, label_comparison, search, folds])
def test_each_fits_on_a_phone(open_page, make):
    shown = open_page(make(), width=390, height=844)
    assert shown.evaluate(OVERFLOW) == 0
    assert shown.locator("svg.chart").count() >= 1
