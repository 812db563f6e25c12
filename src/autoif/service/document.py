"""The OpenAPI document, generated from the schemas and refusals, and an HTML page of it for people.

The page is plain HTML: it has no script and loads nothing from elsewhere.
"""

import json
from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from autoif.records import Record
from autoif.service.schemas import STATUS, ErrorAnswer, Health, RewardAnswer, RewardRequest, VerifyAnswer, VerifyRequest

Json = dict[str, Any]

OPEN_ROUTES: Final = ("/healthz", "/openapi.json", "/docs")
"""Routes that never ask for a token: they show only what is public."""

_REFERENCE: Final = "#/components/schemas/{model}"
_EVERYWHERE: Final = ("wrong_host", "internal")
_WITH_BODY: Final = (
    "bad_json",
    "slow_body",
    "body_too_large",
    "not_json",
    "invalid",
    "queue_full",
    "draining",
    "sandbox",
    "deadline",
)
_WITH_RETRY: Final = ("queue_full", "draining", "sandbox")


def make_document(*, with_token: bool, body_mb: int) -> Json:
    """Return the OpenAPI document of a server with these settings."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in (VerifyRequest, RewardRequest)]
        + [(model, "serialization") for model in (VerifyAnswer, RewardAnswer, Health, ErrorAnswer)],
        ref_template=_REFERENCE,
    )
    components: Json = {"schemas": schemas["$defs"]}
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "autoif",
            "version": version("autoif"),
            "description": "Runs functions that models wrote on texts, in a sandbox; answers with verdicts or rewards. "
            f"A body may have {body_mb} MiB. Verdicts: pass, fail, error, timeout, memory, crash.",
        },
        "paths": {
            "/v1/verify": {
                "post": _post("verify", "Run every function on every response.", VerifyRequest, VerifyAnswer)
            },
            "/v1/reward": {
                "post": _post("reward", "Reward completions by their own functions.", RewardRequest, RewardAnswer)
            },
            "/healthz": {"get": _get("health", "Tell whether requests are taken on.", _content(Health), ("draining",))},
            "/metrics": {"get": _get("metrics", "Figures for Prometheus.", _text("text/plain"))},
            "/openapi.json": {"get": _get("document", "This document.", _text("application/json", "object"))},
            "/docs": {"get": _get("page", "This document for people.", _text("text/html"))},
        },
        "components": components,
    }
    # For /healthz draining is not an error but one of its two answers.
    document["paths"]["/healthz"]["get"]["responses"]["503"] = {"description": "Draining.", "content": _content(Health)}
    if with_token:
        _ask_for_token(document)
    return document


def _post(name: str, summary: str, request: type[Record], answer: type[Record]) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": _content(request)},
        "responses": {
            "200": {"description": "Done.", "content": _content(answer)},
            **_refusals((*_EVERYWHERE, *_WITH_BODY)),
        },
    }


def _get(name: str, summary: str, content: Json, codes: tuple[str, ...] = ()) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": "Here it is.", "content": content}, **_refusals((*_EVERYWHERE, *codes))},
    }


def _refusals(codes: tuple[str, ...]) -> Json:
    """Return one response for each status, which names the codes that have this status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS[code], []).append(code)
    return {str(status): _refusal(status, names) for status, names in sorted(by_status.items())}


def _refusal(status: int, codes: list[str]) -> Json:
    response: Json = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}.",
        "content": _content(ErrorAnswer),
    }
    if set(codes) & set(_WITH_RETRY):
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        }
    return response


def _ask_for_token(document: Json) -> None:
    for route, methods in document["paths"].items():
        for operation in methods.values():
            if route not in OPEN_ROUTES:
                operation["security"] = [{"token": []}]
                operation["responses"] |= _refusals(("no_token",))


def _content(model: type[Record]) -> Json:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}}


def _text(kind: str, schema: str = "string") -> Json:
    return {kind: {"schema": {"type": schema}}}


PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1rem } h2 b { color: #06c }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: #f5f5f5; border-radius: 4px; padding: .1rem .3rem }
pre { padding: .7rem; overflow-x: auto } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #eee }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } code, pre { background: #282828 } h2 b { color: #6af }
  h2, td, th { border-color: #444 }
}
"""


def render_page(document: Json) -> str:
    """Return the page for a document of `make_document`."""
    info = document["info"]
    body = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info['description'])}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>',
    ]
    for route, methods in document["paths"].items():
        for method, operation in methods.items():
            body += _render_operation(route, method, operation, document)
    body += _render_schemas(document)
    head = f'<meta charset="utf-8"><title>{escape(info["title"])}</title><style>{_STYLE}</style>'
    return "\n".join(["<!doctype html>", f'<html lang="en"><head>{head}</head><body>', *body, "</body></html>"])


def _render_operation(route: str, method: str, operation: Json, document: Json) -> Iterator[str]:
    yield f'<h2 id="{escape(operation["operationId"])}"><b>{method.upper()}</b> {escape(route)}</h2>'
    yield f"<p>{escape(operation['summary'])}{' Needs the token.' if 'security' in operation else ''}</p>"
    if "requestBody" in operation:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        yield f"<p>Takes {_link(reference)}, for example:</p>"
        [example] = document["components"]["schemas"][_name_schema(reference)]["examples"]
        yield f"<pre>{escape(_show_call(route, example, 'security' in operation))}</pre>"
    yield "<table><tr><th>status</th><th></th><th>body</th></tr>"
    for status, response in operation["responses"].items():
        [(kind, content)] = response["content"].items()
        shown = _describe_schema(content["schema"]) if "$ref" in content["schema"] else escape(kind)
        yield f"<tr><td>{status}</td><td>{escape(response['description'])}</td><td>{shown}</td></tr>"
    yield "</table>"


def _show_call(route: str, example: Json, with_token: bool) -> str:
    token = " -H 'Authorization: Bearer TOKEN'" if with_token else ""
    body = json.dumps(example).replace("'", "\\u0027")  # it stands between single quotes of a shell
    return f"curl -H 'Content-Type: application/json'{token} http://HOST:PORT{route} -d '{body}'"


def _render_schemas(document: Json) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p>'
        if "enum" in schema:
            yield f"<p>{_describe_schema(schema)}</p>"
            continue
        yield "<table><tr><th>key</th><th>value</th><th></th></tr>"
        for key, value in schema["properties"].items():
            needed = "required" if key in schema.get("required", ()) else f"default {json.dumps(value.get('default'))}"
            cells = f"<code>{escape(key)}</code>", _describe_schema(value), escape(needed)
            yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        yield "</table>"


def _describe_schema(schema: Json) -> str:
    """Return a schema in a few words of HTML."""
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    limits = [f"{word} {schema[key]:,}" for key, word in _LIMITS.items() if key in schema]
    shown = escape(schema["type"] + (f" ({', '.join(limits)})" if limits else ""))
    return f"{shown} of {_describe_schema(schema['items'])}" if "items" in schema else shown


_LIMITS: Final = {
    "minLength": "at least",
    "maxLength": "characters at most",
    "minItems": "at least",
    "maxItems": "at most",
    "minimum": "from",
    "maximum": "to",
}


def _link(reference: str) -> str:
    return f'<a href="#{escape(_name_schema(reference))}">{escape(_name_schema(reference))}</a>'


def _name_schema(reference: str) -> str:
    return reference.rpartition("/")[2]
