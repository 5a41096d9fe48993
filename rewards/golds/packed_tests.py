"""LiveCodeBench's packed tests: base64 of zlib of a pickle of one text, which is JSON. Nothing is unpickled: the text
is taken from the pickle's opcodes, and a pickle of anything else is refused."""

from __future__ import annotations

import base64
import json
import pickletools
import zlib
from typing import Any

from rewards.errors import GoldError

_MOST_BYTES = 512 * 1024 * 1024  # unpacked; the largest real ones have about 100 MB
_FRAMING = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP"}
_TEXT = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}


def unpacked(packed: str, place: str) -> Any:
    """The JSON value in a packed column. Raises GoldError for anything that is not packed so."""
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(packed, validate=True), _MOST_BYTES)
    except (ValueError, zlib.error) as error:
        raise GoldError(f"{place} is neither JSON nor base64 of zlib: {error}") from error
    if not inflate.eof:
        raise GoldError(f"{place} is cut short, or unpacks to more than {_MOST_BYTES} bytes")
    text = data.decode("utf-8", "replace") if data[:1] in b"[{" else _text_of_pickle(data, place)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GoldError(f"{place} unpacks to text that is no JSON: {error}") from error


def _text_of_pickle(data: bytes, place: str) -> str:
    texts = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _TEXT:
                texts.append(str(argument))
            elif opcode.name not in _FRAMING:
                raise GoldError(
                    f"{place} holds a pickle with the opcode {opcode.name}: only a pickle of one text is read",
                    remedy="a pickle of objects can run code when it is loaded; store the tests as JSON",
                )
    except (ValueError, UnicodeDecodeError) as error:
        raise GoldError(f"{place} unpacks to no pickle: {error}") from error
    if len(texts) != 1:
        raise GoldError(f"{place} holds a pickle of {len(texts)} texts, not of one")
    return texts[0]
