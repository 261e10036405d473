from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from saccade_core.kind import InputFile
from saccade_models.boxes import Floats, iou_matrix, xywh_to_xyxy
from saccade_models.evaluation.annotations import Annotations, build
from saccade_models.evaluation.confusion import confusion
from saccade_models.evaluation.measure import RECALLS, measure
from saccade_models.evaluation.pairing import Pair, read_pair

Row = tuple[int, int, tuple[float, float, float, float], bool]


def boxes(rows: list[Row], scores: list[float] | None = None) -> Annotations:
    """Boxes of the classes a and b in the pictures p and q."""
    return build(("a", "b"), ("p", "q"), rows, scores, normalised=False)


TEN = (0.0, 0.0, 10.0, 10.0)


def test_average_precision_as_computed_on_paper() -> None:
    """Class a: two truths. Predictions best first: right, wrong, right. Precision 1, 1/2, 2/3 at recalls 1/2, 1/2, 1;
    made monotonous it is 1 at the 51 recalls 0 ... 0.50 and 2/3 at the other 50: (51 + 50 * 2/3) / 101.
    The first box overlaps by 0.8 (right up to 0.80), the third by 0.6 (right up to 0.60)."""
    truth = boxes([(0, 0, TEN, False), (1, 0, TEN, False)])
    found = boxes(
        [(0, 0, (0, 0, 10, 8), False), (0, 0, (50, 0, 10, 10), False), (1, 0, (0, 0, 6, 10), False)], [0.9, 0.8, 0.7]
    )
    measured = measure(truth, found, 0.75)
    (a,) = measured.classes
    assert (a.label, a.truths, a.predictions) == ("a", 2, 3)
    at_50 = (51 + 50 * 2 / 3) / 101
    assert a.ap50 == pytest.approx(at_50, abs=1e-9)
    one_right = 51 / 101  # from 0.65 on only the first is right: recall reaches 1/2
    assert a.ap50_95 == pytest.approx((3 * at_50 + 4 * one_right) / 10, abs=1e-9)
    assert a.ap == measured.map == pytest.approx(one_right, abs=1e-9)
    assert (measured.map50, measured.map50_95) == (a.ap50, a.ap50_95)
    # At 0.75: from score 0.9 on precision 1, recall 1/2; F1 2/3. From 0.7 on 1/3 and 1/2.
    assert (a.precision, a.recall, a.score) == (1.0, 0.5, 0.9)
    assert a.f1 == pytest.approx(2 / 3)
    assert a.curve[RECALLS <= 0.5].tolist() == pytest.approx([1.0] * 51)
    assert not a.curve[RECALLS > 0.5].any()


def test_a_box_found_twice_is_right_once() -> None:
    found = boxes([(0, 0, TEN, False), (0, 0, TEN, False)], [0.9, 0.8])
    (a,) = measure(boxes([(0, 0, TEN, False)]), found, 0.5).classes
    assert (a.precision, a.recall, a.f1, a.score) == (1.0, 1.0, 1.0, 0.9)
    assert a.ap50 == pytest.approx(1.0)


def test_what_lies_in_a_crowd_counts_neither_way() -> None:
    truth = boxes([(0, 0, (0, 0, 100, 100), True), (0, 0, (200, 0, 10, 10), False)])
    found = boxes(
        [(0, 0, (5, 5, 10, 10), False), (0, 0, (40, 5, 10, 10), False), (0, 0, (200, 0, 10, 10), False)],
        [0.9, 0.8, 0.7],
    )
    (a,) = measure(truth, found, 0.5).classes
    assert (a.truths, a.predictions) == (1, 3)
    assert a.ap50 == pytest.approx(1.0)
    assert (a.precision, a.recall, a.score) == (1.0, 1.0, 0.7)
    assert confusion(truth, found, 0.5, 0.0).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_classes_without_truths_or_predictions() -> None:
    truth = boxes([(0, 0, TEN, False)])
    measured = measure(truth, boxes([(0, 1, TEN, False)], [0.5]), 0.5)
    a, b = measured.classes
    assert (a.ap50, a.ap50_95, a.precision, a.recall, a.score) == (0, 0, 0, 0, None)
    assert (b.truths, b.ap50, b.ap50_95, b.precision, b.recall, b.f1, b.score) == (0, *[None] * 6)
    assert measured.map50 == measured.map50_95 == measured.map == 0
    nothing = boxes([], [])
    assert [c.label for c in measure(truth, nothing, 0.5).classes] == ["a"]


def test_only_the_best_of_a_picture_count() -> None:
    found = boxes([(0, 0, (50, 0, 10, 10), False), (0, 0, TEN, False)], [0.9, 0.8])
    assert measure(boxes([(0, 0, TEN, False)]), found, 0.5, max_detections=1).map50 == 0
    assert measure(boxes([(0, 0, TEN, False)]), found, 0.5, max_detections=2).map50 == pytest.approx(0.5)


def test_confusion_as_counted_by_hand() -> None:
    truth = boxes([(0, 0, TEN, False), (0, 1, (20, 0, 10, 10), False), (1, 1, TEN, False)])
    found = boxes(
        [
            (0, 0, TEN, False),  # right
            (0, 0, (0, 0, 10, 9), False),  # the same again: of nothing
            (0, 0, (20, 0, 10, 9), False),  # b taken for a
            (1, 1, (0, 0, 10, 4), False),  # overlaps by 0.4: missed, and of nothing
            (1, 0, TEN, False),  # under the least score
        ],
        [0.9, 0.95, 0.5, 0.5, 0.1],
    )
    assert confusion(truth, found, 0.5, 0.25).tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 0]]


# Against pycocotools called plainly with files on disk, and against a plain implementation of our own ------------


def random_files(folder: Path, seed: int) -> tuple[InputFile, InputFile]:
    """A COCO data set and results of it: some right, some shifted, some of nothing; equal scores, crowds."""
    generator = np.random.default_rng(seed)
    image_ids = generator.permutation(1000)[:12].tolist()
    categories = [{"id": n * 7 + 3, "name": f"class {n}"} for n in range(4)]
    truths: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in image_ids:
        for _ in range(int(generator.integers(0, 9))):
            box = [*generator.uniform(0, 300, 2), *generator.uniform(5, 120, 2)]
            category = int(generator.choice([3, 10, 17]))
            common = {"image_id": image, "category_id": category}
            truths.append(
                {**common, "id": len(truths) + 1, "bbox": box, "area": box[2] * box[3]}
                | {"iscrowd": int(generator.random() < 0.1)}
            )
            for _ in range(int(generator.integers(0, 3))):
                moved = (np.array(box) + generator.normal(0, 6, 4)).clip(1).tolist()
                results.append({**common, "bbox": moved, "score": round(float(generator.random()), 1)})
        for _ in range(int(generator.integers(0, 4))):
            box = [*generator.uniform(0, 300, 2), *generator.uniform(5, 120, 2)]
            category = int(generator.choice([3, 10, 17, 24]))
            results.append(
                {"image_id": image, "category_id": category, "bbox": box, "score": float(generator.random())}
            )
    pictures = [{"id": n, "file_name": f"{n}.jpg", "width": 500, "height": 400} for n in image_ids]
    value = {"images": pictures, "annotations": truths, "categories": categories}
    (folder / "truth.json").write_text(json.dumps(value))
    (folder / "results.json").write_text(json.dumps(results))
    return tuple(InputFile(folder / f"{n}.json", f"{n}.json", "", f"inputs.{n}") for n in ("truth", "results"))  # pyright: ignore[reportReturnType] - two of them


def plain_pycocotools(truth: Path, results: Path) -> tuple[float, float, list[float]]:
    """mAP50-95, mAP50 and each category's AP50-95, as its documentation shows it."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth))
        evaluation = COCOeval(known, known.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    return float(evaluation.stats[0]), float(evaluation.stats[1]), precision.mean(axis=(0, 1)).tolist()


def naive_ap(pair: Pair, class_id: int, iou: float) -> float:
    """Average precision written down from its definition, with 101 recalls."""
    truth, found = pair.truth.of_class(class_id), pair.predictions.of_class(class_id)
    assert found.scores is not None
    free = dict.fromkeys(range(len(truth)), True)
    hits: list[bool] = []
    for row in np.lexsort((found.image, -found.scores)).tolist():  # of equal scores COCO takes picture by picture
        here = [n for n in free if truth.image[n] == found.image[row]]
        overlap = {n: _overlap(truth, n, found.boxes[row]) for n in here}
        usable = [n for n in here if free[n] and not truth.crowd[n] and overlap[n] >= iou]
        if usable:
            free[max(usable, key=lambda n: overlap[n])] = False
            hits.append(True)
        elif not any(truth.crowd[n] and overlap[n] >= iou for n in here):
            hits.append(False)
    right, rank = np.cumsum(hits), np.arange(1, len(hits) + 1)
    recall, precision = right / (~truth.crowd).sum(), right / rank
    return float(np.mean([precision[recall >= r].max(initial=0) for r in RECALLS]))


def _overlap(truth: Annotations, row: int, box: Floats) -> float:
    if not truth.crowd[row]:
        return float(iou_matrix(xywh_to_xyxy(truth.boxes[row]), xywh_to_xyxy(box))[0, 0])
    x, y, width, height = truth.boxes[row].tolist()
    across = min(x + width, box[0] + box[2]) - max(x, box[0])
    down = min(y + height, box[1] + box[3]) - max(y, box[1])
    return float(max(across, 0) * max(down, 0) / (box[2] * box[3]))


@pytest.mark.parametrize("seed", range(6))
def test_it_agrees_with_pycocotools_and_with_the_definition(tmp_path: Path, seed: int) -> None:
    truth, results = random_files(tmp_path, seed)
    pair = read_pair(truth, results)
    measured = measure(pair.truth, pair.predictions, 0.5)
    over_all, at_50, by_class = plain_pycocotools(truth.path, results.path)
    assert 0.05 < measured.map50_95 < 0.9
    assert measured.map50_95 == pytest.approx(over_all, abs=1e-6)
    assert measured.map50 == pytest.approx(at_50, abs=1e-6)
    for found in measured.classes:
        number = int(found.label.split()[1])
        assert (found.ap50_95 if found.truths else -1) == pytest.approx(by_class[number], abs=1e-6)
        if found.truths:
            assert found.ap50 == pytest.approx(naive_ap(pair, number, 0.5), abs=1e-6)


def test_an_annotation_whose_id_is_0_counts() -> None:
    """Plain pycocotools takes a match with annotation 0 for none; ids are ours here."""
    assert measure(boxes([(0, 0, TEN, False)]), boxes([(0, 0, TEN, False)], [0.9]), 0.5).map50 == pytest.approx(1.0)
