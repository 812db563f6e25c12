"""The OpenAPI document as a page for people: plain HTML made here, no script, nothing fetched from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

Json = dict[str, Any]

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
    """Return the page of a document as `openapi.make_document` makes it."""
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
        [example] = document["components"]["schemas"][_name(reference)]["examples"]
        yield f"<pre>{escape(_show_call(route, example, 'security' in operation))}</pre>"
    yield "<table><tr><th>status</th><th></th><th>body</th></tr>"
    for status, response in operation["responses"].items():
        [(kind, content)] = response["content"].items()
        shown = _describe_schema(content["schema"]) if "$ref" in content["schema"] else escape(kind)
        yield f"<tr><td>{status}</td><td>{escape(response['description'])}</td><td>{shown}</td></tr>"
    yield "</table>"


def _show_call(route: str, example: Json, with_token: bool) -> str:
    token = " -H 'Authorization: Bearer TOKEN'" if with_token else ""
    body = json.dumps(example).replace("'", "\\u0027")  # within the quotes of a shell
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
    return f'<a href="#{escape(_name(reference))}">{escape(_name(reference))}</a>'


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
