"""What prose does to a claim that stands in it: it denies, supposes or takes back the claim, or puts another beside it.
For `math` and `choice`.

Source: the study's rows on hedges ("3 or 4", "A, B, C, D", "not B but C") and answers of our own
(benchmarks/math_answers/claims.py). Shape: callers hand over the text before or after a claim, made `plain_text`; then
no pattern needs a run of blanks, every repetition is bounded and every search linear. Why words and no model: a rule
must say the same twice. It errs towards "not claimed": such an answer abstains."""

from __future__ import annotations

import re

_BEFORE_CHARS = 200
_AFTER_CHARS = 160

# ---------------------------------------------------------------- plain text

_QUOTES = str.maketrans({"’": "'", "‘": "'", "”": '"', "“": '"', "—": "-", "–": "-", "…": ".", "：": ":", "`": None})
_BLANKS = re.compile(r"\s+")
_SPELLED = (
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(can)(?=not\b)"), r"\1 "),
    (re.compile(r"\b(it|that|this|which|answer|one)'s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"\b(?:any(?:thing|one)|all|every(?:thing|one)|none|nothing|no one) but\b", re.IGNORECASE), "except"),
)
_VALUE = r"(?:the )?(?:answer |option |choice )?(?:\S{0,40}\d\S{0,40}|[($]{0,2}[A-Z]\b[)$]{0,2})"
_CONTRAST = re.compile(
    rf"(?:,| [—–(-]|(?<=[\dA-Z)$]))(?: and| but)? ?\bnot {_VALUE}|,? (?:instead of|rather than|as opposed to|in "
    rf"place of|unlike) {_VALUE}"
    rf"|\bnot {_VALUE},? but(?: rather)?(?= (?!not\b|also\b|close\b|near))"
    rf"|\bnot {_VALUE}[,;.-] (?:[Ii]t|[Tt]hat)(?: is|['’]s)(?= [\dA-Z($*-])"
)


def plain_text(text: str) -> str:
    """One blank or one newline for a run of them, straight quotes, no bold marks; "isn't" is "is not", "it's" is "it
    is"."""
    text = text.translate(_QUOTES).replace("**", "")
    text = _BLANKS.sub(lambda m: "\n" if "\n" in m.group() else " ", text).rstrip()
    for pattern, spelled in _SPELLED:
        text = pattern.sub(spelled, text)
    return text


def without_contrast(text: str) -> str:
    """What is only set against the claim, cut out.

    Examples: "4, not 5" is "4", "B rather than C" is "B", "not A but B" and "not A, it is B" are " B".
    """
    return _CONTRAST.sub("", text)


# ---------------------------------------------------------------- before a claim

# What turns the words right after it round: "I rule out 4", "it is anything but 4".
_TURNS = (
    r"rul(?:e|es|ed|ing) (?:\w+ )?out|eliminat\w{1,4}|exclud\w{1,4}|discard\w{0,4}|reject\w{0,4}|dismiss\w{0,4}|"
    r"den(?:y|ies|ied)"
    r"|avoid\w{0,4}|instead of|in place of|rather than|other than|apart from|as opposed to|different from|far from|"
    r"except|unlike"
)
_DENIES = (
    r"not|never|neither|nor|either(?! way| case)|hardly|no longer|no way|nobody|no one|impossible|unlikely|false|"
    r"wrong(?:ly)?"
    r"|incorrect(?:ly)?|untrue|mistaken(?:ly)?|doubt\w{0,4}|disagree\w{0,2}|unsure|absurd"
)
# What only supposes, or tells what another held.
_SUPPOSES = (
    r"if|unless|whether|suppos\w{1,4}|assum\w{1,4}|imagin\w{1,3}|pretend\w{0,3}|maybe|perhaps|possibly|claim(?:s|"
    r"ed)?|at first"
    r"|tempt\w{2,4}|(?:i|we|you|he|she|they|many|some|every\w{3,4}|people)(?: \w+)? (?:thought|guess(?:ed)?|"
    r"believed|says?|picks?)"
    r"|(?:might|could|may|would)(?: \w+)? \w+"
)
_DENIED = re.compile(rf"\b(?:{_TURNS}|{_DENIES}|{_SUPPOSES})\b", re.IGNORECASE)
_DOUBTFUL = re.compile(  # "rule out the value of 4", not "rejecting the negative root gives 4"
    rf"\b(?:{_TURNS}|(?:may|might|could|can)(?: (?!only\b)\w+)? be|maybe|perhaps|possibly|never|nearly|almost|close "
    r"to|nobody gets"
    r"|not(?: (?:think|believe)(?: that)? (?:it|the answer) is)?)"
    r"(?: (?:the|an?|possible|value|answer|option|choice|number|case|of|simply|exactly|just|really|"
    r"even)){0,6}[ $(\[\\\n]{0,4}\Z",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?;](?=\s|\Z)|\n")
# Where a denial ends before the sentence does: "it is not even, so the answer is 5". Not before "that": "I doubt, too,
# that ...".
_BREAK = re.compile(
    r"[,:)-] ?(?!that\b|however\b|though\b|I\b|in my\b)|\b(?:so|thus|therefore|hence|then|because|since|leav(?:es|"
    r"ing)|but|instead)\b"
    r"|\band (?:the|our|my)\b",
    re.IGNORECASE,
)


def is_denied(before: str) -> bool:
    """Whether the clause that leads up to a claim denies it or only supposes it. Example: denied("I doubt that the ")
    is True."""
    clause = _last_piece(_SENTENCE, before[-_BEFORE_CHARS:])
    return bool(_DENIED.search(_last_piece(_BREAK, clause.rstrip(" :"))))  # a colon right before the claim ends nothing


def is_doubtful(before: str) -> bool:
    """Whether the words right before a value deny it or leave it open. Examples: doubtful("it might be "), doubtful("I
    rule out ")."""
    return bool(_DOUBTFUL.search(before[-100:]))


def _last_end(pattern: re.Pattern[str], text: str) -> int:
    return max((match.end() for match in pattern.finditer(text)), default=0)


def _last_piece(pattern: re.Pattern[str], text: str) -> str:
    return text[_last_end(pattern, text) :]


# ---------------------------------------------------------------- after a claim

_NOUN = r"(?:\w+ )?(?:answer|option|choice|solution|value|result|one)"
_RIGHT = rf"(?:right|correct|it|true|possible|valid|acceptable|allowed|the case|so|{_NOUN})\b"
_WRONG = (
    r"(?:wrong|incorrect|false|impossible|invalid|mistaken|untrue|inconsistent|ruled out|eliminated|excluded|"
    r"rejected|discarded|unlikely"
    r"|out(?= ?[.,;]| ?\Z)|(?:a|an) (?:trap|mistake|error|distractor)|too (?:big|small|large|high|low|great|few|"
    r"many|much|long|short)"
    rf"|not(?: at all| quite| really)?(?: the| a| an)? {_RIGHT})\b(?! (?:to|if|unless|for)\b)"
)
_FAILS = (
    r"(?:\w{2,6} not(?: \w+ly)?(?: be)?(?: the| a| an)? "
    rf"(?:{_RIGHT}|(?:work|fit|hold|satisfy|apply|count|qualify|match|check)\b)"
    r"|(?:is|are|was|be|can) not(?: be)? ?(?:[.!?,;)]|\Z)|(?:fails?|failed|violates|contradicts|makes no sense|"
    r"has to go)\b)"
)
_PREDICATE = (
    rf"(?:(?:is|are|was|were|be|seems?|looks?|proves?|turn(?:s|ed) out)(?: (?!not\b)\w+){{0,2}} {_WRONG}|{_FAILS})"
)
_STOP = (
    r"(?:because|since|as|so|and|but|if|that|which|while|whereas|when|unlike|or|although|though|it|this|not|is|"
    r"are|was|the|an?|[A-Z])\b"
)
_IT = (
    r"(?:(?:but|and|yet|though|although|however|except|only),? )?(?:which|that|this|it|the answer|(?:that|this) [a-z]+)"
)
# in the claim's own sentence ("4 apples is wrong"), in the next one ("4. That is wrong"), or a bare word ("4 (wrong)")
_REFUSED = re.compile(
    rf"[\s,*_)\]$\"'\\}}(-]{{0,12}}(?:(?!{_STOP})[A-Za-z%]+,? ){{0,3}}(?:{_IT} "
    rf")?{_PREDICATE}|[^\w✗✘❌✖]{{0,12}}(?:{_IT} {_PREDICATE}"
    rf"|(?:is )?(?:clearly )?{_WRONG} ?(?:[).,;!?\n\]]|\Z))|[ *_)\]$\"'\\}}(]{{0,12}}[✗✘❌✖?]",
    re.IGNORECASE,
)
_RETRACTED = re.compile(
    r"[.!?;:,)\n-] ?[\"'(_]?(?:(?:oh|but|hmm|well|and|ah|um|uh|so|no|ok|okay|yes|now|then)\b[,\s.!-]{1,4}){0,3}"
    r"(?:(?:wait|hold on|hm{1,9}|oops|sorry|correction|just kidding|my (?:mistake|bad|error)|on reflection|"
    r"on (?:second|further|closer) \w+"
    r"|(?:scratch|strike|make) (?:that|this|it)|(?:please )?(?:ignore|disregard|forget)(?! not)|in fact,? (?:it|"
    r"no)|never ?mind)\b"
    r"|actually\b(?!\W*\Z)|instead\b(?! of)|(?:edit|rather)[,:]|(?:no|nope)\b(?= ?(?:[,.!:;-]|\Z|(?:it|that|this|"
    r"the|I)\b))|not ?[.!]"
    r"|I (?:now )?(?:mis\w{3,12}|retract|withdraw|take (?:that|it|this) back|changed? my|meant?\b|stand corrected|"
    r"should have said)"
    r"|I (?:was|am)(?: \w+)? (?:wrong|mistaken)|(?:I (?:have )?made|that was) (?:an?|my|some) (?:\w+ )?(?:mistake|"
    r"error|slip|typo|joke)"
    r"|let me (?:correct|fix|revise|reconsider|redo)|switch(?:ing)? to)",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"[^?]{0,200}[.!,:\n] ?(?:yes|(?:it|that|this|the answer) (?:is|was)(?: (?!not\b)\w+)? (?:correct|right))\b",
    re.IGNORECASE,
)
_CORRECTED = re.compile(
    rf"\b(?:(?:it|this|that|total|number|{_NOUN}) (?:is|was|must be|should be|has to be|equals)"
    r"|I (?:mean|meant|choose|pick|say)|go(?:ing)? with|make (?:it|that))(?: (?:actually|really|then|indeed|"
    r"therefore|instead))?[ :]{1,2}"
    r"|(?<=\bno)[,:] (?=\S{1,40}\Z)",
    re.IGNORECASE,
)
_FITS = r"(?:works?|fits?|holds?|possible|valid|correct|right|acceptable)"
# Another value in a short clause of its own, or in the claim's own sentence: later in the text "or" joins other things.
_ALTERNATIVE = re.compile(
    r"(?P<start>[.!?;\n,(-]) ?(?:(?:but|and|yet|well),? )?"
    r"(?:or(?! (?:about|roughly|in|equivalently)\b)|alternatively|maybe|perhaps|possibly|equally)\b"
    r"(?P<rest>[^.!?\n;]{0,40})(?:[.!?\n;)]|\Z)|[.!?;\n,(-] ?(?:but |although |though |and )?(?:it|this|that|"
    r"the (?:\w+ )?answer)"
    r" (?:might|could|may|can also)(?: \w+)? be (?:also )?(?-i:[A-Z\d$(*\\-])"
    r"|[.!?;\n,] ?(?:but |and )?(?:mine is|ours is|I (?:say|get|got)) \$?-?\d[\d.,/]{0,20}\$? ?(?:[.!?;\n]|\Z)"
    rf"|\d\S{{0,12}}(?: [a-z]{{1,12}}){{0,2}} (?:(?:also|equally) {_FITS}|{_FITS},? (?:too|as well))\b",
    re.IGNORECASE,
)


def is_refused(after: str) -> bool:
    """Whether the words right after a claim say that it is wrong. Examples: refused(" is wrong"), refused(". That can
    not be right.")."""
    return bool(_REFUSED.match(after[:_AFTER_CHARS]))


def retraction_end(after: str) -> int | None:
    """Where the last taking-back in the text after a claim ends ("Wait,", "no:"); None where there is none, or it ends
    in "yes"."""
    end = _last_end(_RETRACTED, after)
    return end if end and not _CONFIRMED.match(after, end) else None


def correction_start(after: str, end: int) -> int | None:
    """Where the value begins that takes the place of one taken back at `end` ("Wait, no: it is 5"); None where nothing
    says so plainly."""
    start = max(0, end - 12)  # "I meant" may be part of what takes back
    match = next((m for m in _CORRECTED.finditer(after, start) if m.end() > end), None)
    return None if match is None or is_denied(after[end : match.start()]) else match.end()


def has_alternative(after: str) -> bool:
    """Whether a short clause after the claim offers another: ". Or London.", ". It could also be 5." Longer ones are
    explanations."""
    sentence = _SENTENCE.search(after)
    own = sentence.start() if sentence else len(after)
    return any(
        match["start"] is None
        or (len(match["rest"].split()) <= 4 and (match["start"] not in ",-(" or match.start() < own))
        for match in _ALTERNATIVE.finditer(after)
    )
