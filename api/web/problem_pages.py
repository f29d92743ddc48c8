"""What each kind of problem is, at the address that problems have as their ``type``."""

import inspect
import re
from collections.abc import Iterable
from html import escape
from typing import Any, Final

from msgspec import Struct
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from api.web.headers import header
from api.web.problems import PROBLEMS_PATH, NotFound, Problem, kinds_of_problems, type_of
from api.web.responses import json_response
from api.web.routing import Route
from api.web.shapes import nearest
from api.web.state import Request

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
</head>
<body>
  <h1>{title}</h1>
  <dl>
{kinds}
  </dl>
  <p><a href="/problems">All kinds of problems</a>, <a href="/docs">the API</a></p>
</body>
</html>
"""
_KIND: Final = """    <dt><a href="{type}">{title}</a> ({status})</dt>
    <dd>{explanation}</dd>"""


class KindOfProblem(Struct):
    """A kind of problem: its address, the status of its answers, and what to do about it."""

    type: str
    title: str
    status: int
    explanation: str


class ProblemKinds(Struct):
    """Every kind of problem."""

    problems: list[KindOfProblem]


def routes() -> list[BaseRoute]:
    """The list of all, and the address of each."""
    return [Route(PROBLEMS_PATH, show_all), Route(f"{PROBLEMS_PATH}/{{name}}", show_one)]


async def show_all(request: Request[Any]) -> Response:
    """Every kind of problem."""
    kinds = every_kind()
    return _page("Problems", kinds) if _wants_html(request) else json_response(ProblemKinds(kinds))


async def show_one(request: Request[Any]) -> Response:
    """One kind of problem. Raises NotFound."""
    kinds, name = kinds_of_problems(), request.path_params["name"]
    if name not in kinds:
        meant = nearest(name, kinds)
        hint = f"did you mean {PROBLEMS_PATH}/{meant}?" if meant else f"{PROBLEMS_PATH} lists them"
        raise NotFound(f"there is no such kind of problem; {hint}")
    kind = told(kinds[name])
    return _page(kind.title, [kind]) if _wants_html(request) else json_response(kind)


def every_kind() -> list[KindOfProblem]:
    """By status."""
    kinds = map(told, kinds_of_problems().values())
    return sorted(kinds, key=lambda kind: (kind.status, kind.type))


def told(kind: type[Problem]) -> KindOfProblem:
    """A kind in the words of its docstring, in Markdown."""
    text = " ".join((inspect.getdoc(kind) or "").split()).replace("``", "`")
    return KindOfProblem(type_of(kind), kind.title, kind.status, text)


def table() -> str:
    """Every kind, as a table in Markdown for the document."""
    rows = (
        f"| [{kind.type.rpartition('/')[2]}]({kind.type}) | {kind.status} | {kind.explanation} |"
        for kind in every_kind()
    )
    return "\n".join(["| `type` | Status | What it is |", "|---|---|---|", *rows])


def _page(title: str, kinds: Iterable[KindOfProblem]) -> Response:
    shown = (
        _KIND.format(
            type=kind.type,
            title=escape(kind.title),
            status=kind.status,
            explanation=re.sub("`([^`]+)`", r"<code>\1</code>", escape(kind.explanation)),
        )
        for kind in kinds
    )
    return HTMLResponse(_PAGE.format(title=escape(title), kinds="\n".join(shown)))


def _wants_html(request: Request[Any]) -> bool:
    return "text/html" in header(request, b"accept")
