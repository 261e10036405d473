"""The total of an invoice or receipt: by its label, and by the arithmetic that the paper itself carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from saccade_models.fields import labels
from saccade_models.fields.amounts import Amount, find_amounts
from saccade_models.fields.values import below
from saccade_models.rows import Row, share_columns

#: Cash is rounded to 5 or 10 cents.
_MAX_ROUNDING = 0.05
_HEADER_ROWS = 40


@dataclass(frozen=True, slots=True)
class Totals:
    """Amounts with tax, without it, and the tax; None where not found."""

    total: float | None = None
    untaxed: float | None = None
    tax: float | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    score: float
    index: int
    amount: Amount


def find_totals(rows: Sequence[Row]) -> Totals:
    """Total, untaxed amount and tax."""
    amounts = [find_amounts(row.text) for row in rows]
    candidates = list(_candidates(rows, amounts))
    if not candidates:
        return Totals()
    best = max(candidates, key=lambda c: (c.score, c.index))
    total = _rounded(rows, amounts, best)
    untaxed, tax = _split(rows, amounts, best, total)
    return Totals(total, untaxed, tax)


def _candidates(rows: Sequence[Row], amounts: Sequence[list[Amount]]) -> list[_Candidate]:
    seen = Counter(amount.value for row in amounts for amount in row)
    paid = _paid(rows, amounts)
    found: list[_Candidate] = []
    for index, row in enumerate(rows):
        rank = _rank(row.text)
        values = [a for a in amounts[index] if a.value > 0]
        if not rank:
            continue
        if not values and not amounts[index]:
            values = _below(rows, index)
        for amount in values[-1:]:
            score = rank + 2.0 * (amount.value in paid) + 0.5 * min(seen[amount.value] - 1, 3)
            score += 1.5 * (_parts(amounts[index]) is not None)
            found.append(_Candidate(score, index, amount))
    return found


def _rank(text: str) -> float:
    if labels.NOT_TOTAL.search(text):
        return 0
    if labels.FINAL_TOTAL.search(text):
        return 3
    return 1.5 if labels.TOTAL.search(text) else 0


def _below(rows: Sequence[Row], index: int) -> list[Amount]:
    cells = below(rows, index, rows[index].box)
    return next((a for a in (find_amounts(cell.text) for cell in cells) if a), [])


def _paid(rows: Sequence[Row], amounts: Sequence[list[Amount]]) -> set[float]:
    """What was paid less what was given back, for every pair of such rows."""
    given = [a.value for row, found in zip(rows, amounts, strict=True) if labels.PAID.search(row.text) for a in found]
    back = [a.value for row, found in zip(rows, amounts, strict=True) if labels.CHANGE.search(row.text) for a in found]
    return {round(g - b, 2) for g in given for b in back if g > b > 0}


def _rounded(rows: Sequence[Row], amounts: Sequence[list[Amount]], best: _Candidate) -> float:
    """The total after a rounding that is printed below it, where the rounded total is printed too."""
    later = {a.value for found in amounts[best.index + 1 :] for a in found}
    for row, found in zip(rows[best.index + 1 : best.index + 4], amounts[best.index + 1 :], strict=False):
        for amount in found if labels.ROUNDING.search(row.text) else ():
            for rounding in (amount.value, -amount.value):  # a minus is easily lost in reading
                total = round(best.amount.value + rounding, 2)
                if 0 < abs(rounding) <= _MAX_ROUNDING and total in later:
                    return total
    return best.amount.value


def _parts(amounts: Sequence[Amount]) -> tuple[float, float] | None:
    """Untaxed amount and tax of a row like ``24.99 5.00 29.99``."""
    if len(amounts) < 3:
        return None
    untaxed, tax, total = (a.value for a in amounts[-3:])
    return (untaxed, tax) if tax > 0 and abs(untaxed + tax - total) < 0.005 else None


def _split(
    rows: Sequence[Row], amounts: Sequence[list[Amount]], best: _Candidate, total: float
) -> tuple[float | None, float | None]:
    """Untaxed amount and tax of ``total``."""
    for found in amounts:
        parts = _parts(found)
        if parts and found[-1].value == total:
            return parts
    untaxed, tax = _labelled(rows, amounts, total)
    if untaxed is not None and tax is not None and abs(untaxed + tax - total) <= _MAX_ROUNDING:
        return untaxed, tax
    if tax is not None:
        return round(total - tax, 2), tax
    if untaxed is not None:
        return untaxed, round(max(0.0, total - untaxed), 2)
    return (total, None) if _under_untaxed_column(rows, best) else (None, None)


def _labelled(rows: Sequence[Row], amounts: Sequence[list[Amount]], total: float) -> tuple[float | None, float | None]:
    """The first untaxed amount and the first tax by their labels, as far as they can belong to ``total``."""
    untaxed = tax = None
    for row, found in zip(rows, amounts, strict=True):
        if not found:
            continue
        value = found[-1].value
        if untaxed is None and labels.UNTAXED.search(row.text) and 0 < value <= total + _MAX_ROUNDING:
            untaxed = value
        is_tax = len(found) == 1 and not _rank(row.text) and labels.TAX.search(row.text[: found[0].start])
        if tax is None and is_tax and not labels.UNTAXED.search(row.text) and 0 <= value < total / 2:
            tax = value
    return untaxed, tax


def _under_untaxed_column(rows: Sequence[Row], best: _Candidate) -> bool:
    row = rows[best.index]
    box = row.span(best.amount.start, best.amount.end)
    over = [r for r in rows[max(0, best.index - _HEADER_ROWS) : best.index] if r.page == row.page]
    header = " ".join(c.text for r in over for c in r.cells if share_columns(c.box, box))
    return labels.UNTAXED_COLUMN.search(header) is not None
