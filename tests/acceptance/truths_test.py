"""What the kinds make of real documents, pictures and videos, over HTTP through the whole stack.

The truths were verified by hand or come with the data: see the asset list in shared/core/saccade_core/assets.json.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from saccade_core.assets import asset
from saccade_core.jobs import Job, JobState
from servers.asking import Given, finished, result_of
from servers.stack import Stack

pytestmark = pytest.mark.stack


def test_phototest_is_read_with_every_word_right(stack: Stack) -> None:
    result = result_of(finished(stack, "read_text", {"document": "documents/ocr/phototest.tif"}))
    assert result["text"].split() == asset("documents/ocr/phototest.gold.txt").read_text("utf-8").split()
    [page] = result["pages"]
    for word in page["words"]:
        x1, y1, x2, y2 = word["box"]
        assert 0 <= x1 < x2 <= page["width"] and 0 <= y1 < y2 <= page["height"]


def test_multipage_pdf_has_6_pages(stack: Stack) -> None:
    job = finished(stack, "read_text", {"document": "documents/pdf/multipage.pdf"}, dpi=150, outputs=["text"])
    result = result_of(job)
    assert [page["number"] for page in result["pages"]] == [1, 2, 3, 4, 5, 6]
    assert result["failed_pages"] == []
    assert result["word_count"] > 300


def test_a_born_digital_page_keeps_its_own_text(stack: Stack) -> None:
    result = result_of(finished(stack, "read_text", {"document": "documents/pdf/tagged.pdf"}))
    assert {page["source"] for page in result["pages"]} == {"text_layer"}
    assert len(result["pages"]) == 2


def test_the_face_is_found_where_it_is(stack: Stack) -> None:
    inputs: dict[str, Given] = {
        "image": "images/template_matching/messi.jpg",
        "template": "images/template_matching/messi_face.jpg",
    }
    best = result_of(finished(stack, "match_template", inputs))["matches"][0]
    assert best["box"] == pytest.approx([220, 85, 260, 137], abs=1)
    assert best["score"] > 0.98


def test_31_coins(stack: Stack) -> None:
    inputs: dict[str, Given] = {
        "image": "images/template_matching/game.jpg",
        "template": "images/template_matching/coin.jpg",
    }
    assert len(result_of(finished(stack, "match_template", inputs))["matches"]) == 31


def test_55_frames(stack: Stack) -> None:
    job = finished(stack, "extract_frames", {"video": "videos/short_hamilton_clip.mp4"}, every_n=5)
    result = result_of(job)
    assert result["count"] == 55
    assert [frame["index"] for frame in result["frames"]] == list(range(0, 275, 5))
    assert {a.name for a in job.artifacts} == {f["name"] for f in result["frames"]} | {"contact-sheet.jpg"}
    assert (result["video"]["width"], result["video"]["height"]) == (640, 360)


def test_a_picture_is_edited_in_order(stack: Stack) -> None:
    operations = [{"op": "resize", "width": 300}, {"op": "grayscale"}, {"op": "canny", "low": 50, "high": 150}]
    result = result_of(finished(stack, "edit_image", {"image": "images/ops/road.jpg"}, operations=operations))
    assert (result["width"], result["channels"]) == (300, 1)


def test_frames_become_a_video_again(stack: Stack) -> None:
    first = finished(stack, "extract_frames", {"video": "videos/short_hamilton_clip.mp4"}, every_n=25)
    names = [f"{first.id}/{frame['name']}" for frame in result_of(first)["frames"]]
    job = stack.client.submit("assemble_video", {"images": names}, {"fps": 5})
    ended = stack.client.wait(job.id, timeout_s=60)
    assert ended.state is JobState.SUCCEEDED, ended.error
    video = result_of(ended)["video"]
    assert (video["frames"], video["width"], video["height"]) == (11, 640, 360)


def _iso(date: str) -> str:
    day, month, year = re.split(r"[/-]", date)
    return f"{year if len(year) == 4 else '20' + year}-{month}-{day}"


def test_receipts(stack: Stack) -> None:
    """Dates of at least 6 and totals of at least 5 of the 8; the counts are printed for the record."""
    dates, totals = 0, 0
    submitted: list[tuple[dict[str, Any], Job]] = []
    for number in range(8):
        truth = json.loads(asset(f"documents/receipts/{number:03d}.json").read_text("utf-8"))
        reference = stack.client.upload(asset(f"documents/receipts/{number:03d}.jpg")).id
        params = {"fields": "receipt", "outputs": ["text"]}
        submitted.append((truth, stack.client.submit("read_text", {"document": reference}, params)))
    for truth, job in submitted:
        fields = result_of(stack.client.wait(job.id, timeout_s=240))["fields"]
        dates += fields["date"] == _iso(truth["date"])
        totals += fields["total"] == float(truth["total"])
    print(f"receipts: {dates} of 8 dates, {totals} of 8 totals")
    assert dates >= 6
    assert totals >= 5


#: Fields of the truths that any invoice may have, and ours for them.
_INVOICE_FIELDS = {
    "amount": "total",
    "amount_untaxed": "amount_untaxed",
    "date": "date",
    "date_due": "date_due",
    "invoice_number": "invoice_number",
    "vat": "vat",
    "currency": "currency",
}


def test_invoices(stack: Stack) -> None:
    """How many of the fields that invoices have in common are right; printed for the record."""
    right, asked = 0, 0
    for name in ("AmazonWebServices", "QualityHosting", "free_fiber", "oyo"):
        [truth] = json.loads(asset(f"documents/invoices/{name}.json").read_text("utf-8"))
        job = finished(
            stack, "read_text", {"document": f"documents/invoices/{name}.pdf"}, fields="invoice", outputs=["text"]
        )
        fields = result_of(job)["fields"]
        for theirs, ours in _INVOICE_FIELDS.items():
            if theirs in truth:
                wanted, got = truth[theirs], fields[ours]
                good = got == (wanted.replace(" ", "") if theirs == "vat" else wanted)
                right, asked = right + good, asked + 1
                print(f"{name}.{theirs}: {wanted!r}, read {got!r}{'' if good else '   <- wrong'}")
    print(f"invoices: {right} of {asked} fields")
    assert right >= asked * 0.8
