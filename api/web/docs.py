"""The page at /docs: Swagger UI over the OpenAPI document, every file served from here."""

from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Bike Power Tracker API</title>
  <link rel="stylesheet" href="/docs/assets/swagger-ui.css">
  <link rel="icon" href="/docs/assets/favicon-32x32.png">
</head>
<body>
  <div id="page"></div>
  <script src="/docs/assets/swagger-ui-bundle.js"></script>
  <script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
});
"""


async def page(_: Request) -> Response:
    """The page itself."""
    return HTMLResponse(_PAGE)


async def start_script(_: Request) -> Response:
    """Its script, in a file of its own because the content security policy forbids inline ones."""
    return Response(_START, media_type="text/javascript")


def assets() -> StaticFiles:
    """Swagger UI's files, from the package that ships them, without importing its Flask part."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("flask-swagger-ui is not installed")
    return StaticFiles(directory=Path(spec.origin).parent / "dist")
