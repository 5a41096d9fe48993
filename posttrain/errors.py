"""Every error this package raises on purpose: what was wrong, where, and the remedy.

    PosttrainError(Exception)                exit 1
    ├── InputError(ValueError)               exit 2   the user can mend it: recipe, data, checkpoint, folder, option
    │   ├── RecipeError                               a key or value of a recipe, with file, line and key path
    │   ├── DataError                                 a row, a file, a card, a digest
    │   ├── CheckpointError                           a model folder that is missing, torn, foreign or incomplete
    │   └── RunFolderError                            a folder of another recipe, or held by another process
    │       └── RecordError                           a file of a run that does not hold what such a file holds
    ├── BackendError(RuntimeError)           exit 69  a part this machine lacks: Docker, vLLM, torch, a GPU, Ray
    ├── StageError(RuntimeError)             exit 1   a stage failed; the same command resumes
    │   ├── OutOfMemory                               a trainer worker had no memory left
    │   └── Restart                                   another attempt is to be made at once
    └── Stopped(RuntimeError)                exit 75  stopped on request at a safe point

All cross process boundaries (Ray, multiprocessing), so each pickles with its fields. Knows nothing of how errors are
printed.
"""

from __future__ import annotations


class PosttrainError(Exception):
    """Root of the tree. `what` is one sentence with the offending value; `where` a file, line or key; `remedy` what to
    do."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  remedy: {self.remedy}" if self.remedy else head

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(kind: type[PosttrainError], what: str, where: str | None, remedy: str | None) -> PosttrainError:
    return kind(what, where=where, remedy=remedy)


class InputError(PosttrainError, ValueError):
    """Something the user gave is wrong; nothing was written."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe cannot be read as one."""


class DataError(InputError):
    """A data source, a row of it, or its card is wrong."""


class CheckpointError(InputError):
    """A checkpoint cannot be used: absent, torn, of another tokenizer, or without a chat template."""


class RunFolderError(InputError):
    """The run folder belongs to another recipe, or another live process holds it."""


class RecordError(RunFolderError):
    """A file that a run left does not hold what this version writes there."""


class BackendError(PosttrainError, RuntimeError):
    """A part that the recipe needs is missing on this machine."""

    exit_code = 69


class StageError(PosttrainError, RuntimeError):
    """A stage failed. What was published stays; the same command continues."""


class OutOfMemory(StageError):
    """A trainer worker ran out of memory, on its GPU or its host."""


class Restart(StageError):
    """This attempt ended, and the next one, made from its last checkpoint, has what it takes to go on."""


class Stopped(PosttrainError, RuntimeError):
    """Stopped on request (SIGTERM, Ctrl-C, `posttrain stop`) after the last safe point was saved."""

    exit_code = 75
