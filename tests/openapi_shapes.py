"""Checks bodies against the providers' own OpenAPI documents (excerpts in `openapi/`, sources named inside)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator, OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENTS = Path(__file__).parent / "openapi"
VALIDATORS: dict[str, Any] = {"twilio": OAS30Validator, "elevenlabs": OAS31Validator}


def assert_matches(provider: str, path: str, body: object, *, status: int = 200) -> None:
    """Fail unless `body` is what `provider` documents for GET `path`. Declared formats are not checked.

    Twilio declares root-relative links as "uri", and sends "" where the document wants null or a sid,
    even in the document's own examples: "" counts as null.
    """
    found = list(_validator(provider, path, status).iter_errors(_blank_as_null(body) if provider == "twilio" else body))

    assert not found, "\n".join(f"{error.json_path}: {error.message[:300]}" for error in found[:5])


@cache
def _validator(provider: str, path: str, status: int) -> Any:
    document = json.loads((DOCUMENTS / f"{provider}.json").read_text())
    content = document["paths"][path]["get"]["responses"][str(status)]["content"]
    assert "application/json" in content
    pointer = f"/paths/{_escaped(path)}/get/responses/{status}/content/application~1json/schema"
    registry: Registry[Any] = Registry().with_resource(f"urn:{provider}", DRAFT202012.create_resource(document))
    return VALIDATORS[provider]({"$ref": f"urn:{provider}#{pointer}"}, registry=registry)


def _escaped(path: str) -> str:
    """Write a path as one step of a JSON pointer inside a URI fragment."""
    return path.replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _blank_as_null(value: object) -> object:
    if isinstance(value, dict):
        return {name: _blank_as_null(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_blank_as_null(each) for each in value]
    return None if value == "" else value
