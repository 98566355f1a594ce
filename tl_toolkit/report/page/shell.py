"""From a template to a page that needs nothing else: styles, script and data stand in the file itself.

Names of files and classes come from strangers. Templates escape all of them; the script reads them from JSON, in which `<`
cannot end the element, and puts them on the page as text. Beyond that the page forbids itself, by its content security
policy, every script but its own and every address but those of the photos within it.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import pathlib
import re
from typing import Any

import jinja2
from markupsafe import Markup

from tl_toolkit import __version__
from tl_toolkit.report.ladder import duration
from tl_toolkit.report.paired_test import p_text

FOLDER = pathlib.Path(__file__).parent
GENERATOR = "tl_toolkit"  # what a page says that it was made by


@dataclasses.dataclass(frozen=True)
class Page:
    """A page, and what it allows itself.

    Attributes:
        html: Its text, which holds the policy too.
        policy: The content security policy, for a server's header.
    """

    html: str
    policy: str


def render_page(
    template: str, title: str, data: dict[str, Any] | None = None, **context: Any
) -> str:
    """Returns a page as HTML text.

    Args:
        template: Name of one that extends `page.html.j2`, which names the blocks.
        title: Of the page.
        data: Plain values for the script, such as `photo_data`.
        context: What the template shows.
    """
    script = (FOLDER / "page.js").read_text("utf-8")
    return _render(FOLDER / template, title, script, data, context).html


def render_asking_page(template: pathlib.Path, title: str, **context: Any) -> Page:
    """Returns a page that may ask the server that it comes from.

    Args:
        template: A file `NAME.html.j2` that extends `page.html.j2`; beside it lie `NAME.js`, its script, and `NAME.css`,
            what it adds to the styles.
        title: Of the page.
        context: What the template shows.
    """
    name = template.name.removesuffix(".html.j2")
    script, style = (template.with_name(name + kind).read_text("utf-8") for kind in (".js", ".css"))
    asking = "; connect-src 'self'; media-src blob: 'self'"
    return _render(template, title, script, None, {"offline": False, **context}, style, asking)


def _render(
    template: pathlib.Path,
    title: str,
    script: str,
    data: dict[str, Any] | None,
    context: dict[str, Any],
    more_style: str = "",
    more_policy: str = "",
) -> Page:
    style = (FOLDER / "page.css").read_text("utf-8") + more_style
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        f"base-uri 'none'; form-action 'none'{more_policy}"
    )
    environment = _environment(template.parent)
    html = environment.get_template(template.name).render(
        **{"offline": True, **context},
        title=title,
        style=Markup(style),
        script=Markup(script),
        policy=policy,
        generator=GENERATOR,
        version=__version__,
        data=data or {},
    )
    return Page(html, policy)


def is_page_of_ours(path: pathlib.Path) -> bool:
    """Whether a file is a page that `render_page` made."""
    with path.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR}'.encode() in file.read(2000)


def percent(share: float | None, places: int = 1) -> str:
    """Returns a share as it is read; `–` for none."""
    return "–" if share is None else f"{100 * share:.{places}f}%"


def shortened(name: str, most: int = 24) -> str:
    """Returns a name that is no longer than there is room for in a chart."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def points(difference: float) -> str:
    """Returns a difference of shares in points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


@functools.cache
def _environment(folder: pathlib.Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "duration": duration,
        "p_text": p_text,
        "count": lambda number: f"{number:,}",
        "figure": lambda number: "–" if number is None else f"{number:.3f}",
    }
    environment.tests["figures"] = lambda text: re.match(r"[<>+−-]?\s?[\d–]", str(text)) is not None
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def _hash(text: str) -> str:
    # As the browser sees it: what stands between the tags.
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
