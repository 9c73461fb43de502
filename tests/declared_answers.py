"""Holds answers of our own API against the document that it serves: status, type, and not a field more or less."""

import json
import re
from functools import cache
from typing import Any

import httpx
from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from sync.openapi import document

NOWHERE = (404, 405)  # of paths and methods that the document does not have
PROGRAM_ERROR = 500


def assert_declared(method: str, path: str, answer: httpx.Response) -> None:
    """Fail unless the document has this status for this operation, and the body is what it declares."""
    operation = operation_of(method, path)
    if operation is None or answer.status_code == PROGRAM_ERROR:
        body = answer.json()
        assert answer.status_code in (401, *NOWHERE, PROGRAM_ERROR), f"{method} {path}: {answer.status_code}"
        assert set(body) == {"error"}
        return
    template, name = operation
    declared = document()["paths"][template][name]["responses"]
    assert str(answer.status_code) in declared, f"{method} {template} does not declare {answer.status_code}"
    if media_type(method, path, answer.status_code) == "text/plain":
        assert answer.headers["content-type"].startswith("text/plain;")
        return
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    found = list(_validator(template, name, str(answer.status_code)).iter_errors(body))
    assert not found, "\n".join(f"{error.json_path}: {error.message[:300]}" for error in found[:5])


def media_type(method: str, path: str, status: int) -> str:
    """Return in what an answer is declared; where the document has nothing, it is JSON."""
    operation = operation_of("GET" if method == "HEAD" else method, path)
    if operation is None:
        return "application/json"
    template, name = operation
    answers = document()["paths"][template][name]["responses"]
    (declared,) = answers.get(str(status), {"content": ["application/json"]})["content"]
    return str(declared)


def operation_of(method: str, path: str) -> tuple[str, str] | None:
    """Return path template and method as the document has them, or None."""
    for template, operations in document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", r"\\d+", re.escape(template))
        if re.fullmatch(pattern, path.partition("?")[0]) and method.lower() in operations:
            return template, method.lower()
    return None


@cache
def _validator(template: str, method: str, status: str) -> Any:
    strict = closed(document())
    schema = strict["paths"][template][method]["responses"][status]["content"]["application/json"]["schema"]
    registry: Registry[Any] = Registry().with_resource("urn:ledger", DRAFT202012.create_resource(strict))
    return OAS31Validator(json.loads(json.dumps(schema).replace("#/", "urn:ledger#/")), registry=registry)


def closed(schema: Any) -> Any:
    """Allow no other fields than those that are declared; the document itself lets the API grow."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    return {"additionalProperties": False, **inner} if "properties" in inner and "type" in inner else inner
