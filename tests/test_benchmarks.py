"""The benchmarks' harness: rounds, ratios and their range, idle cores; and that every file can run what it names."""

import ast
import dataclasses
import importlib
import pathlib
import re
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from tiny import classifier, labelled_pixels

from tl_toolkit.experiments import train_and_validate

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
FILES = sorted(path.stem for path in FOLDER.glob("*.py"))
SHARED = {
    "harness",
    "defaults_page",
    "kept_lines",
    "marked_section",
    "kept_rows",
    "study_data",
    "planting",
    "finer_check",
    "frontier_contenders",
    "frontier_data",
    "frontier_keras",
    "frontier_ours",
    "frontier_page",
    "frontier_points",
    "frontier_run",
    "frontier_torch",
    "frontier_weights",
    "frontier_worker",
    "tables",
    "stopwatch",
    "keras_steps",
    "cases",
    "peers",
    "run",
    "torch_resnet",
}

FAKE = f"""
import os, pathlib, sys, time
sys.path.insert(0, {str(FOLDER)!r})
from harness import Benchmark, CannotRunError, Comparison, main
from stopwatch import Measured, Spent, Stopwatch, seconds, wait

BUSY = Spent(1.0, 1.0, 0.0)

def turn(name):
    count = pathlib.Path(__file__).with_name(name)
    turns = len(count.read_text()) if count.exists() else 0
    count.write_text("x" * (turns + 1))
    return turns

def ours():
    return Measured([2.0, 4.0, 1.0][turn("ours")], BUSY)

def peer():
    assert "REMOVED" not in os.environ
    return {{"": Measured(float(os.environ["FIGURE"]), BUSY), "wait": wait(Spent(2.0, 0.0, 2.0))}}

def slower_peer():
    return Measured(9.0, BUSY)

def absent():
    import no_such_package

def no_compiler():
    raise CannotRunError("no compiler")

def work(until):
    while time.monotonic() < until:
        pass

def waiting():
    with Stopwatch() as watch:
        work(time.monotonic() + 0.2)
        if turn("waiting") < WAITS:
            time.sleep(0.3)
        return seconds(watch.read())

WAITS = 2
CASES = {{"ours": ours, "peer": peer, "slower peer": slower_peer, "absent": absent, "compiled": no_compiler}}
COMPARISONS = (
    Comparison("peer", "ours", ("slower peer", "peer"), 2), Comparison("nobody", "ours", ("absent",), 2)
)
BENCHMARK = Benchmark(
    "Fake", "seconds", CASES, 1, COMPARISONS, {{"peer": {{"FIGURE": "8", "REMOVED": None}}}}
)
IDLE = Benchmark("Idle", "seconds", {{"waiting": waiting}}, 1)
if __name__ == "__main__":
    main(IDLE if "waiting" in sys.argv else BENCHMARK, __file__)
"""


@pytest.fixture
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in (*FILES, "fake"):
        sys.modules.pop(name, None)


@pytest.fixture
def fake(on_path, tmp_path, monkeypatch):
    """Imports a benchmark of contenders that only say what they measured."""

    def write(text=FAKE):
        path = tmp_path / "fake.py"
        path.write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        return importlib.import_module("fake"), str(path)

    return write


@pytest.fixture
def in_process(on_path, monkeypatch):
    """Runs cases without a process of their own; the peer of the fake fails until FIGURE is set."""
    harness = importlib.import_module("harness")

    def run(benchmark, path, name):
        try:
            figures = benchmark.cases[name]()
        except ModuleNotFoundError as error:
            raise harness.CannotRunError(str(error)) from error
        figures = figures if isinstance(figures, dict) else {"": figures}
        return {f"{name}: {key}" if key else name: value for key, value in figures.items()}

    monkeypatch.delenv("FIGURE", raising=False)
    monkeypatch.delenv("REMOVED", raising=False)
    monkeypatch.setattr(harness, "_run", run)


def figures(results):
    return {row: [m.figure for m in rounds.values()] for row, rounds in results.rows.items()}


def test_cases_run_in_turn_and_a_ratio_is_of_one_round(fake, monkeypatch):
    monkeypatch.setenv("REMOVED", "1")
    module, path = fake()
    harness, tables = importlib.import_module("harness"), importlib.import_module("tables")
    results = harness.measure(module.BENCHMARK, path)
    assert figures(results) == {
        "ours": [2, 4, 1],
        "peer": [8, 8, 8],
        "peer: wait": [2, 2, 2],
        "slower peer": [9, 9, 9],
    }
    page = tables.render(module.BENCHMARK, results)
    assert "| ours | 2.000 | 1.000–4.000 | 1.000 | 1.000 | 0% |" in page
    assert "| peer: wait | 2.000 | 2.000–2.000 | 2.000 | 0.000 | – |" in page
    assert "| peer | 4.00× | 2.00–8.00× | ≥ 2× | peer |" in page  # the better of its settings
    assert "nobody" not in page
    reasons = "absent (no_such_package is not installed); compiled (no compiler)"
    assert f"Not measured: {reasons}." in page


def test_a_ratio_of_two_rounds_is_not_printed(fake):
    module, _ = fake()
    harness, tables = importlib.import_module("harness"), importlib.import_module("tables")
    measured = importlib.import_module("stopwatch").Measured(2.0, module.BUSY)
    rows = {name: dict.fromkeys(range(2), measured) for name in ("ours", "peer")}
    page = tables.render(module.BENCHMARK, harness.Results(rows))
    assert "| ours | 2.000 | measured twice |" in page
    assert "×" not in page
    rows["peer"][2] = measured  # which ours was not measured in
    assert "×" not in tables.render(module.BENCHMARK, harness.Results(rows))
    with pytest.raises(ValueError, match=r"`rounds` must be 3 or more\. Received: 2"):
        dataclasses.replace(module.BENCHMARK, rounds=2)


def test_the_short_form_has_the_cases_that_a_target_compares_alone(fake, monkeypatch):
    module, path = fake()
    harness = importlib.import_module("harness")
    short = harness.with_targets_alone(module.BENCHMARK)
    assert list(short.cases) == ["ours", "peer", "slower peer", "absent"]
    comparisons = (
        harness.Comparison("wait", "ours", ("peer: wait",), 1),
        harness.Comparison("no target", "ours", ("compiled",)),
    )
    benchmark = dataclasses.replace(module.BENCHMARK, comparisons=comparisons)
    measured = []
    monkeypatch.setattr(
        harness, "measure", lambda one, _: measured.append(one) or harness.Results()
    )
    monkeypatch.setattr(sys, "argv", [path, "--short"])
    harness.main(benchmark, path)
    assert list(measured[0].cases) == ["ours", "peer"]
    assert measured[0].comparisons == comparisons[:1]


def test_a_contender_that_waits_is_measured_again(fake, capfd):
    module, path = fake()
    harness, tables = importlib.import_module("harness"), importlib.import_module("tables")
    results = harness.measure(module.IDLE, path, rounds=1)
    [measured] = results.rows["waiting"].values()
    assert capfd.readouterr().err.count("measured again") == 2
    assert measured.spent.idle < 0.1  # the third time, without the wait
    assert "†" not in tables.render(module.IDLE, results)


def test_a_contender_that_always_waits_is_marked(fake):
    module, path = fake(FAKE.replace("WAITS = 2", "WAITS = 99"))
    harness, tables = importlib.import_module("harness"), importlib.import_module("tables")
    results = harness.measure(module.IDLE, path, rounds=1)
    [measured] = results.rows["waiting"].values()
    assert 0.2 <= measured.spent.idle < measured.spent.wall
    page = tables.render(module.IDLE, results)
    assert "| waiting † |" in page
    assert "† Cores were idle for more than 20% of the time, in the best of 3 tries" in page


def test_work_on_one_core_or_in_a_child_is_not_idle_and_one_core_of_two_is(on_path):
    harness, stopwatch = importlib.import_module("harness"), importlib.import_module("stopwatch")
    loop = "import time\nend = time.monotonic() + 0.4\nwhile time.monotonic() < end: pass"
    with stopwatch.Stopwatch() as watch:
        exec(loop)
        alone = watch.read()
        subprocess.run([sys.executable, "-S", "-c", loop], check=True)
        in_child = watch.read() - alone
    for spent in (alone, in_child):
        assert spent.cpu > 0.1
        assert spent.idle < 0.2 * spent.wall
    one_of_two = stopwatch.seconds(stopwatch.Spent(wall=2.0, cpu=2.0, idle=0.0))
    assert harness.idle_share(one_of_two, 1) == 0
    assert harness.idle_share(one_of_two, 2) == 0.5
    assert harness.idle_share(stopwatch.wait(stopwatch.Spent(2.0, 0.0, 2.0)), 1) == 0


def test_looking_at_child_processes_is_no_work_of_who_is_watched(on_path, monkeypatch):
    stopwatch = importlib.import_module("stopwatch")
    used = [0.0]

    def look():
        used[0] += 0.02  # more than a tenth of a core between two looks
        return 0.0

    monkeypatch.setattr(stopwatch, "_cpu_seconds", lambda: used[0])
    monkeypatch.setattr(stopwatch, "_seconds_of_running_children", look)
    with stopwatch.Stopwatch() as watch:
        time.sleep(0.4)
        spent = watch.read()
    assert spent.idle == pytest.approx(spent.wall)


def test_the_peak_is_not_that_of_the_process_that_started_this_one():
    held = bytearray(b"x") * (200 * 2**20)
    measure = f"import sys\nsys.path.insert(0, {str(FOLDER)!r})\nimport stopwatch\nprint(stopwatch.peak_megabytes())"
    ended = subprocess.run([sys.executable, "-c", measure], capture_output=True, check=True)
    assert 5 < float(ended.stdout) < len(held) / 2**20


def test_an_ended_benchmark_goes_on_with_what_is_missing(fake, in_process, tmp_path, monkeypatch):
    module, path = fake()
    harness, kept_rows = importlib.import_module("harness"), importlib.import_module("kept_rows")
    kept = kept_rows.KeptRows(tmp_path / "kept" / "fake.jsonl", "this machine")
    with pytest.raises(KeyError, match="FIGURE"):
        harness.measure(module.BENCHMARK, path, rounds=1, kept=kept)
    with kept.path.open("a") as file:
        file.write('{"setting": "this mach')  # as where the process is ended while it writes
    monkeypatch.setenv("FIGURE", "8")
    results = harness.measure(module.BENCHMARK, path, rounds=1, kept=kept)
    assert figures(results) == {"ours": [2], "peer": [8], "peer: wait": [2], "slower peer": [9]}
    assert (tmp_path / "ours").read_text() == "x"  # measured once
    assert set(results.missing) == {"absent", "compiled"}
    assert set(kept.read()) == {(0, "ours"), (0, "peer"), (0, "slower peer")}
    again = harness.measure(module.BENCHMARK, path, rounds=1, kept=kept)
    assert again.rows == results.rows
    assert dataclasses.replace(kept, setting="another machine").read() == {}
    kept.put_aside()
    assert kept.read() == {}
    assert kept.path.with_name("fake.before.jsonl").read_text().count("this machine") == 3


def test_bench_keeps_finished_rows_until_all_is_done(fake, in_process, tmp_path, monkeypatch):
    fake()
    run = importlib.import_module("run")
    for name, value in {
        "HERE": tmp_path,
        "KEPT": tmp_path / "kept",
        "RESULTS": tmp_path / "RESULTS.md",
        "NAMES": ("fake",),
        "machine": lambda: "this machine.",
    }.items():
        monkeypatch.setattr(run, name, value)
    with pytest.raises(KeyError, match="FIGURE"):
        run.main(["fake"])
    assert (tmp_path / "kept/fake.jsonl").read_text().count('"case": "ours"') == 1
    monkeypatch.setenv("FIGURE", "8")
    run.main(["fake"])
    assert "| ours | 2.000 | 1.000–4.000 |" in (tmp_path / "RESULTS.md").read_text()
    assert (tmp_path / "ours").read_text() == "xxx"  # once a round, in both together
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["fake.before.jsonl"]


def test_a_case_that_fails_is_an_error(fake, monkeypatch):
    monkeypatch.delenv("FIGURE", raising=False)
    module, path = fake(FAKE.replace('"FIGURE": "8", ', ""))
    with pytest.raises(RuntimeError, match="KeyError: 'FIGURE'"):
        importlib.import_module("harness").measure(module.BENCHMARK, path)


def test_a_module_of_ours_that_is_gone_is_an_error(fake):
    module, path = fake(FAKE.replace("import no_such_package", "import tl_toolkit.gone"))
    with pytest.raises(RuntimeError, match=r"No module named .tl_toolkit\.gone"):
        importlib.import_module("harness").measure(module.BENCHMARK, path)


def test_what_fit_waits_for_behind_its_last_step_is_in_no_step(on_path):
    keras_steps = importlib.import_module("keras_steps")
    stopwatch = importlib.import_module("stopwatch")
    images, labels, _ = labelled_pixels(8)
    model = classifier()
    model.compile("sgd", "mse")

    class Sleeps(keras_steps.keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            time.sleep(0.05)  # as for data

        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.3)

    with stopwatch.Stopwatch() as watch:
        timer = keras_steps.StepTimer(watch)
        model.fit(
            images, labels[:, None], batch_size=4, epochs=2, verbose=0, callbacks=[timer, Sleeps()]
        )
        waits = timer.waits()
    assert [len(steps) for steps in timer.passes] == [2, 2]
    assert waits.wall >= 0.6
    assert waits.idle >= 0.4
    assert 0.05 <= min(step.wall for step in timer.passes[1]) < 0.3


def test_the_stages_of_a_run_are_noted(on_path):
    fixed_costs, stopwatch = (importlib.import_module(n) for n in ("fixed_costs", "stopwatch"))
    with stopwatch.Stopwatch() as watch:
        moments = fixed_costs.Moments(watch)
        progress = moments.progress()
        progress.message("first line")
        with progress.stage(fixed_costs.FEATURES):
            time.sleep(0.05)
        with progress.stage("Training new_head, seed 0") as stage:
            time.sleep(0.1)
            stage.describe("the first epoch")
            stage.describe("the last epoch")
        with progress.stage(fixed_costs.EXPORTING):
            pass
        with progress.stage(fixed_costs.TESTING):
            time.sleep(0.02)
        stages = moments.stages()
    assert stages[fixed_costs.TRAINED].wall >= 0.15
    assert stages[fixed_costs.EVALUATING].wall >= 0.02
    parts = (
        fixed_costs.FIRST_LINE,
        fixed_costs.TO_FIRST_STEP,
        fixed_costs.TRAINED,
        fixed_costs.AFTER,
    )
    whole = stages[fixed_costs.WHOLE].wall
    assert sum(stages[part].wall for part in parts) == pytest.approx(whole, abs=1e-6)
    assert stages[fixed_costs.BESIDE].wall == pytest.approx(
        whole - stages[fixed_costs.TRAINED].wall
    )
    sources = "".join(path.read_text() for path in (ROOT / "tl_toolkit").rglob("*.py"))
    for title in (fixed_costs.EXPORTING, fixed_costs.TESTING, fixed_costs.FEATURES):
        assert f'stage("{title}"' in sources
    assert f'f"{fixed_costs.TRAINING} ' in sources


def test_every_benchmark_compares_cases_that_it_has(on_path):
    names = importlib.import_module("run").NAMES
    assert set(names) == set(FILES) - SHARED - {
        "gpu_check",
        "defaults_study",
        "planted_faults",
        "frontier",
        "first_answer",
        "heat_maps",
        "big_folder",
        "big_shards",
    }
    for name in names:
        benchmark = importlib.import_module(name).BENCHMARK
        for comparison in benchmark.comparisons:
            rows = (comparison.ours, *comparison.peers)
            assert {row.partition(": ")[0] for row in rows} <= set(benchmark.cases)
        assert set(benchmark.environment) <= set(benchmark.cases)


def test_the_page_has_every_benchmark_and_no_ratio_without_a_measurement(on_path):
    run = importlib.import_module("run")
    page = (FOLDER / "RESULTS.md").read_text()
    assert page == run.page(run.sections(page))
    assert len(run.sections(page)) == len(run.NAMES)
    empty = run.page({})
    assert "×" not in empty
    assert empty.count("Not measured yet") == len(run.NAMES)
    title = importlib.import_module("growth").BENCHMARK.title
    changed = run.page(run.sections(empty) | {title: f"## {title}\n\nnew\n"})
    assert run.sections(changed)[title] == f"## {title}\n\nnew\n"
    assert changed.count("Not measured yet") == len(run.NAMES) - 1


@pytest.mark.parametrize("name", FILES)
def test_what_a_benchmark_imports_from_the_package_exists(name):
    """Its functions import as late as they can, so that importing the file alone proves nothing."""
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tl_toolkit"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.long
def test_the_warm_cache_is_timed_from_the_model_to_the_first_step(
    on_path, photo_recipe, tmp_path, monkeypatch
):
    benchmark = importlib.import_module("warm_cache")
    monkeypatch.setattr(train_and_validate, "prepare", train_and_validate.prepare)  # put back
    monkeypatch.setattr(benchmark, "FOLDER", tmp_path)
    monkeypatch.setattr(
        benchmark, "photo_recipe", lambda *_, **fields: photo_recipe.replace(**fields)
    )
    with pytest.raises(FileNotFoundError, match="measure the empty cache first"):
        benchmark.to_first_step("new_head", is_warm=True)
    for is_warm in (False, True):
        assert 0 < benchmark.to_first_step("new_head", is_warm).figure < 60


@pytest.mark.long
def test_the_gpu_check_can_be_rehearsed():
    rehearsal = subprocess.run(
        [sys.executable, FOLDER / "gpu_check.py", "--rehearse"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rehearsal.returncode == 0, rehearsal.stderr
    apart = [float(number) for number in re.findall(r"a step is (\S+) from", rehearsal.stdout)]
    assert len(apart) == 2
    assert apart[0] == 0
    assert 0 < apart[1] < 1e-4
    assert rehearsal.stdout.rstrip().endswith("all agree")


def test_the_gpu_check_says_where_there_is_no_gpu(on_path, monkeypatch, capsys):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert importlib.import_module("gpu_check").main(rehearse=False) == 1
    assert capsys.readouterr().err == "TensorFlow sees no GPU: nothing was checked.\n"
