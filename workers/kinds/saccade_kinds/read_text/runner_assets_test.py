"""``read_text`` on real scans, receipts and invoices, against their ground truth."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pytest

from saccade_core.assets import asset
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.read_text.contract import ReadTextParams, ReadTextResult
from saccade_kinds.read_text.runner import run
from saccade_models.fields.dates import find_dates

pytestmark = pytest.mark.stack


def read(name: str, folder: Path, **params: Any) -> ReadTextResult:
    return run(inputs_of(document=asset(name)), ReadTextParams(**params), LocalContext(folder))


def similarity(text: str, truth: str) -> float:
    a, b = (" ".join(t.split()) for t in (text, asset(truth).read_text("utf-8", "replace")))
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


@pytest.mark.parametrize(("name", "layout"), [("phototest.tif", "auto"), ("phototest-rotated-180.png", "auto_rotate")])
def test_every_word_of_phototest(name: str, layout: str, tmp_path: Path) -> None:
    result = read(f"documents/ocr/{name}", tmp_path, layout=layout)
    gold = asset("documents/ocr/phototest.gold.txt").read_text("utf-8")
    assert [word.text for word in result.pages[0].words] == gold.split()
    # The first word stands at the upper left; in the turned picture's own pixels, at the lower right.
    x1, y1, x2, y2 = result.pages[0].words[0].box
    expected = (36, 92, 96, 116) if layout == "auto" else (544, 364, 604, 388)
    assert all(abs(a - b) <= 2 for a, b in zip((x1, y1, x2, y2), expected, strict=True))


@pytest.mark.parametrize(
    ("name", "truth", "least"),
    [
        ("ocr/eurotext.tif", "ocr/eurotext.txt", 0.975),
        ("ocr/8087_054.3B.tif", "ocr/8087_054.3B.txt", 0.95),
        ("pdf/linn.png", "pdf/linn.txt", 0.985),
    ],
)
def test_scans_are_read_as_well_as_tesseract_can(name: str, truth: str, least: float, tmp_path: Path) -> None:
    result = read(f"documents/{name}", tmp_path, outputs=[])
    assert similarity(result.text, f"documents/{truth}") >= least


def test_scanned_pdf_of_six_pages(tmp_path: Path) -> None:
    result = read("documents/pdf/multipage.pdf", tmp_path, dpi=150)
    assert [page.number for page in result.pages] == [1, 2, 3, 4, 5, 6]
    assert [page.source for page in result.pages] == ["ocr", "ocr", "ocr", "text_layer", "ocr", "ocr"]
    with pdfium.PdfDocument(tmp_path / "artifacts" / "searchable.pdf") as searchable:
        assert len(searchable) == 6
        assert searchable[0].get_textpage().search("tip-toeing along a path").get_next() is not None
        assert searchable[5].get_textpage().search("throne of England").get_next() is not None


def test_page_that_the_pdf_rotates(tmp_path: Path) -> None:
    result = read("documents/pdf/rotated_skew.pdf", tmp_path, outputs=["searchable_pdf"])
    assert (result.pages[0].width, result.pages[0].height) == (1700, 2200)
    with pdfium.PdfDocument(tmp_path / "artifacts" / "searchable.pdf") as searchable:
        assert searchable[0].get_textpage().search("MIDI Sequence Recorder").get_next() is not None


def test_born_digital_pdf_is_not_read_by_ocr(tmp_path: Path) -> None:
    result = read("documents/pdf/tagged.pdf", tmp_path, outputs=[])
    assert [page.source for page in result.pages] == ["text_layer", "text_layer"]
    assert result.pages[1].words[0].text == "Page"
    assert "Table of Contents" in result.text


@pytest.mark.parametrize(("engine", "dates", "totals"), [("tesseract", 8, 7), ("rapidocr", 8, 8)])
def test_dates_and_totals_of_receipts(engine: str, dates: int, totals: int, tmp_path: Path) -> None:
    right_dates = right_totals = 0
    for n in range(8):
        truth = json.loads(asset(f"documents/receipts/{n:03}.json").read_text("utf-8"))
        found = read(f"documents/receipts/{n:03}.jpg", tmp_path / str(n), engine=engine, fields="receipt").fields
        assert found is not None
        right_dates += found.date == find_dates(truth["date"])[0].value.isoformat()
        right_totals += found.total == float(truth["total"])
    assert right_dates >= dates
    assert right_totals >= totals


#: The general fields that invoice2data's expected results hold, by their names here.
INVOICE_FIELDS = {
    "issuer": "issuer",
    "amount": "total",
    "amount_untaxed": "amount_untaxed",
    "date": "date",
    "date_due": "date_due",
    "invoice_number": "invoice_number",
    "vat": "vat",
    "currency": "currency",
}


@pytest.mark.parametrize(
    "name",
    ["AmazonWebServices.pdf", "AmazonWebServices.png", "QualityHosting.pdf", "free_fiber.pdf", "oyo.pdf", "oyo.png"],
)
def test_every_general_field_of_invoices(name: str, tmp_path: Path) -> None:
    path = Path("documents/invoices") / name
    [truth] = json.loads(asset(str(path.with_suffix(".json"))).read_text("utf-8"))
    found = read(str(path), tmp_path, fields="invoice", outputs=[]).fields
    assert found is not None
    for theirs, ours in INVOICE_FIELDS.items():
        if theirs in truth:
            assert normal(getattr(found, ours), ours) == normal(truth[theirs], ours), ours


def normal(value: object, name: str) -> object:
    """Companies without their legal form, which invoice2data's templates partly leave out; numbers without blanks."""
    if name == "issuer":
        return re.sub(r",? (?:Inc\.|AG|SAS)$", "", str(value))
    return value.replace(" ", "") if isinstance(value, str) else value
