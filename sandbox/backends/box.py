"""What every backend offers the judge: a `Backend` that starts boxes, and a `Box`, a channel of frames to one
supervisor.

A box never sees an expected value. Anything unexpected on its channel is a Fault: the box is thrown away and the
program retried. Knows nothing of tests and outcomes.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.errors import Fault, ImageError
from sandbox.inside.contract import inside_version
from sandbox.inside.frames import FrameBuffer, FrameError, pack_frame
from sandbox.types import Level, Limits

START_SECONDS = 20.0
GRACE_SECONDS = 10.0  # beyond a test's own limits, in which its box must have answered
SEND_SECONDS = 20.0  # for one frame; a supervisor that does not read must not hold its judge
_MAX_ANSWER_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What a box is made for: the largest memory and disk limits, in MB, that a test in it may have.

    Example: Size.of(Limits(memory_mb=600)) == Size(memory_mb=1024, disk_mb=32)
    """

    memory_mb: int = 512
    disk_mb: int = 32

    @classmethod
    def of(cls, limits: Limits) -> Size:
        """Rounded up to powers of two, so that programs of much the same limits share a box."""
        memory, disk = (1 << (number - 1).bit_length() for number in (limits.memory_mb, limits.disk_mb))
        return cls(memory_mb=max(memory, cls().memory_mb), disk_mb=max(disk, cls().disk_mb))

    def holds(self, other: Size) -> bool:
        return self.memory_mb >= other.memory_mb and self.disk_mb >= other.disk_mb

    @property
    def folder_bytes(self) -> int:
        """Room in each of the two folders in memory; more than the limit, so that the judge can see it passed."""
        return 2 * self.disk_mb * 1024 * 1024

    @property
    def memory_bytes(self) -> int:
        """Memory of the whole box: the test, its two folders, and 128 MB for the supervisor and what the kernel
        keeps."""
        return (self.memory_mb + 128) * 1024 * 1024 + 2 * self.folder_bytes


SMALL = Size()


class Channel(Protocol):
    """Raw bytes to and from one supervisor."""

    def send(self, data: bytes) -> None:
        """All of it. Raises OSError when the box is gone, TimeoutError when it has not taken it in SEND_SECONDS."""
        ...

    def receive(self, timeout_seconds: float) -> bytes:
        """Some bytes; empty at end of stream. Raises TimeoutError."""
        ...

    def close(self) -> None:
        """End the box and everything in it."""
        ...


class Backend(Protocol):
    """A way to make boxes."""

    name: str
    level: Level

    @property
    def images(self) -> Mapping[str, str]:
        """What runs inside: a digest a profile, as far as boxes of it were made; empty where nothing is laid out."""
        ...

    def start(self, slot: int, role: str, profile: str = "plain", size: Size = SMALL) -> Channel:
        """A channel to a fresh supervisor. `role` is candidate, test or session; `profile` as in root_tree.py. Raises
        Fault, ImageError."""
        ...

    def close(self) -> None: ...


class Box:
    """Frames over a channel, with a deadline on each read. Raises Fault, ImageError."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._buffer = FrameBuffer(limit=_MAX_ANSWER_BYTES)
        if self._expect("ready", START_SECONDS).get("inside") != inside_version():
            self.channel.close()
            raise ImageError(
                "what runs inside is of another version than this judge",
                remedy="build the image again (posttrain sandbox build)",
            )

    def send(self, message: dict[str, Any]) -> None:
        try:
            self.channel.send(pack_frame(message))
        except (OSError, ValueError) as error:  # a ValueError when it was closed on our side
            raise Fault(f"the box's channel is closed: {error}") from error

    def receive(self, timeout_seconds: float) -> dict[str, Any]:
        """The next frame. Raises Fault at end of stream, after the deadline, for what is no frame, and for a test that
        never began."""
        deadline = time.monotonic() + timeout_seconds
        try:
            while (message := self._buffer.next()) is None:
                data = self.channel.receive(max(0.0, deadline - time.monotonic()))
                if not data:
                    raise Fault("the supervisor ended")
                self._buffer.feed(data)
        except (OSError, ValueError, FrameError) as error:  # TimeoutError is an OSError; ValueError as in send
            raise Fault(f"no answer from the box: {type(error).__name__} {error}") from error
        if message.get("stillborn"):
            raise Fault(
                "the box could not begin the test: "
                f"{message.get('killed') or message.get('stderr') or message.get('exit')}"
            )
        return message

    def ping(self, timeout_seconds: float = 5.0) -> None:
        self.send({"op": "ping"})
        self._expect("pong", timeout_seconds)

    def close(self) -> None:
        self.channel.close()

    def _expect(self, op: str, timeout_seconds: float) -> dict[str, Any]:
        try:
            message = self.receive(timeout_seconds)
        except Fault as error:
            self.channel.close()
            raise Fault(f"{error.what}; {self._last_words()}".rstrip("; "), where=op) from error
        if message.get("op") != op:
            self.channel.close()
            raise Fault(f"the box said {message.get('op')!r} where {op!r} was due")
        return message

    def _last_words(self) -> str:
        return str(getattr(self.channel, "last_words", ""))


def wait_for(descriptor: int, event: int, seconds: float) -> bool:
    """Whether `event` (or the end of the stream) comes in time. By poll: select knows no descriptor above 1,023, a
    trainer has more."""
    waiting = select.poll()
    waiting.register(descriptor, event)
    return bool(waiting.poll(max(0.0, seconds) * 1000))


class PipeChannel:
    """A supervisor that is a child process of ours, spoken to over its stdin and stdout. `cleanup` runs once, after its
    end."""

    def __init__(
        self, command: list[str], *, environment: dict[str, str] | None = None, user: int | None = None, cwd: str = "/"
    ) -> None:
        self.last_words = ""
        self._closing = threading.Lock()
        identity: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=cwd,
                bufsize=0,
                # A session of its own: a test may change the share of the processor that its session gets, and what is
                # typed at our terminal (Ctrl-C) must not end it.
                start_new_session=True,
                **identity,
            )
        except OSError as error:
            raise Fault(f"cannot start {command[0]}: {error}") from error
        if self.process.stdin is None or self.process.stdout is None or self.process.stderr is None:
            raise Fault("the box has no pipes")
        self._in, self._out, self._err = self.process.stdin, self.process.stdout, self.process.stderr
        for pipe in (self._in, self._out, self._err):
            # No end of a pipe may hold us: whatever outlives the supervisor can keep its own open.
            os.set_blocking(pipe.fileno(), False)

    def send(self, data: bytes) -> None:
        view, until = memoryview(data), time.monotonic() + SEND_SECONDS
        while view:
            try:
                view = view[os.write(self._in.fileno(), view) :]
            except BlockingIOError:
                if not wait_for(self._in.fileno(), select.POLLOUT, until - time.monotonic()):
                    raise TimeoutError(f"not read in {SEND_SECONDS:.0f} s") from None

    def receive(self, timeout_seconds: float) -> bytes:
        if not wait_for(self._out.fileno(), select.POLLIN, timeout_seconds):
            raise TimeoutError(f"nothing in {timeout_seconds:.0f} s")
        return os.read(self._out.fileno(), 1 << 20)

    def close(self) -> None:
        with self._closing:  # a pool may end the box of a session that ends by itself
            if not self._out.closed:
                self._close()

    def _close(self) -> None:
        self._in.close()  # a supervisor kills everything and ends when its stdin does
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.last_words = (self._err.read(4000) or b"").decode("utf-8", "replace").strip()[-600:]
        self._out.close()
        self._err.close()
