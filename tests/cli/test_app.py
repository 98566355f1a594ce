"""The command line, as a person types it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from families import long_after
from PIL import Image

from tl_toolkit.cli import app
from tl_toolkit.recipe import Recipe


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs `tl-toolkit` with words and returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tl-toolkit", *map(str, words)])
        try:
            app.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.mark.parametrize(
    "words",
    long_after(3, ["train --help", "weights resnet18 --json", "verify .", "--help", "weights"]),
)
def test_help_and_lists_load_no_tensorflow(words):
    script = (
        "import sys; from tl_toolkit.cli import app; sys.argv = ['tl-toolkit', *sys.argv[1:]]\n"
        "try: app.main()\n"
        "except SystemExit: pass\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules), 'loaded too much'"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, *words.split()], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert len(process.stdout + process.stderr) > 50


def test_every_command_is_in_the_help(command):
    code, out, _ = command("--help")
    assert code == 0
    for name in (
        "audit",
        "train",
        "search",
        "compare",
        "cross-validate",
        "report",
        "predict",
        "evaluate",
        "paired",
        "batch-norm",
        "find-learning-rate",
        "verify",
        "models",
        "weights",
        "launch",
    ):
        assert f"• {name}" in out


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_help_names_defaults_and_not_that_there_are_none(command, name):
    code, out, _ = command(name, "--help")
    words = " ".join(out.replace("│", " ").split())
    assert (code, "default: None" in words) == (0, False)
    if name in ("train", "search", "cross-validate", "find-learning-rate"):
        for default in ("0.2", "error", "auto", "True"):
            assert f"(default: {default})" in words


def test_weights_of_hard_labels_have_a_star(command):
    code, out, _ = command("weights", "resnet50")
    starred = {line.split("│")[1].strip() for line in out.splitlines() if " * " in line}
    assert code == 0
    assert starred == {f"resnet50.{name}_in1k *" for name in ("tv", "keras", "npm")}


@pytest.mark.parametrize("words", ["train --data digits --strategy new-head", "compare"])
def test_a_cache_limit_that_is_none_is_refused(command, words):
    code, _, err = command(*words.split(), "--cache-limit", "-1")
    assert (code, "at least 0 bytes" in err) == (2, True)


TWO_COMMANDS = """
import sys
from tl_toolkit.cli import app

words = sys.argv[1:]
for command in (words[: words.index("then")], words[words.index("then") + 1 :]):
    sys.argv = ["tl-toolkit", *command]
    app.main()
"""


@pytest.mark.long
@pytest.mark.parametrize(
    "flags",
    [[], ["-OO"]],  # with the second, python compiles all of TensorFlow anew
    ids=["", "without docstrings"],
)
def test_neither_odd_names_nor_the_locale_matter(flags, photos, tiny_weights, tmp_path):
    root = tmp_path / "photos"
    for name in ("red", "blue"):
        shutil.copytree(photos / name, root / f"{name} é [b]")
    odd = os.path.join(os.fsencode(root / "red é [b]"), b"\xff\xe9.jpg")  # not UTF-8
    shutil.copyfile(photos / "red" / "0.jpg", odd)
    words = ["train", "--data", f"folder:{root}", "--strategy", "new-head", "--epochs", "1"]
    words += ["--weights", str(tiny_weights), "--output", str(tmp_path / "run")]
    words += ["then", "predict", str(tmp_path / "run"), odd]
    process = subprocess.run(
        [sys.executable, *flags, "-c", TWO_COMMANDS, *words],
        env={
            **os.environ,
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "COLUMNS": "300",
        },
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr.decode(errors="replace")
    assert process.stderr == b""
    assert b"? [b] 0." in process.stdout.rpartition(b"tl-toolkit predict")[2]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["test"]["classes"]) == {"red é [b]", "blue é [b]"}


@pytest.mark.slow
@pytest.mark.parametrize("words", long_after(1, ["train --help", "weights resnet18"]))
def test_help_and_lists_need_no_docstrings(words):
    process = subprocess.run(
        [sys.executable, "-OO", "-m", "tl_toolkit.cli", *words.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--learning-rate" in process.stdout or "resnet18.a1_in1k" in process.stdout


@pytest.mark.slow
def test_train_then_predict_then_evaluate(command, photo_recipe, photos, tmp_path):
    folder = tmp_path / "run"
    words = ["train", "--data", photo_recipe.data, "--strategy", "new-head"]
    words += ["--weights", photo_recipe.weights, "--epochs", 8, "--learning-rate", 0.1]
    words += ["--batch-size", 16, "--views", 2, "--output", folder]
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    assert "test" in out
    assert "validation" in out
    assert str(folder) in out.replace("\n", "")
    assert Recipe.load(folder / "recipe.json").learning_rate == 0.1

    code, out, _ = command("predict", folder, photos / "red" / "0.jpg", "--json")
    assert code == 0
    (answer,) = json.loads(out)
    assert answer["class_name"] == "red"
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    code, out, _ = command("predict", folder, photos / "red" / "0.jpg")
    assert code == 0
    assert "red 0." in out or "red 1." in out

    few = tmp_path / "few"
    few.mkdir()
    for number in range(4):
        shutil.copy(photos / "red" / f"{number}.jpg", few)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    maps = tmp_path / "maps"
    code, out, err = command(
        "predict",
        folder,
        few,
        bad,
        "--csv",
        "--explain",
        maps,
        "--html",
        tmp_path / "answers.html",
    )
    assert code == 2
    assert err.splitlines()[-2] == "error: 1 of 5 files have no answer:"
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["answer"] for row in rows] == ["red"] * 4 + [""]
    assert [row["error"] != "" for row in rows] == [False] * 4 + [True]
    assert sum(
        float(rows[0][f"probability of {name}"]) for name in ("red", "green", "blue")
    ) == pytest.approx(1)
    assert len(list(maps.glob("*.png"))) == 4
    page = (tmp_path / "answers.html").read_text()
    shown = [float(score) for score in re.findall(r"<td>([\d.]+)%</td>", page)[::3]]
    assert shown == sorted(shown)
    assert len(shown) == 4
    assert page.count('src="data:image/webp') == 8
    assert "bad.jpg" in page
    code, _, err = command("predict", folder, bad, "--html", tmp_path / "answers.html")
    assert "is not overwritten" in err
    assert (tmp_path / "answers.html").read_text() == page

    words = ["predict", folder, photos / "red" / "0.jpg", "--unsure-below"]
    assert " red " in command(*words, 0)[1]
    assert " unsure " in command(*words, 1)[1]
    (answer,) = json.loads(command(*words, 1, "--json")[1])
    assert answer["unsure"] is True
    code, out, _ = command("evaluate", folder, photo_recipe.data, "--unsure-below", 0)
    assert "Answers with a probability of at least 0: 12, " in out
    assert "0.0% are held back as unsure." in out

    code, out, _ = command("evaluate", folder, photo_recipe.data, "--json")
    metrics = json.loads(out)
    written = json.loads((folder / "metrics.json").read_text())
    assert metrics["notes"] == [
        "48 images are left out: the model learned from them or was selected by them"
    ]
    assert metrics["images"]["confusion_matrix"] == written["test"]["confusion_matrix"]
    assert metrics["images"]["log_loss"] == pytest.approx(written["test"]["log_loss"], rel=1e-3)


SERVE = """
import sys
import tensorflow as tf

serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
answer = serve(image_bytes=tf.constant([open(sys.argv[2], "rb").read()]))
print(answer["classes"][0, 0].numpy().decode())
assert not [name for name in sys.modules if name.startswith("tl_toolkit")]
"""


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["new-head", "full-fine-tune", "last-layers"])
def test_photos_go_through_every_strategy_with_the_weights_that_ship(
    command, photos, tmp_path, strategy
):
    folder = tmp_path / "run"
    words = ["train", "--data", f"folder:{photos}", "--weights", "digits", "--strategy", strategy]
    epochs = 4 if strategy == "full-fine-tune" else 15
    code, _, err = command(*words, "--epochs", epochs, "--views", 2, "--output", folder)
    assert (code, err) == (0, "")
    assert json.loads((folder / "metrics.json").read_text())["test"]["top1"] >= 0.9
    process = subprocess.run(
        [sys.executable, "-I", "-c", SERVE, folder / "saved_model", photos / "red" / "0.jpg"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "red\n"


def test_evaluate_uses_what_is_unseen_and_maps_classes_by_name(
    command, finished_run, photos, tmp_path
):
    other = tmp_path / "other"
    colours = {"red": (215, 45, 35), "blue": (35, 55, 215), "purple": (150, 30, 150)}

    def add(name, count):
        (other / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (30, 24 + number), colours[name]).save(other / name / f"{number}.png")

    def evaluate(*words):
        return command("evaluate", finished_run.folder, f"folder:{other}", *words)

    add("red", 3)
    add("blue", 3)
    code, out, _ = evaluate("--json")
    assert code == 0
    metrics = json.loads(out)
    assert metrics["images"]["examples"] == 6
    assert metrics["images"]["classes"]["green"]["support"] == 0
    assert metrics["images"]["top1"] >= 5 / 6
    assert metrics["notes"] == []

    for path in (photos / "red").iterdir():  # 16 of these 20 were trained on or selected by
        shutil.copy(path, other / "red" / f"copy_{path.name}")
    metrics = json.loads(evaluate("--json")[1])
    assert metrics["images"]["examples"] == 6 + 4
    assert metrics["notes"][0].startswith("16 images are left out")

    add("purple", 1)
    code, _, err = evaluate()
    assert code == 2
    assert "does not know these classes" in err
    assert "purple" in err


def test_plan_prints_what_would_be_trained_and_writes_nothing(
    command, photo_recipe, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data", photo_recipe.data, "--weights", photo_recipe.weights, "--plan"]
    code, out, _ = command(*words, "--strategy", "last-layers", "--trainable-from", "conv3")
    assert code == 0
    rows = [line.split("│") for line in out.splitlines() if "│" in line]
    table = {row[1].strip(): [cell.strip() for cell in row[2:5]] for row in rows}
    assert table["stem"] == ["0", "116", "frozen"]
    assert table["conv2"] == ["0", "304", "frozen"]
    assert table["conv3"] == ["944", "0", "affine"]
    assert table["head"] == ["27", "0", "–"]
    assert list(tmp_path.iterdir()) == []


def test_plan_prints_the_rates_of_every_stage(command, photo_recipe):
    words = ["train", "--data", photo_recipe.data, "--weights", photo_recipe.weights, "--plan"]
    words += ["--strategy", "full-fine-tune", "--layer-decay", 0.5, "--ema", 0.9]
    code, out, _ = command(*words, "--layer-rates", "conv2=0.125", "head=2")
    assert code == 0
    text = " ".join(out.split())
    assert "layer_decay: 0.5" in text
    assert "fractions of the learning rate: stem 0.125, conv2 0.125, conv3 0.5, head 2;" in text
    assert "moving average of the weights, decay 0.9" in text


def test_defaults_are_explained_for_the_data_and_nothing_is_written(
    command, photo_recipe, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data", photo_recipe.data, "--weights", photo_recipe.weights]
    code, out, _ = command(*words, "--strategy", "new-head", "--explain-defaults")
    assert code == 0
    rows = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if "│" in line]
    found = {row[1]: row[2] for row in rows}
    assert found["--image-size"] == "16"
    assert found["--solver"] == "lbfgs"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_flags_win_over_the_recipe_file(command, finished_run, tmp_path):
    words = ["train", "--recipe", finished_run.folder / "recipe.json", "--epochs", 1]
    code, _, err = command(*words, "--output", tmp_path / "run", "--strategy", "full-fine-tune")
    assert (code, err) == (0, "")
    recipe = Recipe.load(tmp_path / "run" / "recipe.json")
    assert recipe.epochs == 1
    assert recipe.strategy.name == "full_fine_tune"
    assert recipe.seed == finished_run.recipe.seed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --data digits", "Name a strategy with --strategy"),
        ("train --strategy new-head --weights x", "Name the images with --data"),
        ("train --data digits --strategy newhead", "Did you mean 'new_head'"),
        ("train --data digits --strategy new-head --trainable-from conv5", "option of strategy"),
        ("train --data digits --strategy new-head --weights digts", "Did you mean 'digits'"),
        ("train --recipe nowhere.json", "Cannot read the recipe"),
        ("models resnet51", "Did you mean 'resnet50'"),
        ("weights resnet51", "Did you mean 'resnet50'"),
        ("predict nowhere x.jpg", "is not an exported classifier"),
        (
            "cross-validate --data digits --strategy new-head --folds 1",
            "`folds` must be at least 2",
        ),
        ("predict nowhere", "Name at least one image"),
        ("compare --seeds 1 --output nowhere", "2 with labels_per_class"),
        ("train --data digits --strategy new-head --augmentation phtoo", "Did you mean 'photo'"),
        ("train --data digits --strategy new-head --test-fraction 7", "over 0 and under 1"),
        (
            "train --data digits --strategy new-head --layer-rates head",
            "NAME=NUMBER, such as conv2=0.1",
        ),
        ("train --data digits --strategy new-head --layer-rates head=0", "must be over 0"),
        (
            "train --data digits --strategy new-head --layer-decay 0.5",
            "the head alone, at one rate",
        ),
        ("predict resnet50 x.jpg --top 0", "--top must be at least 1"),
        ("predict resnet50 x.jpg --unsure-below 80", "`--unsure-below` must be at least 0 and at"),
        ("evaluate resnet50 digits --unsure-below -1", "`unsure_below` must be at least 0 and at"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(command, words, message):
    code, out, err = command(*words.split())
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    long_after(
        2,
        [
            "-m tl_toolkit.cli train --data digits --strategy new-head --weights digits",
            "-c import\ttl_toolkit\tas\ttl;tl.ResNet18()",
            "-m tl_toolkit.cli compare",
            "-m tl_toolkit.cli predict x y.jpg",
            "-m tl_toolkit.cli evaluate x digits",
            "-m tl_toolkit.cli models",
        ],
    ),
)
def test_another_keras_backend_is_refused_with_the_way_out(words):
    process = subprocess.run(
        [sys.executable, *(word.replace("\t", " ") for word in words.split(" "))],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    message = "the backend is 'torch'. Set KERAS_BACKEND=tensorflow"
    assert message in process.stderr.splitlines()[-1]
    if "cli" in words:
        assert process.returncode == 2
        assert process.stderr.startswith("error: ")


def test_paired_prints_a_table_and_a_sentence(command, finished_run):
    folder = finished_run.folder
    code, out, err = command("paired", folder, folder)
    assert (code, err) == (0, "")
    right = round(finished_run.test["top1"] * 12)
    rows = [line.split("│")[1:4] for line in out.splitlines() if line.startswith("│ A")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["A right", str(right), "0"],
        ["A wrong", "0", str(12 - right)],
    ]
    assert out.endswith("cannot tell the two apart: both have as many right.\n")
    found = json.loads(command("paired", folder, folder, "--json")[1])
    assert (found["p_value"], found["is_beyond_chance"]) == (1.0, False)
    code, out, err = command("paired", folder, "nowhere")
    assert (code, out) == (2, "")
    assert "'nowhere' has no test_answers.csv" in err


def test_models_prints_the_paper_s_table(command):
    code, out, _ = command("models", "resnet18")
    assert code == 0
    assert "[3x3, 128; 3x3, 128] x 2" in out
    assert out.count("block 1 projection (size and channels)") == 3
    assert "all identity" in out
    assert "11,689,512" in out
    assert "1.81 G" in out
    assert "1.8 G" in out


def test_launch_without_a_command_says_how(command):
    code, _, err = command("launch", "--workers", 2)
    assert code == 2
    assert "Name the command after --, such as: launch --workers 2 -- train" in err


@pytest.mark.long
def test_ctrl_c_is_one_line_and_exit_code_130(command, photo_recipe, tmp_path, monkeypatch):
    from tl_toolkit.training import loop

    def interrupt(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return count(*arguments)

    count = loop._count
    monkeypatch.setattr(loop, "_count", interrupt)
    words = ["train", "--data", photo_recipe.data, "--strategy", "new-head", "--solver", "gradient"]
    words += ["--weights", photo_recipe.weights]
    code, _, err = command(*words, "--output", tmp_path / "run")
    assert code == 130
    assert err == "stopped after step 1 of epoch 1; the same call resumes from there\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]


@pytest.mark.long
def test_ctrl_c_while_a_head_is_solved_for_loses_no_features(
    command, photo_recipe, tmp_path, monkeypatch
):
    from tl_toolkit.experiments import solve_new_head

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    words = ["train", "--data", photo_recipe.data, "--strategy", "new-head", "--on", "all_blocks"]
    words += ["--weights", photo_recipe.weights, "--output", tmp_path / "run"]
    with monkeypatch.context() as patched:
        patched.setattr(solve_new_head, "solve_head", interrupt)
        assert command(*words)[0] == 130
    code, output, err = command(*words)
    assert code == 0
    assert "Computing features" not in output + err
    assert (tmp_path / "run" / "out_of_fold.csv").exists()
