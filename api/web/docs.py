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
  <link rel="stylesheet" href="/docs/page.css">
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
# Swagger UI is made for wide windows: on a telephone an opened operation would overflow.
_STYLE = """@media (max-width: 640px) {
  .swagger-ui .wrapper { padding: 0 8px; }
  .swagger-ui .opblock-body, .swagger-ui .opblock-section, .swagger-ui .responses-inner {
    max-width: 100%;
    overflow-x: auto;
  }
  .swagger-ui table { table-layout: fixed; }
  .swagger-ui .parameters-col_name { width: 38%; overflow-wrap: anywhere; }
  .swagger-ui .response-col_status { width: 48px; }
  .swagger-ui .response-col_links { display: none; }
  .swagger-ui select, .swagger-ui input, .swagger-ui textarea { max-width: 100%; min-width: 0; }
  .swagger-ui .opblock-summary-path, .swagger-ui .markdown { overflow-wrap: anywhere; }
  .swagger-ui .markdown, .swagger-ui .renderedMarkdown { max-width: 100%; overflow-x: auto; }
  .swagger-ui .info, .swagger-ui .opblock { overflow-x: clip; }
}
"""


async def page(_: Request) -> Response:
    """The page itself."""
    return HTMLResponse(_PAGE)


async def start_script(_: Request) -> Response:
    """Its script, in a file of its own because the content security policy forbids inline ones."""
    return Response(_START, media_type="text/javascript")


async def style(_: Request) -> Response:
    """What narrow windows need beside Swagger UI's own style sheet."""
    return Response(_STYLE, media_type="text/css")


def assets() -> StaticFiles:
    """Swagger UI's files, from the package that ships them, without importing its Flask part."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("flask-swagger-ui is not installed")
    return StaticFiles(directory=Path(spec.origin).parent / "dist")
