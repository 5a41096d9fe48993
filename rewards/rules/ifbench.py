"""IFBench's constraints (arXiv 2507.02833) on words, sentences, counts and ratios, each a function from a text to yes
or no; and the ids of those that are not checked here.

Written anew after the published descriptions, with the ids and arguments of its data. Where the published checker says
less than its description, the description holds (docs/verifiers.md lists the cases). Words and sentences:
`rewards.rules.sentences`. Layout is in `rewards.rules.ifbench_forms`, tasks with one right content in
`rewards.rules.ifbench_tasks`. Every scan is linear. Knows nothing of golds.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from itertools import groupby, pairwise

from rewards.rules.sentences import sentence_words, split_sentences, words

# Known, and refused by name: id -> why no rule here can tell.
NOT_CHECKED = {
    "custom:date_format_list": "which dates belong in a list of all of Napoleon's battles is not settled",
    "words:odd_even_syllables": "syllables need a dictionary of pronunciation",
    "words:start_verb": "whether a word is a verb in its place needs a tagger",
}

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?![\w])")
_CONJUNCTIONS = frozenset(("for", "and", "nor", "but", "or", "yet", "so"))
_PRONOUN_WORDS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves"
)
_PRONOUNS = frozenset(_PRONOUN_WORDS.split())
# The closed classes of English and its usual adverbs of degree, time and place: more than common lists have, so that a
# text is never said to hold fewer.
_STOPS = """
a about above across after again against ago all almost along already also although always am among an and another any
anybody anyone anything are around as at away be became because become been before behind being below beneath beside
besides between beyond both but by can cannot could did do does doing done down during each either else enough even
ever every everybody everyone everything few for from further had has have having here hence how however if in indeed
inside instead into is just last least less let like lot many may maybe might more moreover most much must nearly
neither never nevertheless no nobody none nor not nothing now of off often on once one only onto or other others
otherwise ought out outside over own per perhaps quite rather really same seldom several shall should since so some
somebody someone something sometimes soon still such than that the then there therefore these this those though
through throughout thus till to together too toward towards under unless until up upon upwards very via was well were
what whatever when whenever where whereas wherever whether which whichever while who whoever whom whose why will with
within without would yet s t d m o y ll re ve ma don ain aren couldn didn doesn hadn hasn haven isn mightn mustn needn
shan shouldn wasn weren won wouldn
"""
_STOP_WORDS = _PRONOUNS | frozenset(_STOPS.split())
_MARKS = frozenset(".,!?;:")
_INTERROBANG = re.compile(r"\?!|!\?|‽")
_TIMES = (1, 2, 3, 5, 7)
_VOWELS = frozenset("aeiou")
_CLUSTER = re.compile(r"[bcdfghjklmnpqrstvwxz]{2}")  # y is a vowel as often as not, so it is no consonant here
_JAPANESE = re.compile(r"[々ぁ-ヿㇰ-ㇿ㐀-鿿ｦ-ﾟ]+")
_NAMED = """
Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin Harper Leo
Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria Elijah Layla
Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella Jonathan
"""
_NAMES = frozenset(_NAMED.split())


def word_range(text: str, min_words: int, max_words: int) -> bool:
    """So many words."""
    return min_words <= len(words(text)) <= max_words


def unique_words(text: str, N: int) -> bool:
    """At least N different words."""
    return len(set(words(text))) >= N


def numbers(text: str, N: int) -> bool:
    """Exactly N numbers in digits."""
    return len(_NUMBER.findall(text)) == N


def conjunctions(text: str, small_n: int) -> bool:
    """At least so many different coordinating conjunctions."""
    return len(_CONJUNCTIONS & set(words(text))) >= small_n


def pronouns(text: str, N: int) -> bool:
    """At least N personal pronouns."""
    return sum(word in _PRONOUNS for word in words(text)) >= N


def person_names(text: str, N: int) -> bool:
    """At least N different names of the list that the description gives."""
    return len(_NAMES & set(re.findall(r"[^\W_]+", text))) >= N


def nth_word_japanese(text: str, N: int) -> bool:
    """Every Nth word is written in Japanese characters only; there is one."""
    found = ["".join(filter(str.isalnum, word)) for word in text.split()]
    nth = [word for word in found if word][N - 1 :: N] if N else []
    return bool(nth) and all(map(_JAPANESE.fullmatch, nth))


def every_mark(text: str) -> bool:
    """Each of . , ! ? ; : at least once, and an interrobang beside them."""
    rest = _INTERROBANG.sub("", text, count=1)
    return rest != text and set(rest) >= _MARKS


def keywords_multiple(text: str, **keywords: str) -> bool:
    """keyword1 once, keyword2 twice, keyword3 three times, keyword4 five and keyword5 seven times."""
    wanted = [keywords.get(f"keyword{place}") for place in range(1, 6)]
    return all(_count(text, word) == times for word, times in zip(wanted, _TIMES, strict=True) if word)


def _count(text: str, keyword: str) -> int:
    """How often a keyword of one word or several stands in a text, never as a part of a word."""
    spaced = r"\s+".join(map(re.escape, keyword.lower().split()))
    return len(re.findall(rf"(?<![^\W_]){spaced}(?![^\W_])", text.lower()))


def word_once(text: str, word: str, frequency: int) -> bool:
    """A whole word exactly so often."""
    return words(text).count(word.lower()) == frequency


def alphabet(text: str) -> bool:
    """Each word begins with the next letter of the alphabet, a behind z."""
    firsts = [word[0] for word in words(text)]
    if not firsts or any(letter not in string.ascii_lowercase for letter in firsts):
        return False
    return all((ord(b) - ord(a)) % 26 == 1 for a, b in pairwise(firsts))


def palindromes(text: str) -> bool:
    """At least ten words of five letters or more that read the same both ways."""
    return sum(len(word) >= 5 and word == word[::-1] for word in words(text)) >= 10


def repeats(text: str, small_n: int) -> bool:
    """No word more often than so."""
    return bool(words(text)) and max(Counter(words(text)).values()) <= small_n


def no_consecutive(text: str) -> bool:
    """No two neighbours begin with the same letter."""
    return bool(words(text)) and all(a[0] != b[0] for a, b in pairwise(words(text)))


def three_vowels(text: str) -> bool:
    """One paragraph that has at most three of the vowels a, e, i, o, u; accents aside, and y is none."""
    plain = set(unicodedata.normalize("NFKD", text.strip().lower()))
    return bool(words(text)) and "\n" not in plain and len(plain & _VOWELS) <= 3


def consonant_clusters(text: str) -> bool:
    """Each word has two consonants side by side."""
    return bool(words(text)) and all(map(_CLUSTER.search, words(text)))


def last_first(text: str) -> bool:
    """Each of two sentences or more begins with the last word of the one before."""
    found = sentence_words(text)
    return len(found) > 1 and all(a[-1] == b[0] for a, b in pairwise(found))


def paragraph_last_first(text: str) -> bool:
    """Each paragraph ends with the word that it begins with."""
    parts = [found for part in text.split("\n") if (found := words(part))]
    return bool(parts) and all(part[0] == part[-1] for part in parts)


def prime_lengths(text: str) -> bool:
    """Only words whose number of letters is prime."""
    lengths = [sum(map(str.isalnum, word)) for word in words(text)]
    return bool(lengths) and all(1 < n < 1000 and all(n % d for d in range(2, int(n**0.5) + 1)) for n in lengths)


def second_and_last_but_one(text: str, keyword: str) -> bool:
    """The keyword is the second word and the last but one."""
    found = words(text)
    return len(found) >= 3 and found[1] == found[-2] == keyword.lower()


def word_at(text: str, keyword: str, n: int, m: int) -> bool:
    """The keyword is word m of sentence n, both counted from 1."""
    found = sentence_words(text)
    return 1 <= n <= len(found) and 1 <= m <= len(found[n - 1]) and found[n - 1][m - 1] == keyword.lower()


def keyword_in_sentence(text: str, word: str, N: int) -> bool:
    """The word stands in sentence N, counted from 1."""
    found = split_sentences(text)
    return 1 <= N <= len(found) and _count(found[N - 1], word) > 0


def increment(text: str, small_n: int) -> bool:
    """Each sentence has exactly so many words more than the one before."""
    lengths = [len(sentence) for sentence in sentence_words(text)]
    return len(lengths) > 1 and all(b - a == small_n for a, b in pairwise(lengths))


def alliteration(text: str) -> bool:
    """The longest run of neighbours with one first letter grows from sentence to sentence."""
    runs = [
        max(len(list(run)) for _, run in groupby(word[0] for word in sentence)) for sentence in sentence_words(text)
    ]
    return len(runs) > 1 and all(a < b for a, b in pairwise(runs))


def _sentence_types(text: str) -> Counter[str]:
    """How many sentences ask (?), exclaim (!) and state (.); one without a mark states."""
    ends = ["".join(c for c in sentence[-8:] if c in "?？!！") for sentence in split_sentences(text)]
    return Counter("?" if "?" in end or "？" in end else "!" if end else "." for end in ends)


def two_statements_a_question(text: str) -> bool:
    """Twice as many sentences state as ask."""
    count = _sentence_types(text)
    return count["?"] > 0 and count["."] == 2 * count["?"]


def balanced_sentences(text: str) -> bool:
    """As many sentences state as ask as exclaim."""
    count = _sentence_types(text)
    return count["."] == count["?"] == count["!"] > 0


def three_even_sentences(text: str) -> bool:
    """Three sentences of one length in characters, and no word twice."""
    found = split_sentences(text)
    return len(found) == 3 and len(set(map(len, found))) == 1 and len(set(words(text))) == len(words(text))


def stop_words(text: str, percentage: int) -> bool:
    """At most such a share of the words are stop words."""
    found = [word.replace("’", "'") for word in words(text)]
    stops = sum(word.partition("'")[0] in _STOP_WORDS or word.endswith("n't") for word in found)
    return bool(found) and 100 * stops <= percentage * len(found)


def trigram_overlap(text: str, reference_text: str, percentage: int) -> bool:
    """Of the different runs of three characters in the text, such a share (2 points to either side) is in the
    reference."""
    runs, wanted = ({whole[i : i + 3] for i in range(len(whole) - 2)} for whole in (text, reference_text))
    return bool(runs) and abs(100 * len(runs & wanted) - percentage * len(runs)) <= 2 * len(runs)
