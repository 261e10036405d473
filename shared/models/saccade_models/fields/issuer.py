"""Who issued an invoice or receipt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from saccade_models.fields import labels
from saccade_models.rows import Row

_HEAD_ROWS = 8
_ADDRESS_ROWS = 6
_DOMAIN = re.compile(r"(?:@|www\.|://|\b)((?:[a-z0-9-]+\.)+(?:[a-z]{2,6}))\b", re.IGNORECASE)
_TELEPHONE = re.compile(r"[\d\s()+/-]{7,}")
#: Mail providers, whose names say nothing about the issuer.
_MAIL = {"gmail", "googlemail", "hotmail", "outlook", "yahoo", "gmx", "web", "icloud", "aol", "live"}


def find_issuer(rows: Sequence[Row]) -> str | None:
    """The company named most often by its legal form, if it goes with a web or mail address all the more; else
    the name that such an address begins with."""
    texts = [cell.text for index, row in enumerate(rows) if not _is_customer(rows, index) for cell in row.cells]
    domains = _domains(texts)
    names = Counter[str]()
    for text in texts:
        for match in labels.COMPANY.finditer(text):
            names[match[0].strip(" ,")] += 1
    scores = {name: count + 3 * _goes_with(name, domains) for name, count in names.items()}
    best = max(scores, key=lambda name: scores[name], default=None)
    if best and _goes_with(best, domains):
        return best
    return _brand(texts, domains) or best


def find_shop(rows: Sequence[Row]) -> int | None:
    """The index of the row with the shop's name: at the head, with a company's usual words, else in capitals."""
    best: tuple[int, int] | None = None
    for index, row in enumerate(rows[:_HEAD_ROWS]):
        if not re.search(r"[^\W\d]{3}", row.text) or labels.NOT_ADDRESS.search(row.text):
            continue
        rank = 4 * bool(labels.SHOP.search(row.text)) + 2 * row.text.isupper() + row.text[:1].isupper()
        if best is None or rank > best[0]:
            best = (rank, index)
    return best[1] if best else None


def find_address(rows: Sequence[Row], start: int) -> str | None:
    """The rows after the shop's name up to its telephone, tax number or first entry."""
    parts: list[str] = []
    for row in rows[start : start + _ADDRESS_ROWS]:
        if re.fullmatch(r"\W*(?:co\W*reg)?\W*[A-Z]{0,2}\d[\d\s]*-?\W?[A-Z]?\W*", row.text, re.IGNORECASE):
            continue  # the number in the register of companies
        if not parts and row.text.startswith("("):
            continue
        if labels.NOT_ADDRESS.search(row.text) or _TELEPHONE.fullmatch(row.text):
            break
        parts.append(row.text)
    return " ".join(parts) or None


def _is_customer(rows: Sequence[Row], index: int) -> bool:
    """Whether the row, or the one over it, names who the invoice is for."""
    return any(labels.CUSTOMER.search(row.text) for row in rows[max(0, index - 1) : index + 1])


def _domains(texts: Sequence[str]) -> set[str]:
    """The parts of web and mail addresses that name their owner."""
    found = {
        label.lower().replace("-", "")
        for text in texts
        for domain in _DOMAIN.findall(text)
        for label in domain.split(".")[:-1]
    }
    return {label for label in found if len(label) >= 3 and label not in _MAIL | {"www"}}


def _goes_with(name: str, domains: set[str]) -> bool:
    letters = re.sub(r"[\W_]", "", name.lower())
    return any(letters.startswith(domain) or domain.startswith(letters) for domain in domains if len(letters) >= 3)


def _brand(texts: Sequence[str], domains: set[str]) -> str | None:
    """The capitalised word that is written most often of those an address begins with."""
    words = Counter(word for text in texts for word in re.findall(r"\b[A-Z][\w-]{2,}", text))
    fitting = [word for word in words if any(domain.startswith(word.lower()) for domain in domains)]
    return max(fitting, key=lambda word: (words[word], len(word)), default=None)
