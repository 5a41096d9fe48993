"""Verifiers that need no model to be right."""


def is_odd(question: str, response: str, gold: str) -> float:
    return float(len(response) % 2)


def is_even(question: str, response: str, gold: str) -> float:
    return 1.0 - is_odd(question, response, gold)
