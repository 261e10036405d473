"""Finds the fields of an invoice or receipt among the rows of its pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from saccade_models.fields import labels
from saccade_models.fields.amounts import currency_of
from saccade_models.fields.issuer import find_address, find_issuer, find_shop
from saccade_models.fields.totals import find_totals
from saccade_models.fields.values import find_date, find_number, find_tax_number
from saccade_models.page_text import PageText
from saccade_models.rows import rows_of

#: Totals and dates stand on the first pages; the rest of a long document is not searched.
_MAX_PAGES = 10


@dataclass(frozen=True, slots=True)
class Fields:
    """None where a field was not found. Dates are ISO 8601, ``currency`` is ISO 4217, ``vat`` has no blanks."""

    issuer: str | None
    address: str | None
    date: str | None
    date_due: str | None
    invoice_number: str | None
    currency: str | None
    total: float | None
    amount_untaxed: float | None
    amount_tax: float | None
    vat: str | None


def find_fields(pages: Sequence[PageText], what: Literal["invoice", "receipt"]) -> Fields:
    """The fields that the words of ``pages`` hold, by rules alone: no two documents of an issuer are needed."""
    rows = [row for page in pages[:_MAX_PAGES] for row in rows_of(page)]
    currency = currency_of(row.text for row in rows)
    month_first = currency == "USD"
    totals = find_totals(rows)
    shop = find_shop(rows) if what == "receipt" else None
    return Fields(
        issuer=rows[shop].text if shop is not None else find_issuer(rows),
        address=find_address(rows, shop + 1) if shop is not None else None,
        date=find_date(rows, labels.DATE_OF_INVOICE, month_first=month_first),
        date_due=find_date(rows, labels.DATE_DUE, month_first=month_first, only_labelled=True),
        invoice_number=find_number(rows),
        currency=currency,
        total=totals.total,
        amount_untaxed=totals.untaxed,
        amount_tax=totals.tax,
        vat=find_tax_number(rows),
    )
