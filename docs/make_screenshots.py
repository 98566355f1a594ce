"""Takes the screenshots of a report page that the documents show.

    python docs/make_screenshots.py

It trains on the digits for some seconds, opens the page in the system's Chromium, and writes `docs/report_desktop.webp`,
`docs/report_cell.webp` (the photos behind a number of the confusion matrix) and `docs/report_phone.webp`. It needs the
extra `test`, and `apt-get install chromium`.
"""

import io
import pathlib
import shutil
import tempfile

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import tl_toolkit as tl

FOLDER = pathlib.Path(__file__).parent
RECIPE = tl.Recipe(
    data="digits",
    strategy=tl.LastLayers(),
    labels_per_class=10,
    validation_fraction=0.5,
    test_fraction=0.5,
    epochs=8,
)
DESKTOP, PHONE = {"width": 1280, "height": 1180}, {"width": 390, "height": 844}
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


def main() -> None:
    """Trains, and takes them."""
    with tempfile.TemporaryDirectory() as folder:
        with tl.terminal() as progress:
            result = tl.run(RECIPE, pathlib.Path(folder, "digits_run"), progress=progress)
        assert result is not None
        take_screenshots(result.page)


def take_screenshots(report: pathlib.Path) -> None:
    """Writes all of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        page = browser.new_page(viewport=DESKTOP)
        page.goto(report.as_uri())
        save(page, "report_desktop")
        page.locator("td[class^=w] button").first.click()
        page.set_viewport_size({"width": 1280, "height": 620})
        save(page, "report_cell")
        # Two pixels a side for each of the page's, as phones have.
        phone = browser.new_context(viewport=PHONE, device_scale_factor=2).new_page()
        phone.goto(report.as_uri())
        save(phone, "report_phone")
        browser.close()


def save(page: Page, name: str) -> None:
    """Saves what is to be seen, and says how large the file is."""
    path = FOLDER / f"{name}.webp"
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    image.save(path, quality=80, method=6)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
