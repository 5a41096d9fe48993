"""Values laid out in an environment or by unit vectors, as plain text: \\begin{cases}, a\\mathbf{i} + b\\mathbf{j},
parts (i), (ii).

Texts in, texts out; knows nothing of values.
"""

from __future__ import annotations

import re

_CASES = re.compile(r"(?P<head>[^{}]{0,20}?= ?)?\\begin ?\{cases\}(?P<body>.*?)\\end ?\{cases\}[ .]*\Z", re.DOTALL)
_IF = re.compile(r"^(?:\\text ?\{)? ?(?:if|for|when|where)\b ?\}?|[,.; ]+\Z", re.IGNORECASE)
_UNIT_VECTOR = re.compile(
    r"\\(?:mathbf|hat|vec|mathbf ?\{\\hat|hat ?\{\\mathbf) ?\{? ?\\?(?P<name>[ijk])(?:math)? ?\}*"
)
_FAMILY = re.compile(
    r"\\\{ ?(?P<member>[^{}|:]{1,100}(?:\{[^{}]{1,40}\}[^{}|:]{0,60}){0,4}?) ?(?:\||\\mid(?![A-Za-z])|"
    r":) ?(?P<name>[a-z]) ?\\in ?"
    r"(?P<domain>\\mathbb ?\{?[ZN]\}?(?:[_^]\{?.{1,5}\}?)?) ?\\\}\Z"
)
_LABEL = re.compile(r"(?:\A|(?<=[\s;,.]))\((?P<label>i{1,3}|iv|v|[a-f]|[1-6])\) ?")
_ORDER = (("i", "ii", "iii", "iv", "v"), tuple("abcdef"), tuple("123456"))


def cases(text: str) -> list[tuple[str, str]] | None:
    """(value, condition) of each row of `\\begin{cases} x & x > 0 \\\\ ... \\end{cases}`, "" for rows without one; None
    for other text."""
    match = _CASES.match(text) if "cases" in text else None
    if match is None:
        return None
    rows = []
    for row in re.split(r"\\\\", match["body"]):
        value, _, condition = row.strip().partition("&")
        condition = condition.replace("&", " ")
        for _ in range(3):
            condition = _IF.sub("", condition.strip())
        if value.strip():
            rows.append((value.strip().rstrip(",;").strip(), condition.strip()))
    return rows or None


def system(text: str) -> str:
    """Cases without conditions, `\\begin{cases} x = 4 \\\\ y = 6 \\end{cases}`, as "x = 4, y = 6"; other text as it
    is."""
    rows = cases(text)
    return text if rows is None or any(condition for _, condition in rows) else ", ".join(value for value, _ in rows)


def family(text: str) -> tuple[str, str] | None:
    """("2k+1", "k in Z") of the set `\\{2k + 1 \\mid k \\in \\mathbb{Z}\\}`; None for a text that is no set of that
    form."""
    match = _FAMILY.match(text)
    domain = re.sub(r"[^A-Z+*0-9]", "", match["domain"].replace("mathbb", "")) if match else ""
    return None if match is None else (match["member"].strip(), f"{match['name']} in {domain}")


def unit_vectors(text: str) -> list[str] | None:
    """The components of `2\\mathbf{i} - \\mathbf{j} + 5\\mathbf{k}`: ["2", "-1", "5"]; None for a text that is no sum
    of unit vectors. i and j alone: two of them."""
    if not _UNIT_VECTOR.search(text):
        return None
    found: dict[str, str] = {}
    position = 0
    for match in _UNIT_VECTOR.finditer(text):
        before = text[position : match.start()].replace(" ", "").rstrip("*")
        position = match.end()
        sign, factor = ("-", before[1:]) if before[:1] == "-" else ("", before.removeprefix("+"))
        if match["name"] in found or (found and before[:1] not in ("+", "-")):
            return None
        found[match["name"]] = sign + (factor or "1")
    if text[position:].strip():
        return None
    return [found.get(name, "0") for name in ("ijk" if "k" in found else "ij")]


def labelled(text: str) -> list[str] | None:
    """The parts of `(i) 3; (ii) 5` in order; None where the labels are not the first ones of one row, or there is only
    one."""
    marks = list(_LABEL.finditer(text))
    names = tuple(mark["label"] for mark in marks)
    if len(marks) < 2 or marks[0].start() or not any(row[: len(names)] == names for row in _ORDER):
        return None
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    parts = [text[mark.end() : end].strip(" ;,.") for mark, end in zip(marks, ends, strict=True)]
    return parts if all(parts) else None
