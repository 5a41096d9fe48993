"""Secrets, personal data, refusals and self-naming, found by patterns. Each names what it saw, never the value.

Made to be sure rather than complete: what has a check sum or a fixed form is checked by it, and values that only stand
for one (example.com, 555 numbers, AKIA...EXAMPLE, test cards) pass. Names, addresses, dates of birth and IP addresses
have no form of their own and are not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from posttrain.factory.texts import ANSWER, Text

# Kind -> what each holds in any case (looked for first, which is fast), and its form.
SECRETS = {
    "aws_access_key": ("IA", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    "private_key": (
        "PRIVATE KEY",
        re.compile(r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:\s-]{40}"),
    ),
    "github_token": ("_", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22})")),
    "gitlab_token": ("glpat-", re.compile(r"\bglpat-[A-Za-z0-9_-]{20}")),
    "slack_token": ("xox", re.compile(r"\bxox[abprs]-[0-9]{6,}-[0-9A-Za-z-]{10,}")),
    "model_api_key": ("sk-", re.compile(r"\bsk-(?:proj-|ant-|or-v1-|svcacct-)?(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{32,}")),
    "google_api_key": ("AIza", re.compile(r"\bAIza[0-9A-Za-z_-]{35}")),
    "stripe_key": ("k_live_", re.compile(r"\b[rs]k_live_[0-9A-Za-z]{20,}")),
    "hugging_face_token": ("hf_", re.compile(r"\bhf_[A-Za-z]{34}\b")),
    "json_web_token": ("eyJ", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}")),
    "password_in_url": (
        "://",
        re.compile(r"\b[a-z][a-z0-9+.]{1,15}://[^\s:/@\"'<>{}$]{1,64}:([^\s:/@\"'<>{}$*]{4,64})@[\w.-]+"),
    ),
}
_PLACEHOLDER = re.compile(
    r"example|your|placeholder|dummy|(.)\1{5}|0123456789|1234567890|abcdefgh|:(?:password|passwd|pass|secret|pw)@",
    re.IGNORECASE,
)

# Each begins with what is rare, so that a long text is searched fast; what stands before is looked at afterwards.
_EMAIL_AFTER = re.compile(r"@((?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24})\b(?!\()")
_EMAIL_BEFORE = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}$")
_EMAIL_STANDS_FOR = re.compile(
    r"(?:^|\.)(?:example|test|invalid|localhost|local|internal|domain|email|company|yourdomain|mycompany|site|website|"
    r"users\.noreply)(?:\.[a-z]{2,3})?(?:\.[a-z]{2})?$",
    re.IGNORECASE,
)
_NO_PERSON = {
    *("git", "info", "support", "contact", "noreply", "no-reply", "admin", "sales", "help", "hello", "office"),
    *("user", "username", "name", "you", "someone", "webmaster", "postmaster", "press", "jobs", "root", "test"),
}
_PHONE_ABROAD = re.compile(r"\+\d{1,3}[ .-](?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]\d{2,7}){1,4}(?![\w-])")
_PHONE_END = re.compile(r"-\d{4}(?![\w-])")
_PHONE_START = re.compile(r"(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}-)\d{3}$")
_SSN = re.compile(r"\b(?:ssn|social security)\b.{0,60}?\b((?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4})\b", re.DOTALL)
_CARD = re.compile(r"[3-6]\d{3}([ -])(?:\d{4}\1\d{4}\1\d{4}|\d{6}\1\d{5})(?![\d-])")
_TEST_CARDS = ("4111", "4242", "4012", "5555", "5105", "3782", "3714", "6011", "4000 0000", "4000-0000", "1234")
_IBAN = re.compile(r"[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_IBAN_SHOWN = ("DE89370400440532013000", "GB82WEST12345698765432", "GB29NWBK60161331926819")

_CANNOT = r"(?:cannot|can't|can not|could not|couldn't|won't|will not|(?:am|'m) (?:unable|not able) to)"
_ACTS = (
    r"(?:assist|help|comply|fulfil|fulfill|provide|create|generate|write|engage|support|do that|answer|discuss|share|"
    r"offer|participate|respond|continue)"
)
_REFUSALS = re.compile(
    rf"(?:\bi(?:'m| am) (?:(?:very|really|so|deeply) )?sorry\b.{{0,60}}\bi {_CANNOT} {_ACTS}|"
    rf"\bi(?:'m| am) (?:(?:very|really|so) )?sorry,? but (?:i|as an ai|that request|this request)\b.{{0,40}}{_CANNOT}|"
    rf"^(?:unfortunately,? |sorry,? (?:but )?|i apologize,? but )?i {_CANNOT} (?:assist|help|comply|fulfill?|engage)\b"
    r".{0,30}\b(?:with (?:that|this|your)|this request|that request|your request)|"
    rf"\bas an (?:ai|artificial intelligence)\b.{{0,40}}\bi {_CANNOT}|"
    r"\bi must (?:respectfully )?decline\b|"
    r"^(?:很?抱歉|对不起)[,，。].{0,12}(?:我(?:不能|无法)|无法(?:提供|协助|帮助|回答)))",
    re.IGNORECASE | re.DOTALL,
)
_REFUSAL_WITHIN = 240  # characters: a refusal comes first

_MAKERS = (
    r"(?:openai|anthropic|google(?: deepmind)?|deepseek|alibaba(?: cloud)?|meta(?: ai)?|mistral(?: ai)?|xai|"
    r"moonshot(?: ai)?|baidu|zhipu)"
)
_AI = r"(?:ai|artificial intelligence)(?: (?:language model|model|assistant|chatbot))?"
_SELF_NAMING = re.compile(
    rf"\b(?:i am|i'm|my name is) (?:(?:chatgpt|gpt-?\d\w*|deepseek(?:-\w+)?|qwen\w*|tongyi qianwen|ernie bot|kimi)\b|"
    rf"(?:claude|gemini|bard|llama|grok|mistral|copilot),? (?:an? (?:large )?(?:ai|language|virtual)|made by|"
    rf"created by|developed by|from {_MAKERS}))|"
    rf"\bi(?:'m| am| was)? (?:an? (?:large |ai )?(?:language )?(?:model|assistant)(?: that was)? )?"
    rf"(?:trained|made|created|developed|built) by {_MAKERS}\b|"
    rf"\bas an? {_AI},? i\b|"
    r"\bas a large language model,? i\b|"
    rf"\bi(?:'m| am) (?:just |only )?an? {_AI}\b|"
    r"\bmy (?:knowledge cutoff|training data (?:only )?(?:goes|extends)|last (?:knowledge )?update)\b|"
    r"我是(?:chatgpt|gpt|通义千问|文心一言|deepseek|豆包|kimi|claude)|作为(?:一个|一名|一款)?(?:ai|人工智能)(?:语言)?(?:模型|助手)",
)


# One of these stands in whatever the pattern finds: looked for first, which is fast.
_SELF_SIGNS = (
    *("an ai", "artificial intelligence", "language model", "chatgpt", "gpt", "deepseek", "qwen", "ernie", "kimi"),
    *("claude", "gemini", "bard", "llama", "grok", "mistral", "copilot", "openai", "anthropic", "google", "alibaba"),
    *("meta", "xai", "moonshot", "baidu", "zhipu", "knowledge cutoff", "my training", "my last", "我是", "作为"),
)


def secret_in(text: str) -> str | None:
    """The kind of the first key, token or password in a text; None where there is none."""
    for name, (sign, pattern) in SECRETS.items():
        for match in pattern.finditer(text) if sign in text else ():
            if not _PLACEHOLDER.search(match.group()):
                return name
    return None


def personal_data_in(text: str) -> str | None:
    """The kind of the first datum of a person in a text; None where there is none."""
    return next((name for name, found in _PERSONAL.items() if found(text)), None)


def refusal_in(texts: Sequence[Text]) -> str | None:
    """`refusal` where an answer begins by refusing, behind its thinking."""
    for text in texts:
        if text.role == ANSWER:
            visible = _straight(text.text.rsplit("</think>", 1)[-1].strip()[:_REFUSAL_WITHIN])
            if _REFUSALS.search(visible):
                return "refusal"
    return None


def self_naming_in(texts: Sequence[Text]) -> str | None:
    """`self_naming` where an answer says that it is an AI, which one, or whose."""
    for text in texts:
        if text.role == ANSWER:
            lowered = _straight(text.text.lower())
            if any(sign in lowered for sign in _SELF_SIGNS) and _SELF_NAMING.search(lowered):
                return "self_naming"
    return None


def _straight(text: str) -> str:
    return text.replace("’", "'")


def _email(text: str) -> bool:
    for match in _EMAIL_AFTER.finditer(text) if "@" in text else ():
        name = _EMAIL_BEFORE.search(text[max(0, match.start() - 65) : match.start()])
        if name and name.group().lower() not in _NO_PERSON and not _EMAIL_STANDS_FOR.search(match.group(1)):
            return True
    return False


def _phone(text: str) -> bool:
    numbers = [match.group() for match in _PHONE_ABROAD.finditer(text) if _begins(text, match.start(), ".+-")]
    for match in _PHONE_END.finditer(text):
        start = _PHONE_START.search(text[max(0, match.start() - 10) : match.start()])
        numbers += [start.group() + match.group()] if start else []
    for number in numbers:
        digits = re.sub(r"\D", "", number)
        made_up = digits[-7:-4] == "555" or digits[-10:-7] == "555" or "1234567" in digits or len(set(digits)) < 4
        if 10 <= len(digits) <= 15 and not made_up:
            return True
    return False


def _begins(text: str, start: int, joins: str) -> bool:
    before = text[start - 1 : start]
    return not before or not (before.isalnum() or before in joins)


def _social_security(text: str) -> bool:
    lowered = text.lower()
    if "ssn" not in lowered and "social security" not in lowered:
        return False
    return any(match.group(1) not in ("123-45-6789", "078-05-1120") for match in _SSN.finditer(lowered))


def _card(text: str) -> bool:
    for match in _CARD.finditer(text):
        digits = [int(character) for character in match.group() if character.isdigit()]
        doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
        luhn = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
        shown = match.group().startswith(_TEST_CARDS) or len(set(digits)) < 4
        if luhn and not shown and _begins(text, match.start(), "-"):
            return True
    return False


def _iban(text: str) -> bool:
    for match in _IBAN.finditer(text):
        plain = match.group().replace(" ", "")
        turned = plain[4:] + plain[:4]
        shown = len(plain) < 15 or plain in _IBAN_SHOWN or not _begins(text, match.start(), "_")
        if not shown and int("".join(str(int(character, 36)) for character in turned)) % 97 == 1:
            return True
    return False


_PERSONAL: dict[str, Callable[[str], bool]] = {
    "email": _email,
    "phone": _phone,
    "social_security_number": _social_security,
    "card_number": _card,
    "iban": _iban,
}
