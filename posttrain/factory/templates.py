"""The prompts of data stages: Jinja files, rendered in a sandbox. A name that a file uses and nobody gives is an error.

Knows nothing of models or rows; what a prompt may use stands in docs/factory.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.errors import DataError
from rewards.models.quoting import quote, without_hidden_characters

FORM = "reply_form"
_GENERATE = {"generate": ("question",)}
# What each prompt may use, beside the form of its reply where one is asked for.
VARIABLES: dict[str, dict[str, tuple[str, ...]]] = {
    "verify": {
        **_GENERATE,
        "judge": ("question", "answer", "reasoning", "gold", "reference", FORM),
        "compare": ("question", "first", "second", "first_reasoning", "second_reasoning", FORM),
    },
    "prefer": {
        **_GENERATE,
        "compare": ("question", "first", "second", "first_reasoning", "second_reasoning", FORM),
    },
    "refine": {
        **_GENERATE,
        "checklist": ("question", "most", FORM),
        "revise_checklist": ("question", "most", "checklist", "drafts", FORM),
        "score": ("question", "answer", "checklist", "findings", FORM),
        "revise": ("question", "answer", "open_items", "findings", "critique"),
    },
    "reconstruct": {
        "summary": ("question", "answer", FORM),
        "chain": ("question", "answer", "summary", "min_words", "max_words"),
        "audit": ("question", "answer", "chain", FORM),
    },
    "tests": {
        "design": ("seed", FORM),
        "describe": ("idea", "solution", "tests", "interface", FORM),
        "solve": ("question", "interface", "starter", "limits"),
        "inputs": ("question", "interface", "calls", "most", "max_bytes", "limits", "faults", FORM),
    },
}


class Prompts:
    """The compiled prompts of a kind of stage, by name. Raises DataError where a file is no template, uses what it is
    not given, or does not show the form of the reply."""

    def __init__(self, kind: str, files: Mapping[str, Path]) -> None:
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.meta import find_undeclared_variables
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
        )
        environment.filters["quoted"] = quoted
        self._files = dict(files)
        self._error = TemplateError
        self._templates = {}
        for name, path in files.items():
            try:
                source = path.read_text(encoding="utf-8")
                used = find_undeclared_variables(environment.parse(source))
                self._templates[name] = environment.from_string(source)
            except (OSError, UnicodeDecodeError, TemplateError) as error:
                raise DataError(
                    f"no prompt can be made of it: {error}", where=str(path), remedy="mend the file"
                ) from None
            _check_names(path, used, VARIABLES[kind][name])

    def text(self, name: str, variables: Mapping[str, Any]) -> str:
        """A prompt with its variables filled in. Raises DataError."""
        try:
            return str(self._templates[name].render(variables)).strip()
        except self._error as error:
            known = ", ".join(sorted(variables))
            raise DataError(
                f"the prompt cannot be written: {error}", where=str(self._files[name]), remedy=f"it may use {known}"
            ) from None


def _check_names(path: Path, used: set[str], known: Sequence[str]) -> None:
    if odd := sorted(used - set(known)):
        raise DataError(
            f"the prompt uses {odd[0]!r}, which it is not given",
            where=str(path),
            remedy=f"it may use {', '.join(known)}",
        )
    if FORM in known and FORM not in used:
        raise DataError(
            f"the prompt does not show {FORM}, so no reply could be read",
            where=str(path),
            remedy=f"end it with {{{{ {FORM} }}}}",
        )


def quoted(text: Any) -> str:
    """Text that nobody vouches for, behind quote marks: nothing in it can pass for a part of the prompt, and none of
    its tags for one of a reply's form."""
    return quote(without_hidden_characters(str(text))).rstrip("\n")
