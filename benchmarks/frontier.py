"""Accuracy against wall seconds of "a few hundred photos to a classifier" on this machine, ours beside peers.

    python benchmarks/frontier.py --files FOLDER [--peer-python PYTHON] [--splits 1] [--anew]

Every contender starts from the same ResNet-50 with ImageNet weights, learns from the same photos at the same size, and is
run by the defaults that its documentation names: `frontier_contenders.py` has them, each program their sources. Before it
trains, its network's features of two photos are compared with ours, and it is refused where they differ.

One contender runs at a time, in a process of its own. Seconds count from the process' start until the trained model is in
memory: imports, reading, training and selection by validation images are in them; answering the test images, saving and
comparing the features are not. Every cache is empty. Leave the machine idle meanwhile.

Every point is kept in `kept/frontier.jsonl` at once: ended and started again, it goes on with what is missing on this
machine with these versions. In the end it writes the plot and the table of `docs/speed.md`, and prints where a peer's
point lies above our curve.

FOLDER holds unpacked what `study_data.py` names of the stamps; solar cells come with `pip install 'tl-toolkit[elpv]'`.
PYTHON is that of an environment with torch (its build for processors is enough), torchvision and fastai; without it they
are left out:

    python3 -m venv peers && peers/bin/pip install torch torchvision fastai
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from frontier_contenders import all_contenders
from frontier_data import PHOTOS, as_jpeg, split_photos
from frontier_page import NONE_ABOVE, SECTION, section, write_plot
from frontier_points import Point, add_point, findings, finished_runs, pooled, read_points
from frontier_run import HERE, Interpreters, job_of, points_of
from harness import CannotRunError
from kept_lines import put_aside
from marked_section import write_section
from run import KEPT

DOCS = HERE.parent / "docs"
SIDE = 160
WEIGHTS = KEPT / f"frontier_weights_{SIDE}"
LONGEST = 180.0  # seconds


def who_can_run(interpreters: Interpreters) -> tuple[dict[str, str], list[str]]:
    """Returns what the points of each contender belong to, by its title, and why others cannot run."""
    settings, missing = {}, []
    for contender in all_contenders():
        try:
            settings[contender.title] = interpreters.setting(contender)
        except CannotRunError as error:
            missing.append(f"{contender.title} ({error})")
    return settings, missing


def measure(asked: argparse.Namespace, settings: dict[str, str]) -> None:
    """Runs what is missing of what is asked for, split by split."""
    interpreters = Interpreters(asked.peer_python)
    running = [
        contender
        for contender in all_contenders()
        if contender.title in settings and contender.name in asked.names
    ]
    for data in asked.data:
        files = as_jpeg(PHOTOS[data].files(asked.files), KEPT / "frontier_photos" / data)
        if not files:
            raise SystemExit(f"--files {asked.files} has no images of {data}: see study_data.py.")
        for seed in range(asked.splits):
            for contender in running:
                points = read_points(asked.points, settings.values())
                if (data, contender.title, (seed,)) in finished_runs(points):
                    continue
                _provide_weights(WEIGHTS)
                with tempfile.TemporaryDirectory() as place:
                    folder = pathlib.Path(place)
                    photos = split_photos(data, seed, files, folder)
                    job = job_of(contender, photos, WEIGHTS, SIDE, asked.longest)
                    run = points_of(interpreters.of(contender), contender, data, job, folder)
                    for number, point in enumerate(run):
                        add_point(asked.points, settings[contender.title], point, number == 0)
                        _tell(_line(point))


def _provide_weights(folder: pathlib.Path) -> None:
    """Writes the weights, unless they are there, in a process that ends before a contender begins."""
    if not folder.exists():
        unfinished = folder.with_suffix(".partial")
        command = [sys.executable, str(HERE / "frontier_weights.py"), str(unfinished), str(SIDE)]
        subprocess.run(command, check=True)
        unfinished.replace(folder)


def _line(point: Point) -> str:
    return (
        f"{point.data}, split {point.seeds[0]}, {point.contender}, {point.setting}: {point.accuracy:.3f} after "
        f"{point.seconds:.1f} s ({point.cpu_seconds:.1f} s of CPU), {point.validation:.3f} on validation images"
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measures what is missing, writes plot and table, and prints the findings."""
    names = sorted({contender.name for contender in all_contenders()})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=pathlib.Path, default=HERE / "study_data")
    parser.add_argument("--peer-python", help="Python of an environment with PyTorch")
    parser.add_argument("--data", nargs="*", default=list(PHOTOS), choices=list(PHOTOS))
    parser.add_argument("--contenders", dest="names", nargs="*", default=names, choices=names)
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument(
        "--longest",
        type=float,
        default=LONGEST,
        help="seconds after which a contender that has several points ends with the next one",
    )
    parser.add_argument("--anew", action="store_true", help="go on with nothing that was kept")
    parser.add_argument("--points", type=pathlib.Path, default=KEPT / "frontier.jsonl")
    parser.add_argument("--docs", type=pathlib.Path, default=DOCS)
    asked = parser.parse_args()
    # So that the contender that runs is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended; started again, it goes on"))
    asked.files = asked.files.resolve()
    if asked.anew:
        put_aside(asked.points)
        shutil.rmtree(WEIGHTS, ignore_errors=True)
    settings, missing = who_can_run(Interpreters(asked.peer_python))
    for reason in missing:
        _tell(f"left out: {reason}")
    measure(asked, settings)
    points = pooled(read_points(asked.points, settings.values()))
    write_plot(points, asked.docs / "frontier.svg")
    versions = max(settings.values(), key=len)  # that of a peer names its packages too
    write_section(asked.docs / "speed.md", SECTION, section(points, missing, versions))
    print("\n".join(map(str, findings(points))) or NONE_ABOVE)


if __name__ == "__main__":
    main()
