"""The head of the page as it is sent: what a link shows, for whoever previews it, the scripts that must come before all others, and what the page may load."""

import html
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, cast

from anyio import CapacityLimiter, to_thread
from gradio.route_utils import get_root_url
from starlette.requests import Request

from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk, read_query
from resgen.errors import ResGenError
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.studio.page import STATIC

ABOUT = "Explore image generators: turn seeds, classes and directions, and watch the pictures change."
SHOWS: dict[type[AnyRecipe], str] = {
    Recipe: "Images",
    Walk: "A film",
    StyleMix: "A mix of styles",
    Comparison: "Images compared, first",
    AnatomyOf: "The blocks",
}
FIRST = ("still.js", "answers.js")  # a function each, that changes what Gradio's own scripts find
ANOTHERS = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>')  # Gradio's own words and picture

# What the page may load and ask (Content Security Policy, level 3): what this studio serves, and scripts that it wrote into the page itself. Gradio
# makes functions of their text, and styles as it goes.
POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; connect-src 'self' data:; object-src 'none'; frame-src 'none'; base-uri 'self'; form-action 'self'"
)

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class PageHead:
    """An ASGI middleware: the page says in its head what its link shows (ogp.me), with a picture of it."""

    def __init__(self, app: Any, library: Library) -> None:
        self.app, self.library = app, library
        self._places = CapacityLimiter(1)
        self._in_a_space = bool(os.environ.get("SPACE_ID"))  # where the Hub's own head comes with the page, from other hosts
        self._scripts = "".join(f"({(STATIC / name).read_text(encoding='utf-8').rstrip()})();\n" for name in FIRST)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        root = scope.get("root_path", "")
        is_page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"].rstrip("/") in ("", root.rstrip("/"))
        await self.app(scope, receive, self._rewriting(Request(scope), send) if is_page else send)

    def _rewriting(self, request: Request, send: Any) -> Send:
        """What sends on an answer once all of it is there, with another head."""
        begun: list[Message] = []
        parts: list[bytes] = []

        async def gather(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                page = b"".join(parts).decode()  # a link may be long, and nobody else shall wait while it is read
                body = (await to_thread.run_sync(self._with_head, page, request, limiter=self._places)).encode()
                headers = [(name, value) for name, value in begun[0]["headers"] if name.lower() != b"content-length"]
                if not self._in_a_space:
                    nonce = secrets.token_urlsafe(16)
                    body = body.replace(b"<script", f'<script nonce="{nonce}"'.encode())
                    headers.append((b"content-security-policy", POLICY.format(nonce=nonce).encode()))
                await send({**begun[0], "headers": [*headers, (b"content-length", str(len(body)).encode())]})
                await send({"type": "http.response.body", "body": body})

        return gather

    def _with_head(self, page: str, request: Request) -> str:
        query = request.url.query
        root = get_root_url(cast(Any, request), "/", request.app.root_path)  # also behind a proxy
        told = {
            "og:title": self._title(query),
            "og:description": ABOUT,
            "og:type": "website",
            "og:url": f"{root}/?{query}",
            "og:image": f"{root}/drawing/link.jpg?{query}",
        }
        metas = "".join(f'<meta property="{name}" content="{html.escape(words)}">' for name, words in told.items())
        head = f'<head><script>{self._scripts}</script>{metas}<meta name="twitter:card" content="summary_large_image">'
        return ANOTHERS.sub("", page).replace("<head>", head, 1)

    def _title(self, query: str) -> str:
        """What a link shows, in words; the studio's name where that is not known."""
        try:
            recipe = read_query(query)
        except ResGenError:
            return "ResGen"
        return f"{SHOWS[type(recipe)]} by {recipe.checkpoint} - ResGen" if recipe.checkpoint in self.library.names() else "ResGen"
