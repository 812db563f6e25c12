"""The OpenAPI document, made from the schemas and the table of refusals: what is not in the code is not in it."""

from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from autoif.records import Record
from autoif.service.refusals import STATUS
from autoif.service.schemas import (
    ErrorAnswer,
    Health,
    RewardAnswer,
    RewardRequest,
    VerifyAnswer,
    VerifyRequest,
)

Json = dict[str, Any]

OPEN_ROUTES: Final = ("/healthz", "/openapi.json", "/docs")
"""These tell nothing that is not public, and never ask for a token."""

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
    """Return the document of a server with these settings."""
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
    # Draining is no error of /healthz, but one of its two answers.
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
    """Return one response for each status, with the codes that it is given for."""
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
