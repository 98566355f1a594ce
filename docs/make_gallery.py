"""Makes the pictures of the gallery.

    python docs/make_gallery.py

It trains on the digits for about a minute, and explains two photos of scikit-learn by a ResNet-50 with ImageNet weights,
which are downloaded if need be. It writes `docs/gallery_*.webp`; `docs/make_screenshots.py` takes those of a report page. It
needs the extra `test`, and `apt-get install chromium`.
"""

import pathlib
import shutil
import tempfile

import numpy as np
from make_screenshots import ARGUMENTS, DESKTOP, save
from PIL import Image
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_sample_images

import tl_toolkit as tl
from tl_toolkit.report.heat_maps import overlay

FOLDER = pathlib.Path(__file__).parent
FEW = {"labels_per_class": 20, "test_fraction": 0.5}
WIDEST = 1200  # pixels


def main() -> None:
    """Makes all of them."""
    with tempfile.TemporaryDirectory() as folder, tl.terminal() as progress:
        place = pathlib.Path(folder)
        steps = tl.Recipe(
            data="digits",
            strategy=tl.LastLayers(head_first=False),  # solved for, it has little to learn by steps
            validation_fraction=0.5,
            **FEW,
        )
        tl.run(steps, place / "steps", progress=progress)
        blocks = tl.Recipe(data="digits", strategy=tl.NewHead(on="all_blocks"), **FEW)
        tl.run(blocks, place / "blocks", progress=progress)
        keep(place / "steps" / "contact_sheet.png", "contact_sheet")
        keep(place / "steps" / "training_curves.png", "training_curves")
        keep(place / "steps" / "reliability.png", "reliability")
        keep(place / "blocks" / "blocks.png", "blocks")
        recipes = tl.comparison_recipes("digits", **FEW)[:3]
        compared = tl.compare(recipes, seeds=3, output=place / "compared", progress=progress)
        assert compared is not None
        take_page(compared.page, "comparison_page")
    explain_photos()


def explain_photos() -> None:
    """Draws the heat maps of two photos, and prints what the network says they are."""
    classifier = tl.load_classifier("resnet50")
    for photo, name in zip(load_sample_images().images, ("china", "flower"), strict=True):
        (answer,) = classifier.predict([photo])
        map_of_it = tl.explain(classifier, photo, answer.class_name)
        pair = np.concatenate([photo, overlay(photo, map_of_it)], axis=1)
        print(f"{name}: {answer.class_name}, {answer.score:.2f}")
        write(Image.fromarray(pair), f"heat_map_{name}")


def take_page(page_file: pathlib.Path, name: str) -> None:
    """Takes a screenshot of a page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        page = browser.new_page(viewport=DESKTOP)
        page.goto(page_file.as_uri())
        save(page, f"gallery_{name}")
        browser.close()


def keep(plot: pathlib.Path, name: str) -> None:
    """Keeps a plot of a run."""
    write(Image.open(plot).convert("RGB"), name)


def write(image: Image.Image, name: str) -> None:
    """Writes a picture, and says how large the file is."""
    image.thumbnail((WIDEST, WIDEST))
    path = FOLDER / f"gallery_{name}.webp"
    image.save(path, quality=80, method=6)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
