"""What people see of results."""

from __future__ import annotations

from typing import Any

import pytest

from saccade.results import result_view, short
from saccade.tables_test import seen


def _lines(result: dict[str, Any]) -> list[str]:
    return [line.rstrip() for line in seen(result_view(result)).splitlines()]


def test_results_of_every_shape() -> None:
    result = {
        "width": 4,
        "text": "one\ntwo",
        "rows": [{"a": n} for n in range(25)],
        "fields": {"total": "9.99"},
        "no": [],
    }
    lines = _lines(result)
    assert lines[:4] == ["width: 4", "text:", "  one", "  two"]
    assert "no: none" in lines
    assert "  ... and 5 more" in lines
    assert "fields: total 9.99" in lines
    assert short(result) == "text one two, 25 rows, fields (total 9.99)"


def test_a_video_is_told_in_lines() -> None:
    video = {"facts": {"width": 64, "fps": 12.5}, "frames_seen": 30, "most_at_once": 2, "gaps": [], "gaps_left_out": 0}
    result = {"media": "video", "video": video, "objects": None, "counts": {"cat": 2}, "visits": [{"label": "cat"}]}
    assert _lines(result) == [
        "media: video",
        "video:",
        "  facts: width 64, fps 12.5",
        "  frames seen: 30",
        "  most at once: 2",
        "  gaps: none",
        "one line a frame: frames.jsonl",
        "counts: cat 2",
        "visits:",
        "  label",
        "  cat",
    ]


def test_what_is_nested_is_short() -> None:
    face = {
        "points": [[1.0, 2.0, 3.0]] * 478,
        "quality": {"size": 56.2, "sharpness": 157.31, "yaw": -4.815},
        "shares": [0.1] * 33,
    }
    row = _lines({"faces": [face]})[-1]
    assert row.split("  ") == ["", "478 points", "size 56, sharpness 157, yaw -4.82", "33 values"]


def test_notes_are_a_line_each() -> None:
    assert _lines({"notes": ["One thing.", "Another thing."], "languages": ["eng", "deu"]}) == [
        "notes:",
        "  One thing.",
        "  Another thing.",
        "languages: eng, deu",
    ]


def test_of_a_curve_the_rows_around_the_threshold() -> None:
    curve = [{"threshold": n / 100, "rate": 0.5} for n in range(61)]
    lines = _lines({"threshold": 0.3, "curve": curve})
    assert lines[1] == "curve: 61 points, around the threshold:"
    assert [line.split()[0] for line in lines[3:]] == ["0.28", "0.29", "0.3", "0.31", "0.32"]


@pytest.mark.parametrize(
    ("result", "line"),
    [
        ({"matches": []}, "no matches"),
        ({"people": 1, "faces": 4, "curve": [{}] * 61, "notes": []}, "1 person, 4 faces"),
        ({"same": False, "similarity": 0.1, "first_box": [1, 2, 3, 4], "warnings": []}, "not same, similarity 0.1"),
        ({"width": 2, "height": 1, "channels": 3}, "width 2, height 1, 3 channels"),
        ({"media": "image", "width": 2, "height": 2, "faces": [{}], "video": None}, "1 face"),
    ],
)
def test_a_result_in_one_line(result: dict[str, Any], line: str) -> None:
    assert short(result) == line
