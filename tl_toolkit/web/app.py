"""The page and what it asks, as an ASGI application for this computer alone."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tl_toolkit.errors import InputError
from tl_toolkit.report.page.shell import Page
from tl_toolkit.web.answers import Answerer
from tl_toolkit.web.upload import read_bounded

HOSTS = ("127.0.0.1", "localhost")


def make_app(answerer: Answerer, page: Page) -> Starlette:
    """Returns an application that serves the page and answers photos.

    Other names of this computer are refused, and what other pages send: a page of a stranger could point its own
    name here, or send photos.

    Args:
        answerer: Answers.
        page: What is shown.
    """
    headers = {"Content-Security-Policy": page.policy, "X-Content-Type-Options": "nosniff"}

    async def show(request: Request) -> Response:
        return HTMLResponse(page.html, headers=headers)

    async def answer(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{request.headers['host']}":
            return JSONResponse({"error": "This page may not ask."}, 403)
        try:
            contents = await read_bounded(request.stream())
            return JSONResponse(await run_in_threadpool(answerer.answer, contents))
        except InputError as error:
            return JSONResponse({"error": str(error)}, 422)

    return Starlette(
        routes=[Route("/", show), Route("/answer", answer, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))],
    )
