"""Where in an answer the answer is: last visible balanced box, else an answer line, else the last number. Linear in the
text.

Knows nothing of values: it returns source text. Thinking has been cut off before (`rewards.prose.visible`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from rewards.math.asides import without_asides
from rewards.math.foreign import in_english
from rewards.math.lastnumber import NUMBER, guessed_number, labelled_result, last_match
from rewards.math.remarks import without_remarks
from rewards.math.spans import Part, last_line, last_span, tagged
from rewards.prose.claims import (
    correction_start,
    has_alternative,
    is_denied,
    is_doubtful,
    is_refused,
    plain_text,
    retraction_end,
    without_contrast,
)
from rewards.prose.visible import is_blank

MAX_BOXES = 32
MAX_ANSWER_CHARS = 4000
_TAIL_CHARS = 6000

_BRACES = re.compile(
    r"\\(?P<cmd>boxed|fbox|[hv]?phantom)\s*\{|\\textcolor\s*\{\s*white\s*\}\s*(?P<white>\{)|"
    r"(?P<whiten>\\color\s*\{\s*white\s*\})"
    r"|\\boxed(?:\s+(?P<bare>[^\s{}\\$]+)|(?P<digit>\d))|\\.|[{}]",
    re.DOTALL,
)
_HIDDEN = (("<!--", "-->"), ("\\iffalse", "\\fi"), ("\\begin{comment}", "\\end{comment}"))
_COMMENT = re.compile(r"(?:^|(?<=\s))%(?=[\s\\]|$)")
# One run of marks after the word: two would be quadratic.
_ANSWER = re.compile(
    (
        r"\banswer\b(?P<link>[ \t]+(?:is|was|should be|must be|would be|equals)\b)?(?P<marks>(?:[ \t*:：=]|"
        r"\.(?=\*\*))*)(?=[^.,])"
    ),
    re.IGNORECASE,
)
_CORRECT_VALUE = re.compile(
    r"[^\s?!,;]{1,80}(?: [A-Za-z]{1,20}){0,2}?(?=[.!]?(?:\Z|\n)|[.!](?P<later> )|,? (?:because|since|not|"
    r"instead of|rather than)\b)"
)
# As an answer: "No. It is not possible."
_NEGATIVE = re.compile(r"\b(?:no|none|never|false|impossible|invalid|cannot)\b", re.IGNORECASE)
# What stands between boxes that are one answer: marks of mathematics, and words of which the first is kept.
_MARKS = r"(?:[\s$,;/]|\\[()\[\];, ]|\\text ?\{|\})*"
_JOINT = re.compile(
    rf"{_MARKS}(?:(?P<word>or|and|maybe|perhaps|possibly)\b(?: maybe| perhaps| possibly| also)?{_MARKS})?",
    re.IGNORECASE,
)
_SET_BOLD = re.compile(r"(?<!\w)\*\*([^*\n]{1,80})\*\*(?!\w)")
_EMPHASIS = re.compile(r"\A([*_])([^\s*_][^*_\n]{0,60}?)\1(?![\w*])")
_BOLD = re.compile(r"\*\*(?!(?:Step|Case|Part) \d)([^*\n]{1,300})\*\*")
_BOLD_END = re.compile(r"\*\*(?P<claim>[^*\n]{1,120})\*\*[.!]?(?: \([^()]{1,60}\))?[.!]?\Z")
_NAMED_LINE = re.compile(
    r"\s*(?:[-*•]\s+|\d[.)]\s+)?(?:\$\$?|\\\(|"
    r"\*\*)?\s*(?P<name>\\?[^\W\d]\w{0,8}(?:_\{\w{1,6}\})?) ?= ?(?P<value>[^=<>\n$*]{1,40}?)\s*"
    r"(?:\$\$?|\\\)|\*\*)?[.,;]?\s*"
)
_BESIDE = re.compile(r"(?:[\s$,;.•*-]|\\[()\[\]]|and\b|or\b){1,30}")
_NAMES_IT = re.compile(r"(\\?[A-Za-z]\w{0,8}(?:_\{\w{1,6}\})?) ?= ?\Z")
_ROWS_CHARS = 800
_SENTENCE_END = re.compile(
    r"(?:[.?]|!(?!\s{0,4}[=+*/^\\-]))(?=\s|$)|[;；]|,\s+(?:because|since|so|as|which|and)\b|\s+\(?(?:because|since)\b"
)
_DISPLAYED = re.compile(
    r"(?:\$\$|\\\[)[ \t]*\n(?P<line>[^\n$]{1,400})\n[ \t]*(?:\$\$|\\\])(?=\n)"
)  # on lines of its own
_REMARK_OF_CUE = re.compile(r"\A\([^\W\d_]+ [^()\n]{1,60}\) ?: ?(?=\S)")  # Answer (to 2 decimal places): 3.14
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("__", "__"), ("`", "`"))
_FORMULA = re.compile(r"\\(?:begin|end) ?\{[A-Za-z]{1,10}\*?\}|\\[A-Za-z]+|\{[lcr|]{1,9}\}")
_ALL_BUT = re.compile(
    (
        r"\b(?:all|any|every)(?: (?:real|the|values?|numbers?|reals|of|x)){1,4},? (?:except|other than|"
        r"but)(?: for)? [^\d]{0,8}\Z"
    ),
    re.IGNORECASE,
)
_BUILDER = re.compile(r"\{ ?(?:[A-Za-z]|\([A-Za-z], ?[A-Za-z]\))[^{}|:]{0,30}[|:]")  # {x | x > 0}
_GOES_ON = re.compile(r"\d\.\d{1,60}(?:\.\.\.|…)\Z")  # 0.333... is no 0.333
_COMMANDS = (
    "\\text",
    "\\textbf",
    "\\textit",
    "\\textrm",
    "\\mathrm",
    "\\mathbf",
    "\\mbox",
    "\\boxed",
    "\\fbox",
    "\\framebox",
    "\\underline",
    "\\displaystyle",
    "\\rm",
    "\\bf",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """source: box, answer_line, bold, bare, span, line, last_number; text None and a reason (denied, ...) where there
    is no answer.

    `spare`: where the text is no answer as a whole, the mathematics in it, or the number said before a line such as "I
    hope this helps".
    """

    text: str | None
    source: str
    spare: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """The content of a box; start and end of it with its command in the text. Example: "so \\boxed{4}." has Box("4", 3,
    12)."""

    text: str
    start: int
    end: int


def find_answer(shown: str, *, fallback: bool) -> Found:
    """The candidate in visible text: what the last <answer> tag holds, unless a box stands behind it; else the last
    box; else prose."""
    if "<answer>" in shown or "<ANSWER>" in shown or "<Answer>" in shown:
        clean = _without_comments(shown)
        tag = tagged(clean)
        if tag is not None and "\\boxed" not in clean[tag.end :]:
            return _in_tag(tag, clean[tag.end :])
    box = boxed_answer(shown)
    if box is not None:
        return box
    if is_blank(shown):
        return Found(text=None, source="no_answer")
    if not fallback:
        return Found(text=None, source="no_box")
    return _without_box(_end_of(shown))


def _in_tag(tag: Part, after: str) -> Found:
    """The claim inside a tag, unless the prose behind it takes it back."""
    inner = boxed_answer(tag.text) or _without_box(_end_of(tag.text))
    if inner.text is None or is_blank(after):
        return inner
    if any(head["link"] for head in _ANSWER.finditer(after[:_TAIL_CHARS])):  # "... is what I thought; the answer is 18"
        return _without_box(_end_of(after))
    settled = _settled("", inner.text, after[:_TAIL_CHARS], "box")
    return inner if settled.text == inner.text else settled


def _end_of(shown: str) -> str:
    """The end of a text without contrasts and closing remarks, its joining words in English."""
    return without_remarks(without_contrast(in_english(shown[-_TAIL_CHARS:])))


def boxed_answer(shown: str) -> Found | None:
    """The last visible box, as the prose around it leaves it; None without one. Boxes joined by "or" or a comma are
    one: "3 or 4"."""
    text, boxes = visible_boxes(shown)
    if len(boxes) > MAX_BOXES:
        return Found(text=None, source="too_many_boxes")
    if not boxes:
        return None
    content = boxes[-1].text
    for earlier, later in reversed(list(pairwise(boxes))):
        gap = text[earlier.end : later.start]
        joint = _JOINT.fullmatch(gap) if later.start >= earlier.end and len(gap) <= 60 else None
        if joint is None or ("\n" in gap and not joint["word"]):
            break
        if earlier.text != later.text:
            content = f"{earlier.text}{',' if (joint['word'] or 'and').lower() == 'and' else ' or'} {content}"
    if is_blank(content):
        return Found(text=None, source="empty_box")
    last, content = boxes[-1], in_english(content)
    return _settled(
        text[max(0, last.start - _TAIL_CHARS) : last.start], content, text[last.end : last.end + _TAIL_CHARS], "box"
    )


def beside(shown: str, source: str) -> str | None:
    """The last claims together, for what one box or line cannot answer ("x = 5, y = 2"), or the bold words that end the
    last line."""
    if source == "box":
        text, boxes = visible_boxes(shown) if shown.count("box") > 1 else ("", [])
        return _named_boxes(text, boxes) if 1 < len(boxes) <= MAX_BOXES else None
    if ("\n" not in shown and "**" not in shown) or "answer>" in shown.lower():
        return None
    tail = _end_of(shown)
    return _named_lines(tail) or (_bold_end(tail) if source != "answer_line" else None)


def _named_boxes(text: str, boxes: list[Box]) -> str | None:
    """`x = \\boxed{5}` and `y = \\boxed{2}`, side by side or line by line, as "x = 5, y = 2"; boxes without names as
    "5, 2"."""
    parts: list[str] = []
    start = len(text)
    for i, box in enumerate(reversed(boxes)):
        if i and not (box.end <= start and _BESIDE.fullmatch(text, box.end, start)):
            break
        name = _NAMES_IT.search(text, max(0, box.start - 40), box.start)
        parts.append(f"{name[1]} = {box.text}" if name else box.text)
        start = name.start() if name else box.start
    return ", ".join(reversed(parts)) if len(parts) > 1 else None


def _named_lines(tail: str) -> str | None:
    """The lines `a = 5`, `b = 2` that end a text as "a = 5, b = 2"; None for fewer than two, or where one name comes
    twice."""
    if "\n" not in tail:
        return None
    rows: list[str] = []
    names: set[str] = set()
    for line in reversed(tail.rstrip()[-_ROWS_CHARS:].split("\n")):
        match = _NAMED_LINE.fullmatch(line)
        if match is None and line.strip(" $"):
            break
        if match is not None:
            rows.append(f"{match['name']} = {match['value']}")
            names.add(match["name"])
    return ", ".join(reversed(rows)) if len(rows) == len(names) > 1 else None


def _bold_end(tail: str) -> str | None:
    """The bold words that end the last line, where its sentence does not deny them: "... is called a **peptide
    bond**."."""
    line = tail.rstrip().rpartition("\n")[2]
    match = _BOLD_END.search(line) if "**" in line[1:] else None
    before = line[: match.start()] if match else ""
    if match is None or "**" in before or is_denied(plain_text(before)):
        return None
    return _settled(before, match["claim"].strip(" .:"), "", "bold").text


def _without_box(tail: str) -> Found:
    """The value that prose claims in the end: after "####" or "answer is", all of a short text, the last bold value,
    the last number."""
    if "####" in tail:
        return _settled("", *_first_line(tail.rpartition("####")[2]), "answer_line")
    heads = [m for m in _ANSWER.finditer(tail) if not is_blank(tail[m.end() :].strip("*. "))]
    linked = [m for m in heads if m["link"] or m["marks"].strip(" \t*") or tail[m.end()] == "\n"]
    if heads:
        head = (linked or heads)[-1]
        if is_denied(plain_text(tail[: head.start()])):
            return Found(text=None, source="denied")
        line, rest = _first_line(tail[head.end() :])
        if head["marks"].count("**") % 2:  # the marks after "is" opened what this closes: "the answer is **Evelyn**."
            line = line.replace("**", "", 1)
        if line.count("**") % 2:  # opened before the cue: "**Answer: 5** (of 9)"
            line = line.replace("**", "", 1)
        line = _REMARK_OF_CUE.sub("", _EMPHASIS.sub(r"\2", _SET_BOLD.sub(r"\1", line)))
        return _settled("", line, rest, "answer_line")
    if "\n" not in tail.strip() and (len(tail.strip()) <= 80 or _is_formula(tail)):
        tail = _SET_BOLD.sub(r"\1", tail)
        whole, span = _settled("", tail.strip(), "", "bare"), last_span(tail)
        if span is None or whole.text is None or not re.search(r"[A-Za-z]{3}", tail[: span.start] + tail[span.end :]):
            return whole
        return replace(whole, spare=_claim_of(span, tail).text)
    bold, span = last_match(_BOLD, tail), last_span(tail)
    if (
        bold
        and any(map(str.isdigit, bold[1]))
        and not _bare_value(tail, bold.end())
        and (span is None or span.start < bold.end())
    ):
        return _settled(tail[: bold.start()], bold[1].strip(" .:"), tail[bold.end() :], "bold")
    return _last_claim(tail) if span is None else _claim_of(span, tail)


def _bare_value(tail: str, start: int) -> bool:
    """Whether a line behind `start` ends the text with nothing but a number, or goes on from the line before with a
    sign: "= 12 cm"."""
    line = last_line(tail)
    if line is None or line.start < start:
        return False
    text = line.text.strip(" .$")
    number = NUMBER.match(text)
    return (text[:1] == "=" and "=" not in text[1:]) or (number is not None and number.end() == len(text))


def _is_formula(text: str) -> bool:
    """Mathematics only, with no word in it."""
    return len(text) <= 600 and "\\" in text and not re.search(r"[A-Za-z]{4}", _FORMULA.sub(" ", text))


def _claim_of(span: Part, tail: str) -> Found:
    if is_denied(plain_text(tail[: span.start])):
        return Found(text=None, source="denied")
    return _settled(tail[: span.start], span.text.strip(" .,"), tail[span.end :], "span")


def _last_claim(tail: str) -> Found:
    """The last line, where it is short; else the last number. Of a labelled line the result that was calculated."""
    result = labelled_result(tail)
    if result is not None:
        return Found(text=result, source="last_number")
    number = guessed_number(without_asides(tail, cued=False))
    taken_back = number is not None and retraction_end(plain_text(tail.rpartition(number)[2]))
    if taken_back:
        return Found(text=None, source="taken_back")
    line = last_line(tail)
    if line is not None:
        found = _settled("", line.text, "", "line")
        return (
            replace(found, spare=number) if found.text is not None and not any(map(str.isdigit, line.text)) else found
        )
    return Found(text=number, source="last_number") if number is not None else Found(text=None, source="no_answer")


def _first_line(text: str) -> tuple[str, str]:
    text = text.strip(" \t*\n")
    shown = _DISPLAYED.match(text)
    if shown is not None:
        return shown["line"].strip(), text[shown.end() :]
    first, _, rest = text.partition("\n")
    return first.strip(" \t*"), f"\n{rest}"


def _settled(before: str, text: str, after: str, source: str) -> Found:
    """A claim as it stands, as the prose behind it corrects it, or None where that prose denies it, takes it back or
    offers another.

    A box and bold text end where they end; a line of prose goes on behind its value, the last number of its first
    sentence.
    """
    sentence, number = text, None
    if source in ("box", "bold", "span"):
        behind = prose = plain_text(f",{after}")
    else:
        sentence = first_sentence(text)
        number = last_match(NUMBER, sentence)
        before, behind = (text[: number.start()], text[number.end() :]) if number else (before, text[len(sentence) :])
        behind, prose = plain_text(behind + after), plain_text(text + after)
    end = retraction_end(prose)
    if end is not None:
        return _corrected(prose, end)
    if has_alternative(prose):
        return Found(text=None, source="several_answers")
    if _ALL_BUT.search(before[-60:]):
        return Found(text=text, source=source)
    denies = is_doubtful(plain_text(before)) or (is_refused(behind) and (number or not _NEGATIVE.search(sentence)))
    return Found(text=None, source="denied") if denies else Found(text=text, source=source)


def _corrected(prose: str, end: int) -> Found:
    """The claim that takes the place of one taken back, where it is as clear as "it is 5."; no other number follows
    it."""
    start = correction_start(prose, end)
    value = None if start is None else _CORRECT_VALUE.match(prose, start)
    if value is None or (value["later"] and any(map(str.isdigit, prose[value.end() :]))):
        return Found(text=None, source="taken_back")
    after = prose[value.end() :]
    if has_alternative(after) or is_refused(after) or is_doubtful(prose[:start]):
        return Found(text=None, source="taken_back")
    return Found(text=value.group(0), source="answer_line")


def first_sentence(text: str) -> str:
    """Up to the end of the first sentence or clause: 'the answer is 42 apples, because ...'."""
    match = _SENTENCE_END.search(text)
    return text[: match.start()] if match else text


def visible_boxes(text: str) -> tuple[str, list[Box]]:
    """The text that a reader sees and its \\boxed{...} in order of their end: none in \\phantom, white or a comment."""
    if "\\boxed" not in text and "\\fbox" not in text:
        return text, []
    boxes: list[Box] = []
    stack: list[list[Any]] = [
        ["", 0, 0, 0]
    ]  # command, start of its content, how many hiding commands end with it, its own start
    hidden = 0
    text = _without_comments(text)
    for match in _BRACES.finditer(text):
        command, token = match["cmd"], match.group(0)
        if command or token == "{" or match["white"]:
            hides = bool(match["white"]) or (command or "").endswith("phantom")
            stack.append([command or "", match.end(), int(hides), match.start()])
            hidden += hides
        elif match["whiten"]:
            stack[-1][2] += 1
            hidden += 1
        elif match["bare"] or match["digit"]:
            if not hidden:
                boxes.append(Box(text=match["bare"] or match["digit"], start=match.start(), end=match.end()))
        elif token == "}" and len(stack) > 1:
            command, start, hides, own_start = stack.pop()
            hidden -= hides
            if command in ("boxed", "fbox") and not hidden:
                boxes.append(
                    Box(text=text[start : match.start()][: MAX_ANSWER_CHARS + 1], start=own_start, end=match.end())
                )
    return text, boxes


def _without_comments(text: str) -> str:
    """What a reader does not see removed: HTML and LaTeX comments. A percent sign after a number is prose, not a
    comment."""
    for opening, closing in _HIDDEN:
        start = text.find(opening)
        if start < 0:
            continue
        parts = [text[:start]]
        while start >= 0:
            end = text.find(closing, start + len(opening))
            if end < 0:
                break
            end += len(closing)
            start = text.find(opening, end)
            parts.append(text[end:] if start < 0 else text[end:start])
        text = "".join(parts)
    if "%" not in text:
        return text
    return "\n".join(map(_uncommented, text.split("\n")))


def _uncommented(line: str) -> str:
    if line.lstrip().startswith("%"):
        return ""
    for match in _COMMENT.finditer(line):
        if not line[max(0, match.start() - 20) : match.start()].rstrip()[-1:].isdigit():
            return line[: match.start()]
    return line


def strip_wrappers(text: str) -> str:
    """Outer mathematics marks, markdown, \\text{...} and one pair of braces removed, again and again (bounded)."""
    for _ in range(16):
        before = text
        text = text.strip()
        if not _GOES_ON.search(text):
            text = text.rstrip(".。").strip()
        for opening, closing in _WRAPPERS:
            if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
                inner = text[len(opening) : -len(closing)]
                if opening not in inner:
                    text = inner
        text = _unwrap_command(text)
        if text == before:
            break
    return text


def _unwrap_command(text: str) -> str:
    command = next((c for c in _COMMANDS if text.startswith(c) and not text[len(c) : len(c) + 1].isalpha()), "")
    rest = text[len(command) :].lstrip()
    if not rest.startswith("{"):
        return rest if command in ("\\displaystyle", "\\rm", "\\bf") else text
    if not command and _BUILDER.match(rest):
        return text
    end = matching_brace(rest, 0)
    return rest[1:-1] if end == len(rest) - 1 else text


def matching_brace(text: str, start: int) -> int:
    """Index of the brace that closes the one at `start`; -1 where none does."""
    depth = 0
    skip = False
    for i in range(start, len(text)):
        character = text[i]
        if skip:
            skip = False
        elif character == "\\":
            skip = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return i
    return -1
