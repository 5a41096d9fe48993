"""Which letter a text without a box claims as its answer: the last claim, unless the text denies it, takes it back or names others beside it.

Knows no option texts and no gold. What denies and what takes back is `rewards.claims`; every scan here is linear in a text already cut short.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards.claims import last_retraction, refused, turned, voided

_HARDLY = r"(?:actually|really|clearly|definitely|therefore|thus|indeed|surely|then|now|instead)"
_NAMED = re.compile(
    rf"(?P<noun>answer|choice|option)(?P<link>(?:\s+{_HARDLY})?\s+is(?:\s+{_HARDLY})?|\s*[:：]|\s+(?:should|must|has to)\s+be)?"
    r"\s*[:：]?\s*\**\s*(?:(?:option|choice)\s+)?\(?([A-Z])\)?(?![A-Za-z])",
    re.IGNORECASE,
)
_CHOSEN = re.compile(r"\b(?:choos|pick|select|go(?:ing)? (?:with|for)|opt for|settl)\w{0,3}(?: \w+)? \Z", re.IGNORECASE)
_AFFIRMED = re.compile(r"[)\]*\s]{0,4}(?:is|must be|has to be)(?: (?:indeed|clearly|thus|therefore|then))? (?:the )?(?:only )?(?:correct|right|best|answer)\b")
_CORRECTED = re.compile(
    r"(?:\b(?:it|this|that|answer|choice|option|one)(?:[’']s|\s+(?:is|must be|should be|has to be))"
    rf"|\bI (?:mean|meant|choose|pick|say)|\bgo(?:ing)? with|\bmake (?:it|that)|\b(?:answer|choice) to)(?:\s+{_HARDLY})?\s*[:：]?\s*\**\s*"
    r"(?:(?:option|choice)\s+)?\(?(?-i:([A-Z]))\)?\**(?=\s*(?:[.;!,\n]|\Z|because\b|since\b))",
    re.IGNORECASE,
)
_SEPARATOR = r"(?:,|/|&|;|\+|\||\band\b|\bor\b|\bas well as\b|\balong with\b|\bplus\b|\bthen\b|\bto\b|\(|—|–|-|\.{2,3}|…)"
_LISTED = re.compile(
    rf"[)\]*_\"'\s]{{0,4}}(?:{_SEPARATOR}\s{{0,3}}){{1,3}}(?:(?:also|maybe|perhaps|possibly|even|both|either|option|choice|or|and|then)\s{{1,3}}){{0,3}}"
    r"[(\[*]{0,3}(?-i:[A-Z])(?![A-Za-z'’])[)\]*]{0,3}(?:\s{0,3}(?:,|/|&|;|\+|\||and\b|or\b)\s{0,3}(?:and |or )?[(\[*]{0,3}(?-i:[A-Z])(?![A-Za-z'’])[)\]*]{0,3}){0,10}"
    r"(?P<rest>[^.!?;\n]{0,120})",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\s+(?:is|are|was|were|would|will|gives?|gave|has|have|does|do|did|can|cannot|could|fails?|leads?|needs?|uses?|ignores?|forgets?|yields?|follows?"
    r"|contradicts?|violates?|being|having|[a-z]+s)\b"
)
_JOINED = re.compile(r"[)\]*_\s]{0,4}(?:\bor\b|/|\||&)", re.IGNORECASE)
_LETTER = r"(?:\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)s?\s+\(?([A-Z])\b\)?|\(([A-Z])\)|(?<![A-Za-z'’(])([B-HJ-Z])(?![A-Za-z'’])|(?<![A-Za-z'’(])(A)(?=[.,;:)!?\n]|\Z|\s+(?:is|was|are|and|or|would|cannot|can|too)\b))"
_MENTION = re.compile(_LETTER)
_CLAUSE = re.compile(r"[.!?;\n]|,(?=\s+(?:but|however|although|though|while|whereas|because|since|so|and)\b)")
_SUPPORTS = re.compile(
    r"\b(?:also|maybe|perhaps|possibly|alternatively|equally|both|as well|more likely|prefer\w{0,3}|better|correct|right|true|valid|works?|fits?|instead"
    r"|too|(?:might|could|may)(?: \w+)? (?:be|work|fit)|if not|answer|best|choose|pick)\b",
    re.IGNORECASE,
)
_OPPOSES = re.compile(
    r"\b(?:not|never|cannot|neither|nor|none|wrong|incorrect|false|impossible|invalid|fail\w{0,3}|rul(?:e|es|ed|ing) out|eliminat\w{1,4}|exclud\w{1,4}"
    r"|reject\w{0,4}|discard\w{0,4}|distractors?|tempting|mistak\w{1,4}|unlike|rather than|instead of|only|too (?:big|small|large|high|low|few|many|much"
    r"|long|short|\w+)|contradict\w{0,3}|violat\w{1,3}|ignor\w{1,3}|forget\w{0,3}|without|lacks?)\b|n[’']t\b",
    re.IGNORECASE,
)
_DOUBLE = re.compile(
    r"\b(?:not|never|cannot be|can[’']t be|n[’']t) (?:\w+ )?(?:only|just|wrong|incorrect|false|ruled out|excluded|denied|impossible|invalid|eliminated)\b"
    r"|\bif not\b",
    re.IGNORECASE,
)
_FILLER = frozenset(
    "so then thus therefore or and maybe perhaps also no yes not rather better final finally option choice it is its it's that's be make the my i say mean"
    " meant pick choose go with but well too instead possibly actually correct right answer probably".split()
)
_NOT_IT = re.compile(r"\b(?:not|never|n[’']t|cannot be|can[’']t be)(?: (?:the answer|be|is|the))?(?: (?:option|choice))? ?\(?\Z", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim:
    """Where a letter is claimed, and whether the text says that it is the answer (an option may be named for other reasons)."""

    start: int
    end: int
    letter: str
    strong: bool


def names_an_answer(text: str, letters: str) -> bool:
    """Whether an answer, a choice or an option is named by letter at all."""
    return bool(_claims(text, letters))


def claimed_letter(text: str, letters: str) -> str | None:
    """The letter that stands as the answer in the end. Example: "The answer is B. Wait, no: it is C." gives "C"."""
    claims = _claims(text, letters)
    claim = next((c for c in reversed(claims) if c.strong), claims[-1]) if claims else None
    if claim is None or voided(text[: claim.start]) or (not claim.strong and _ruled_out(text[: claim.start])):
        return None
    after = text[claim.end :]
    taken_back = last_retraction(after)
    if taken_back is not None:
        start = max(0, taken_back - 12)  # "make that" may be part of what takes back
        match = next((m for m in _CORRECTED.finditer(after, start) if m.start(1) >= taken_back), None)
        if match is None or match.group(1) not in letters or voided(after[taken_back : match.start()]):
            return None
        claim = _Claim(start=match.start(), end=match.end(), letter=match.group(1), strong=True)
        after = after[match.end() :]
    return claim.letter if _stands(claim.letter, after, letters) else None


def denied_around(before: str, after: str) -> bool:
    """Whether a letter alone in a short text is denied there. Example: "(B) green is wrong"."""
    return voided(before) or turned(before) or refused(after)


def _claims(text: str, letters: str) -> list[_Claim]:
    found = []
    for match in _NAMED.finditer(text):
        letter = match.group(3)
        if letter in letters and letter.isupper():
            says = bool(match["noun"].lower() == "answer" or match["link"])
            chosen = _CHOSEN.search(text[max(0, match.start() - 40) : match.start()]) or _AFFIRMED.match(text, match.end())
            found.append(_Claim(start=match.start(), end=match.end(), letter=letter, strong=says or bool(chosen)))
    return found


def _ruled_out(before: str) -> bool:
    """Turned by the words before it, and not by words that another letter has taken: "I rule out A and keep option B"."""
    return turned(before) and not _MENTION.search(before[-40:])


def _stands(letter: str, after: str, letters: str) -> bool:
    """Whether what follows a claim leaves it the only one."""
    if refused(after) or _JOINED.match(after) or _in_a_list(after, letters):
        return False
    return not any(_competes(clause, letter, letters) for clause in _CLAUSE.split(after)) and not _denied_later(letter, after)


def _in_a_list(after: str, letters: str) -> bool:
    """ "B, C" and "B and C are both right", but neither "B, C is too big" nor "B and A train"."""
    match = _LISTED.match(after)
    if match is None:
        return False
    rest = match["rest"]
    if not _VERB.match(rest):
        return not rest.strip() or not rest.lstrip()[:1].islower() or bool(_SUPPORTS.match(rest.strip()))
    return bool(_SUPPORTS.search(rest)) and (not _OPPOSES.search(rest) or bool(_DOUBLE.search(rest)))


def _competes(clause: str, letter: str, letters: str) -> bool:
    """Whether a clause after the claim puts another letter forward, rather than explaining why it is none."""
    others = _letters(clause, letters) - {letter}
    if not others:
        return False
    words = re.findall(r"[A-Za-z'’]+", clause.replace("’", "'"))
    if all(word.lower() in _FILLER or word in others or word == letter for word in words):
        return not _OPPOSES.search(clause)
    if match := _CORRECTED.search(clause):
        return match.group(1) != letter and not voided(clause[: match.start()])
    if _DOUBLE.search(clause):
        return True
    return bool(_SUPPORTS.search(clause)) and not _OPPOSES.search(clause) and not _affirms(letter, clause)


def _affirms(letter: str, clause: str) -> bool:
    """Whether the clause speaks for the claimed letter as well: "B is correct and A follows from it"."""
    return any(_first(m) == letter and _AFFIRMED.match(clause, m.end()) for m in _MENTION.finditer(clause))


def _denied_later(letter: str, after: str) -> bool:
    """Whether a later mention of the claimed letter says that it is wrong."""
    for match in _MENTION.finditer(after):
        if _first(match) != letter:
            continue
        before = after[: match.start()]
        if _NOT_IT.search(before[-40:]) or _ruled_out(before) or refused(after[match.end() :]):
            return True
    return False


def _letters(text: str, letters: str) -> set[str]:
    return {_first(m) for m in _MENTION.finditer(text)} & set(letters)


def _first(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)
