"""A browser for pages: the system's Chromium, which nothing but these tests starts."""

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# No sandbox, since containers run as root; and nothing that looks for a network.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser():
    """Chromium, with a profile of its own."""
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra test")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Returns a function that opens HTML, and fails the test in the end if the page complained or asked for anything."""
    complaints, contexts = [], []

    def open_page(html, *, width=1280, height=900, colours="light"):
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(html, encoding="utf-8", errors="backslashreplace")
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=colours
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith(("file:", "data:")) else complaints.append(asked.url)
            ),
        )
        page.goto(file.as_uri())
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
