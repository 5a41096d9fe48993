"""The stated form of a reply: fields with their kinds, as instructions for a prompt, as a JSON schema, and as a parser.

A reply is read by tags, or as JSON where the server enforces the schema. What does not fit is `Unreadable` with the
reason: nothing is guessed. Knows nothing of models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rewards.prose.visible import visible_text

_ATTRIBUTE = re.compile(r'([a-z_]+)\s*=\s*"([^"<>]*)"')


class Unreadable(ValueError):
    """A reply that is not in its form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a reply. kind: label (one of `labels`), number (a whole one, `low` to `high`), text, or items (each
    a text with `attributes`, name -> its labels, () for a whole number from 1).

    Example: Field(name="verdict", kind="label", labels=("right", "wrong"), says="whether the answer is right")
    """

    name: str
    kind: Literal["label", "number", "text", "items"]
    says: str
    labels: tuple[str, ...] = ()
    low: int = 0
    high: int = 10
    attributes: Mapping[str, tuple[str, ...]] | None = None
    item: str = "item"
    most: int = 64  # items


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """The fields of a reply, in order. check: what must hold between them; raises Unreadable."""

    fields: tuple[Field, ...]
    check: Callable[[Mapping[str, Any]], None] | None = None

    def said(self, *, structured: bool) -> str:
        """How to answer, for the end of a prompt."""
        if structured:
            lines = [f'- "{field.name}": {field.says}' for field in self.fields]
            return "\n".join(["Reply with one JSON object that has these keys:", *lines])
        shown = "\n".join(_shown(field) for field in self.fields)
        return f"Reply in exactly this form, each tag once, and with nothing after it:\n{shown}"

    def schema(self) -> dict[str, Any]:
        """The JSON schema that a server is to enforce."""
        return {
            "type": "object",
            "properties": {field.name: _schema(field) for field in self.fields},
            "required": [field.name for field in self.fields],
            "additionalProperties": False,
        }

    def read(self, reply: str, think: tuple[str, str], *, structured: bool) -> dict[str, Any]:
        """The fields of a reply; items as {"text": ..., attribute: ...}. Raises Unreadable."""
        text = visible_text(reply, think)
        if structured:
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise Unreadable(f"no JSON: {error}") from None
            if not isinstance(found, dict) or found.keys() != {field.name for field in self.fields}:
                raise Unreadable("not an object with the keys of the form")
            fields = {field.name: _checked(field, found[field.name]) for field in self.fields}
        else:
            fields = {field.name: _checked(field, _tagged(field, text)) for field in self.fields}
        if self.check is not None:
            self.check(fields)
        return fields


def _shown(field: Field) -> str:
    if field.kind == "items":
        names = {
            name: "|".join(labels) if labels else "its number" for name, labels in (field.attributes or {}).items()
        }
        attributes = "".join(f' {name}="{value}"' for name, value in names.items())
        return f"<{field.name}>\n<{field.item}{attributes}>{field.says}</{field.item}>\n...\n</{field.name}>"
    values = {"label": " or ".join(field.labels), "number": f"a whole number from {field.low} to {field.high}"}
    known = values.get(field.kind)
    return f"<{field.name}>{f'{known}: ' if known else ''}{field.says}</{field.name}>"


def _schema(field: Field) -> dict[str, Any]:
    if field.kind == "label":
        return {"type": "string", "enum": list(field.labels)}
    if field.kind == "number":
        return {"type": "integer", "minimum": field.low, "maximum": field.high}
    if field.kind == "text":
        return {"type": "string"}
    own = {
        name: {"type": "string", "enum": list(labels)} if labels else {"type": "integer", "minimum": 1}
        for name, labels in (field.attributes or {}).items()
    }
    item = {
        "type": "object",
        "properties": {"text": {"type": "string"}, **own},
        "required": ["text", *own],
        "additionalProperties": False,
    }
    return {"type": "array", "items": item, "maxItems": field.most}


def _tagged(field: Field, text: str) -> Any:
    inside = _only(text, field.name)
    if field.kind != "items":
        return inside.strip()
    found = []
    for part in re.split(rf"<{field.item}\b", inside)[1:]:
        head, closed, rest = part.partition(">")
        body, ended, _ = rest.partition(f"</{field.item}>")
        if not closed or not ended:
            raise Unreadable(f"<{field.item}> of <{field.name}> does not end")
        found.append({"text": body.strip(), **dict(_ATTRIBUTE.findall(head))})
    return found


def _only(text: str, name: str) -> str:
    opening, closing = f"<{name}>", f"</{name}>"
    if text.count(opening) != 1 or text.count(closing) != 1 or text.index(opening) > text.index(closing):
        count = text.count(opening)
        raise Unreadable(f"no <{name}>" if not count else f"{count} <{name}>" if count > 1 else f"<{name}> has no end")
    return text[text.index(opening) + len(opening) : text.index(closing)]


def _checked(field: Field, value: Any) -> Any:
    """The value of a field. Raises Unreadable."""
    if field.kind == "items":
        if not isinstance(value, list) or len(value) > field.most or not value:
            raise Unreadable(f"{field.name} has {len(value) if isinstance(value, list) else 'no'} items")
        return [_checked_item(field, item) for item in value]
    if field.kind == "number":
        return _number(field.name, value, field.low, field.high)
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(f"{field.name} is empty")
    value = value.strip()
    if field.kind == "label":
        label = value.casefold()
        if label not in field.labels:
            raise Unreadable(f"{field.name} is {value[:40]!r}, not {' or '.join(field.labels)}")
        return label
    return value


def _checked_item(field: Field, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        raise Unreadable(f"an item of {field.name} has no text")
    found: dict[str, Any] = {"text": item["text"].strip()}
    for name, labels in (field.attributes or {}).items():
        value = item.get(name)
        if labels and (not isinstance(value, str) or value.strip().casefold() not in labels):
            raise Unreadable(f"{name} of an item is {value!r}, not {' or '.join(labels)}")
        found[name] = str(value).strip().casefold() if labels else _number(name, value, 1, 10**6)
    return found


def _number(name: str, value: Any, low: int, high: int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,7}", text) or not low <= int(text) <= high:
        raise Unreadable(f"{name} is {text[:40]!r}, not a whole number from {low} to {high}")
    return int(text)
