"""What models have said to a stage, on disk as soon as it is said, so that no rerun asks again.

    replies.jsonl    a JSON list a line: one reply of a server, or the whole batch of an engine
    rows.jsonl       a row a line, once it is finished

A line is written by one write, so a kill leaves at most one torn line, which is cut off; replies are found again by
their offset and not held in memory. Knows nothing of what is asked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.store.failpoints import failpoint

REPLIES, ROWS = "replies.jsonl", "rows.jsonl"


class LineFile:
    """A file of JSON lines that grows; and where each line of it and of earlier files begins."""

    def __init__(self, own: Path, earlier: Sequence[Path], *, point: str) -> None:
        own.parent.mkdir(parents=True, exist_ok=True)
        self._point = point
        self._paths = [*(path for path in reversed(earlier) if path.is_file() and path != own), own]
        _cut_torn_line(own)
        self._stream = own.open("ab", buffering=0)
        self._size = os.fstat(self._stream.fileno()).st_size
        self._readers = [path.open("rb") for path in self._paths]

    def lines(self) -> Iterator[tuple[tuple[int, int], Any]]:
        """(place, value) of every whole line, oldest file first."""
        for number, reader in enumerate(self._readers):
            reader.seek(0)
            offset = 0
            for line in reader:
                if line.endswith(b"\n"):
                    yield (number, offset), json.loads(line)
                offset += len(line)

    def add(self, value: Any) -> tuple[int, int]:
        """Write a line; returns its place."""
        failpoint(f"{self._point}.before")
        offset = self._size
        line = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        self._size += len(line)
        # A raw stream may take a part of it (a signal, a full disk): the rest, or an error.
        while line:
            line = line[self._stream.write(line) :]
        failpoint(f"{self._point}.after")
        return len(self._paths) - 1, offset

    def read(self, place: tuple[int, int]) -> Any:
        """The value of a line."""
        reader = self._readers[place[0]]
        reader.seek(place[1])
        return json.loads(reader.readline())

    def close(self) -> None:
        os.fsync(self._stream.fileno())
        for stream in (self._stream, *self._readers):
            stream.close()


def _cut_torn_line(path: Path) -> None:
    """What a kill in the middle of a write left is no line."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as stream:
        size = stream.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - 65536)
            stream.seek(start)
            found = stream.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            stream.truncate(end)


class Journal:
    """Replies by the key of what was asked, and finished rows by theirs. folder: of this try; earlier: of the tries
    before, newest first."""

    def __init__(self, folder: Path, earlier: Sequence[Path] = ()) -> None:
        self._replies = LineFile(folder / REPLIES, [one / REPLIES for one in earlier], point="factory.reply")
        self._rows = LineFile(folder / ROWS, [one / ROWS for one in earlier], point="factory.row")
        self._reply_places: dict[str, tuple[tuple[int, int], int]] = {}
        self._row_places: dict[str, tuple[int, int]] = {}
        self.used: list[tuple[str, int, int]] = []
        """(role, prompt tokens, tokens of the reply) of every reply that is kept, those of other settings too."""
        for place, entries in self._replies.lines():
            self._note(place, entries)
        for place, value in self._rows.lines():
            self._row_places[value["key"]] = place

    def _note(self, place: tuple[int, int], entries: Sequence[Mapping[str, Any]]) -> None:
        for index, entry in enumerate(entries):
            self._reply_places[entry["key"]] = (place, index)
            reply = entry["reply"]
            self.used.append((entry["role"], reply["prompt_tokens"] or 0, reply["completion_tokens"] or 0))

    def reply(self, key: str) -> dict[str, Any] | None:
        """What was said to the request with this key."""
        found = self._reply_places.get(key)
        if found is None:
            return None
        reply: dict[str, Any] = self._replies.read(found[0])[found[1]]["reply"]
        return reply

    def keep_replies(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Entries {"key", "role", "row", "place", "reply"}, all of them or none."""
        if entries:
            self._note(self._replies.add(list(entries)), entries)

    def row(self, key: str) -> dict[str, Any] | None:
        """What came of the row with this key."""
        place = self._row_places.get(key)
        if place is None:
            return None
        record: dict[str, Any] = self._rows.read(place)["record"]
        return record

    def has_row(self, key: str) -> bool:
        return key in self._row_places

    def keep_row(self, key: str, record: Mapping[str, Any]) -> None:
        self._row_places[key] = self._rows.add({"key": key, "record": record})

    def close(self) -> None:
        self._replies.close()
        self._rows.close()
