"""Dates and clock times in answers: reading and comparing them exactly. Knows nothing of other text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards.math.foreign import PHRASES
from rewards.math.result import Result, no, unsure, yes

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|"
    r"dec(?:ember)?)\.?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|\.)?"
_YEAR = r"(?P<year>\d{4})"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )?"
_FOREIGN_MONTHS = {
    word: number
    for number, (_, *words) in enumerate((group for group in PHRASES if group[0][:3] in _MONTHS), 1)
    for word in (*words, *(("mars",) if number == 3 else ("mai",) if number == 5 else ()))
    if word.isalpha() and len(word) > 2
}
_FOREIGN = "|".join(_FOREIGN_MONTHS)
_DATES = tuple(
    re.compile(pattern + r"\Z", re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}{_MONTH} {_DAY}(?:,? {_YEAR})?",
        rf"{_WEEKDAY}(?:the )?{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR})?",
        (
            rf"(?:(?:le|el|il|am|der|den|o|dia) )?(?P<day>\d{{1,2}})(?:\.|º|er)? (?:de )?(?P<foreign>{_FOREIGN})(?:,? "
            rf"(?:de )?{_YEAR})?"
        ),
        r"(?:(?P<year>\d{4})年)?(?P<month_number>\d{1,2})月(?P<day>\d{1,2})[日号]",
        rf"{_YEAR}(?P<mark>[-/.])(?P<month_number>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}})",
    )
)
_CLOCK = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))? ?(?P<half>[ap]\.? ?m\.?)?\Z", re.IGNORECASE)
_MORNING = re.compile(r"\ba\.?m\b|\bmorning\b", re.IGNORECASE)
_EVENING = re.compile(r"\bp\.?m\b|\b(?:afternoon|evening|night)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """minutes since midnight or, where `half` ("a", "p") is unknown, since either twelve."""

    minutes: int
    half: str | None


def read_date(text: str) -> tuple[int | None, int, int] | None:
    """(year or None, month, day); None for no date. Numbers alone only as year-month-day: 3/4/2024 has two readings."""
    if len(text) > 40:
        return None
    for pattern in _DATES:
        if match := pattern.match(text):
            parts = match.groupdict()
            named = parts.get("month")
            if (foreign := parts.get("foreign")) is not None:
                month = _FOREIGN_MONTHS[foreign.casefold()]
            else:
                month = _MONTHS.index(named[:3].lower()) + 1 if named else int(parts["month_number"])
            day, year = int(parts["day"]), int(parts["year"]) if parts["year"] else None
            return (year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else None
    return None


def compare_dates(gold: str, answer: str) -> Result | None:
    """None where the answer is no date."""
    wanted, got = read_date(gold), read_date(answer)
    if wanted is None or got is None:
        return None
    if wanted[1:] != got[1:] or (wanted[0] and got[0] and wanted[0] != got[0]):
        return no("date_differs")
    return (
        yes("date_equal")
        if wanted[0] == got[0]
        else yes("date_equal", certain=False)
        if wanted[0] is None
        else unsure("year_missing")
    )


def read_clock(text: str) -> Clock | None:
    """3:30, 15:30, 3:30 p.m., 3 pm; None for no time of day (a bare 3 is none)."""
    match = _CLOCK.match(text)
    if match is None or (match["minute"] is None and match["half"] is None):
        return None
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half = match["half"][0].lower() if match["half"] else None
    if minute > 59 or hour > (12 if half else 23):
        return None
    if half is None and (hour > 12 or match["hour"][0] == "0"):  # 07:15 is written so for the morning
        half = "p" if hour > 12 else "a"
    return Clock(minutes=hour % 12 * 60 + minute, half=half)


def compare_clocks(gold: str, answer: str, question: str) -> Result | None:
    """None where the answer is no time of day. A half of the day that is not written follows the question."""
    wanted, got = read_clock(gold), read_clock(answer)
    if wanted is None or got is None:
        return None
    if wanted.minutes != got.minutes:
        return no("time_differs")
    if wanted.half and got.half:
        return yes("time_equal") if wanted.half == got.half else no("time_differs")
    asked = [half for half, pattern in (("a", _MORNING), ("p", _EVENING)) if pattern.search(question)]
    written = wanted.half or got.half
    if written and len(asked) == 1 and asked != [written]:
        return no("time_differs", certain=False)
    return yes("time_equal", certain=False)
