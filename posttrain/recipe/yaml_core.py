"""YAML 1.2 core text -> plain data with a line for every key. The only place of this package that reads YAML.

Built on PyYAML's event stream, not on its constructors: no tag is resolved, nothing is instantiated, aliases are
expanded under a cap, nesting has a limit and scalars follow the 1.2 core schema (`1e-5` is a float, `on` and `1:30` are
text). Knows nothing of recipes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from posttrain.errors import InputError, RecipeError

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 64
_MAX_DIGITS = 40

Key = tuple[str | int, ...]
"""Place of a value: ("stages", 0, "learning_rate"); list items by number."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Plain data and where each value was written. Example: Document(data={"seed": 1}, lines={(): 1, ("seed",): 1})."""

    data: Any
    lines: dict[Key, int]


@dataclass(kw_only=True, slots=True)
class _Node:
    """One composed value; `items` are (key text, key line, child) of a mapping or children of a list."""

    kind: str
    line: int
    scalar: Any = None
    items: list[tuple[str, int, _Node]] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    pending: tuple[str, int] | None = None
    expanded: int = 1
    depth: int = 1


def read_file(path: Path, error: type[InputError] = RecipeError) -> Document:
    """Read one document from a file. Raises `error` for every fault, with file and line."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except FileNotFoundError:
        raise error("no such file", where=str(path), remedy="check the path") from None
    except (IsADirectoryError, PermissionError, NotADirectoryError) as fault:
        raise error(f"cannot be read: {fault.strerror}", where=str(path), remedy="give a readable file") from None
    if raw is None:
        raise error(
            f"larger than {MAX_BYTES:,} bytes",
            where=str(path),
            remedy="a recipe is text of a few hundred lines; data belongs in files of its own",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = raw[: fault.start].count(b"\n") + 1
        raise error(
            f"not UTF-8 (byte 0x{raw[fault.start]:02x})", where=f"{path}:{line}", remedy="save the file as UTF-8"
        ) from None
    return read_text(text, str(path), error)


def read_text(text: str, name: str, error: type[InputError] = RecipeError) -> Document:
    """Read one document from text; `name` stands in messages where a file name would."""
    try:
        root = _compose(text, name, error)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        problem = getattr(fault, "problem", None) or str(fault).splitlines()[0]
        raise error(
            f"not YAML: {problem}",
            where=where,
            remedy="check indentation, quotes and brackets on this line and the one before",
        ) from None
    if root is None:
        raise error("empty", where=name, remedy="start from `posttrain recipe new`")
    lines: dict[Key, int] = {}
    return Document(data=_data_of(root, (), root.line, lines), lines=lines)


def scalar(text: str) -> Any:
    """A plain (unquoted) scalar by the YAML 1.2 core schema. Raises ValueError for a number of absurd length."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text) or _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _compose(text: str, name: str, error: type[InputError]) -> _Node | None:
    """Events -> tree, without recursion. Aliases share their node; the cap counts what they expand to."""
    anchors: dict[str, _Node] = {}
    open_nodes: list[_Node] = []
    root: _Node | None = None
    documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1
        where = f"{name}:{line}"
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise error(
                    "a second document starts here", where=where, remedy="one file holds one document; remove the `---`"
                )
        elif isinstance(event, yaml.AliasEvent):
            node = anchors.get(event.anchor)
            if node is None or node in open_nodes:
                raise error(
                    f"alias *{event.anchor} has no finished anchor before it",
                    where=where,
                    remedy="define the anchor first, outside itself",
                )
            root = _attach(open_nodes, node, line, where, error) or root
        elif isinstance(event, yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if event.tag is not None:
                raise error(
                    f"tag {event.tag!r} is not allowed",
                    where=where,
                    remedy="write the plain value; nothing is instantiated from a recipe",
                )
            node = _node_of(event, line, where, error)
            if event.anchor is not None:
                anchors[event.anchor] = node
            root = _attach(open_nodes, node, line, where, error) or root
            if node.kind != "scalar":
                open_nodes.append(node)
                if len(open_nodes) > MAX_DEPTH:
                    raise error(f"nested deeper than {MAX_DEPTH} levels", where=where, remedy="flatten it")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            _close(open_nodes.pop(), name, error)
    return root


def _close(done: _Node, name: str, error: type[InputError]) -> None:
    """Count what a finished collection expands to, aliases included, before anything is expanded."""
    done.expanded += sum(child.expanded for _, _, child in done.items)
    done.depth += max((child.depth for _, _, child in done.items), default=0)
    if done.expanded > MAX_NODES or done.depth > MAX_DEPTH:
        limit = f"more than {MAX_NODES:,} values" if done.expanded > MAX_NODES else f"more than {MAX_DEPTH} levels"
        raise error(f"expands to {limit}", where=f"{name}:{done.line}", remedy="remove the aliases that multiply it")


def _node_of(event: Any, line: int, where: str, error: type[InputError]) -> _Node:
    if isinstance(event, yaml.MappingStartEvent):
        return _Node(kind="map", line=line)
    if isinstance(event, yaml.SequenceStartEvent):
        return _Node(kind="list", line=line)
    try:
        return _Node(kind="scalar", line=line, scalar=scalar(event.value) if event.implicit[0] else event.value)
    except ValueError as fault:
        raise error(str(fault), where=where, remedy="quote it if text is meant") from None


def _attach(open_nodes: list[_Node], node: _Node, line: int, where: str, error: type[InputError]) -> _Node | None:
    """Hang `node` on the innermost open one; the root is returned, everything else gives None."""
    if not open_nodes:
        return node
    parent = open_nodes[-1]
    if parent.kind == "list":
        parent.items.append(("", line, node))
    elif parent.pending is None:
        if node.kind != "scalar" or not isinstance(node.scalar, str) or not node.scalar:
            raise error("a key must be text", where=where, remedy="quote the key")
        first = parent.keys.get(node.scalar)
        if first is not None:
            raise error(
                f"duplicate key '{node.scalar}', first on line {first}", where=where, remedy="keep one of the two"
            )
        parent.keys[node.scalar] = line
        parent.pending = (node.scalar, line)
    else:
        key, key_line = parent.pending
        parent.pending = None
        parent.items.append((key, key_line, node))
    return None


def _data_of(node: _Node, path: Key, line: int, lines: dict[Key, int]) -> Any:
    lines[path] = line
    if node.kind == "scalar":
        return node.scalar
    if node.kind == "list":
        numbered = enumerate(node.items)
        return [_data_of(child, (*path, index), child_line, lines) for index, (_, child_line, child) in numbered]
    return {key: _data_of(child, (*path, key), key_line, lines) for key, key_line, child in node.items}
