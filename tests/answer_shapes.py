"""Bodies of every shape that a server, or somebody in its place, may answer with."""

import json
from collections.abc import Iterator

import pytest

HTML = "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>Blocked</body></html>"

BODIES: dict[str, str | bytes] = {
    "HTML": HTML,
    "empty": "",
    "text": "Access denied by policy 7",
    "list": "[]",
    "list of texts": '["a", "b"]',
    "JSON text": '"Unauthorized"',
    "number": "7",
    "null": "null",
    "true": "true",
    "NaN": "NaN",
    "object": "{}",
    "other object": '{"success": false, "errors": [{"code": 1020, "message": "Access denied"}]}',
    "half": '{"detail": {"status": "missing_perm',
    "no UTF-8": b'{"detail": "\xff\xfe", "code": 20003}',
    "UTF-16": '{"detail": "x"}'.encode("utf-16"),
    "half emoji": '{"detail": "\\ud83d", "message": "\\ud83d", "code": "\\ud83d"}',
    "nested": "[" * 100_000,
    "nested detail": '{"detail":' * 5_000 + "1" + "}" * 5_000,
    "long number": "9" * 5_000,
    "huge": json.dumps({"message": "x" * 2_000_000}),
    **{
        f"detail {value}": f'{{"detail": {value}}}'
        for value in ("null", "7", "true", "[]", "{}", '""', "[7]", '{"status": 7, "code": []}', '{"message": null}')
    },
    **{
        f"code {value}": f'{{"code": {value}, "message": {value}, "status": {value}}}'
        for value in ("null", "7", "-1", "1e400", "true", "[]", "{}", '""', '"20003"', '"42501"', "999999999999")
    },
    "database with odd details": '{"code": "42501", "message": [], "details": {"a": 1}, "hint": 7}',
}
SHOWN = (("text/html; charset=UTF-8", "HTML"), ("application/json", "object"), ("", "detail 7"))
STATUSES = (
    *(
        200,
        201,
        204,
        206,
        301,
        302,
        304,
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        407,
        408,
        409,
        410,
        418,
        422,
        429,
        451,
        499,
    ),
    *(500, 502, 503, 511, 520, 530, 540, 544, 599, 999),
)


def every_answer() -> Iterator[object]:
    """Yield every body with the statuses that say most, and every status with the bodies that say most."""
    for status in (200, 401, 403, 404):
        for name, body in BODIES.items():
            yield pytest.param(status, "application/json", body, id=f"{status} {name}")
    for status in STATUSES:
        for kind, name in SHOWN:
            yield pytest.param(status, kind, BODIES[name], id=f"{status} {kind or 'no type'} {name}")
