from __future__ import annotations

import numpy as np
import pytest

from saccade_models import draw
from saccade_models.draw import LabelColors, Mark
from saccade_models.images import Pixels

RED = draw.bgr("#ff0000")


def blank(width: int = 200, height: int = 100, channels: int = 3) -> Pixels:
    return np.full((height, width, channels), 90, dtype=np.uint8)


def touched(pixels: Pixels) -> list[int]:
    """[x1, y1, x2, y2] of what differs from a blank picture."""
    rows, columns = np.nonzero((pixels != 90).any(axis=2))
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_colours_are_in_opencvs_order() -> None:
    assert draw.bgr("#0a14ff") == (255, 20, 10)


def test_a_box_is_drawn_inside_its_own_bounds() -> None:
    pixels = blank()
    draw.draw_box(pixels, (20, 30, 60, 80), RED, thickness=3)
    assert touched(pixels) == [20, 30, 60, 80]
    drawn = (pixels == RED).all(axis=2)
    assert drawn.sum() == 40 * 50 - 34 * 44
    assert not drawn[33:77, 23:57].any()


def test_a_filled_box_and_one_over_the_edge() -> None:
    pixels = blank()
    draw.draw_box(pixels, (20, 30, 60, 80), RED, fill=True)
    assert (pixels == RED).all(axis=2).sum() == 40 * 50
    pixels = blank()
    draw.draw_box(pixels, (-500, -500, 10, 20), RED, thickness=4)
    assert touched(pixels) == [0, 0, 10, 20]
    assert (pixels[0, 0] == 90).all()  # inside the box: its left and upper border are outside the picture
    pixels = blank()
    draw.draw_box(pixels, (300, 300, 400, 400), RED)
    assert (pixels == 90).all()


def test_the_smallest_box_is_one_pixel() -> None:
    pixels = blank()
    draw.draw_box(pixels, (5.2, 6.1, 5.3, 6.2), RED)
    assert touched(pixels) == [5, 6, 6, 7]


def test_drawing_makes_transparent_pixels_opaque() -> None:
    pixels = np.zeros((50, 80, 4), dtype=np.uint8)
    draw.draw_box(pixels, (10, 10, 40, 40), RED, thickness=2)
    assert pixels[10, 10].tolist() == [0, 0, 255, 255]
    assert pixels[25, 25].tolist() == [0, 0, 0, 0]


def test_a_polygon_closes() -> None:
    pixels = blank()
    draw.draw_polygon(pixels, [(20, 20), (80, 20), (80, 60), (20, 60)], RED, thickness=1)
    for x, y in ((50, 20), (80, 40), (50, 60), (20, 40)):
        assert np.abs(np.subtract(pixels[y, x], RED)).max() < 20  # its edges are smoothed
    assert pixels[40, 50].tolist() == [90, 90, 90]


@pytest.mark.parametrize(
    ("box", "above"),
    [((50, 60, 120, 90), True), ((50, 5, 120, 40), False), ((190, 60, 199, 90), True), ((-50, -50, -10, -10), False)],
)
def test_a_label_stays_inside_the_picture(box: tuple[int, int, int, int], *, above: bool) -> None:
    pixels = blank()
    draw.draw_label(pixels, "person 0.91", box, RED)
    x1, y1, x2, y2 = touched(pixels)
    assert (y2 == box[1]) if above else (y1 >= max(0, box[3]))
    plate = pixels[y1:y2, x1:x2]
    assert (plate == RED).all(axis=2).mean() > 0.4
    assert plate.min(axis=2).max() > 200  # white letters on red, whole: none is at the plate's border
    assert (plate[:, [0, -1]] == RED).all()


def test_letters_contrast_with_their_plate() -> None:
    for color, letters in (("#ffd700", 0), ("#000075", 255)):
        pixels = blank()
        draw.draw_label(pixels, "MMM", (10, 60, 40, 90), draw.bgr(color))
        plate = pixels[:60][(pixels[:60] != 90).any(axis=2)]
        assert np.abs(plate.astype(int) - letters).sum(axis=1).min() < 30


def test_a_label_too_long_is_shortened() -> None:
    pixels, short = blank(), blank()
    draw.draw_label(pixels, "W" * 500, (0, 50, 20, 80), RED)
    draw.draw_label(short, "W", (0, 50, 20, 80), RED)
    assert touched(pixels)[3] == 50
    assert touched(short)[2] < touched(pixels)[2] <= 200


def test_labels_in_a_crowd_neither_overlap_nor_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_plate = draw._plate  # pyright: ignore[reportPrivateUsage] - to see each label's text beside its place

    def remember(text: str, size: int, color: draw.Bgr) -> Pixels:
        texts.append(text)
        return np.full_like(draw_plate(text, size, color), len(texts))

    texts: list[str] = []
    monkeypatch.setattr(draw, "_plate", remember)
    pixels = np.zeros((200, 400, 3), dtype=np.uint8)
    boxes = [(x, y, x + 60, y + 45) for x in range(-30, 400, 40) for y in range(-20, 200, 30)]
    scores = [0.95 - i / 100 for i in range(len(boxes))]
    marks = [draw.Label(box, (f"cat {score:.2f}", "cat"), RED) for box, score in zip(boxes, scores, strict=True)]
    draw.draw_labels(pixels, marks, keep_clear=boxes)
    assert texts[0] == "cat 0.95"
    assert set(texts) > {"cat"}
    assert 20 < len(texts) < len(boxes)
    for number, text in enumerate(texts, 1):
        alone = draw_plate(text, draw.text_size(pixels), RED)
        rows, columns = np.nonzero(pixels[:, :, 0] == number)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == alone.shape[
            :2
        ]  # whole: neither covered nor over the picture's edge
        assert len(rows) == alone.shape[0] * alone.shape[1]


def test_the_best_score_has_the_first_choice_whatever_the_order() -> None:
    box, color = (50, 60, 120, 90), LabelColors()["cat"]
    alone = blank()
    draw.draw_marks(alone, [Mark(box, "cat", 0.9)])
    for marks in ([Mark(box, "cat", 0.9), Mark(box, "cat", 0.4)], [Mark(box, "cat", 0.4), Mark(box, "cat", 0.9)]):
        pixels = blank()
        draw.draw_marks(pixels, marks)
        assert (pixels[:60] == alone[:60]).all()
        assert (pixels[61:90, 51:119] == color).all(axis=2).any()  # the second found its place inside


def test_there_is_no_label_on_a_picture_too_small_for_it() -> None:
    for width, height in ((200, 10), (10, 100)):
        pixels = blank(width, height)
        draw.draw_label(pixels, "WWW", (2, 2, 8, 8), RED)
        assert (pixels == 90).all()


def test_letters_of_other_scripts_are_not_all_the_same_box() -> None:
    drawn: set[bytes] = set()
    for letter in "aäжψ€":
        pixels = blank()
        draw.draw_text(pixels, letter, (10, 10), RED, size=30)
        drawn.add(pixels.tobytes())
    assert len(drawn) == 5


def test_lines_of_text_go_down_and_huge_text_ends_at_the_border() -> None:
    one, two = blank(), blank()
    draw.draw_text(one, "AA", (10, 10), RED, size=20)
    draw.draw_text(two, "AA\nAA", (10, 10), RED, size=20)
    step = draw.line_height(20)
    assert (two[: 10 + step] == one[: 10 + step]).all()
    assert (two[10 + step : 10 + 2 * step] == one[10 : 10 + step]).all()
    many = blank()
    draw.draw_text(many, ("W" * 1000 + "\n") * 1000, (3, 4), RED, size=12, background=(0, 0, 0))
    assert touched(many) == [1, 2, 200, 100]
    reds = np.nonzero((many == RED).all(axis=2))
    assert reds[0].max() > 95
    assert reds[1].max() > 195
    draw.draw_text(many, "W" * 1000, (0, 0), RED, size=1000)
    beyond = blank()
    draw.draw_text(beyond, "AA", (500, 500), RED, background=(0, 0, 0))
    assert (beyond == 90).all()


def test_lines_and_letters_grow_with_the_picture() -> None:
    sizes = [blank(w, h) for w, h in ((60, 40), (640, 360), (1920, 1080), (6000, 4000))]
    widths, heights = [draw.line_width(p) for p in sizes], [draw.text_size(p) for p in sizes]
    assert widths == sorted(set(widths))
    assert heights == sorted(heights)
    assert (widths[0], heights[0]) == (1, 11)
    assert heights[-1] >= 100


def test_labels_keep_their_colours_and_sixteen_are_distinct() -> None:
    colors = LabelColors()
    labels = [f"class {i}" for i in range(16)]
    first = [colors[label] for label in labels]
    assert len(set(first)) == 16
    assert [colors[label] for label in labels] == first
    assert colors["a seventeenth"] in first


def test_marks_show_outline_and_caption_and_no_box_crosses_a_label() -> None:
    assert Mark((0, 0, 1, 1), "cat", 0.5).caption == "cat 0.50"
    assert (Mark((0, 0, 1, 1), score=1.0).caption, Mark((0, 0, 1, 1), "cat").caption) == ("1.00", "cat")
    pixels, alone = blank(), blank()
    colors = LabelColors()
    marks = [Mark((20, 50, 80, 90), "first", 0.9), Mark((30, 20, 120, 70), "")]
    draw.draw_marks(pixels, marks, colors)
    draw.draw_label(alone, marks[0].caption, marks[0].box, colors["first"])
    x1, y1, x2, y2 = touched(alone)
    assert (pixels[y1:y2, x1:x2] == alone[y1:y2, x1:x2]).all()
    assert pixels[69, 119].tolist() == list(colors[""])
