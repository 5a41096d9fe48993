"""Where in an answer the answer is: last visible balanced box, else an answer line, else the last number. Linear in the text.

Knows nothing of values: it returns source text. Thinking has been cut off before (`rewards.visible`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rewards.claims import doubtful, has_alternative, last_retraction, refused, turned, voided

MAX_BOXES = 32
MAX_ANSWER_CHARS = 4000
_TAIL_CHARS = 6000

_BRACES = re.compile(
    r"\\(?P<cmd>boxed|fbox|[hv]?phantom)\s*\{|\\textcolor\s*\{\s*white\s*\}\s*(?P<white>\{)|(?P<whiten>\\color\s*\{\s*white\s*\})"
    r"|\\boxed(?:\s+(?P<bare>[^\s{}\\$]+)|(?P<digit>\d))|\\.|[{}]",
    re.DOTALL,
)
_HIDDEN = (("<!--", "-->"), ("\\iffalse", "\\fi"), ("\\begin{comment}", "\\end{comment}"))
_COMMENT = re.compile(r"(?:^|(?<=\s))%(?=[\s\\]|$)")
_LABEL = re.compile(r"(?:\b(?:step|case|part|question|problem|figure|table|example|equation|section|line|page)\s+|\n\s*)\Z", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:not|never|cannot|between|at least|at most|(?:less|more|fewer|greater|larger|smaller|other) than|neither|nor|maybe|perhaps|"
    r"possibly|wrong|incorrect)\b|n't\b",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"\banswer\b(?:[ \t]+(?:is|was|should be|would be|equals))?[ \t]*[:：=]?[ \t*]*(?P<rest>[^\n]*)", re.IGNORECASE)
_LATER_ANSWER = re.compile(r"\banswer[ \t]+(?:is|should be)\b[ \t]*[:：=]?[ \t*]*(?=[^\s.])|\banswer[ \t]*[:：=][ \t*]*(?=[^\s.])", re.IGNORECASE)
_SENTENCE_BREAK = re.compile(r"[.!?;](?=\s)|\n")
_CORRECTION = re.compile(
    r"(?:\b(?:it|this|that|(?:the|my) (?:\w+ )?(?:answer|result|value|total|number))(?:[’']s|\s+(?:is|was|must be|should be|has to be|equals))"
    r"|\bI (?:mean|meant)|\bmake (?:it|that))(?: (?:actually|really|clearly|then|indeed|therefore|instead))?[ \t:*]{1,4}",
    re.IGNORECASE,
)
_CORRECT_VALUE = re.compile(
    r"[^\s?!,;]{1,80}(?: [A-Za-z]{1,20}){0,2}?(?=[*$]{0,4}(?:[.!]?\s*\Z|[.!]?\n|[.!]\s|,?\s+(?:because|since|not|instead of|rather than)\b))"
)
# "4, not 5", "4 rather than 5": what comes first is claimed, what comes after is not
_CONTRAST = re.compile(
    r"(?<=\d)((?:\.\d+)?[^\d.!?;,]{0,30}?)(?<!\bis)(?<!\bare)(?<!\bwas)(?<!\bdoes)(?<!\bdo)(?<!\bcan)(?:,\s{0,2}|\s{1,2})(?:and |but )?"
    r"(?:not|instead of|rather than|as opposed to|in place of|unlike)\s(?=[^.!?;\d]{0,20}\d)[^!?;\n]*",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.])[-−]?[$€£]?\d[\d,]*(?:\.\d+)?(?:[ \t]*/[ \t]*\d+)?(?:[ \t]*\\?%)?")
_BOLD = re.compile(r"\*\*([^*\n]{1,300})\*\*")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[;；]|,\s+(?:because|since|so|as|which|and)\b|\s+(?:because|since)\b")
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("__", "__"), ("`", "`"))
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
    "\\displaystyle",
    "\\rm",
    "\\bf",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """source: box, answer_line, bold, bare, last_number; text None and a reason (denied, taken_back, ...) where there is no answer."""

    text: str | None
    source: str


def find_answer(shown: str, *, fallback: bool) -> Found:
    """The candidate in visible text."""
    boxes = visible_boxes(shown)
    if len(boxes) > MAX_BOXES:
        return Found(text=None, source="too_many_boxes")
    if boxes:
        return Found(text=boxes[-1], source="box") if boxes[-1].strip() else Found(text=None, source="empty_box")
    if not shown.strip():
        return Found(text=None, source="no_answer")
    if not fallback:
        return Found(text=None, source="no_box")
    return _without_box(shown[-_TAIL_CHARS:])


def _without_box(tail: str) -> Found:
    """The value that prose claims in the end: see `_settled` for what it says before and after."""
    if "####" in tail:
        line = tail.rpartition("####")[2].strip()
        return _settled("", line, "answer_line") if line else Found(text=None, source="no_answer")
    head = _answer_head(tail)
    if head is not None and tail[head[1] :].strip(" \t*\n"):
        if voided(tail[: head[0]]):
            return Found(text=None, source="denied")
        return _settled("", tail[head[1] :], "answer_line")
    stripped = tail.strip()
    if len(stripped) <= 80 and "\n" not in stripped:
        return _settled("", stripped, "bare")
    bold = None
    for match in _BOLD.finditer(tail):
        bold = match
    if bold and any(character.isdigit() for character in bold.group(1)):
        text = bold.group(1).strip(" .:")
        return _settled(tail[: bold.start()], tail[bold.end() :], "bold", text)
    return _last_number_of(tail)


def _last_number_of(tail: str) -> Found:
    number = last_number(tail)
    if number is None:
        return Found(text=None, source="no_answer")
    after = tail[tail.rfind(number) + len(number) :]
    return Found(text=None, source="taken_back") if last_retraction(after) else Found(text=number, source="last_number")


def _answer_head(tail: str) -> tuple[int, int] | None:
    """Start and end of the last 'answer is' or 'answer:'. Of several on a line the first, unless a later one opens a sentence as a claim."""
    last = None
    for match in _ANSWER.finditer(tail):
        last = match
    if last is None:
        return None
    start, end = last.start(), last.start("rest")
    for match in _LATER_ANSWER.finditer(last.group("rest")):
        if _SENTENCE_BREAK.search(last.group("rest"), 0, match.start()) and not voided(last.group("rest")[: match.start()]):
            start, end = last.start("rest") + match.start(), last.start("rest") + match.end()
    return start, end


def _settled(before: str, after: str, source: str, text: str | None = None) -> Found:
    """A claim with the prose behind it: as it stands, as it is corrected there, or None where it is denied or taken back.

    `text` stands between `before` and `after`; without it the claim is the first line of `after`.
    """
    if text is None:
        after = after.strip(" \t*\n")
        text, _, rest = after.partition("\n")
        text, rest = text.strip(" \t*"), "\n" + rest
    else:
        rest = after
    prose = after if rest != after else f"{text}{after}"
    taken_back = last_retraction(prose)
    if taken_back is not None:
        return _corrected(prose, taken_back)
    if doubtful(before) or has_alternative(prose):
        return Found(text=None, source="denied" if doubtful(before) else "several_answers")
    text = _CONTRAST.sub(r"\1", text, count=1)
    sentence = first_sentence(text)
    if refused(f"{text[len(sentence) :]}{rest}") or _number_denied(sentence, f"{text[len(sentence) :]}{rest}"):
        return Found(text=None, source="denied")
    return Found(text=text, source=source)


def _corrected(prose: str, taken_back: int) -> Found:
    """The claim that takes the place of one taken back, where it is as clear as "it is 5."; nothing else follows it but its reason."""
    nothing = Found(text=None, source="taken_back")
    start = max(0, taken_back - 12)  # "I meant" may be part of what takes back
    match = next((m for m in _CORRECTION.finditer(prose, start) if m.end() > taken_back), None)
    if match is None or voided(prose[taken_back : match.start()]):
        return nothing
    value = _CORRECT_VALUE.match(prose, match.end())
    if value is None:
        return nothing
    after = prose[value.end() :]
    sentence_end = _SENTENCE_BREAK.search(after)
    later = after[sentence_end.start() :] if sentence_end else ""
    open_ended = any(character.isdigit() for character in later) or has_alternative(after)
    if open_ended or refused(after) or doubtful(prose[match.start() : value.start()]):
        return nothing
    return Found(text=value.group(0), source="answer_line")


def _number_denied(sentence: str, after: str) -> bool:
    """Whether the number that a sentence ends in is turned by its words, called wrong, or called wrong when it comes up again."""
    last = None
    for match in _NUMBER.finditer(sentence):
        last = match
    if last is None:
        return False
    if doubtful(sentence[: last.start()]) or refused(sentence[last.end() :] + after):
        return True
    again = re.compile(rf"(?<![\w.\-−]){re.escape(last.group(0))} (?:is|was) (?:clearly |plainly |also )?(?:wrong|incorrect|not (?:right|correct|the answer))\b")
    return bool(again.search(after))


def first_sentence(text: str) -> str:
    """Up to the end of the first sentence or clause: 'the answer is 42 apples, because ...'."""
    match = _SENTENCE_END.search(text)
    return text[: match.start()] if match else text


def last_number(text: str) -> str | None:
    """The last number that `text` states; None where it counts a step, is denied or bounded, or stands in a row of numbers."""
    last = None
    for match in _NUMBER.finditer(text):
        last = match
    if last is None:
        return None
    before, after = text[: last.start()], text[last.end() :]
    labelled = _LABEL.search(before[-30:]) and (after[:1] in (".", ")", ":", "") or not before.endswith("\n"))
    if labelled or _DENIED.search(before[-40:].rpartition(",")[2]) or turned(before) or refused(after):
        return None
    listed = not any(character.isalpha() for character in text) and len(_NUMBER.findall(text)) > 1 and "=" not in text
    return None if listed else last.group(0).rstrip(",")


def visible_boxes(text: str) -> list[str]:
    """Contents of the outermost \\boxed{...} that a reader sees, in order of their end: not in \\phantom, white or a comment."""
    if "\\boxed" not in text and "\\fbox" not in text:
        return []
    boxes: list[str] = []
    stack: list[list[Any]] = [["", 0, 0]]  # command, start of its content, how many hiding commands end with it
    hidden = 0
    for match in _BRACES.finditer(_without_comments(text)):
        command, token = match["cmd"], match.group(0)
        if command or token == "{" or match["white"]:
            hides = bool(match["white"]) or (command or "").endswith("phantom")
            stack.append([command or "", match.end(), int(hides)])
            hidden += hides
        elif match["whiten"]:
            stack[-1][2] += 1
            hidden += 1
        elif match["bare"] or match["digit"]:
            if not hidden:
                boxes.append(match["bare"] or match["digit"])
        elif token == "}" and len(stack) > 1:
            command, start, hides = stack.pop()
            hidden -= hides
            if command in ("boxed", "fbox") and not hidden:
                boxes.append(match.string[start : match.start()][: MAX_ANSWER_CHARS + 1])
    return boxes


def _without_comments(text: str) -> str:
    """What a reader does not see removed: HTML and LaTeX comments. A percent sign after a number is prose, not a comment."""
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


def last_box(text: str) -> str | None:
    boxes = visible_boxes(text)
    return boxes[-1] if boxes and len(boxes) <= MAX_BOXES else None


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
