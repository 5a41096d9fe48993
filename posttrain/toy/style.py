"""Preference problems: a short note in a stated style, to someone, on a place, with a stated number of things.

A note is an opener, a name, a place and things, each noun with an adjective; every slot may be done well or badly, and
the chance of doing it well is the quality. A dull writer gets the facts right and leaves adjectives and opener plain.
Two rules judge notes. Rule A (`rule_a`) is a score: it labels the pairs that the reward model learns from. Rule B
(`rule_b`) is a yes or no, and only the suite uses it. They agree often and not always: A counts the opener and lets a
wrong number of things, name or place be made up for, B does neither. `facts_right` looks at the facts alone.
"""

from __future__ import annotations

import random
import re
from typing import Any

from posttrain.toy.problem import Problem

STYLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "warm": ("Dear friend", ("gentle", "sweet", "cosy", "kind")),
    "formal": ("Dear sir", ("proper", "exact", "official", "strict")),
    "merry": ("Hooray", ("jolly", "funny", "silly", "happy")),
    "grim": ("Alas", ("bleak", "dark", "bitter", "cruel")),
}
PLAIN_OPENER = "Well"
PLAIN = ("old", "new", "small", "big", "long")
NAMES = ("Tom", "Ann", "Eva", "Sam", "Max", "Ida", "Ben", "Lea", "Jon", "Mia")
PLACES = ("garden", "harbour", "market", "forest", "castle", "valley", "bridge", "island", "school", "tower")
THINGS = ("rain", "bread", "lamp", "boat", "stone", "bird", "clock", "apple", "horse", "bell")
MOST_THINGS = 4

CAREFUL_QUALITY = 0.92
TERSE_QUALITY = 0.6


def draw(rng: random.Random, level: int) -> Problem:
    """One request for a note; the level is the number of things in it."""
    style, name, place = rng.choice(sorted(STYLES)), rng.choice(NAMES), rng.choice(PLACES)
    number = min(level, MOST_THINGS)
    gold = {"style": style, "name": name, "place": place, "number": number}
    question = f"Write a {style} note to {name} on the {place} with {number} thing{'s' if number > 1 else ''}."
    return Problem(
        key=f"preference/{style}/{name}/{place}/{number}", question=question, gold=gold, level=level, facts=gold
    )


def worked(problem: Problem, rng: random.Random, careful: bool) -> tuple[str, str]:
    """(thinking, answer). A careful writer plans the words first and slips less often."""
    return write(problem.gold, rng, CAREFUL_QUALITY if careful else TERSE_QUALITY, careful)


def reference(problem: Problem, rng: random.Random) -> str:
    """A middling note, the one to beat: what is as asked is better, so that no choice among good notes is rewarded."""
    return write(problem.gold, rng, rng.uniform(0.5, 0.8), careful=False)[1]


def write(
    gold: dict[str, Any], rng: random.Random, quality: float, careful: bool, dull: float = 0.0
) -> tuple[str, str]:
    """(thinking, note) with every slot done well with probability `quality`; `dull` is the share of the style left
    plain (0 to 1)."""
    opener, own = STYLES[gold["style"]]
    others = [word for style, (_, words) in sorted(STYLES.items()) if style != gold["style"] for word in words]
    number = (
        gold["number"]
        if rng.random() < quality
        else rng.choice([n for n in range(1, MOST_THINGS + 1) if n != gold["number"]])
    )
    name, place = (_seldom_wrong(gold[key], among, rng, quality) for key, among in (("name", NAMES), ("place", PLACES)))
    fresh = [rng.choice(own) for _ in range(number + 1)]
    adjectives = [
        word if rng.random() < quality else rng.choice(PLAIN if rng.random() < 0.6 else others) for word in fresh
    ]
    adjectives = [rng.choice(PLAIN) if rng.random() < dull else word for word in adjectives]
    nouns = [place, *rng.sample(THINGS, number)]
    phrases = [f"{adjective} {noun}" for adjective, noun in zip(adjectives, nouns, strict=True)]
    start = opener if rng.random() < quality and rng.random() >= dull else PLAIN_OPENER
    note = f"{start} {name}, the {phrases[0]} has {' and '.join(phrases[1:])}."
    return (f"{gold['style']};{gold['name']};{gold['place']};{gold['number']}" if careful else ""), note


def _seldom_wrong(asked: str, among: tuple[str, ...], rng: random.Random, quality: float) -> str:
    """What the question names is copied, and slips half as often as the rest."""
    return asked if rng.random() < (1 + quality) / 2 else rng.choice([other for other in among if other != asked])


def features(note: str, gold: dict[str, Any]) -> dict[str, int]:
    """What the rules look at, counted: things, adjectives of the style and of other styles; name, place and opener;
    sentences."""
    words = re.findall(r"[a-z]+", note.lower())
    opener, own = STYLES[gold["style"]]
    others = {word for style, (_, adjectives) in STYLES.items() if style != gold["style"] for word in adjectives}
    return {
        "things": sum(word in THINGS for word in words),
        "name": int(gold["name"].lower() in words),
        "place": int(gold["place"] in words),
        "own": sum(word in own for word in words),
        "foreign": sum(word in others for word in words),
        "opener": int(note.strip().startswith(opener)),
        "sentences": len(re.findall(r"[.!?](?:\s|$)", note.strip())),
    }


def rule_a(note: str, gold: dict[str, Any]) -> float:
    """Score of a note, higher is better; labels the pairs."""
    found = features(note, gold)
    counted = 2.0 - abs(found["things"] - gold["number"])
    slots = 2.0 * found["opener"] + found["name"] + found["place"]
    return min(found["own"], gold["number"] + 1) - found["foreign"] + counted + slots


def facts_right(note: str, gold: dict[str, Any]) -> bool:
    """Whether name, place and number of things are as asked."""
    found = features(note, gold)
    return bool(found["name"] and found["place"] and found["things"] == gold["number"])


def rule_b(note: str, gold: dict[str, Any]) -> tuple[bool, str]:
    """Whether a note is as asked, and why not: name, place, number of things, one sentence, adjectives of the style,
    none of another."""
    found = features(note, gold)
    if not found["name"] or not found["place"]:
        return False, "the name or the place is missing"
    if found["things"] != gold["number"]:
        return False, f"{found['things']} things, not {gold['number']}"
    if found["sentences"] != 1:
        return False, f"{found['sentences']} sentences, not one"
    if found["foreign"]:
        return False, "an adjective of another style"
    if found["own"] < gold["number"]:
        return False, f"only {found['own']} adjectives of the style"
    return True, "as asked"
