"""How text that nobody vouches for is shown to a model: quoted, cut short, with nothing in it that could pass for a
part of our own prompt.

Linear scans. Knows nothing of verifiers or models.
"""

from __future__ import annotations

import re
import unicodedata

QUOTE = "| "
LEAST_REPEATED = 12  # letters and digits: a shorter answer may be its question, and right
# Halves of a surrogate pair: no server takes them, and an answer must not make a request fail.
_LONE = re.compile(r"[\ud800-\udfff]")
_HIDDEN = ("Cf", "Co", "Cn", "Cs")  # categories of characters that are not shown, or reorder what is shown
_MARK = re.compile(
    r"^[ \t]*(?:#{1,6}|[-*+•>]|\d{1,3}[.)])[ \t]+|\*\*|__|`+|~~|^[ \t]*(?:[-*_=][ \t]*){3,}$|\|", re.MULTILINE
)
_TAG = re.compile(r"<[^<>]{0,200}>")


def quote(text: str) -> str:
    """Each line behind a quote mark; marks of chat templates broken, so that they are text and no control tokens."""
    calm = _LONE.sub("\ufffd", text).replace("<|", "< |").replace("|>", "| >").replace("</", "< /")
    return "".join(f"{QUOTE}{line}\n" for line in calm.strip().splitlines() or [""])


def escape_labels(text: str, labels: tuple[str, ...], headings: tuple[str, ...]) -> str:
    """The text with every heading of our prompt, and every line or bracket that holds nothing but a label, rewritten so
    that neither can pose as ours.

    Example: escaped("\\boxed{A}, says Grade A", ("A", "B"), ()) -> "boxed (A), says Grade A".
    """
    for heading in headings:
        text = re.sub(
            re.escape(heading.strip().rstrip(":")) + r"(?=\s*:)", lambda m: f"({m.group(0)})", text, flags=re.IGNORECASE
        )
    either = "|".join(map(re.escape, labels))
    text = re.sub(rf"\[\[\s*({either})\s*\]\]", r"[ (\1) ]", text)
    text = re.sub(rf"\\boxed\s*\{{\s*({either})\s*\}}", r"boxed (\1)", text)
    return re.sub(rf"^([^\w\n]*)({either})([^\w\n]*)$", r"\1(\2)\3", text, flags=re.MULTILINE)  # within a line: linear


def limit_markdown(text: str, most: int) -> str:
    """`text` with its first `most` marks of markdown (headings, bullets, bold, code, tables, rules): style is not worth
    more than that."""
    left = most

    def keep(match: re.Match[str]) -> str:
        nonlocal left
        left -= 1
        return match.group(0) if left >= 0 else ""

    return _MARK.sub(keep, text)


def without_hidden_characters(text: str) -> str:
    """The text without characters that a reader does not see."""
    return text if text.isascii() else "".join(c for c in text if unicodedata.category(c) not in _HIDDEN)


def says_nothing(text: str) -> bool:
    """Whether a text has no letter and no digit once markup is gone. Example: is_hollow("<div></div> {") is True."""
    return not any(character.isalnum() for character in _TAG.sub("", text))


def letters_and_digits(text: str) -> str:
    """Letters and digits only, one case: two texts that differ in spelling marks alone are equal."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def repeats_question(answer: str, question: str) -> bool:
    """Whether the answer is the question again."""
    said = letters_and_digits(answer)
    return len(said) >= LEAST_REPEATED and said == letters_and_digits(question)
