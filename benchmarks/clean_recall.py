"""`posttrain data clean` on rows with planted duplicates, planted problems of a suite, and clean look-alikes: found and
falsely removed by kind, beside datasketch alone (MinHash LSH over sets of words, 128 permutations, threshold 0.75, each
row and each question of the suite one document) on the same rows.

The prose is Python's own reference, which every installation brings. Needs datasketch for its column:
`pip install datasketch==2.0.0`. Run: python benchmarks/clean_recall.py [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from posttrain.factory.clean import clean_file
from posttrain.factory.examine import CleanOptions

EACH = 25  # rows of a kind
PROSE = 11 * EACH
NAMES = ["Tom", "Anna", "Ravi", "Mei", "Olga", "Luis", "Amara", "Kenji", "Sofia", "Hassan"]
THINGS = ["coins", "stamps", "marbles", "books", "shells", "cards", "beads", "pears", "stones", "tickets"]
PHRASE = (
    "Once upon a time in a land far away there lived a little girl who loved to read books by the light of the moon."
)
BOILERPLATE = (
    "You are given a task below. Read it with care, think step by step, and write down your reasoning before you "
    "answer. Do not use any tools. Put the final answer on a line of its own, behind the words Final answer, and write "
    "nothing after it. If the task cannot be solved with what is given, say which fact is missing, and why it matters. "
    "Here is the task that we would like you to solve now:"
)
TRANSLATED = {
    "A farmer has {a} sheep and buys {b} more at the market on Monday. On Tuesday he sells half of all his sheep to a "
    "neighbour who lives across the river. How many sheep does the farmer keep?": (
        "Ein Bauer hat {a} Schafe und kauft am Montag auf dem Markt {b} dazu. Am Dienstag verkauft er die Hälfte aller "
        "Schafe an einen Nachbarn, der jenseits des Flusses wohnt. Wie viele Schafe behält der Bauer?"
    ),
    "A train leaves the station with {a} passengers on board. At the first stop {b} people get off and twice as many "
    "get on. How many passengers are on the train when it leaves the first stop?": (
        "Un train quitte la gare avec {a} passagers à bord. Au premier arrêt, {b} personnes descendent et deux fois "
        "plus montent. Combien de passagers y a-t-il dans le train quand il quitte le premier arrêt ?"
    ),
}
STORIES = [
    "{n} keeps {a} {t} in a wooden box under the stairs. On the way home from school {n} finds {b} more and gives {c} "
    "of them to a younger cousin who has none. How many {t} are in the box that evening?",
    "In the library of the village {n} counts {a} {t} on the upper shelf and {b} on the lower one. After the winter "
    "fair {c} of them are missing. How many {t} are still there when {n} counts again?",
]


def prose(rng: random.Random, count: int) -> list[str]:
    """Passages of 60 to 150 words. The reference repeats itself: one that shares 7 words in a row is left out."""
    words = " ".join(text for _, text in sorted(topics.items())).split()
    passages: list[str] = []
    seen: set[tuple[str, ...]] = set()
    place = 0
    while place + 150 < len(words) and len(passages) < count:
        size = rng.randint(60, 150)
        passage = " ".join(words[place : place + size])
        runs = distinct(passage, 7)
        if not runs & seen:
            passages.append(passage)
        seen |= runs
        place += size
    assert len(passages) == count, "the reference is shorter than thought"
    rng.shuffle(passages)
    return passages


def distinct(text: str, size: int) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


def alike(a: str, b: str, size: int) -> float:
    left, right = distinct(a, size), distinct(b, size)
    return len(left & right) / len(left | right)


def altered(rng: random.Random, text: str, target: float, size: int) -> str:
    """Words replaced one by one until the Jaccard of runs of `size` words falls to the target."""
    words = text.split()
    places = list(range(len(words)))
    rng.shuffle(places)
    for place in places:
        words[place] = "".join(rng.choice("abcdefghijklmnoprstuvw") for _ in range(6))
        if alike(" ".join(words), text, size) <= target:
            break
    return " ".join(words)


def inside_blanks(rng: random.Random, text: str) -> str:
    return "".join(c + (" " if c.isalpha() and rng.random() < 0.15 else "") for c in text)


def story(rng: random.Random, template: str, *, name: str | None = None, thing: str | None = None) -> str:
    a, b, c = rng.randint(40, 99), rng.randint(20, 39), rng.randint(3, 19)
    return template.format(n=name or rng.choice(NAMES), t=thing or rng.choice(THINGS), a=a, b=b, c=c)


def planted(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows, suite). A row's `kind` is what it is; rows of prose that nothing is made of are `prose`."""
    rng = random.Random(seed)
    passages = prose(rng, PROSE + 2 * EACH)
    own, asked = passages[:PROSE], passages[PROSE : PROSE + EACH]
    answers = passages[PROSE + EACH :]
    questions = [
        f"{text} Which rule of the language does this describe, and since version {n}?"
        for n, text in enumerate(asked, 100)
    ]
    suite = [{"prompt": q, "gold": a} for q, a in zip(questions, answers, strict=True)]
    uses = [(number, template) for number in range(20) for template in TRANSLATED]
    filled = [(t.format(a=30 + n, b=7 + n), TRANSLATED[t].format(a=30 + n, b=7 + n)) for n, t in uses]
    suite += [{"prompt": question, "gold": "no"} for question, _ in filled[:2]]
    suite += [{"prompt": story(rng, template, name="Ines", thing="kites"), "gold": "9"} for template in STORIES]
    suite += [{"prompt": f"{PHRASE} {text}", "gold": "moon"} for text in [asked[0][::-1]]]
    shorts = [f"What is {rng.randint(100, 999)} + {rng.randint(100, 999)}?" for _ in range(EACH)]
    suite += [{"prompt": short, "gold": "7"} for short in shorts]

    def numbers_changed(text: str) -> str:
        return "".join(str((int(c) + 3) % 10) if c.isdigit() else c for c in text)

    made: dict[str, Callable[[int], str]] = {
        "exact duplicate": lambda i: own[i],
        "near duplicate, words 0.8": lambda i: altered(rng, own[EACH + i], 0.8, 1),
        "near duplicate, runs of 3 words 0.8": lambda i: altered(rng, own[2 * EACH + i], 0.8, 3),
        "near duplicate, runs of 5 words 0.8": lambda i: altered(rng, own[3 * EACH + i], 0.8, 5),
        "near duplicate, re-cased": lambda i: own[4 * EACH + i].upper(),
        "(words 0.6)": lambda i: altered(rng, own[5 * EACH + i], 0.6, 1),
        "(runs of 3 words 0.6)": lambda i: altered(rng, own[6 * EACH + i], 0.6, 3),
        "contamination, verbatim": lambda i: questions[i],
        "contamination, within a text": lambda i: f"{own[7 * EACH + i]}\n{questions[i]} {own[8 * EACH + i][:90]}",
        "contamination, answer": lambda i: answers[i],
        "contamination, short": lambda i: shorts[i],
        "contamination, re-cased": lambda i: questions[i].upper(),
        "contamination, re-spaced": lambda i: "  \n".join(questions[i].split()),
        "contamination, blanks in words": lambda i: inside_blanks(rng, questions[i]),
        "(numbers changed)": lambda i: numbers_changed(questions[i]),
        "(translated)": lambda i: filled[i % 2][1] + f" ({i})",
        "look-alike: template of the rows": lambda i: story(rng, STORIES[i % 2], name="Bo", thing="keys"),
        "look-alike: template of the suite": lambda i: story(rng, STORIES[i % 2], name="Ines", thing="kites"),
        "look-alike: a common phrase": lambda i: f"{PHRASE} {own[9 * EACH + i][::-1]}",
        "look-alike: shared boilerplate": lambda i: f"{BOILERPLATE} {' '.join(own[10 * EACH + i].split()[:14])[::-1]}",
        "look-alike: other sign": lambda i: shorts[i].replace("+", "-"),
        "look-alike: other word, short": lambda i: (
            f"What is the best known dish of region {chr(97 + i // 26)}{chr(97 + i % 26)}, and who first cooked it?"
        ),
    }
    rows = [{"text": text, "kind": "prose"} for text in own]
    rows += [{"text": make(i), "kind": kind} for kind, make in made.items() for i in range(EACH)]
    return rows, suite


def ours(rows: list[dict[str, Any]], suite: list[dict[str, Any]]) -> tuple[dict[int, str], dict[int, str]]:
    """(removed, suspects): place of a row -> rule."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, lines in (("rows", rows), ("suite", suite)):
            lines = [{key: value for key, value in line.items() if key != "kind"} for line in lines]
            (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        report = home / "report.json"
        clean_file(
            home / "rows.jsonl",
            [home / "suite.jsonl"],
            out=home / "kept.jsonl",
            report=report,
            # Reversed prose, made-up words: only duplicates and contamination are measured here.
            options=CleanOptions(skip=frozenset({"repetition", "personal_data", "secret"})),
        )
        found = json.loads(report.read_text("utf-8"))
    return (
        {entry["row"] - 1: entry["rule"] for entry in found["removed"]},
        {entry["row"] - 1: entry["rule"] for entry in found["suspects"]},
    )


def datasketch_alone(rows: list[dict[str, Any]], suite: list[dict[str, Any]]) -> dict[int, str]:
    """Place of a row -> why its LSH would remove it."""
    from datasketch import MinHash, MinHashLSH

    def sketch(text: str) -> MinHash:
        found = MinHash(num_perm=128)
        found.update_batch([word.encode() for word in set(text.lower().split())])
        return found

    problems, kept = MinHashLSH(threshold=0.75, num_perm=128), MinHashLSH(threshold=0.75, num_perm=128)
    for number, problem in enumerate(suite):
        for part in ("prompt", "gold"):
            problems.insert(f"{number}{part}", sketch(problem[part]))
    removed = {}
    for place, row in enumerate(rows):
        one = sketch(row["text"])
        if problems.query(one):
            removed[place] = "contamination"
        elif kept.query(one):
            removed[place] = "near_duplicate"
        else:
            kept.insert(place, one)
    return removed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    rows, suite = planted(parser.parse_args().seed)
    removed, suspects = ours(rows, suite)
    theirs = datasketch_alone(rows, suite)
    totals = Counter(row["kind"] for row in rows)
    print("In brackets: reported, not required. Removed of planted rows is recall, of the others false removals.\n")
    print("| kind | rows | removed | listed as suspect | removed by datasketch alone |\n|---|---|---|---|---|")
    for kind, total in totals.items():
        places = [place for place, row in enumerate(rows) if row["kind"] == kind]
        counts = [sum(place in found for place in places) for found in (removed, suspects, theirs)]
        print(f"| {kind} | {total} | {counts[0]} | {counts[1]} | {counts[2]} |")
    wrong = Counter(
        (row["kind"], removed[place])
        for place, row in enumerate(rows)
        if place in removed and row["kind"].split(",")[0].replace(" ", "_").rstrip("s") != removed[place]
    )
    print("\nremoved under another name, or falsely:", dict(wrong))


if __name__ == "__main__":
    main()
