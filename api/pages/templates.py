"""HTML by Jinja2: every value is escaped, and a name that is missing is an error."""

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from api.pages.formats import METRIC_ENGLISH
from api.pages.static import address_of
from api.pages.visitor import Visitor

_ENVIRONMENT: Final = Environment(
    autoescape=True,
    auto_reload=False,
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    lstrip_blocks=True,
    trim_blocks=True,
    undefined=StrictUndefined,
)
_ENVIRONMENT.globals["static"] = address_of


def page(name: str, visitor: Visitor, status: int = 200, **values: Any) -> HTMLResponse:
    """The template as an answer; it knows the ``visitor``, and how to ``show`` figures."""
    return HTMLResponse(render(name, visitor, **values), status)


def render(name: str, visitor: Visitor, **values: Any) -> str:
    """The template as text."""
    return _ENVIRONMENT.get_template(name).render(visitor=visitor, show=visitor.formats, **values)


def render_bare(name: str, **values: Any) -> str:
    """A template that does not know who looks, as PostgreSQL may not be there to say it."""
    return _ENVIRONMENT.get_template(name).render(visitor=None, show=METRIC_ENGLISH, **values)
