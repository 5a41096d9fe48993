"""Whether an error says that memory ran out: a GPU's, or this process's own. Knows nothing of what to do about it."""

from __future__ import annotations

from posttrain.errors import PosttrainError

SHOWN = 300  # characters of a library's message; CUDA's goes on with advice
_SAYINGS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether it, or an error behind it, does. One of ours does not: it may tell of another process, such as an
    engine."""
    while error is not None and not isinstance(error, PosttrainError):
        text = str(error)
        # torch.OutOfMemoryError is a RuntimeError
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(saying in text for saying in _SAYINGS):
            return True
        error = error.__cause__ or error.__context__
    return False


def in_short(error: BaseException) -> str:
    """Its kind and message on one line, cut."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:SHOWN]
