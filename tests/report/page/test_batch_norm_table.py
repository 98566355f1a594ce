"""The page says of every layer how it normalises, and how far its statistics are off where that was measured."""

import dataclasses

from synthetic import answers, run_files

from tl_toolkit.report.page.batch_norm_table import batch_norm_table

MEASURED = {
    "layer": "conv1_bn",
    "mean_gap": "0.254",
    "worst_mean_gap": "1.5",
    "variance_gap": "0.1",
    "worst_variance_gap": "2.005",
    "cause": "few updates",
}


def test_without_figures_there_is_the_mode():
    table = batch_norm_table(run_files(answers()))
    assert table.columns == ("layer", "mode")
    assert table.rows == (("conv1_bn", "frozen"),)


def test_measured_layers_have_their_gaps_and_the_others_say_that_they_have_none():
    files = run_files(answers())
    modes = {"conv1_bn": "adapt", "conv2_bn": "adapt", "conv3_bn": "frozen"}
    fits = {**MEASURED, "layer": "conv2_bn", "cause": ""}
    files = dataclasses.replace(
        files, plan={**files.plan, "bn_modes": modes}, batch_norm=[fits, MEASURED]
    )
    table = batch_norm_table(files)
    assert {len(row) for row in table.rows} == {len(table.columns)} == {7}
    assert table.rows[0] == ("conv1_bn", "adapt", "0.25", "1.50", "0.10", "2.00", "few updates")
    assert table.rows[1][-1] == "fits"
    assert table.rows[2][2:] == ("–",) * 5
