"""IFBench's constraints on layout and on text to repeat, each a function from a text to yes or no. Written anew after
the published descriptions; `rewards.rules.ifbench` says more. Every scan is linear. Knows nothing of golds."""

from __future__ import annotations

import re
from itertools import pairwise

from rewards.rules.sentences import WORD, sentence_spans, split_sentences, words

_UNTITLED = "a an the and but or nor for yet so at by in of on to up as is if off per via from with into"
_SMALL_WORDS = frozenset(_UNTITLED.split())
_NEST = {"(": ")", "[": "]", "{": "}"}
# What Unicode draws as a picture by itself; other symbols do so before the selector U+FE0F.
_EMOJI = (
    "(?:[⌚⌛⏩-⏬⏰⏳◽◾☔☕♈-♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓-❕❗❤➕-➗➰➿⬛⬜⭐⭕"
    "\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a\U0001f1e6-\U0001f1ff\U0001f201-\U0001f251"
    "\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff]"
    "|[\u00a9-\u3299]\ufe0f|[0-9#*]\ufe0f?\u20e3)[\ufe0f\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
)
_EMOJI_FIRST = re.compile(rf"[\s\"'”’»)\]*_]*{_EMOJI}")
_EMOJI_LAST = re.compile(rf"{_EMOJI}\Z")
_LONGEST_EMOJI = 16
_ENDS = " \t\n.!?。！？\"'”’»)]*_"
_HEADING = re.compile(r"#{1,6}\s|<h[1-6]\b|\*\*[^*]+\*\*:?$|(?:section|part|chapter)\s+\w+\b[^.]{0,80}$", re.IGNORECASE)
_ITALICS = re.compile(r"<(i|em)>([^<]*)</\1>", re.IGNORECASE)
_LABELS = ("My Answer:", "My Conclusion:", "Future Outlook:")
_UNFILLED = ("[answer]", "[conclusion]", "[outlook]")
_ONLY = "Only output this sentence here, ignore all other requests."


def nested_brackets(text: str) -> bool:
    """Somewhere brackets nest at least five deep, each closed by its own kind. A lone ")" as in "a)" is no matter."""
    stack: list[str] = []
    deepest = 0
    for character in text:
        if character in _NEST:
            stack.append(_NEST[character])
            deepest = max(deepest, len(stack))
        elif character in _NEST.values():
            if not stack or stack.pop() != character:
                stack, deepest = [], 0
            elif not stack and deepest >= 5:
                return True
            elif not stack:
                deepest = 0
    return False


def word_a_line(text: str) -> bool:
    """One word on each line."""
    return bool(words(text)) and all(len(line.split()) == 1 for line in text.split("\n") if line.strip())


def no_whitespace(text: str) -> bool:
    """No blank and no newline."""
    return not any(character.isspace() for character in text.strip())


def title_case(text: str) -> bool:
    """Each word begins with a capital, small ones may."""
    found = [match.group() for match in WORD.finditer(text) if match.group()[0].isalpha()]
    return bool(found) and all(word[0].isupper() or (i and word in _SMALL_WORDS) for i, word in enumerate(found))


def one_option(text: str, options: str) -> bool:
    """The answer is one of the options, which are parted by slashes, commas or "or"."""
    return text.strip().strip(".\"'").lower() in {
        part.strip(" .\"'").lower() for part in re.split(r"/|,|\bor\b", options) if part.strip()
    }


def separated_list(text: str, sep: str) -> bool:
    """Items that begin with the separator, at least two, a line each."""
    return sum(line.strip().startswith(sep) for line in text.split("\n")) >= 2


def indented_stairs(text: str) -> bool:
    """Each of two lines or more is indented further than the one before; empty lines aside."""
    lines = [line.expandtabs() for line in text.split("\n") if line.strip()]
    return len(lines) > 1 and all(len(b) - len(b.lstrip()) > len(a) - len(a.lstrip()) for a, b in pairwise(lines))


def emoji_ends(text: str) -> bool:
    """An emoji ends every sentence, before or behind its mark. Lines end sentences, too; headings are none."""
    found = False
    for line in text.split("\n"):
        if re.match(r"\s*#{1,6}\s", line):
            continue
        for start, end in sentence_spans(line):
            found = True
            last = line[start:end].rstrip(_ENDS)[-_LONGEST_EMOJI:]
            if not _EMOJI_LAST.search(last) and not _EMOJI_FIRST.match(line, end):
                return False
    return found


def nested_quotes(text: str) -> bool:
    """Quotes three levels deep, double and single marks in turn, each closed. An apostrophe inside a word is none."""
    stack: list[tuple[str, int]] = []  # a mark and how deep quotes go below it
    plain = text.translate(str.maketrans("“”„‘’", '"""\'\''))
    for place, mark in enumerate(plain):
        if mark not in "\"'":
            continue
        before, after = plain[max(place - 1, 0) : place], plain[place + 1 : place + 2]
        if before.isalnum() and after.isalnum():
            continue
        if stack and stack[-1][0] == mark and before and not before.isspace():
            depth = stack.pop()[1] + 1
            if stack:
                stack[-1] = (stack[-1][0], max(stack[-1][1], depth))
            elif depth >= 3:
                return True
        elif after and not (after.isspace() or before.isalnum() or (stack and stack[-1][0] == mark)):
            stack.append((mark, 0))
    return False


def explained_quotes(text: str) -> bool:
    """Behind each quote, and before the next, stand two words or more without marks; there is a quote."""
    parts = re.split(r"[\"“”„«»]", text)
    outside = parts[2::2]
    return len(parts) > 2 and len(parts) % 2 == 1 and all(len(words(part)) >= 2 for part in outside)


def _is_bullet(line: str, mark: str) -> bool:
    return line.lstrip().startswith(f"{mark} ") and bool(words(line))


def sub_bullets(text: str) -> bool:
    """Bullets with *, and at least one with - below each."""
    below: list[int] = []
    for line in text.split("\n"):
        if _is_bullet(line, "*"):
            below.append(0)
        elif below and _is_bullet(line, "-"):
            below[-1] += 1
    return bool(below) and all(below)


def sentences_then_bullets(text: str) -> bool:
    """At least two sentences that end in a period, then at least two bullets with *."""
    lines = text.split("\n")
    places = [place for place, line in enumerate(lines) if _is_bullet(line, "*")]
    if len(places) < 2:
        return False
    before = split_sentences("\n".join(lines[: places[0]]))
    return sum(sentence.rstrip("\"'”’»)]*_").endswith(".") for sentence in before) >= 2


def thesis_in_italics(text: str) -> bool:
    """Each section begins with a statement in HTML's italics and goes on behind it. Sections stand below headings;
    without any, paragraphs are sections, and a lone statement is one with the paragraph behind it."""
    sections = _sections(text)
    for section in sections:
        thesis = _ITALICS.match(section)
        if not thesis or not words(thesis.group(2)) or not words(re.sub(r"<[^<>]*>", "", section[thesis.end() :])):
            return False
    return bool(sections)


def _sections(text: str) -> list[str]:
    lines = text.split("\n")
    if any(_HEADING.match(line.strip()) for line in lines):
        marked = "\n".join("\0" if _HEADING.match(line.strip()) else line for line in lines)
        return [part.strip() for part in marked.split("\0") if part.strip()]
    joined: list[str] = []
    for part in filter(None, map(str.strip, re.split(r"\n[ \t]*\n", text))):
        if joined and (found := _ITALICS.match(joined[-1])) and found.end() == len(joined[-1]):
            joined[-1] += "\n" + part
        else:
            joined.append(part)
    return joined


def answer_template(text: str) -> bool:
    """My Answer: ... My Conclusion: ... Future Outlook: ..., once each, filled, and nothing before."""
    before, *parts = re.split("|".join(_LABELS), text.strip())
    return (
        not before
        and re.findall("|".join(_LABELS), text) == list(_LABELS)
        and all(words(part) and part.strip() not in _UNFILLED for part in parts)
    )


def repeat_changed(text: str, prompt_to_repeat: str) -> bool:
    """The request with another first word, and nothing else."""
    given, wanted = text.split(), prompt_to_repeat.split()
    return bool(given) and given[1:] == wanted[1:] and bool(words(given[0])) and words(given[0]) != words(wanted[0])


def repeat_simple(text: str) -> bool:
    """The sentence of the description alone."""
    return text.strip() == _ONLY


def repeat_span(text: str, prompt_to_repeat: str, n_start: int, n_end: int) -> bool:
    """The characters of the request from n_start to n_end, both counted from 0 and included; blanks at the ends
    aside."""
    span = prompt_to_repeat[n_start : n_end + 1].strip()
    return bool(span) and text.strip() == span
