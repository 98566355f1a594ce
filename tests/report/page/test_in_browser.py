"""Pages in a browser: what is clicked, moved, read on a phone and printed."""

import numpy as np
import pytest
from synthetic import HOSTILE, answers, noise_thumbnails, page, run_files

from tl_toolkit.report.page.photo_choice import choose_photos
from tl_toolkit.report.page.run_page import run_page
from tl_toolkit.report.page.runs_page import NamedRun, Pair, runs_page
from tl_toolkit.report.paired_test import mcnemar_test

pytestmark = pytest.mark.slow  # a browser is started

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_a_click_on_a_cell_shows_its_photos(open_page):
    table = answers(60)
    shown = open_page(page(table))
    wrong = np.flatnonzero((table.labels == 0) & (table.said == 1))
    cell = shown.locator('button[data-cell="0,1"]')
    assert cell.inner_text() == str(len(wrong))
    cell.click()
    viewer = shown.locator("#viewer")
    assert viewer.is_visible()
    assert shown.locator("#viewer-title").inner_text() == "class 0 taken for class 1"
    photos = viewer.locator(".photo")
    surest = wrong[np.argsort(-table.confidence[wrong])]
    assert photos.locator(".file").all_inner_texts() == [f"class 0/{n}.jpg" for n in surest]
    assert photos.first.locator("img").evaluate("image => image.naturalWidth") == 24
    photos.first.click()
    assert shown.locator("#viewer-title").inner_text() == f"class 0/{surest[0]}.jpg"
    chances = viewer.locator(".chances tr").all_inner_texts()
    assert f"{100 * table.confidence[surest[0]]:.1f}%" in chances[0]
    shown.get_by_role("button", name="← Back").click()
    assert photos.count() == len(wrong)
    shown.keyboard.press("Escape")
    assert not viewer.is_visible()


def test_the_matrix_is_walked_with_arrow_keys(open_page):
    shown = open_page(page(answers(60)))
    shown.locator('button[data-cell="0,0"]').focus()
    shown.keyboard.press("ArrowRight")
    assert shown.evaluate("document.activeElement.dataset.cell") == "0,1"
    shown.keyboard.press("ArrowDown")
    assert shown.evaluate("document.activeElement.dataset.cell") == "1,1"
    assert "class 1, and answered so" in shown.locator("#cell-words").inner_text()
    assert shown.locator(".matrix button[tabindex='0']").count() == 1
    shown.keyboard.press("Enter")
    assert shown.locator("#viewer").is_visible()


def test_the_threshold_moves_the_figures(open_page):
    table = answers(80, 2, names=("sound", "broken"))
    shown = open_page(page(table, positive=1))
    scores, is_broken = table.probabilities[:, 1], table.labels == 1
    slider = shown.locator("#threshold")
    seen = set()
    for step in (0, 20, int(slider.get_attribute("max"))):
        slider.fill(str(step))
        at = float(shown.locator("#threshold-value").inner_text())
        taken = scores >= at - 1e-6  # the page rounds to six places
        assert shown.locator("#t-hits").inner_text() == str((taken & is_broken).sum())
        assert shown.locator("#t-wrong").inner_text() == str((taken & ~is_broken).sum())
        found = (taken & is_broken).sum() / is_broken.sum()
        assert float(shown.locator("#t-found").inner_text().rstrip("%")) == pytest.approx(
            100 * found, abs=0.06
        )
        seen.add(shown.locator('[data-moves="roc"]').get_attribute("cx"))
    assert len(seen) == 3
    slider.press("ArrowLeft")
    assert float(shown.locator("#threshold-value").inner_text()) < at


def test_classes_open_are_sorted_and_found(open_page):
    table = answers(140, 14)
    shown = open_page(page(table))
    first = shown.locator("details.class").first
    assert first.locator(".photo").count() == 0
    first.locator("summary").click()
    first.locator(".photo").first.wait_for()
    assert first.locator("h4").all_inner_texts() == ["Surest and right", "Worst", "Most doubtful"]
    shown.locator("#sort-classes").select_option("recall")
    recalls = shown.locator("details.class").evaluate_all(
        "all => all.map(one => Number(one.dataset.recall))"
    )
    assert recalls == sorted(recalls)
    shown.locator("#find-class").fill("class 13")
    assert shown.locator("details.class:visible").count() == 1


@pytest.mark.parametrize("positive", [None, 1])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_overflows_on_a_phone(open_page, positive, colours):
    names = (
        "a name without any place to break it in two " * 2,
        "Donaudampfschifffahrtsgesellschaft" * 3,
    )
    table = answers(60, 2, names=names)
    shown = open_page(page(table, positive, heat_maps=True), width=390, height=844, colours=colours)
    assert shown.evaluate(OVERFLOW) == 0
    shown.locator("button[data-cell]").first.click()
    assert shown.evaluate(OVERFLOW) == 0
    wide = shown.evaluate(
        "[...document.querySelectorAll('#viewer, #viewer .photo')].filter(e => e.getBoundingClientRect().right > 390).length"
    )
    assert wide == 0


def test_hostile_names_are_shown_as_they_are_and_run_nothing(open_page):
    table = answers(75, 5, names=HOSTILE, folder="<b>photos</b>")
    shown = open_page(page(table, heat_maps=True))
    assert shown.title() == "last_layers on folder:photos"
    names = [" ".join(name.split()) for name in HOSTILE]
    texts = shown.locator(".class-name").all_inner_texts()
    assert [" ".join(text.split()) for text in texts] == names
    for cell in shown.locator("button[data-cell]").all():
        cell.click()
        shown.keyboard.press("Escape")
    shown.locator("#losses .photo").first.click()
    assert "<b>photos</b>" in shown.locator(".path").inner_text()
    assert shown.locator("b, img[src='x']").count() == 0
    assert shown.locator("script").count() == 2
    assert shown.title() == "last_layers on folder:photos"


def test_script_that_gets_in_is_not_run(open_page):
    html = page(answers(30)).replace("</main>", "<script>document.title = 'run'</script></main>")
    shown = open_page(html)
    assert shown.title() == "last_layers on folder:photos"
    (refused,) = open_page.complaints
    assert "Content Security Policy" in refused
    open_page.complaints.clear()


def test_a_page_of_many_photos_and_classes_is_small_and_opens(open_page):
    table = answers(5_000, 100)
    chosen = choose_photos(table)
    thumbnails = noise_thumbnails(chosen.by_importance())
    html = run_page(run_files(table), "my_run", thumbnails, chosen=chosen)
    assert len(html.encode()) < 5_000_000
    assert len(thumbnails.of) > 200
    shown = open_page(html)
    assert shown.locator("details.class").count() == 100
    cell = shown.locator('button[data-cell="7,8"]')
    cell.click()
    assert shown.locator("#viewer .photo").count() == min(int(cell.inner_text()), 24)
    shown.keyboard.press("Escape")
    assert shown.evaluate(OVERFLOW) == 0


def test_printing_makes_a_pdf_with_all_that_is_open(open_page):
    shown = open_page(page(answers(80, 2), 1, heat_maps=True))
    pdf = shown.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") >= 3
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not shown.locator(".contents").is_visible()


def test_heat_maps_stand_beside_their_photos(open_page):
    table = answers(60)
    shown = open_page(page(table, heat_maps=True))
    explained = choose_photos(table).explained
    assert shown.locator("#looked .explained").count() == len(explained)
    assert shown.locator("#looked h3").all_inner_texts() == [
        "Sure and wrong",
        "Between two classes",
        "Typical",
    ]
    # Of a right answer there is one map: what was said is true.
    maps = sum(1 if table.is_right[position] else 2 for position, _ in explained)
    assert shown.locator("#looked .map-pair img").count() == maps
    assert open_page(page(table)).locator("#looked").count() == 0


def test_several_runs_show_the_photos_they_differ_on(open_page):
    table, other = answers(60), answers(60, seed=1)
    test = mcnemar_test(table.is_right, other.is_right)
    runs = [NamedRun("runs/a", run_files(table)), NamedRun("runs/b", run_files(other))]
    differing = np.flatnonzero(table.is_right != other.is_right).tolist()
    html = runs_page(
        runs, [Pair(0, 1, test)], table, differing, noise_thumbnails(differing, side=24)
    )
    shown = open_page(html, width=390)
    assert shown.locator("#differing .photo").count() == min(len(differing), 24)
    assert shown.evaluate(OVERFLOW) == 0
