"""Fields from words at known places, without any engine."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from saccade_models.fields import find_fields
from saccade_models.fields.amounts import currency_of, find_amounts
from saccade_models.fields.dates import find_dates
from saccade_models.page_text import PageText, Word

_LETTER = 10  # pixels a letter


def page(*rows: str) -> PageText:
    """A page of monospaced rows; blanks keep their width."""
    words: list[Word] = []
    for line, row in enumerate(rows):
        start = 0
        for text in row.split():
            start = row.index(text, start)
            words.append(
                Word(text, 1.0, (start * _LETTER, line * 30, (start + len(text)) * _LETTER, line * 30 + 20), line, 0)
            )
            start += len(text)
    return PageText(1, 1000, 1000, "ocr", words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25/12/2018 8:13:39 PM", ["2018-12-25"]),
        ("12- 01-19", ["2019-01-12"]),
        ("7. Mai 2014", ["2014-05-07"]),
        ("August 3 , 2014", ["2014-08-03"]),
        ("du 1er au 02 Juillet 2015", ["2015-07-02"]),
        ("2025-03-04 bis 05.03.25", ["2025-03-04", "2025-03-05"]),
        ("12/31/2017", ["2017-12-31"]),
        ("1 Dez. 2020, 3 de marzo de 2021", ["2020-12-01", "2021-03-03"]),
        ("31.02.2020, 99/99/2020, 07-3523888, SX-575-1, HC3-7-15, 10.0.0.1", []),
    ],
)
def test_dates(text: str, expected: Sequence[str]) -> None:
    assert [found.value.isoformat() for found in find_dates(text)] == list(expected)


def test_month_comes_first_where_said() -> None:
    both = "03/04/2025 and 2025-03-04 and 3.4.2025"
    assert [d.value.month for d in find_dates(both, month_first=True)] == [3, 3, 4]
    assert [d.value.month for d in find_dates(both)] == [4, 3, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.234,56 and 1,234.56 and 12.00", [1234.56, 1234.56, 12.0]),
        ("Total 33,92 -RM 0.02", [33.92, -0.02]),
        ("Rs 1939 x 1 Night, 1 234,50 €, 25 €", [1939.0, 1234.5, 25.0]),
        ("10.00% of 3.441.812, 0.125, v1.2.33, 20 %", []),
    ],
)
def test_amounts(text: str, expected: Sequence[float]) -> None:
    assert [found.value for found in find_amounts(text)] == list(expected)


def test_currency_is_the_one_named_most() -> None:
    assert currency_of(["contact us", "$ 12.00", "RM 1.00", "RM 2.00"]) == "MYR"
    assert currency_of(["nothing"]) is None


def test_receipt_rounded_below_its_total() -> None:
    found = find_fields(
        [
            page(
                "CORNER BAKERY",
                "12 Mill Lane, York",
                "TEL 01904 123456",
                "09/01/2019 8:01",
                "TOTAL            RM 60.31",
                "ROUNDING ADJ        -0.01",
                "RM                  60.30",
                "CASH                70.30",
                "CHANGE              10.00",
            )
        ],
        "receipt",
    )
    assert (found.issuer, found.address) == ("CORNER BAKERY", "12 Mill Lane, York")
    assert (found.date, found.total, found.currency) == ("2019-01-09", 60.3, "MYR")


def test_german_invoice_with_labels_above_and_beside() -> None:
    found = find_fields(
        [
            page(
                "Muster Werkzeuge GmbH - Hauptstr. 1 - 10115 Berlin",
                "Kunde: Beispiel AG",
                "Rechnungsnr.       Rechnungsdatum     Kundennr.",
                "RE-2024/17         3. März 2024       4711",
                "Lieferdatum: 01.03.2024",
                "Nettobetrag                    1.000,00 EUR",
                "MwSt. 19 %                       190,00 EUR",
                "Gesamtbetrag                   1.190,00 EUR",
                "Zahlungsziel: 17.03.2024",
                "USt-IdNr. DE 123 456 789       www.muster-werkzeuge.de",
            )
        ],
        "invoice",
    )
    assert found.issuer == "Muster Werkzeuge GmbH"
    assert (found.invoice_number, found.date, found.date_due) == ("RE-2024/17", "2024-03-03", "2024-03-17")
    assert (found.amount_untaxed, found.amount_tax, found.total) == (1000.0, 190.0, 1190.0)
    assert (found.currency, found.vat) == ("EUR", "DE123456789")


def test_nothing_is_invented() -> None:
    found = find_fields(
        [page("It was a bright cold day in April,", "and the clocks were striking thirteen.")], "invoice"
    )
    assert [getattr(found, name) for name in found.__dataclass_fields__] == [None] * 10
