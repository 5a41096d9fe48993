"""Words by which a chain of thought gives away that it was written towards an answer that was known.

Patterns find what is plainly said; a judge is asked for the rest. Knows nothing of rows or models.
"""

from __future__ import annotations

import re

_KNOWN = "(?:given|provided|supplied|reference|known|stated|target|official|expected|final given)"
_ANSWER = "(?:final |correct |right )?(?:answer|solution|result|conclusion)"
_LEAKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:the|this|that|their|our) {_KNOWN} (?:final )?answer\b",
        r"\b(?:the|this) (?:provided|supplied|reference) (?:final )?(?:result|conclusion)\b",
        rf"\b(?:the|this) {_KNOWN} solution (?:says|states|shows|uses|concludes|gives|tells)\b",
        r"\b(?:reference|model|sample|gold) (?:answer|solution)\b",
        r"\banswer key\b|\bground truth\b",
        r"\b(?:we|i) (?:are|were|was|am|have been|had been|'re|'m) (?:told|given|provided with|shown|informed)"
        rf"(?: that)? (?:the|an?|this) {_ANSWER}\b",
        rf"\b(?:the|this) {_ANSWER} (?:(?:is|was|has been) )?(?:already )?(?:given|provided|told|known|supplied) "
        r"(?:to|as|in|by|above|here|already|beforehand|in advance)\b",
        r"\baccording to the (?:given |provided |reference |final )?(?:answer|solution|summary|outline)\b",
        rf"\b(?:match|matches|matching|agrees? with|consistent with|lead to|arrive at|get to) the {_KNOWN} answer\b",
        r"\b(?:since|because|as|given that|knowing that) (?:we know |i know )?(?:that )?the (?:final |correct )?answer "
        r"(?:is|should be|must be|has to be|will be) (?:given|known|supposed|\$?-?[0-9]|\\boxed)",
        r"\bthe (?:final |correct )?answer (?:is|was) (?:supposed|meant|expected|said) to be\b",
        r"\bwork(?:ing)? back(?:wards?)? from the (?:answer|solution|result)\b",
        r"\b(?:i|we) (?:need|have|want|am asked|are asked|was asked|was told|am told|must|should)(?: to)? "
        r"(?:reconstruct|rationali[sz]e|produce a chain|write a chain|arrive at the answer)\b",
        r"\bthe (?:summary|outline) (?:above )?(?:says|said|states|tells|asks|asked|gives|mentions)\b",
        "给定的?答案|参考答案|标准答案|已知答案|题目给出的答案|根据答案",
    )
)
_FIRST_WORDS = 30
_BEGINS = re.compile(
    r"\b(?:the |my |so the )?(?:final |correct |right )?answer is:? *\**\$?(?:\\boxed|-?[0-9]|[A-J]\b)", re.IGNORECASE
)


def leak_in(chain: str) -> str | None:
    """The words that give it away; None where there are none.

    Example: leak_in("We are told that the answer is 42.") == "We are told that the answer"
    """
    for pattern in _LEAKS:
        found = pattern.search(chain)
        if found is not None:
            return found.group(0)
    first = _BEGINS.search(" ".join(chain.split()[:_FIRST_WORDS]))
    return None if first is None else f"begins with {first.group(0)!r}"
