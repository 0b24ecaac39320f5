"""`/openapi.json`, and `/docs`: a page to read it and to try it, with every asset served from here.

Swagger UI comes from the package `fastapi-offline`, of which only the files are used (docs/decisions). No script stands in the
page, so that its policy can refuse whatever is not ours.

https://github.com/swagger-api/swagger-ui and https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, RedirectResponse

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fhirserver: the FHIR interface</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon.png">
</head>
<body>
<div id="ui"><noscript>This page needs JavaScript. The description is at <a href="openapi.json">openapi.json</a>.</noscript></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """// Swagger UI writes out every schema that an operation leads to, however deep, and FHIR's data types lead to each other without
// end: a browser was busy for most of a minute. Here a schema keeps the parts that are its own and names the types of the other
// elements; each type is among the schemas below the operations.
function nameTypes(schemas) {
  const place = "#/components/schemas/";
  for (const [name, schema] of Object.entries(schemas)) {
    for (const element of Object.values(schema.properties ?? {})) {
      const one = element.items ?? element;
      const type = one.$ref?.slice(place.length);
      if (type && !type.startsWith(name + ".")) {
        delete one.$ref;
        Object.assign(one, { type: "object", title: type });
      }
    }
  }
}

const description = new URL("openapi.json", location).href;

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  filter: true,
  // It takes seconds of a page of a hundred resources.
  syntaxHighlight: { activated: false },
  validatorUrl: null,
  responseInterceptor(response) {
    if (response.ok && response.url === description) {
      const document = JSON.parse(response.text);
      nameTypes(document.components.schemas);
      response.text = JSON.stringify(document);
    }
    return response;
  },
});
"""


def assets() -> Path:
    """The folder of Swagger UI's files. The package itself is not run."""
    spec = find_spec("fastapi_offline")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("The package fastapi-offline is not installed.")
    return Path(spec.submodule_search_locations[0]) / "static"


def pages(document: Callable[[], Awaitable[bytes]]) -> APIRouter:
    """The routes of the page and of the document."""
    routes = APIRouter()
    folder = assets()

    @routes.get("/openapi.json")
    async def openapi() -> Response:
        return Response(await document(), media_type="application/json", headers=_HEADERS)

    @routes.get("/")
    async def front() -> Response:
        return RedirectResponse("docs", headers=_HEADERS)

    @routes.get("/docs")
    async def docs() -> Response:
        return Response(_PAGE, media_type="text/html", headers=_HEADERS)

    @routes.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_HEADERS)

    @routes.get("/docs/{name}")
    async def asset(name: str) -> Response:
        if name not in _ASSETS:
            return Response(status_code=404, headers=_HEADERS)
        return FileResponse(folder / name, media_type=_ASSETS[name], headers=_HEADERS)

    return routes
