"""The prompts of data stages: Jinja files, rendered in a sandbox. A name that a file uses and nobody gives is an error.

Knows nothing of models or rows; what a prompt may use stands in docs/factory.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posttrain.errors import DataError
from rewards.models.quoting import quote, without_hidden_characters


class Prompts:
    """The compiled prompts of a stage, by name. Raises DataError where a file is no template."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        from jinja2 import StrictUndefined, TemplateError
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
                self._templates[name] = environment.from_string(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, TemplateError) as error:
                raise DataError(
                    f"no prompt can be made of it: {error}", where=str(path), remedy="mend the file"
                ) from None

    def text(self, name: str, variables: Mapping[str, Any]) -> str:
        """A prompt with its variables filled in. Raises DataError."""
        try:
            return str(self._templates[name].render(variables)).strip()
        except self._error as error:
            known = ", ".join(sorted(variables))
            raise DataError(
                f"the prompt cannot be written: {error}", where=str(self._files[name]), remedy=f"it may use {known}"
            ) from None


def quoted(text: Any) -> str:
    """Text that nobody vouches for, behind quote marks: nothing in it can pass for a part of the prompt, and none of
    its tags for one of a reply's form."""
    return quote(without_hidden_characters(str(text))).rstrip("\n")
