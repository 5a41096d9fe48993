"""Which part of an answer is the program: fences read as Markdown writes them, or the code in a text without any.

Fences may be longer than three marks, tildes, indented, untagged or tagged with attributes; a fence inside a Python
string is text; a closing fence too many opens nothing. Linear scans, and nothing is parsed by Python's own parser,
which is not linear. Knows names that the tests ask for, and nothing of tests or of how programs are run.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?(?P<marks>`{3,}|~{3,})(?P<info>[^\r\n`]*)\s*\Z")
_MOST_NESTED = 3  # documents in documents
_DOCUMENTS = ("markdown", "md")
_PYTHON = re.compile(r"(?:i?python|py)[\d.]*\Z")
_TAG_ENDS = re.compile(r"[\s{,:;=]")
_STATEMENT = re.compile(
    r"[ \t]*(?:@\w|(?:async )?def \w+ ?\(|class \w+ ?[:(]|import \w|from [\w.]+ import |(?:for|while|if|with|elif) .*:"
    r"|(?:try|else|finally|except\b.*):|(?:return|yield|raise|assert|print|global|nonlocal|del)\b[ (]"
    r"|[A-Za-z_][\w.\[\], ]*[-+*/%|&^]?=(?!=)|[\w.]+\(.*\)\s*\Z)"
)
_SESSION = re.compile(r"(?m)^\s*(?:>>> |Traceback \(most)")
_READS_INPUT = re.compile(r"\binput\b|\bstdin\b|\bopen\(0|\bfileinput\b")
_QUOTE = re.compile(r"\"\"\"|'''|\\.|[\"'#\n]", re.DOTALL)
_DEFINED = re.compile(r"(?m)^(?:(?:async )?def|class) (\w+)|^(\w+)(?: ?: ?[^=\n]+)? ?=(?!=)")
_DEFINES_LINE = re.compile(r"\s|\Z|(?:async )?def |class |import |from |[@#)\]}\"']|[A-Z_]+ ?=")
_QUOTED, _QUOTED_FENCE = re.compile(r"(?m)^> ?"), re.compile(r"(?m)^> ?(?:```|~~~)")
_IMPORTED = re.compile(r"(?m)^(?:from [\w.]+ )?import ([^\n#]+)")
_BEGUN = re.compile(r"(?m)^(?:@\w[^\n]*\n)*(?:(?:async )?def|class) (\w+)")
_FUTURE = re.compile(r"(?m)^from __future__ import [^\n]*$")
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block. python: it says so; bare: it says nothing. Example: Block(text="a = 1\\n", python=True,
    bare=False)"""

    text: str
    python: bool
    bare: bool


def find_program(shown: str, wanted: tuple[str, ...] = (), *, reads_input: bool = False) -> str:
    """The program in the visible text of an answer; "" where it shows none.

    Of several blocks it is the last that defines one of the `wanted` names, or that reads input where the tests give
    some; what an earlier block defines and it only uses comes with it. Without either it is the last block of Python.
    """
    before, blocks = _blocks(_QUOTED.sub("", shown) if _QUOTED_FENCE.search(shown) else shown)
    likely = [block for block in blocks if block.python or (block.bare and looks_like_code(block.text))]
    if not likely and looks_like_code(before):
        return _unfenced(before)
    candidates = likely or [block for block in blocks if block.bare]
    if not candidates:
        return _unfenced(shown) if shown.strip() else ""
    defining = [block for block in candidates if any(defines(block.text, name) for name in wanted)]
    reading = [block for block in candidates if _READS_INPUT.search(block.text)] if reads_input else []
    among = defining or reading or candidates
    chosen = ([block for block in among if block.python] or among)[-1]
    earlier = [block.text for block in likely[: likely.index(chosen)]] if chosen in likely else []
    if reads_input:  # another script would read the input, too
        earlier = [text for text in earlier if _only_defines(text)]
    elif not wanted:
        earlier = []
    return _with_helpers(chosen.text, earlier).strip("\n")


def _only_defines(text: str) -> bool:
    return all(_DEFINES_LINE.match(line) for line in text.splitlines())


def defines(program: str, name: str) -> bool:
    """Whether the text of a program binds a name at its top level, or gives a class a method of it."""
    return (
        re.search(rf"(?m)^[ \t]*(?:(?:async )?def|class) {re.escape(name)}\b|^{re.escape(name)} ?=", program)
        is not None
    )


def looks_like_code(text: str) -> bool:
    """Whether a text without a tag holds a statement of Python, and is no session or traceback."""
    return not _SESSION.search(text) and any(_STATEMENT.match(line) for line in text.splitlines())


def _blocks(text: str, depth: int = 0) -> tuple[str, list[Block]]:
    """What stands before the first fence, and the blocks in order. A fence that opens nothing gives no block."""
    lines = text.splitlines(keepends=True)
    fences = [(i, match) for i, line in enumerate(lines) if (match := _FENCE.match(line))]
    before = "".join(lines[: fences[0][0]]) if fences else text
    found: list[Block] = []
    place = 0
    while place < len(fences):
        start, opening = fences[place]
        end, place = _end_of_block(lines, fences, place)
        body = _without_indent(lines[start + 1 : end], opening.start("marks"))
        tag = _tag(opening["info"])
        if tag in _DOCUMENTS and depth < _MOST_NESTED:
            found += _blocks(body, depth + 1)[1]
        elif body.strip():
            found.append(Block(text=body, python=_PYTHON.match(tag) is not None, bare=not tag))
    return before, found


def _end_of_block(lines: list[str], fences: list[tuple[int, re.Match[str]]], place: int) -> tuple[int, int]:
    """The line that ends the block which a fence opens, and the number of the fence to go on with."""
    start, opening = fences[place]
    tag = _tag(opening["info"])
    strings = _Strings()
    read = start + 1
    first_close: tuple[int, int] | None = None
    for number in range(place + 1, len(fences)):
        line, fence = fences[number]
        strings.feed("".join(lines[read:line]))
        read = line
        same = fence["marks"][0] == opening["marks"][0] and len(fence["marks"]) >= len(opening["marks"])
        closes = same and not fence["info"].strip()
        if strings.inside and (not tag or _PYTHON.match(tag)):
            first_close = first_close or ((line, number + 1) if closes else None)
            continue
        if closes:
            return line, number + 1
        if same and tag not in _DOCUMENTS:  # another block opens: this one was never closed, or never opened
            return line, number
    if first_close is not None:  # a string that never ends is a fault of the program, not of its fence
        return first_close
    last = len(lines)
    while last > start + 1 and not lines[last - 1].strip():
        last -= 1
    if last > start + 1 and lines[last - 1].rstrip().endswith(opening["marks"]):  # `return x```: closed on its line
        lines[last - 1] = lines[last - 1].rstrip().removesuffix(opening["marks"]) + "\n"
    return len(lines), len(fences)


class _Strings:
    """Whether a text read so far ends inside a triple-quoted string of Python."""

    def __init__(self) -> None:
        self.inside = ""
        self._rest = ""

    def feed(self, text: str) -> None:
        """Read on. Texts end with whole lines."""
        short = ""  # a string of one line, or a comment
        for match in _QUOTE.finditer(text):
            token = match.group()
            if self.inside:
                self.inside = "" if token == self.inside else self.inside
            elif token == "\n":
                short = ""
            elif short:
                short = "" if token == short else short
            elif token in ('"""', "'''"):
                self.inside = token
            elif token in ('"', "'", "#"):
                short = token


def _without_indent(lines: list[str], width: int) -> str:
    """The lines of a block without the indent of its fence, as in a list."""
    return "".join(line[min(width, len(line) - len(line.lstrip(" \t"))) :] for line in lines)


def _tag(info: str) -> str:
    """python of `python title="x"`, `{.python}`, `python:main.py` and `Python3 {linenos=true}` (python3)."""
    return _TAG_ENDS.split(info.strip().lstrip("{.").lower(), maxsplit=1)[0].rstrip("}")


def _unfenced(text: str) -> str:
    """The code of a text without fences: from its first statement to its last, where prose stands around it."""
    lines = text.splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if _STATEMENT.match(line) and not _is_prose(line)]
    if not starts:
        return text.strip("\n")
    end = len(lines)
    while end > starts[0] + 1 and (not lines[end - 1].strip() or _is_prose(lines[end - 1])):
        end -= 1
    return "".join(lines[starts[0] : end]).strip("\n")


def _is_prose(line: str) -> bool:
    """Whether an unindented line is a sentence, words and then the mark that ends it, or a lone tag."""
    return re.match(r"</?\w+>\s*\Z|[A-Z][a-z]*[ ,'].*[.:!?]\s*\Z|[A-Z][a-z]+[.:!?]\s*\Z", line) is not None


def _with_helpers(program: str, earlier: list[str]) -> str:
    """The program behind those earlier blocks whose names it uses and does not define itself."""
    used, have = set(_NAME.findall(program)), _names(program)
    kept: list[str] = []
    for text in reversed(earlier):
        names = _names(text)
        if (names - have) & used:
            kept.append(text)
            have |= names
            used |= set(_NAME.findall(text))
    return "\n".join([*reversed(kept), program])


def _names(text: str) -> set[str]:
    found = {match[1] or match[2] for match in _DEFINED.finditer(text)}
    for match in _IMPORTED.finditer(text):
        found |= {part.split()[-1].partition(".")[0] for part in match[1].strip("() \r").split(",") if part.strip()}
    return found


def complete(program: str, starter: str, entry_point: str | None) -> str:
    """The program behind the code that the question began with: behind what comes before the function in question where
    the answer writes that anew, behind all of it where the answer goes on from there."""
    whole = textwrap.dedent(program)
    if not starter.strip():
        return whole
    begun = [match for match in _BEGUN.finditer(starter) if match[1] == (entry_point or match[1]).partition(".")[0]]
    if begun and defines(whole, begun[-1][1]):
        return f"{starter[: begun[-1].start()]}{whole}"
    method = (entry_point or "").rpartition(".")[2]
    if begun and re.search(rf"(?m)^(?:async )?def {re.escape(method)}\(self\b", whole):  # a method without its class
        head = starter[: starter.index("\n", begun[-1].start()) + 1]
        return head + textwrap.indent(whole, "    ")
    if entry_point and _is_free(whole, method):
        return f"{starter[: begun[-1].start()] if begun else starter}\n{whole}"
    return f"{starter.rstrip()}\n{_indented_body(program, _indent_of_body(starter))}"


def _indented_body(body: str, indent: str) -> str:
    """A function's body with its indent. The first line has often lost its own to the end of the prompt."""
    lines = body.strip("\n").split("\n")
    if not lines[0][:1].isspace() and not lines[0].rstrip().endswith(":"):
        rest = [line for line in lines[1:] if line.strip()]
        if rest and all(line.startswith(indent) for line in rest):
            lines[0] = indent + lines[0]
    return textwrap.indent(textwrap.dedent("\n".join(lines)), indent)


def _indent_of_body(starter: str) -> str:
    """The indent of the body that a starter's last function has, or is to have."""
    last = next(line for line in reversed(starter.split("\n")) if line.strip())
    indent = last[: len(last) - len(last.lstrip())]
    return indent + "    " if last.rstrip().endswith(":") else indent or "    "


def behind(program: str, shared: str) -> str:
    """The program behind code that the row gives to it, its imports from __future__ before all."""
    if not shared.strip():
        return program
    future = "\n".join(_FUTURE.findall(program))
    return f"{future}\n{shared}\n{_FUTURE.sub('', program)}"


def _is_free(program: str, name: str) -> bool:
    """Whether a program binds a name outside of any class."""
    return re.search(rf"(?m)^(?:async )?def {re.escape(name)}\b|^{re.escape(name)} ?=", program) is not None


def with_both_names(program: str, entry_point: str | None) -> str:
    """The program with its function under the name that is asked for: `f`, where it has `Solution.f`, or `Solution.f`,
    where it has `f`. Sets of problems mix both."""
    if not entry_point:
        return program
    owner, _, name = entry_point.rpartition(".")
    if "." in owner or owner not in ("", "Solution"):
        return program
    free = _is_free(program, name)
    solution = re.search(r"(?m)^class Solution\b", program) is not None
    if not owner and not free and solution and re.search(rf"(?m)^[ \t]+def {re.escape(name)}\b", program):
        return f"{program}\n\n\ndef {name}(*args, **kwargs):\n    return Solution().{name}(*args, **kwargs)\n"
    if owner and free and not solution:
        return f"{program}\n\n\nclass Solution:\n    {name} = staticmethod({name})\n"
    return program
