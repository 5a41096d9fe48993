"""Which letter prose claims as its answer: the last claim, unless the text denies it, takes it back or puts another
letter beside it.

Knows no option texts and no gold. What denies and what takes back is `rewards.prose.claims`; every scan is linear in a
text already cut short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rewards.prose.claims import (
    correction_start,
    is_denied,
    is_doubtful,
    is_refused,
    plain_text,
    retraction_end,
    without_contrast,
)

TAIL_CHARS = 2000  # of a text, from its end, are looked at
_LATEX = re.compile(r"\\(?:text|math)[a-z]{0,6}|[{}$]")
_ADVERB = r"(?: (?:actually|really|clearly|definitely|therefore|thus|indeed|now))?"
_NAMED = re.compile(
    rf"(?P<noun>answer|choice|option)(?P<link>{_ADVERB} (?:is|should be|must be|has to be){_ADVERB}| ?:)?[ "
    r":\n]{0,3}(?:option |choice )?"
    r"\(?(?-i:([A-Z]))\b\)?|\b(?:so|hence|thus|therefore),? (?:it (?:is|must be|has to be|"
    r"can only be) )?\(?(?-i:([A-Z]))\b\W*\Z"
    r"|\b(?:I|we)(?: would| will|'ll| shall)? (?:go with|choose|pick|select) (?:option |choice |"
    r"answer )?\(?(?-i:([A-Z]))\b\)?(?![+#'])",
    re.IGNORECASE,
)
# "answer" in the languages that models fall into; a denial stands between the noun and its verb, where nothing may
# stand.
_FOREIGN = re.compile(
    r"\b(?:respuesta|r[ée]ponse|antwort|resposta|risposta|antwoord)(?: (?:final[ea]?|corr?e[ct]{1,2}[aeo]?|corretta))?"
    r"(?: (?:es|est|ist|è|é|is)| ?:)[ \n]?(?-i:(?:la|die|a|de) |l')?"
    r"(?:(?:opci[oó]n|option|opção|opzione|optie|letra|lettre|lettera|buchstabe) )?\(?(?-i:([A-Z]))\b\)?"
    r"|(?:答案|答え|ответ)(?:是|为|は)?[ :-]{0,3}\(?(?-i:([A-Z]))(?![A-Za-z])\)?",
    re.IGNORECASE,
)
_AFFIRMED = re.compile(
    rf"\(?\b([A-Z])\b\)? (?:is|must be|has to be){_ADVERB} (?:(?:the )?(?:only )?(?:correct|right|best)(?: answer| "
    r"choice| option| one)?"
    r"|the answer)(?= ?(?:[.;!,\n]|\Z|because\b|since\b))"
)
_LETTER = re.compile(r"\(?\b([A-Z])\b\)?(?= ?(?:[.;!,\n]|\Z|because\b|since\b))")
_MENTION = re.compile(
    r"(?<![\w'])([B-HJ-Z])(?![\w'])|(?<![\w'])(A)(?=[.,;:)!?\n/|]|\Z| (?:is|was|are|and|or|would|can|too)\b)"
)
# Not "I think", not C++.
_LONE = re.compile(r"(?<![A-Za-z])([A-HJ-Z]|I(?! (?!(?:is|was|because|since|as|and|or|nor|to)\b)[a-z]))(?![A-Za-z'+#])")
_ARTICLE = re.compile(  # "A good question"
    r"(?<![A-Za-z])A (?!(?:is|it|was|must|has|would|seems|fits|works|because|since|as|and|or|nor|to)\b)[a-z]"
)
# A label in lower case, where a cue, brackets or the end of the text say that it is no word: "option b", "answer: (a)".
_LOWER = re.compile(
    r"(?P<cue>(?:\b(?i:answer|option|choice|choose|pick|select|respuesta|réponse|antwort|resposta|risposta|antwoord|"
    r"opción|opção|opzione|optie|letra|lettre|lettera|buchstabe|ответ)\b|答案|答え)"
    r"(?: final[ea]?| corr?e[ct]{1,2}[aeo]?)?"
    r"(?:(?i: is| should be| must be| es| est| ist| è| é)|[ *:：是为は])*(?:la |die |de |l['’])?"
    r"(?:(?:option|choice|opción|opção|opzione|optie|letra|lettre|lettera|Buchstabe) )?"
    r"(?P<open>[(\[])?\**)(?P<letter>[a-z])"
    r"(?=(?(open)[)\]]|(?:\)|\**[.,;:]?\s*(?:\Z|\n)|[.,;:] | (?:is|because|since)\b)))"
)
_HEDGED = re.compile(
    r"\b(?:not|never|except|neither|nor|or|nicht|kein|no es|não|non è|n['’]est|oder|ou|не)\b|不", re.IGNORECASE
)
_CLAUSE = re.compile(
    r"[.!?;\n]|,(?= (?:but|however|(?:al)?though|while|whereas|because|since|so|and|as (?!well)|which|where)\b)|"
    r" (?=(?:because|since)\b)"
)
_FAULTY = r"(?:wrong|incorrect|false|impossible|invalid|ruled out|eliminated|excluded)"
_SUPPORTS = re.compile(
    r"\b(?:also|or|maybe|perhaps|possibly|alternatively|equally|both|as well|better|correct|right|true|valid|"
    r"works?|fits?|too"
    r"|otherwise|if|(?:might|could|may)(?: \w+)? (?:work|fit|be(?= ?(?:[^\w ]|\Z|\(?(?-i:[A-Z])\b|"
    r"(?:the|it|one|another|accept|pick|chos|select|consider|tak|argu|defend))))"
    r"|answer|best|choose|pick|it is(?= \(?(?-i:[A-Z])\b))\b",
    re.IGNORECASE,
)
_OPPOSES = re.compile(
    rf"\b(?:not|never|neither|nor|none|{_FAULTY}|fail\w{{0,3}}|rul(?:e|es|ing) "
    r"out|eliminat\w{1,4}|exclud\w{1,4}|reject\w{0,4}"
    r"|discard\w{0,4}|distractors?|tempting|unlike|only|too(?= [a-z])|would|contradict\w{0,3}|violat\w{1,3}|(?:are|"
    r"is)(?: all)? out"
    r"|ignor\w{1,3}|confus\w{1,3}"
    r"|lacks?)\b",
    re.IGNORECASE,
)
_DOUBLE = re.compile(
    rf"\b(?:not|never)(?: be)?(?: \w+)? (?:only|just|{_FAULTY})\b|\bif not\b|\bwould (?:also\b|\w+ (?:as well|too)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A letter, and the plain text before and after it. strong: it is said to be the answer (an option may be named for
    other reasons)."""

    letter: str
    before: str
    after: str
    strong: bool


def claimed_letter(text: str, letters: str, *, alone_chars: int = 40) -> str | None:
    """The letter that stands as the answer in the end, in a short text also a lone one that nothing names; None where
    there is none.

    Examples: "The answer is B. Wait, no: it is C." gives "C"; "The answer is B or C." gives None.
    """
    text = without_contrast(plain_text(_LATEX.sub("", text[-TAIL_CHARS:])))
    claims = list(_claims(text, letters))
    claim = next(
        (c for c in reversed(claims) if c.strong),
        claims[-1] if claims else _lone_letter(text[: alone_chars + 1], letters, alone_chars),
    )
    if claim is None or is_denied(claim.before) or (not claim.strong and is_doubtful(claim.before)):
        return None
    end = retraction_end(claim.after)
    if end is not None:
        claim = _correction(claim.after, end)
    return claim.letter if claim and claim.letter in letters and _is_the_only_claim(claim, letters) else None


def named_letters(text: str, letters: str) -> set[str]:
    """Every letter that the end of a text says to be the answer, denied and taken back ones too."""
    plain = plain_text(_LATEX.sub("", text[-TAIL_CHARS:]))
    return {claim.letter for claim in _claims(plain, letters) if claim.strong}


def with_capital_labels(text: str) -> str:
    """The text with those letters in upper case that are labels: "option b" as "option B", "the answer is a metal" as
    it is."""
    return _LOWER.sub(lambda match: match["cue"] + match["letter"].upper(), text)


def stands_first(letter: str, after: str, letters: str) -> bool:
    """Whether what follows a first line that names the letter only explains it: nothing is taken back, no other letter
    put forward."""
    text = plain_text(_LATEX.sub("", after[:TAIL_CHARS]))
    if retraction_end(text) is not None or claimed_letter(after, letters, alone_chars=0) not in (None, letter):
        return False
    return _is_the_only_claim(Claim(letter=letter, before="", after=f"\n{text}", strong=True), letters)


def _claims(text: str, letters: str) -> Iterator[Claim]:
    found = []
    for match in _NAMED.finditer(text):
        letter = match[3] or match[4] or match[5]
        strong = bool(match["link"]) or (match["noun"] or "").lower() == "answer"
        found.append((match, letter, strong))
    found += [(match, match[1], True) for match in _AFFIRMED.finditer(text)]
    found += [(match, match[1] or match[2], True) for match in _FOREIGN.finditer(text)]
    for match, letter, strong in sorted(found, key=lambda one: one[0].start()):
        if letter in letters:
            yield Claim(letter=letter, before=text[: match.start()], after=text[match.end() :], strong=strong)


def _lone_letter(text: str, letters: str, most_chars: int) -> Claim | None:
    found = [m for m in _LONE.finditer(text) if m[1] in letters]
    if len(text) > most_chars or len({m[1] for m in found}) != 1 or _HEDGED.search(text):
        return None
    if found[0][1] == "A" and all(_ARTICLE.match(text, m.start()) for m in found):
        return None
    return Claim(letter=found[0][1], before=text[: found[0].start()], after=text[found[0].end() :], strong=False)


def _correction(after: str, end: int) -> Claim | None:
    start = correction_start(after, end)
    match = None if start is None else _LETTER.match(after, start)
    return match and Claim(letter=match[1], before="", after=after[match.end() :], strong=True)


def _is_the_only_claim(claim: Claim, letters: str) -> bool:
    """Whether what follows a claim leaves it the only one."""
    if is_refused(claim.after):
        return False
    clauses = enumerate(_CLAUSE.split(claim.after))
    others = any(_puts_forward(clause, claim.letter, letters, own=i == 0) for i, clause in clauses)
    again = (m for m in _MENTION.finditer(claim.after) if claim.letter in m.groups())
    return not others and not any(
        is_refused(claim.after[m.end() :]) or is_doubtful(claim.after[: m.start()]) for m in again
    )


def _puts_forward(clause: str, letter: str, letters: str, *, own: bool) -> bool:
    """Whether a clause names another letter and does not say why it is none. In the claim's own clause to name it is
    enough: "B, C"."""
    others = {m[1] or m[2] for m in _MENTION.finditer(clause)} & set(letters) - {letter}
    if not others or _DOUBLE.search(clause):
        return bool(others)
    return not _OPPOSES.search(clause) and (own or bool(_SUPPORTS.search(clause)) or not re.search(r"[a-z]{2}", clause))
