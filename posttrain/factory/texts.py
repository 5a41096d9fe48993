"""Rows of any shape as text, and text as words and numbers that can be compared: what `clean` sees of a row.

A row is read by the names of its keys (`messages`, `prompt`, `answer`, `text`, ...), whatever its kind; only where none
of them holds text, all its strings are read. Words are compared without case, width of characters and punctuation, but
with the signs of arithmetic: 17 + 25 is another problem than 17 - 25.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from posttrain.errors import DataError

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

QUESTION, ANSWER, GOLD, REJECTED, SYSTEM, OTHER = "user", "assistant", "gold", "rejected", "system", "text"
ROLE_OF_KEY = {
    **dict.fromkeys(
        ("prompt", "question", "instruction", "input", "query", "problem", "context", "passage", "choices", "options"),
        QUESTION,
    ),
    **dict.fromkeys(("messages", "conversations", "conversation", "turns"), QUESTION),
    **dict.fromkeys(
        ("completion", "response", "answer", "answers", "output", "solution", "chosen", "candidates"), ANSWER
    ),
    **dict.fromkeys(("reasoning", "reasoning_content", "thinking", "code", "canonical_solution", "target"), ANSWER),
    **dict.fromkeys(("gold", "reference", "expected", "test", "tests", "label"), GOLD),
    **dict.fromkeys(("text", "content", "document", "body"), OTHER),
    "rejected": REJECTED,
    "system": SYSTEM,
}
ROLE_OF_TURN = {"human": QUESTION, "gpt": ANSWER, "assistant": ANSWER, "system": SYSTEM, "developer": SYSTEM}
NOT_TEXT = {"role", "from", "type", "id", "name", "tool_call_id", "train"}

# Scripts without blanks between words: each character counts as a word.
_DENSE = re.compile(r"([\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
_WORD = re.compile(r"[^\W_]+|[+×÷^=<>≤≥√−]|[-*/%](?=\s*\d)")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One text of a row and whose it is. Example: Field(role="assistant", text="<think>2+2=4</think>4")"""

    role: str
    text: str


def parse_row(line: bytes, where: str) -> dict[str, Any]:
    """The JSON object of a line. Raises DataError with `where`, which names file and row."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        problem = "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"not JSON: {error}"
        raise DataError(problem, where=where, remedy="mend the row or take it out of the file") from None
    if not isinstance(row, dict):
        kind = type(row).__name__
        raise DataError(f"expected a JSON object, got {kind}", where=where, remedy='write {"text": ...} or another row')
    return row


def fields_of(row: dict[str, Any]) -> list[Field]:
    """The texts of a row with their roles, in the order of its keys.

    Example: fields_of({"prompt": "2+2?", "gold": 4}) == [Field(role="user", text="2+2?"), Field(role="gold", text="4")]
    """
    found: list[Field] = []
    for key, value in row.items():
        role = ROLE_OF_KEY.get(key.lower())
        if role is not None:
            _walk(value, role, found)
    if not any(field.text.strip() for field in found):
        for key, value in row.items():
            if key.lower() not in NOT_TEXT:
                _walk(value, OTHER, found)
    return found


def _walk(value: Any, role: str, found: list[Field]) -> None:
    if isinstance(value, str):
        found.append(Field(role=role, text=value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found.append(Field(role=role, text=str(value)))
    elif isinstance(value, list):
        for part in value:
            _walk(part, role, found)
    elif isinstance(value, dict):
        turn = value.get("role", value.get("from"))
        if isinstance(turn, str) and role != REJECTED:
            role = ROLE_OF_TURN.get(turn, QUESTION)
        for key, part in value.items():
            if key not in NOT_TEXT:
                _walk(part, role, found)


def words_of(text: str) -> list[str]:
    """The words, numbers and signs of arithmetic of a text, in small letters.

    Example: words_of("What IS  17 + 25?") == ["what", "is", "17", "+", "25"]
    """
    plain = text if text.isascii() else _DENSE.sub(r" \1 ", unicodedata.normalize("NFKC", text))
    return _WORD.findall(plain.casefold())


class _WordHashes(dict[str, int]):
    """word -> 64 bits, the same in every process, which Python's own `hash` is not. Bounded: emptied when full."""

    def __missing__(self, word: str) -> int:
        if len(self) >= 100_000:
            self.clear()
        value = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        self[word] = value
        return value


_HASHES = _WordHashes()


def hashes_of(words: Sequence[str]) -> Hashes:
    """A number of 64 bits a word [W]."""
    return np.fromiter(map(_HASHES.__getitem__, words), dtype=np.uint64, count=len(words))


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One text of a row, taken apart once for all rules. words: [W]; hashes: [W]; figures: places of words with a digit
    and of signs."""

    role: str
    text: str
    words: list[str]
    hashes: Hashes
    figures: list[int]

    def numbers(self) -> list[str]:
        """The words with a digit, and the signs, in order."""
        return [self.words[place] for place in self.figures]

    def masked(self) -> Hashes:
        """Hashes [W] with every run of digits read as 0, for a comparison that numbers do not disturb."""
        hashes = self.hashes.copy()
        for place in self.figures:
            hashes[place] = _HASHES[_DIGITS.sub("0", self.words[place])]
        return hashes


def take_apart(fields: Iterable[Field]) -> list[Text]:
    """The texts of a row with their words."""
    return [text_of(field.role, field.text) for field in fields]


def text_of(role: str, text: str) -> Text:
    """One text with its words."""
    words = words_of(text)
    figures = [place for place, word in enumerate(words) if not word.isalpha()]
    return Text(role=role, text=text, words=words, hashes=hashes_of(words), figures=figures)


def characters_of(words: Sequence[str]) -> Hashes:
    """A number of 64 bits a character [C] of the words written without blanks: blanks put in or left out do not
    change it."""
    data = "".join(words).encode("utf-32-le", "surrogatepass")
    return (np.frombuffer(data, dtype=np.uint32).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


_FACTOR = 0xD6E8FEB86659FD93


def windows(units: Hashes, size: int) -> Hashes:
    """A hash for each run of `size` units [U - size + 1]. Doubled blocks: about 2 log2(size) passes over the array."""
    count = len(units) - size + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    result: Hashes = np.zeros(count, dtype=np.uint64)
    taken, block, width = 0, units, 1
    while True:
        factor = np.uint64(pow(_FACTOR, width, 1 << 64))
        if size & width:
            result = result * factor + block[taken : taken + count]
            taken += width
        if width * 2 > size:
            break
        block = block[:-width] * factor + block[width:]
        width *= 2
    # The low bits of a product depend on low bits alone: stir, and set runs of other sizes apart.
    result ^= result >> np.uint64(31)
    return result * np.uint64(_FACTOR) + np.uint64(size)


def whole_hash(words: Sequence[str]) -> int:
    """64 bits of a text as a whole, blanks aside."""
    data = "".join(words).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def exact_hash(fields: Sequence[Field | Text]) -> bytes:
    """16 bytes of all texts of a row with their roles; runs of blanks count as one."""
    digest = blake2b(digest_size=16)
    for field in fields:
        digest.update(f"{field.role}\0{' '.join(field.text.split())}\0".encode("utf-8", "surrogatepass"))
    return digest.digest()
