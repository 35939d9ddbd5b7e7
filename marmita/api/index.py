"""`GET /`: an index of the service and its models, as an HTML page for people and as JSON for programs.

The page is one document without scripts or external resources.
"""

import base64
import re
import shlex
from collections.abc import Callable, Sequence
from hashlib import sha256
from html import escape
from http import HTTPStatus
from typing import NamedTuple

from pydantic import Field
from pydantic_core import to_json

from marmita.api.operations import Api, Operation
from marmita.contract.answers import Answer
from marmita.contract.openapi import Inference, example
from marmita.contract.replies import JSON, Call, Reply

LINKS = {
    "/docs.json": "the OpenAPI document",
    "/models": "the models, with their cards and contracts",
    "/metrics": "metrics in Prometheus's format",
    "/readyz": "whether the models can answer",
}
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 1rem 0.4rem 0; border-bottom: 1px solid #ccc; }
pre { background: #f4f4f4; color: #111; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_VARY = ((b"vary", b"accept"),)
_PAGE_HEADERS = (
    *_VARY,
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_HOST = re.compile(r"[\w.:\[\]-]+", re.ASCII)


class ServiceInfo(NamedTuple):
    """The name, description and version of a service."""

    name: str
    about: str
    version: str


class IndexedModel(Answer):
    """A served model, with its routes."""

    name: str
    tag: str
    about: str
    routes: list[str]


class ServiceIndex(Answer):
    """The service and its models."""

    name: str
    about: str
    version: str
    models: list[IndexedModel]
    links: list[str] = Field(description="The paths of the document, the models, the metrics and the readiness probe")


def operation(api: Api, about: ServiceInfo, served: Callable[[], Sequence[Inference]]) -> Operation:
    """Return the operation that shows the index of the routes that `served` returns."""

    async def show(call: Call) -> Reply:
        inferences = served()
        index = ServiceIndex(
            **about._asdict(), models=[_indexed(api, name, inferences) for name in api.names()], links=[*LINKS]
        )
        if _wants_json(call):
            return Reply(HTTPStatus.OK, index.model_dump_json().encode(), JSON, _VARY)
        page = _page(index, _curl(_origin(call), inferences))
        return Reply(HTTPStatus.OK, page.encode(), b"text/html; charset=utf-8", _PAGE_HEADERS)

    return Operation(
        method="GET",
        path="/",
        name="show_service",
        tag="models",
        about="The service and its models",
        answer=ServiceIndex,
        handlers={"/": show},
        has_page=True,
    )


def _indexed(api: Api, name: str, inferences: Sequence[Inference]) -> IndexedModel:
    packed = api.find(name).packed
    routes = [one.path for one in inferences if one.model == name]
    return IndexedModel(
        name=name, tag=packed.tag, about=packed.card.about, routes=[*routes, f"/v2/models/{name}/infer"]
    )


def _wants_json(call: Call) -> bool:
    accepted = call.headers.get(b"accept", b"").lower()
    return JSON in accepted and b"text/html" not in accepted


def _origin(call: Call) -> str:
    host = call.headers.get(b"host", b"").decode("latin-1")
    return f"{call.scope['scheme']}://{host if _HOST.fullmatch(host) else 'localhost'}"


def _curl(origin: str, inferences: Sequence[Inference]) -> str:
    """Return a curl command for the route with the shortest example.

    Routes that give one answer for all rows are left out, as they may need stored records.
    """
    examples = {one.path: to_json(example(one.request)).decode() for one in inferences if one.many}
    if not examples:
        return f"curl {origin}/models"
    path = min(examples, key=lambda one: len(examples[one]))
    return f"curl {origin}{path} -H 'Content-Type: application/json' -d {shlex.quote(examples[path])}"


def _page(index: ServiceIndex, curl: str) -> str:
    name = escape(index.name)
    links = "\n".join(f"<li>{_link(path)}: {about}</li>" for path, about in LINKS.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{name}</h1>
<p>{escape(index.about)}</p>
<p>Version {escape(index.version)}</p>
<h2>Models</h2>
<table>
<tr><th scope="col">Version</th><th scope="col">What it does</th><th scope="col">Routes</th></tr>
{"".join(map(_line, index.models))}</table>
<h2>Try it</h2>
<pre>{escape(curl)}</pre>
<h2>More</h2>
<ul>
{links}
</ul>
</body>
</html>
"""


def _line(model: IndexedModel) -> str:
    routes = "<br>".join(f"POST {escape(route)}" for route in model.routes)
    shown = _link(f"/models/{model.name}", model.tag)
    return f"<tr><td>{shown}</td><td>{escape(model.about)}</td><td>{routes}</td></tr>\n"


def _link(path: str, text: str = "") -> str:
    return f'<a href="{escape(path)}">{escape(text or path)}</a>'
