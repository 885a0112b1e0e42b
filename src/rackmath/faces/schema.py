"""What a command takes, for programs: JSON Schema, and from it OpenAPI and the tools of an assistant."""

from __future__ import annotations

from typing import Any

from ..questions.fields import Spec
from ..questions.registry import Command, command, entries

Schema = dict[str, Any]


def property_of(spec: Spec) -> Schema:
    """The JSON Schema of one input."""
    of = spec.field
    if spec.kind == "flag":
        found: Schema = {"type": "boolean"}
    elif spec.kind == "pairs":
        found = {"type": "object", "additionalProperties": {"type": ["number", "string"]}}
    elif spec.kind == "number":
        found = {"type": ["integer" if of.whole else "number", "string"]} | _limits(spec)
    elif spec.record:
        found = {"type": ["string", "object"]}
    else:
        found = {"type": "string"} | ({"enum": [*of.choices]} if of.choices else {})
    if spec.many:
        found = {"type": "array", "items": found}
    unit = f" Unit: {of.unit}." if of.unit not in ("", "count") else ""
    found["description"] = " ".join(filter(None, [of.help + unit, spec.condition]))
    return found if spec.default in (..., None, (), {}) else found | {"default": spec.default}


def _limits(spec: Spec) -> Schema:
    of = spec.field
    ends = {"minimum": of.least, "exclusiveMinimum": of.above, "maximum": of.most}
    ends |= {"exclusiveMaximum": of.below}
    return {name: end for name, end in ends.items() if abs(end) != float("inf")}


def input_schema(one: Command) -> Schema:
    """The JSON Schema of a command's question.

    >>> input_schema(command("racks"))["required"]
    ['model', 'on']
    """
    known = one.specs
    return {
        "type": "object",
        "title": one.name,
        "description": one.entry.summary,
        "properties": {name: property_of(spec) for name, spec in known.items()},
        "required": [name for name, spec in known.items() if spec.required],
        "additionalProperties": False,
    }


def tools() -> list[Schema]:
    """Every command as a tool that an assistant can call."""
    return [
        {"name": name.replace(" ", "_").replace("-", "_"), "description": entry.summary, "inputSchema": input_schema(command(name))}
        for name, entry in entries().items()
    ]


def openapi(version: str) -> Schema:
    """The OpenAPI description of `/COMMAND.json?field=value`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "rackmath", "version": version},
        "paths": {f"/{name.replace(' ', '/')}.json": {"get": _operation(command(name))} for name in entries()},
    }


def _operation(one: Command) -> Schema:
    fields = [{"name": name, "in": "query", "required": spec.required, "schema": property_of(spec)} for name, spec in one.specs.items()]
    return {
        "summary": one.entry.summary,
        "operationId": one.name.replace(" ", "_"),
        "parameters": fields,
        "responses": {"200": {"description": "the answer"}, "422": {"description": "what is wrong, in a sentence"}},
    }
