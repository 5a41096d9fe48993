"""What prose does to a claim that stands in it: denies it, supposes it, takes it back. Linear: every repetition is bounded, texts are cut.

Knows no values and no letters: callers hand over the text before a claim and the text after it. It errs towards "not claimed".
"""

from __future__ import annotations

import re

_BEFORE_CHARS = 200
_AFTER_CHARS = 160
READ_CHARS = 6000

# ---------------------------------------------------------------- before a claim

# What turns the words after it round: "I rule out 4", "it is anything but 4".
_TURNS = (
    r"rul(?:e|es|ed|ing) (?:\w+ )?out|eliminat\w{1,4}|exclud\w{1,4}|discard\w{0,4}|reject\w{0,4}|dismiss\w{0,4}|refut\w{1,4}|den(?:y|ies|ied)"
    r"|cross(?:ed|es|ing)? out|str(?:ike|ikes|uck) out|drop(?:ped|s)?|avoid\w{0,4}"
    r"|(?:any(?:thing|where|one)?|all|every(?:thing|where|one)?|none|no(?:thing| one)) but"
    r"|instead of|in place of|rather than|other than|apart from|aside from|as opposed to|different from|differs? from|far from"
    r"|nowhere near|except(?: for)?|excluding|unlike|but for|anything besides|besides"
)
_DENIES = (
    r"not|never|cannot|neither|nor|hardly|scarcely|no longer|no way|impossible|unlikely|false|wrong(?:ly)?|incorrect(?:ly)?|untrue|mistaken(?:ly)?"
    r"|doubt\w{0,4}|disagree\w{0,2}|disput\w{1,3}|unsure|uncertain|absurd|nonsense"
)
# What only supposes, or tells what another held.
_SUPPOSES = (
    r"if|unless|whether|suppos\w{1,4}|assum\w{1,4}|imagin\w{1,3}|pretend\w{0,3}|maybe|perhaps|possibly|claims?|claimed"
    r"|(?:i|we|you|one|he|she|they|many|some)(?: \w+)? (?:thought|guessed|believed)"
    r"|(?:might|could|may|would)(?: \w+){0,2} (?:say|think|guess|believe|claim|conclude|expect|argue|assume|suppose)"
    r"|(?:might|could|may)(?: \w+)? be|tempt\w{2,4}|naive(?:ly)?|initial(?:ly)?|previous(?:ly)?|earlier|at first"
)
_TURNED = re.compile(rf"\b(?:{_TURNS})\b", re.IGNORECASE)
_DENIED = re.compile(rf"\b(?:{_TURNS}|{_DENIES})\b|n[’']t\b", re.IGNORECASE)
_SUPPOSED = re.compile(rf"\b(?:{_SUPPOSES})\b", re.IGNORECASE)
_CLAUSE_START = re.compile(r"[.!?;](?=\s|$)|\n")
# Where a denial ends before the sentence does: "it is not even, so the answer is 5". Not before "that": "I doubt, too, that ...".
_BREAK = re.compile(
    r"[,:)—–](?!\s*(?:that|however|though|after all|I|in my)\b)|\b(?:so|thus|therefore|hence|then|because|since|leav(?:es|ing)|meaning|but|instead)\b"
    r"|\band (?:the|our|my|so|thus|hence|therefore)\b|\b(?:wrong|incorrect|false|impossible|invalid|out|fails) and\b",
    re.IGNORECASE,
)
_ALL_BUT = re.compile(r"\b(?:any(?:thing|where|one)?|all|every(?:thing|where|one)?|none|nothing|no one) but\b", re.IGNORECASE)
_LABELLED = re.compile(r"\b(?:wrong|incorrect|false|bad|mistaken|rejected|discarded|eliminated|excluded)(?: \w+)?\s*[:：]\s*\Z", re.IGNORECASE)


def voided(before: str, *, supposed: bool = True) -> bool:
    """Whether the clause that leads up to a claim denies it or only supposes it. Example: voided("I doubt that the ") is True."""
    before = before[-_BEFORE_CHARS:]
    clause = before[_last_end(_CLAUSE_START, before) :]
    if _LABELLED.search(clause):
        return True
    kept = _ALL_BUT.sub("except", clause)  # that "but" is no break
    part = kept[_last_end(_BREAK, kept) :]
    return bool(_DENIED.search(part) or (supposed and _SUPPOSED.search(part)))


def turned(before: str) -> bool:
    """Whether what comes next is ruled out by the words right before it, with or without a comma between."""
    clause = before[-60:]
    clause = clause[_last_end(_CLAUSE_START, clause) :]
    last = _last_end(_TURNED, clause)
    return bool(last) and not any(character.isdigit() for character in clause[last:])


def _last_end(pattern: re.Pattern[str], text: str) -> int:
    end = 0
    for match in pattern.finditer(text):
        end = match.end()
    return end


# ---------------------------------------------------------------- after a claim

_BE = r"(?:is|are|was|were|be|being|seems?|looks?|proves?|turns? out|turned out|(?:must|would|can|has|have|will|to)(?: to)? be(?:en)?)"
_ADVERB = (
    r"(?:\s+(?:clearly|also|certainly|definitely|simply|just|plainly|obviously|still|totally|completely|therefore|thus|now|an?|the|both|all"
    r"|to|be|of|course|quite|surely|actually|really|much|far|in|fact|itself|out|been|entirely|most|very|likely)){0,3}"
)
_RIGHT = r"(?:right|correct|it|true|possible|valid|acceptable|allowed|(?:\w+ )?(?:answer|option|choice|solution|value|result|one)|the case|so)"
_BAD = (
    r"(?:wrong|incorrect|false|impossible|invalid|mistaken|untrue|erroneous|inconsistent|ruled out|out|eliminated|excluded|rejected|discarded"
    r"|unlikely|no good|not the answer|a mistake|an error|too (?:big|small|large|high|low|great|few|many|much|long|short)|off(?: by)?"
    rf"|(?:not|never|hardly)(?: (?:the|a|an|at all|quite|even|really))? {_RIGHT})\b"
)
_NO_WAY = (
    rf"(?:(?:cannot|can[’']t|can not|could not|couldn[’']t|must not|mustn[’']t|won[’']t|will not)(?: \w+ly)?"
    rf" (?:be(?:\s*(?:[.!?,;)]|\Z)|(?: the| a)? {_RIGHT}\b)|(?:work|hold|fit)\b)"
    rf"|(?:isn|aren|wasn|weren)[’']t(?:\s*(?:[.!?,;)]|\Z)|(?: the| a)? {_RIGHT}\b)|{_BE} not\s*(?:[.!?;)]|\Z)"
    r"|(?:fails?|failed)\b|(?:does not|doesn[’']t|do not|don[’']t|did not|didn[’']t) (?:work|fit|hold|satisfy|apply|count|qualify|match|check)\b"
    r"|makes no sense|has to go|violates|contradicts)"
)
_PREDICATE = rf"(?:(?:{_BE}{_ADVERB}\s+{_BAD})|{_NO_WAY})"
_STOP = r"(?:because|since|as|so|and|but|if|that|which|while|whereas|when|unlike|or|although|though|it|this|not|is|are|was|the|an?|[A-Z])\b"
_PRONOUN = r"(?:(?:but|and|yet|though|although|however|except|only)\b,? )?(?:which|that|this|it|mine|the answer|(?:that|this) \w+)"
_JUNK = r"[\s.,;:!*_`)\]$\"'”’…—–\\}(-]{0,12}"
_INSIDE = r"[\s,*_`)\]$\"'”’—–\\}(-]{0,12}"  # of the claim's own sentence
_WORDS = rf"(?:(?!{_STOP})[A-Za-z%]+\s+){{0,3}},?\s{{0,2}}"
_REFUSED = re.compile(
    rf"{_JUNK}(?:{_PRONOUN}\s+)?{_PREDICATE}|{_INSIDE}{_WORDS}(?:{_PRONOUN}\s+)?{_PREDICATE}"
    rf"|{_JUNK}{_PRONOUN}[’']s{_ADVERB}\s+{_BAD}"
    rf"|{_JUNK}(?:is )?(?:clearly |plainly )?(?:wrong|incorrect|false|rejected|ruled out|eliminated|excluded|discarded|no good|impossible"
    r"|not (?:right|correct|the answer|it|true|really))\s*(?=[).,;!?\n\]]|\Z)"
    r"|[\s*_`)\]$\"'”’(]{0,12}[✗✘❌✖?]",
    re.IGNORECASE,
)

_OPENER = r"(?:(?:oh|but|hmm{1,9}|well|and|ah|um|uh|so|no|ok|okay|yes|now|then)\b[,\s.…!—–-]{1,4}){0,3}"
_RETRACTS = (
    r"wait\b|hold on\b|hmm{1,9}\b|oops\b|whoops\b|sorry\b|apologies\b|correction\b|actually\b(?!\s*[.!]*\s*\Z)|on (?:second|further|closer) \w+"
    r"|on reflection\b|scratch (?:that|this|it)\b|strike (?:that|this|it)\b|(?:no|nope|nah)\b(?=\s*(?:[,.!:;—–-]|\Z|(?:wait|it|that|this|the|I)\b))"
    r"|not\s*[.!]|never ?mind|(?:please )?(?:ignore|disregard|forget)\b|(?:or )?rather[,:]|instead\b(?! of)|in fact,? (?:it|no)\b"
    r"|I(?: now|[’']d)? (?:misread|mis\w{3,12}|retract|withdraw|take (?:that|it|this) back|changed? my|meant?\b|correct myself|stand corrected|take back"
    r"|must correct|(?:should|must) have (?:said|written)|no longer|now (?:think|believe|get|see|pick|choose|say))"
    r"|I(?: was|[’']m| am|[’']ve been)(?: \w+)? (?:wrong|mistaken|changing|switching)"
    r"|I(?:[’']ve| have)? (?:\w+ )?(?:made|make) (?:an?|the|some|my)(?: \w+)? (?:mistakes?|errors?|slip)"
    r"|my (?:mistake|bad|error|apologies)|that was (?:an?|my) (?:\w+ )?(?:mistake|error|slip|typo|lie|joke)|make (?:that|it)\b|just kidding|come to think"
    r"|let me (?:correct|fix|revise|reconsider|rethink|amend|redo|change|take)|switch(?:ing)? to|better:"
)
_RETRACTED = re.compile(rf"[.!?;:,…)*\n—–-][\s\"'*(_—–-]{{0,6}}{_OPENER}(?:{_RETRACTS})", re.IGNORECASE)
# Another value in a short clause of its own, or in the claim's own sentence: later in the text "or" joins other things.
_ALTERNATIVE = re.compile(
    r"(?P<start>[.!?;\n…—–,])\s{0,4}(?:(?:but|and|yet|well)\b,? )?(?:or|alternatively|maybe|perhaps|possibly|equally|else)\b"
    r"(?P<rest>[^.!?\n;]{0,40})(?:[.!?\n;)]|\Z)",
    re.IGNORECASE,
)
_MIGHT_BE = re.compile(
    r"[.!?;\n…—–(,]\s{0,4}(?:but |although |though |and )?(?:it|this|that|the (?:\w+ )?answer)"
    r" (?:might|could|may|can also)(?: \w+)? be\s+(?:also\s+)?(?-i:[A-Z\d$(*\\-])",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_ALSO = re.compile(
    r"\d\S{0,12}(?: [a-z]{1,12}){0,2} (?:(?:also|equally|too) (?:works?|fits?|holds?|possible|valid|correct|right|acceptable|fine|an answer|a solution)"
    r"|(?:works?|fits?|holds?|possible|valid|correct|right|acceptable|fine)(?: too| as well|, too))\b"
)
_PERHAPS = re.compile(
    r"\b(?:(?:may|might|could|can)(?: (?:well|also|just|easily))? be|maybe|perhaps|possibly|not|never|n[’']t|cannot)(?: [a-z]+)?[\s*$(]{0,4}\Z", re.IGNORECASE
)


def doubtful(before: str) -> bool:
    """Whether the words right before a value deny it or leave it open. Example: doubtful("it might be ")."""
    return bool(_PERHAPS.search(before[-60:])) or turned(before)


def refused(after: str) -> bool:
    """Whether the words right after a claim say that it is wrong. Example: refused(" is wrong") and refused(". That cannot be right.")."""
    return bool(_REFUSED.match(after[:_AFTER_CHARS]))


def last_retraction(after: str) -> int | None:
    """Where, in the text after a claim, its last taking-back ends ("Wait,", "no:", "I misread"); None where there is none."""
    return _last_end(_RETRACTED, after[:READ_CHARS]) or None


def has_alternative(after: str) -> bool:
    """Whether a short clause after the claim offers another: ". Or London.", ". It could also be 5." Longer ones are explanations."""
    after = after[:READ_CHARS]
    first_end = _SENTENCE_END.search(after)
    own = first_end.start() if first_end else len(after)
    for match in _ALTERNATIVE.finditer(after):
        if len(match["rest"].split()) <= 4 and (match["start"] not in ",—–" or match.start() < own):
            return True
    return bool(_MIGHT_BE.search(after) or _ALSO.search(after))
