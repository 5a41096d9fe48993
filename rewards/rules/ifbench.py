"""Constraints of IFBench (arXiv 2507.02833) that a text alone decides, each a function from a text to yes or no; and
the names of those that are not checked here.

Written anew after the paper's descriptions, with the ids and arguments of its data. Words are runs of letters, digits
and apostrophes; sentences end as `rewards.rules.constraints` has it. Every scan is linear. Knows nothing of golds.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from itertools import pairwise

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?![\w])")
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]*_]*(?=\s|\Z)")
_CONJUNCTIONS = frozenset(("for", "and", "nor", "but", "or", "yet", "so"))
_PRONOUN_WORDS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves"
)
_PRONOUNS = frozenset(_PRONOUN_WORDS.split())
_MARKS = frozenset(".,!?;:")
_UNTITLED = "a an the and but or nor for yet so at by in of on to up as is if off per via from with into"
_SMALL_WORDS = frozenset(_UNTITLED.split())
_NEST = {"(": ")", "[": "]", "{": "}"}
_TIMES = (1, 2, 3, 5, 7)

# Known, and refused by name: they need a list of names, a tagger, a dictionary, a file, or the prompt's own wording.
NOT_CHECKED = frozenset((
    "count:person_names", "count:words_french", "custom:character_reverse", "custom:csv_city", "custom:csv_quotes",
    "custom:csv_special_character", "custom:date_format_list", "custom:european_capitals_sort",
    "custom:mcq_count_length", "custom:multiples", "custom:reverse_newline", "custom:sentence_alphabet",
    "custom:word_reverse", "format:emoji", "format:line_indent", "format:no_bullets_bullets", "format:output_template",
    "format:quote_unquote", "format:quotes", "format:sub-bullets", "format:thesis", "ratio:overlap",
    "ratio:sentence_balance", "ratio:sentence_type", "ratio:sentence_words", "ratio:stop_words",
    "repeat:repeat_change", "repeat:repeat_simple", "repeat:repeat_span", "sentence:alliteration_increment",
    "words:consonants", "words:odd_even_syllables", "words:start_verb", "words:vowel",
))  # fmt: skip


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return [match.group().lower() for match in _WORD.finditer(text)]


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence; what is left behind the last mark is one, too."""
    return [found for part in _SENTENCE_END.split(text) if (found := words(part))]


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


def every_mark(text: str) -> bool:
    """Each of . , ! ? ; : at least once."""
    return set(text) >= _MARKS


def keywords_multiple(text: str, **keywords: str) -> bool:
    """keyword1 once, keyword2 twice, keyword3 three times, keyword4 five and keyword5 seven times."""
    count = Counter(words(text))
    wanted = [keywords.get(f"keyword{place}") for place in range(1, 6)]
    return all(count[word.lower()] == times for word, times in zip(wanted, _TIMES, strict=True) if word)


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


def last_first(text: str) -> bool:
    """Each sentence begins with the last word of the one before."""
    return bool(words(text)) and all(a[-1] == b[0] for a, b in pairwise(sentences(text)))


def paragraph_last_first(text: str) -> bool:
    """Each paragraph ends with the word that it begins with."""
    parts = [found for part in text.split("\n") if (found := words(part))]
    return bool(parts) and all(part[0] == part[-1] for part in parts)


def prime_lengths(text: str) -> bool:
    """Only words whose number of letters is prime."""
    lengths = [len(word) for word in words(text)]
    return bool(lengths) and all(1 < n < 1000 and all(n % d for d in range(2, int(n**0.5) + 1)) for n in lengths)


def second_and_last_but_one(text: str, keyword: str) -> bool:
    """The keyword is the second word and the last but one."""
    found = words(text)
    return len(found) >= 3 and found[1] == found[-2] == keyword.lower()


def word_at(text: str, keyword: str, n: int, m: int) -> bool:
    """The keyword is word m of sentence n, both counted from 1."""
    found = sentences(text)
    return 1 <= n <= len(found) and 1 <= m <= len(found[n - 1]) and found[n - 1][m - 1] == keyword.lower()


def keyword_in_sentence(text: str, word: str, N: int) -> bool:
    """The word stands in sentence N, counted from 1."""
    found = sentences(text)
    return 1 <= N <= len(found) and word.lower() in found[N - 1]


def increment(text: str, small_n: int) -> bool:
    """Each sentence has exactly so many words more than the one before."""
    lengths = [len(sentence) for sentence in sentences(text)]
    return len(lengths) > 1 and all(b - a == small_n for a, b in pairwise(lengths))


def nested_brackets(text: str) -> bool:
    """Brackets nested at least five deep, each closed by its own kind."""
    stack: list[str] = []
    deepest = 0
    for character in text:
        if character in _NEST:
            stack.append(_NEST[character])
            deepest = max(deepest, len(stack))
        elif character in _NEST.values() and (not stack or stack.pop() != character):
            return False
    return deepest >= 5 and not stack


def word_a_line(text: str) -> bool:
    """One word on each line."""
    return bool(words(text)) and all(len(line.split()) == 1 for line in text.split("\n") if line.strip())


def no_whitespace(text: str) -> bool:
    """No blank and no newline."""
    return not any(character.isspace() for character in text.strip())


def title_case(text: str) -> bool:
    """Each word begins with a capital, small ones may."""
    found = [match.group() for match in _WORD.finditer(text) if match.group()[0].isalpha()]
    return bool(found) and all(word[0].isupper() or (i and word in _SMALL_WORDS) for i, word in enumerate(found))


def one_option(text: str, options: str) -> bool:
    """The answer is one of the options, which are parted by slashes, commas or "or"."""
    return text.strip().strip(".\"'").lower() in {
        part.strip(" .\"'").lower() for part in re.split(r"/|,|\bor\b", options) if part.strip()
    }


def separated_list(text: str, sep: str) -> bool:
    """Items that begin with the separator, at least two, a line each."""
    return sum(line.strip().startswith(sep) for line in text.split("\n")) >= 2
