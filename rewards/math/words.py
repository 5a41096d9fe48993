"""Words in answers: number words, prose around a value, phrases that mean the same, and comparing short texts. No
mathematics.

Everything here is a likelihood, never a certainty, but for texts that are equal letter by letter.
"""

from __future__ import annotations

import re

from rewards.math.foreign import PHRASES, english_phrase
from rewards.math.result import Result, no, unsure, yes

_TEXT = re.compile(r"\\(?:text|mathrm|textbf|textit|textrm|mathbf|operatorname|ce) ?\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9' .,-]*\Z")
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENTHS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENTHS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_PARTS = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}  # fmt: skip

_SHARE = rf"(?P<part>{'|'.join(_PARTS)})s?"
_AND_PART = re.compile(
    (
        rf"(?P<count>an?|[a-z]{{3,9}}|\d{{1,6}})(?: (?P<unit>[a-z]{{2,12}}))? and (?:an?|one) {_SHARE}(?: "
        r"(?P<unit2>[a-z]{2,12}))?\Z"
    ),
    re.IGNORECASE,
)
_PART_OF = re.compile(
    rf"(?:an? |one |(?P<times>two|three)[ -])?{_SHARE} (?:of )?an? (?P<unit>[a-z]{{2,12}})\Z", re.IGNORECASE
)
_NEGATIVE = re.compile(r"(?:minus|negative) (?=[A-Za-z\d])", re.IGNORECASE)

# A word that turns, widens or doubts what stands beside it: prose that holds one is never taken off.
DOUBT = re.compile(
    r"\b(?:not|or|nor|neither|either|never|no|cannot|maybe|perhaps|possibly|between|than|least|most|except|unless|"
    r"if|but|wrong|incorrect|"
    r"without|twice|double|minus|plus|times|negative|opposite|reciprocal|inverse|more|less|fewer|"
    r"about|around|almost|nearly|up to|over|under|above|below|before|after)\b|n't|[<>≠≤≥]|\\(?:le|ge|ne|lt|gt|pm)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?:(?!(?:guess|check|hint|example|step|case|given|note|suppose|assume|try|attempt|first|reject|exclu|discard|"
    r"runner|altern|other|previous"
    r"|old|initial|original)\w{0,6}\b)[A-Za-z]{3,15}(?: [a-z]{2,15}){0,3}: (?=.{0,80}\d)"
    r"|\d{2}\\?% (?:CI|confidence interval): "
    r"|the (?:line|curve|parabola|circle|function|plane|equation|polynomial):? (?=[a-zA-Z(] ?[=(+^-]|[xyf]\^|[-(\d]))"
    r"|(?:(?:[^\W\d_](?:[^\W\d_]|[' ,-]){0,80} (?:is|are|equals|be)(?: called| known as)?"
    r"|exactly|only|precisely|hence|thus|therefore|so)[ :,]+"
    r"|(?:for )?(?:all|every|any)(?: [a-z]{2,12}){0,3} (?=[A-Za-z] ?(?:\\[gl]e|[<>=])))",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"[ ,]*(?:\b(?:for|with) (?:all|every|any|each|some|integers?|real)\b|\\forall(?![A-Za-z])|\b(?:where|only)\b"
    r"|,? ?\(?(?:[A-Za-z](?:_\d)?, ?){0,3}[A-Za-z](?:_\d)? ?\\in ?\\mathbb(?![A-Za-z])"
    r"|\b(?:from|with|by) the (?:given )?information\b(?: given)?"
    r"|\bby (?:the )?[a-z-]{3,20}(?: [a-z-]{3,20})? (?:test|theorem|criterion|rule|lemma)\b"
    r"|\b(?:is|are) the (?:only|unique|smallest|largest|minimum|maximum|least|greatest|answer|correct|right|best|"
    r"required|desired)\b).*\Z",
    re.DOTALL,
)
_ASIDE = re.compile(r" ?\([A-Za-z][A-Za-z' ,-]{2,80}\)\Z")


def opened(text: str) -> str:
    """\\text{...} and its like without the command: one line of plain words and mathematics."""
    return " ".join(_TEXT.sub(r" \1 ", text).split()) if "\\" in text else text


def bare(text: str) -> str | None:
    """Words without mathematics, commands opened; None for anything else."""
    words = opened(text).strip(" .,!\"'")
    return words if _WORDS.match(words) and len(words) <= 200 else None


def spelled(text: str) -> str:
    """Number words in front as digits: "twenty-five apples" -> "25 apples", "two thirds" -> "2/3"; other text as it
    is."""
    lead = _NEGATIVE.match(text)
    if lead is not None:
        rest = spelled(text[lead.end() :])
        return f"-{rest}" if rest[:1].isdigit() else text
    if (mixed := _AND_PART.match(text) or _PART_OF.match(text)) is not None:
        return _with_part(mixed) or text
    tokens = text.lower().replace("-", " ").split()
    if len(tokens) > 1 and tokens[0] == "a" and (tokens[1] in _SCALES or tokens[1] == "dozen"):
        tokens[0] = "one"
    total = current = used = 0
    for i, word in enumerate(tokens):
        if word in _SMALL:
            current += _SMALL[word]
        elif word in _SCALES and current:
            current *= _SCALES[word]
            if word != "hundred":
                total, current = total + current, 0
        elif word == "and" and used and i + 1 < len(tokens) and tokens[i - 1] == "hundred" and tokens[i + 1] in _SMALL:
            continue
        else:
            break
        used = i + 1
    part = tokens[used].removesuffix("s") if used < len(tokens) else ""
    if part in _PARTS and (used or part == "half"):
        return " ".join([f"{total + current if used else 1}/{_PARTS[part]}", *tokens[used + 1 :]])
    return " ".join([str(total + current), *tokens[used:]]) if used else text


def _with_part(match: re.Match[str]) -> str | None:
    """`two hours and a half`, `one and a half hours` and `half an hour` as "5/2 hours", "3/2 hours", "1/2 hour"."""
    found = match.groupdict()
    count = spelled(found.get("count") or "zero")
    count = {"a": "1", "an": "1"}.get(count.lower(), count)
    part = _PARTS[found["part"].lower().removesuffix("s")]
    times = {"three": 3, "two": 2}.get((found.get("times") or "").lower(), 1)
    if (
        not count.isdigit()
        or len(count) > 12
        or (found.get("unit") and found.get("unit2"))
        or found.get("unit") in _PARTS
    ):
        return None
    return f"{int(count) * part + times}/{part} {found.get('unit') or found.get('unit2') or ''}".strip()


def core(text: str) -> tuple[str, str]:
    """(what is claimed, the prose that was taken off around it); the prose is empty where there is none, or where it
    holds a doubt.

    Example: "The answer is 7" -> ("7", "The answer is"); "f(x) = x for all x" -> ("f(x) = x", "for all x").
    """
    plain = opened(text)
    prose = []
    for pattern in (_TAIL, _ASIDE):
        if (match := pattern.search(plain)) and match.start() > 0:
            prose.append(match.group(0))
            plain = plain[: match.start()]
    while match := _LEAD.match(plain):
        prose.append(match.group(0))
        plain = plain[match.end() :]
    taken = " ".join(prose)
    return (text, "") if not plain.strip(" .,") or DOUBT.search(taken) else (plain.strip(" ,"), taken.strip(" ,"))


# ---------------------------------------------------------------- short texts

_SAME = (
    (
        "no solution",
        "no solutions exist",
        "no solution exists",
        "there is no solution",
        "there are no solutions",
        "no such solution",
    ),
    ("no real solution", "no real solutions exist", "there are no real solutions"),
    *((f"no such {n} exists", f"no such {n}", f"there is no such {n}", "none", "no such number") for n in "nmkpxf"),
    ("does not exist", "dne", "doesn't exist", "limit does not exist", "undefined"),
    (
        "infinitely many",
        "infinite",
        "infinity",
        "an infinite number",
        "infinitely many solutions",
        "infinite solutions",
        "\\infty",
    ),
    ("all real numbers", "all reals", "every real number", "any real number", "\\mathbb{R}"),
    (
        "no integer solution",
        "no solution in integer",
        "no integral solution",
        "no solution",
        "\\emptyset",
        "\\{\\}",
        "empty set",
    ),
    (
        "empty set",
        "\\emptyset",
        "\\{\\}",
        "no solution",
        "no real solution",
        "no real solutions exist",
        "there are no real solutions",
    ),
    ("\\infty", "+\\infty", "infinity", "positive infinity", "plus infinity", "diverges to infinity"),
    ("-\\infty", "negative infinity", "minus infinity"),
    (">", "\\gt", "greater than"),
    ("<", "\\lt", "less than"),
    ("=", "equal", "equal to"),
    *(
        (day[:3].lower(), day.lower())
        for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    ),
    *((english,) for english, *_ in PHRASES),
    ("converges", "convergent"),
    ("diverges", "divergent"),
    ("true", "yes"),
    ("false", "no"),
)
_NO_SUCH = re.compile(r"(?:there (?:is|are|exists?) )?no such [a-z]{2,20}(?: exists?)?\Z|none exists?\Z", re.IGNORECASE)
_PHRASES: dict[str, set[int]] = {}
for _index, _group in enumerate(_SAME):
    for _phrase in _group:
        _PHRASES.setdefault(_phrase, set()).add(_index)

_POLAR = frozenset(("yes", "no", "true", "false"))
_POLAR_LEAD = re.compile(r"(yes|no|true|false)\s*[,.;:]\s*(.+)\Z", re.IGNORECASE)

_NEGATED = re.compile(
    r"(?:the|this|that) (?:statement|claim|assertion|proposition|conjecture) is(?: not|n't) (true|false)\Z",
    re.IGNORECASE,
)

_IRREGULAR = {
    "mitochondria": "mitochondrion", "bacteria": "bacterium", "phenomena": "phenomenon", "criteria": "criterion",
    "nuclei": "nucleus",
    "alveoli": "alveolus", "fungi": "fungus", "foci": "focus", "radii": "radius", "vertices": "vertex",
    "matrices": "matrix",
    "indices": "index", "axes": "axis", "hypotheses": "hypothesis", "spectra": "spectrum", "quanta": "quantum",
    "ova": "ovum",
}  # fmt: skip


def _singular(word: str) -> str:
    word = _IRREGULAR.get(word, word)
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


# What may stand around a gold in a sentence without changing what it says. Verbs of winning: answers to "who wins?" are
# sentences.
_NEUTRAL = frozenset(map(_singular, (
    "the", "a", "an", "is", "are", "was", "it", "its", "it's", "this", "that", "there", "be", "will", "must", "always",
    "only", "so",
    "they", "he", "she", "we", "fall", "on", "option", "choice", "triangle", "sequence", "series", "matrix", "graph",
    "limit", "statement",
    "curve", "relation", "therefore", "thus", "hence", "answer", "number", "n", "x", "function", "value", "has", "have",
    "win", "winning",
    "strategy",
)))  # fmt: skip


def folded(text: str) -> str:
    """Case, articles, hyphens and plurals away: "A Parallelogram" and "parallelograms" are one."""
    words = text.casefold().replace("-", " ").replace(",", " ").strip(" .").split()
    words = words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words
    return " ".join(map(_singular, words))


def listed(text: str) -> list[str] | None:
    """The names of `Alice, Bob and Carol`; None for a single text, a sentence, or an answer of yes or no with its
    reason."""
    parts = [part.strip(" .") for part in re.split(r",(?: and)? | and ", opened(text))]
    short = len(parts) > 1 and all(part and len(part.split()) <= 3 for part in parts)
    return parts if short and parts[0].casefold() not in _POLAR and not DOUBT.search(text) else None


def means_same(gold: str, answer: str) -> bool:
    """Whether both are phrases of one meaning, such as "no solution" and the empty set."""
    if _NO_SUCH.match(bare(answer) or ""):
        answer = "none"
    answer = english_phrase(answer) or answer
    left, right = (
        _PHRASES.get(side) or _PHRASES.get((bare(side) or "").casefold()) or _PHRASES.get(folded(bare(side) or ""))
        for side in (gold, answer)
    )
    return bool(left and right and left & right)


def compare_words(gold: str, answer: str) -> Result:
    """Two bare texts."""
    if gold.casefold() == answer.casefold():
        return yes("text_equal")
    if (
        folded(gold) == folded(answer)
        or folded(gold).replace(" ", "") == folded(answer).replace(" ", "")
        or means_same(gold, answer)
    ):
        return yes("text_same", certain=False)
    if (reasoned := with_reason(gold, answer)) is not None:
        return reasoned
    negated = _NEGATED.match(answer) if gold.casefold() in _POLAR else None
    if negated:
        return compare_words(gold, "false" if negated[1].casefold() == "true" else "true")
    return _in_sentence(folded(gold).split(), folded(answer).split())


def with_reason(gold: str, answer: str) -> Result | None:
    """`No, 221 = 13 \\times 17` for a gold of yes or no; None where the gold is none, or the answer does not begin with
    one."""
    lead = _POLAR_LEAD.match(answer) if gold.casefold() in _POLAR else None
    if lead is None:
        return None
    contradicted = _POLAR - {lead[1].casefold()} & set(re.findall(r"[a-z]+", lead[2].casefold()))
    if contradicted - ({"no"} if lead[1].casefold() == "no" else set()):
        return unsure("text_or_not")
    same = compare_words(gold, lead[1]).outcome.value == "correct"
    return yes("text_same", certain=False) if same else no("text_differs", certain=False)


def _in_sentence(wanted: list[str], got: list[str]) -> Result:
    """The gold once in a sentence whose other words say nothing."""
    size = len(wanted)
    starts = [i for i in range(len(got) - size + 1) if got[i : i + size] == wanted]
    if len(starts) == 1 and len(got) <= 12:
        rest = got[: starts[0]] + got[starts[0] + size :]
        if all(word in _NEUTRAL for word in rest):
            return yes("text_in_sentence", certain=False)
        return unsure("text_in_sentence")
    return no("text_differs", certain=False)
