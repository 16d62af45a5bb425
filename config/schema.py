"""What drf-spectacular cannot see: every operation may answer with our one error shape."""

from typing import Any

FIELD_ERROR = {
    "type": "object",
    "required": ["field", "code", "message"],
    "properties": {"field": {"type": "string"}, "code": {"type": "string"}, "message": {"type": "string"}},
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457 with a stable `code` to switch on; `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
        "extra": {"type": "object", "additionalProperties": True},
    },
}
ANSWER = {
    "description": "Error",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def declare_errors(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the Problem schema and a `default` response to every operation."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(FieldError=FIELD_ERROR, Problem=PROBLEM)
    for path in result.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"].setdefault("default", ANSWER)
    return result
