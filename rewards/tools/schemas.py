"""JSON schemas as tool descriptions write them: made regular, then checked by `jsonschema`. No reference leaves its
schema.

Tool lists found in the wild say "dict", "float" or "any", and nest `required` inside `properties`: read as what they
mean.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

from rewards.contract.deadline import outside_deadline

_TYPES = {
    "dict": "object",
    "float": "number",
    "double": "number",
    "tuple": "array",
    "int": "integer",
    "str": "string",
    "bool": "boolean",
}
_FREE = ("any", "all", "object_or_any")
_HOLD_ONE = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
_HOLD_LIST = ("anyOf", "oneOf", "allOf", "prefixItems")
_HOLD_MAP = ("properties", "patternProperties", "$defs", "definitions")
_REASONS = {"type": "type_error", "required": "missing_argument", "additionalProperties": "unexpected_argument"}
_VALUE_KEYWORDS = (
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "pattern",
    "format",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why a value does not fit. Example: Misfit(reason="type_error", where="city", keyword="type")"""

    reason: str
    where: str
    keyword: str


class Schema:
    """A JSON schema ready to check values. Raises ValueError where it is none."""

    def __init__(self, given: Any) -> None:
        _import_jsonschema()
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry

        self.document = standard_schema(given)
        _check_references(self.document, self.document)
        try:
            Draft202012Validator.check_schema(self.document)
        except SchemaError as error:
            raise ValueError(f"no JSON schema: {error.message[:200]}") from error
        self._validator = Draft202012Validator(self.document, registry=Registry())

    def __reduce__(self) -> tuple[type[Schema], tuple[dict[str, Any]]]:
        return Schema, (self.document,)  # jsonschema's validator holds a local function, which cannot be pickled

    @property
    def properties(self) -> dict[str, Any]:
        found = self.document.get("properties")
        return found if isinstance(found, dict) else {}

    def misfit(self, value: Any) -> Misfit | None:
        """The first thing that does not fit, types before presence before values; None where all fits."""
        errors = sorted(
            self._validator.iter_errors(value), key=lambda error: (_rank(error.validator), len(error.absolute_path))
        )
        if not errors:
            return None
        error = errors[0]
        reason = _REASONS.get(error.validator) or (
            "value_error" if error.validator in _VALUE_KEYWORDS else "schema_error"
        )
        return Misfit(reason=reason, where=".".join(map(str, error.absolute_path))[:80], keyword=str(error.validator))


def _rank(keyword: str) -> int:
    order = ("additionalProperties", "required", "type")
    return order.index(keyword) if keyword in order else len(order)


def _import_jsonschema() -> None:
    if "jsonschema" not in sys.modules:
        with outside_deadline():
            importlib.import_module("jsonschema")


def _check_references(part: Any, whole: dict[str, Any]) -> None:
    """Raise ValueError where a $ref leaves the schema, or points at nothing in it."""
    if isinstance(part, list):
        for entry in part:
            _check_references(entry, whole)
    elif isinstance(part, dict):
        target = part.get("$ref")
        if isinstance(target, str):
            found: Any = whole
            for step in target.removeprefix("#").strip("/").split("/") if target != "#" else ():
                found = found.get(step) if isinstance(found, dict) else None
            if not target.startswith("#") or not isinstance(found, dict):
                raise ValueError(f"$ref {target!r} must point at a part of the schema itself, as in '#/$defs/name'")
        for entry in part.values():
            _check_references(entry, whole)


def standard_schema(given: Any) -> dict[str, Any]:
    """The schema with its types as JSON Schema names them. Raises ValueError where it is no object."""
    if isinstance(given, bool):
        return {} if given else {"not": {}}
    if not isinstance(given, dict):
        raise ValueError(f"a schema is an object, not {type(given).__name__}")
    schema = {key: value for key, value in given.items() if value is not None}
    named = schema.get("type")
    if isinstance(named, str) and named.lower() in _FREE:
        del schema["type"]
    elif isinstance(named, str):
        schema["type"] = _TYPES.get(named.lower(), named.lower())
    if isinstance(schema.get("properties"), dict) and isinstance(schema["properties"].get("required"), list):
        schema["required"] = [*schema.get("required", []), *schema["properties"]["required"]]
        schema["properties"] = {key: value for key, value in schema["properties"].items() if key != "required"}
    if isinstance(
        schema.get("required"), bool
    ):  # written on the property itself in old lists; its parent's list is what counts
        del schema["required"]
    for key in _HOLD_ONE:
        if isinstance(schema.get(key), dict):
            schema[key] = standard_schema(schema[key])
    for key in _HOLD_LIST:
        if isinstance(schema.get(key), list):
            schema[key] = [standard_schema(entry) for entry in schema[key]]
    for key in _HOLD_MAP:
        if isinstance(schema.get(key), dict):
            schema[key] = {name: standard_schema(entry) for name, entry in schema[key].items()}
    return schema
