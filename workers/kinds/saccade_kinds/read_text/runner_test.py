"""``read_text`` on documents that the tests make."""

from __future__ import annotations

import csv
import json
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import psutil
import pypdfium2 as pdfium
import pytest
from fpdf import FPDF
from fpdf.enums import AccessPermission, EncryptionMethod
from PIL import Image, TiffImagePlugin

from saccade_core.errors import Cancelled, EncryptedInput, InputTooLarge, InvalidParams, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds import registry
from saccade_kinds.read_text.contract import ReadTextParams, ReadTextResult
from saccade_kinds.read_text.runner import run

FIRST, SECOND = "The quick brown fox", "jumps over a lazy dog"


def read(path: Path, context: LocalContext, **params: Any) -> ReadTextResult:
    result = run(inputs_of(document=path), ReadTextParams(**params), context)
    assert ReadTextResult.model_validate_json(result.model_dump_json()) == result
    return result


def make_pdf(path: Path, *pages: str, password: str | None = None) -> Path:
    pdf = FPDF(format=(120, 60))
    pdf.set_font("Helvetica", size=14)
    for text in pages:
        pdf.add_page()
        pdf.cell(text=text)
    if password:
        pdf.set_encryption("owner", password, EncryptionMethod.RC4, AccessPermission.none())
    pdf.output(str(path))
    return path


def make_scan(path: Path, *pages: str) -> Path:
    """A TIFF of drawn pages, 144 dpi."""
    drawn = pdfium.PdfDocument(make_pdf(path.with_suffix(".source.pdf"), *pages))
    images = [page.render(scale=2, grayscale=True).to_pil() for page in drawn]
    images[0].save(path, format="TIFF", save_all=True, append_images=images[1:], dpi=(144, 144), compression="tiff_lzw")
    drawn.close()
    return path


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "context")


def test_sample_gives_every_artefact_and_the_invoices_fields(context: LocalContext) -> None:
    sample = registry.sample("read_text")
    result = read(sample.files["document"][0], context, **sample.params)

    assert result.fields is not None
    assert result.fields.model_dump(exclude_none=True) == {
        "issuer": "Lindenhof Instruments Ltd.",
        "date": "2025-03-14",
        "date_due": "2025-04-13",
        "invoice_number": "LI-2025-0417",
        "currency": "GBP",
        "total": 235.2,
        "amount_untaxed": 196.0,
        "amount_tax": 39.2,
        "vat": "GB123456789",
    }
    artifacts = context.artifacts
    assert "Calibration target" in (artifacts / "text.txt").read_text("utf-8")
    with (artifacts / "words.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [word.text for word in result.pages[0].words]
    hocr = ET.parse(artifacts / "page-1.hocr").getroot()  # noqa: S314 - our own file
    assert len(hocr.findall(".//*[@class='ocrx_word']")) == result.word_count == len(rows)
    with pdfium.PdfDocument(artifacts / "searchable.pdf") as searchable:
        found = searchable[0].get_textpage()
        assert found.search("Calibration target").get_next() is not None
        assert found.search("235.20").get_next() is not None
    overlay = cv2.imread(str(artifacts / "overlay.png"))
    assert overlay is not None
    assert overlay.shape[:2] == (result.pages[0].height, result.pages[0].width)
    assert np.ptp(overlay, axis=2).max() > 50  # frames have colour, the scan has none
    assert [name for name, *_ in context.models] == ["tesseract"]


def test_text_layer_is_taken_with_boxes_at_the_dpi_asked_for(tmp_path: Path, context: LocalContext) -> None:
    pdf = make_pdf(tmp_path / "a.pdf", FIRST, SECOND)
    result = read(pdf, context, dpi=144, outputs=["text", "searchable_pdf"])

    assert [page.source for page in result.pages] == ["text_layer", "text_layer"]
    assert result.text == f"{FIRST}\n\f{SECOND}\n"
    assert (context.artifacts / "text.txt").read_text("utf-8") == result.text
    page = result.pages[0]
    assert (page.width, page.height) == (681, 341)  # 120 x 60 mm
    assert {word.score for word in page.words} == {1.0}
    read_by_ocr = read(pdf, context, dpi=144, text_layer="never", outputs=["searchable_pdf"])
    assert [page.source for page in read_by_ocr.pages] == ["ocr", "ocr"]
    for layer, ocr in zip(page.words, read_by_ocr.pages[0].words, strict=True):
        assert layer.text == ocr.text
        assert np.abs(np.subtract(layer.box, ocr.box)).max() <= 8
    with pdfium.PdfDocument(context.artifacts / "searchable.pdf") as searchable:
        assert searchable[0].get_size() == pytest.approx((340.16, 170.08), abs=0.01)
        assert searchable[1].get_textpage().search("lazy dog").get_next() is not None


def test_rotated_pages_are_read_and_turned_upright(tmp_path: Path, context: LocalContext) -> None:
    scan = tmp_path / "scan.png"
    with pdfium.PdfDocument(make_paragraphs(tmp_path / "p.pdf")) as upright:
        upright[0].render(scale=2, grayscale=True).to_pil().rotate(180).save(scan)
    result = read(scan, context, layout="auto_rotate", outputs=["searchable_pdf"])

    assert result.pages[0].rotation == 180
    assert result.text.startswith(FIRST)
    first, last = result.pages[0].words[0], result.pages[0].words[-1]
    assert first.box[1] > last.box[3]  # in the picture as it was given, the text begins at the bottom
    with pdfium.PdfDocument(context.artifacts / "searchable.pdf") as searchable:
        assert searchable[0].get_rotation() == 180
        assert searchable[0].get_textpage().search(FIRST).get_next() is not None


def make_paragraphs(path: Path) -> Path:
    pdf = FPDF(format=(148, 210))
    pdf.set_font("Helvetica", size=13)
    pdf.add_page()
    pdf.multi_cell(0, text=f"{FIRST} {SECOND}. " * 8)
    pdf.output(str(path))
    return path


def test_tiff_pages_and_checkpoints(tmp_path: Path, context: LocalContext) -> None:
    scan = make_scan(tmp_path / "scan.tif", FIRST, SECOND, FIRST)
    result = read(scan, context, outputs=["overlay", "hocr", "searchable_pdf"])

    assert [page.number for page in result.pages] == [1, 2, 3]
    assert [text.strip() for text in result.text.split("\f")] == [FIRST, SECOND, FIRST]
    assert sorted(context.saved) == ["page-000001.json", "page-000002.json", "page-000003.json"]
    assert {f.name for f in context.artifacts.iterdir()} == {
        *(f"overlay-{n}.png" for n in (1, 2, 3)), *(f"page-{n}.hocr" for n in (1, 2, 3)), "searchable.pdf"
    }  # fmt: skip
    with pdfium.PdfDocument(context.artifacts / "searchable.pdf") as searchable:
        assert searchable[1].get_textpage().search("lazy dog").get_next() is not None

    # A second attempt takes what the first one read: shown by a word that only the checkpoint has.
    saved = context.checkpoints / "page-000002.json"
    content = json.loads(saved.read_text("utf-8"))
    content["words"][0]["text"] = "remembered"
    saved.write_text(json.dumps(content), "utf-8")
    (context.checkpoints / "page-000003.json").write_text("{", "utf-8")  # cut off: read again
    context.saved.clear()
    again = read(scan, context, outputs=["text"])
    assert again.text.split("\f")[1].startswith("remembered over a lazy dog")
    assert again.text.split("\f")[2].strip() == FIRST


def test_one_broken_page_is_reported_and_too_many_fail(tmp_path: Path, context: LocalContext) -> None:
    scan = make_scan(tmp_path / "scan.tif", FIRST, SECOND, FIRST)
    with Image.open(scan) as opened:
        opened.seek(1)
        assert isinstance(opened, TiffImagePlugin.TiffImageFile)
        offset: int = opened.tag_v2[TiffImagePlugin.STRIPOFFSETS][0]
    data = bytearray(scan.read_bytes())
    data[offset : offset + 4000] = b"\xff" * 4000  # the second page's first strip
    scan.write_bytes(data)

    result = read(scan, context, outputs=["text", "searchable_pdf", "overlay"])
    assert [failed.number for failed in result.failed_pages] == [2]
    assert [page.number for page in result.pages] == [1, 3]
    with pytest.raises(UnreadableInput, match=r"1 of 3 pages.*max_failure_rate 0\.2"):
        read(scan, context, max_failure_rate=0.2)


def test_pdfs_that_are_refused(tmp_path: Path, context: LocalContext) -> None:
    locked = make_pdf(tmp_path / "locked.pdf", FIRST, password="secret")
    with pytest.raises(EncryptedInput, match="password"):
        read(locked, context)
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\n" + b"no object in here" * 50)
    with pytest.raises(UnreadableInput) as refused:
        read(broken, context)
    assert refused.value.field == "document"
    with pytest.raises(InputTooLarge, match=r"10000 pages.* 2000 "):
        read(many_pages(tmp_path / "long.pdf", 10_000), context)
    assert context.reported == []


def many_pages(path: Path, count: int) -> Path:
    """A PDF of empty pages, by hand."""
    kids = " ".join(f"{n} 0 R" for n in range(3, count + 3))
    objects = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {count}/Kids[{kids}]>>"]
    objects += ["<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>"] * count
    body, offsets = "%PDF-1.4\n", list[int]()
    parts = [body]
    position = len(body)
    for number, content in enumerate(objects, 1):
        offsets.append(position)
        parts.append(f"{number} 0 obj{content}endobj\n")
        position += len(parts[-1])
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    parts.append(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}")
    parts.append(f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{position}\n%%EOF")
    path.write_text("".join(parts), "ascii")
    return path


def test_page_with_too_many_pixels_is_refused(tmp_path: Path, context: LocalContext) -> None:
    pdf = FPDF(format=(5000, 5000))
    pdf.add_page()
    pdf.output(str(tmp_path / "huge.pdf"))
    with pytest.raises(InputTooLarge, match="39371x39371"):
        read(tmp_path / "huge.pdf", context)


def test_other_files_and_missing_languages_are_refused(tmp_path: Path, context: LocalContext) -> None:
    text = tmp_path / "a.txt"
    text.write_text("no picture")
    with pytest.raises(UnreadableInput):
        read(text, context)
    with pytest.raises(InvalidParams, match=r"which has: .*eng.*tesseract-ocr-chi-sim") as refused:
        read(text, context, languages=["eng", "chi_sim"])
    assert refused.value.field == "params.languages"


def test_empty_page_has_no_words(tmp_path: Path, context: LocalContext) -> None:
    Image.new("RGB", (400, 300), "white").save(tmp_path / "empty.png")
    result = read(tmp_path / "empty.png", context, fields="receipt")
    assert (result.text, result.word_count, result.failed_pages) == ("", 0, [])
    assert result.fields is not None
    assert result.fields.total is None


def test_rapidocr_reads_words_with_boxes(tmp_path: Path, context: LocalContext) -> None:
    result = read(make_scan(tmp_path / "scan.tif", FIRST), context, engine="rapidocr", outputs=["text"])
    assert [word.text for word in result.pages[0].words] == FIRST.split()
    boxes = [word.box for word in result.pages[0].words]
    assert all(left[2] <= right[0] + 2 for left, right in pairwise(boxes))
    assert [name for name, *_ in context.models] == ["rapidocr"]


def test_long_documents_are_cut_in_the_result_only(
    tmp_path: Path, context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade_kinds.read_text.runner.MAX_RESULT_WORDS", 5)
    monkeypatch.setattr("saccade_kinds.read_text.runner.MAX_RESULT_CHARACTERS", 12)
    result = read(make_pdf(tmp_path / "a.pdf", FIRST, SECOND), context, outputs=[])
    assert result.truncated
    assert result.text == "The quick br"
    assert [len(page.words) for page in result.pages] == [4, 1]
    assert result.word_count == 9
    assert (context.artifacts / "text.txt").read_text("utf-8") == f"{FIRST}\n\f{SECOND}\n"
    assert len((context.artifacts / "words.csv").read_text("utf-8").splitlines()) == 10


def test_cancelled_while_tesseract_reads_ends_it(tmp_path: Path) -> None:
    """A page of noise keeps tesseract busy for long; the job is cancelled at the third sign of life."""
    noise = np.random.default_rng(1).integers(0, 255, (3000, 3000), dtype=np.uint8)
    Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 1.2)).save(tmp_path / "noise.png")
    context = LocalContext(tmp_path / "context", cancel_after=4)
    with pytest.raises(Cancelled):
        read(tmp_path / "noise.png", context)
    assert [r[0] for r in context.reported] == [0] * 4  # before the page was read
    limit = time.monotonic() + 5
    while _tesseracts(context.scratch) and time.monotonic() < limit:
        time.sleep(0.05)
    assert _tesseracts(context.scratch) == []
    for thread in threading.enumerate():
        if thread.name.startswith("read-page"):
            thread.join()


def test_a_process_that_vanished_works_nowhere(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000", str(tmp_path)]) as started:
        process = psutil.Process(started.pid)
        started.kill()
    assert not _works_in(tmp_path, process)


def _tesseracts(scratch: Path) -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if _works_in(scratch, process)]


def _works_in(scratch: Path, process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and any(str(scratch) in part for part in process.cmdline())
    except psutil.NoSuchProcess:  # gone since it was listed
        return False
