"""Hostile bytes and hostile values, by property: whatever a candidate or its channel sends is judged or a fault, and
never a pass."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.backends.box import Box
from sandbox.errors import Fault
from sandbox.inside.codec import Malformed, pack, unpack
from sandbox.inside.contract import inside_version
from sandbox.inside.frames import FrameBuffer, FrameError, pack_frame, to_text
from sandbox.judging.compare import Equality, Tolerance, same_output, same_value
from sandbox.judging.packed_values import validate
from sandbox.judging.runnable_tests import CallCase
from sandbox.judging.verdicts import judge_call, read_message
from sandbox.types import Limits, Outcome

SECRET = "what no candidate knows"
CALL = CallCase(name="f", args=[], kwargs={}, expected=SECRET, how=Equality(json=True))
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["t", "v", "k", "tuple", "nan"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["t", "v", "k", "op", "x"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)
messages = st.builds(
    lambda kind, value, more: {**(more if isinstance(more, dict) else {}), "k": kind, "v": value},
    st.sampled_from(["value", "error", "exit", "compile", "call", "done", "pytest", "verdict"]) | anything,
    anything,
    anything,
)


def raw(message: bytes) -> dict[str, Any]:
    """A box's report on a child that wrote `message` and ended by itself."""
    figures = {"exit": 0, "signal": None, "killed": None, "cpu": 0.1, "wall": 0.1, "rss_mb": 9.0, "bytes": 0}
    return {**figures, "stdout": "", "stderr": "", "message": to_text(message)}


@given(st.binary(max_size=300))
def test_bytes_on_the_outbox_are_never_a_pass(data: bytes) -> None:
    for sent in (data, struct.pack(">I", len(data)) + data):
        assert judge_call(CALL, raw(sent), Limits()).outcome is not Outcome.PASS


@given(messages)
def test_messages_on_the_outbox_are_never_a_pass(message: dict[str, Any]) -> None:
    assert judge_call(CALL, raw(pack_frame(message)), Limits()).outcome is not Outcome.PASS


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_only_the_first_message_counts(first: bytes, rest: bytes) -> None:
    sent = pack_frame({"k": "value", "v": to_text(first)})
    assert read_message(raw(sent + rest)) == read_message(raw(sent))


@given(anything)
def test_what_validates_can_be_unpacked_compared_and_packed_again(tree: Any) -> None:
    try:
        validate(tree)
        value = unpack(tree)
    except Malformed:
        return
    for how in (Equality(json=True), Equality(json=False), Equality(json=True, tolerance=Tolerance(abs=1.0))):
        assert same_value(SECRET, tree, how) is (tree == SECRET)
    validate(json.loads(json.dumps(pack(value))))


class Wire:
    """A channel that says what it is given, in pieces, and then nothing more."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.closed = False

    def send(self, data: bytes) -> None:
        """Taken and forgotten."""

    def receive(self, timeout_seconds: float) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def close(self) -> None:
        self.closed = True


READY = pack_frame({"op": "ready", "inside": inside_version()})


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_a_supervisor_that_talks_nonsense_is_a_fault_and_its_box_is_closed(pieces: list[bytes]) -> None:
    wire = Wire(pieces)
    with pytest.raises(Fault):
        Box(wire)
    assert wire.closed


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_nonsense_after_a_good_start_is_a_fault_or_an_object(pieces: list[bytes]) -> None:
    box = Box(Wire([READY, *pieces]))
    try:
        while True:
            assert isinstance(box.receive(1.0), dict)
    except Fault:
        return


@given(
    st.lists(anything.filter(lambda tree: isinstance(tree, dict)), max_size=4),
    st.lists(st.integers(1, 9), min_size=1),
    st.binary(max_size=20),
)
def test_whole_frames_are_found_whatever_the_pieces_and_whatever_follows(
    frames: list[Any], sizes: list[int], tail: bytes
) -> None:
    frames = [frame for frame in frames if frame == frame and json.loads(json.dumps(frame)) == frame]
    data = b"".join(map(pack_frame, frames)) + tail
    buffer, found, at, turn = FrameBuffer(limit=4096), [], 0, 0
    try:
        while at < len(data):
            size = sizes[turn % len(sizes)]
            buffer.feed(data[at : at + size])
            at, turn = at + size, turn + 1
            while (message := buffer.next()) is not None:
                found.append(message)
    except FrameError:
        pass  # the tail is no frame; what came before it stands
    assert found[: len(frames)] == frames


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(10**6), 10**6).map(float)
sizes = st.floats(0, 10, allow_nan=False)


@given(numbers, numbers, sizes, sizes)
def test_tolerance_is_what_it_says(a: float, b: float, most: float, share: float) -> None:
    same = same_output(repr(a).encode(), repr(b).encode(), "float", Tolerance(abs=most, rel=share))
    assert same == (a == b or abs(a - b) <= max(most, share * abs(a)))
    assert same_value(a, b, Equality(json=True, tolerance=Tolerance(abs=most, rel=share))) == same


@given(
    st.sampled_from(["nan", "NaN", "-nan", "+NAN", "Nan"]),
    st.sampled_from(["nan", "NaN", "-nan", "0", "1e999", "inf", ""]),
    sizes,
)
def test_not_a_number_is_never_an_answer(expected: str, got: str, size: float) -> None:
    tolerance = Tolerance(abs=size, rel=size)
    assert not same_output(expected.encode(), got.encode(), "float", tolerance)
    assert not same_value(math.nan, pack(float(got or "0")), Equality(json=True, tolerance=tolerance))


@given(st.binary(max_size=12), st.binary(max_size=12), sizes)
def test_tokens_that_are_no_numbers_agree_only_when_they_are_the_same(a: bytes, b: bytes, size: float) -> None:
    same = same_output(a, b, "float", Tolerance(abs=size))
    if same_output(a, b, "tokens", None) and b"nan" not in a.lower():
        assert same
    if same and a.split() != b.split():
        pairs = [(x, y) for x, y in zip(a.split(), b.split(), strict=True) if x != y]
        assert all(abs(float(x) - float(y)) <= size for x, y in pairs)


line = st.text(alphabet="ab1 ", min_size=1, max_size=4).filter(
    lambda text: bool(text.strip()) and not text.startswith(" ")
)


@given(st.lists(line, min_size=1, max_size=6), st.randoms())
def test_lines_in_any_order_keep_their_number(lines: list[str], random: Any) -> None:
    mixed = list(lines)
    random.shuffle(mixed)
    expected, got = "\n".join(lines).encode(), "\n".join(mixed).encode() + b"\n\n"
    assert same_output(expected, got, "unordered_lines", None)
    fewer = "\n".join(mixed[1:]).encode()
    assert not same_output(expected, fewer, "unordered_lines", None) or Counter(mixed[1:]) == Counter(lines)
