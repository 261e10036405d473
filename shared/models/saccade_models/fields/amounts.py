"""Amounts of money and currencies as invoices and receipts write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CURRENCIES = {
    "EUR": r"€|\beur(?:os?)?\b",
    "USD": r"\$(?=\s?[\d,]*\.\d{2})|\busd\b|\bus\s?dollars?\b",
    "GBP": r"£|\bgbp\b",
    "INR": r"₹|\binr\b|\brs\b\.?",
    "MYR": r"\brm\b|\bmyr\b|(?<=\()rm(?=\))",
    "CHF": r"\bchf\b|\bsfr\b\.?",
    "JPY": r"¥|\bjpy\b",
}
_MARK = "|".join(_CURRENCIES.values())
_GROUPED = r"\d{1,3}(?:[ .,'’]\d{3})+|\d+"  # noqa: RUF001 - the Swiss apostrophe
_WITH_CENTS = rf"(?:{_GROUPED})[.,]\d{{2}}"
_AMOUNT = re.compile(
    rf"(?<![\d.,])(?P<cents>{_WITH_CENTS})(?![\d%]|[.,]\d|\s?%)"
    rf"|(?:{_MARK})\s*(?P<after>{_GROUPED})(?![\d.,]*\d)"
    rf"|(?<![\d.,])(?P<before>{_GROUPED})\s*(?:€|£|\beur\b|\busd\b)",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(rf"[-−–~]\s*(?:{_MARK})?\s*$", re.IGNORECASE)  # noqa: RUF001 - typeset minus signs


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount (negative where a minus stands before it) and where it stands in its text."""

    value: float
    start: int
    end: int


def find_amounts(text: str) -> list[Amount]:
    """Numbers with two decimals, and whole ones beside a currency: 1.234,56; 1,234.56; 12.00; Rs 1939."""
    found: list[Amount] = []
    for match in _AMOUNT.finditer(text):
        name = str(match.lastgroup)
        sign = -1 if _NEGATIVE.search(text[: match.start()]) else 1
        found.append(Amount(sign * _number(match[name], cents=name == "cents"), match.start(name), match.end(name)))
    return found


def currency_of(texts: Iterable[str]) -> str | None:
    """The ISO 4217 code of the currency that is named most often."""
    text = "\n".join(texts)
    counts = {code: len(re.findall(pattern, text, re.IGNORECASE)) for code, pattern in _CURRENCIES.items()}
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] else None


def _number(digits: str, *, cents: bool) -> float:
    plain = re.sub(r"\D", "", digits)
    return round(int(plain) / 100, 2) if cents else float(int(plain))
