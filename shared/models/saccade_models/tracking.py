"""Following objects from frame to frame, by ByteTrack (Zhang et al., 2022, arXiv:2110.06864), over detections alone.

Labels play no part in it: detectors waver between car, truck and bus, and one object must not become three. What an
object was is decided over its whole track (``counting``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from saccade_models.media.look import FrameItems, Item

#: Seconds for which a track waits for its object to be seen again.
PATIENCE_S = 1.0
#: Boxes of two labels that overlap by more than this (IoU) are the same thing seen twice; the better one is followed.
SAME_THING = 0.8


def track(
    frames: Iterable[FrameItems], *, fps: float, min_score: float, patience_s: float = PATIENCE_S
) -> Iterator[FrameItems]:
    """``frames``, their items with ``track_id`` 1, 2 ... in order of appearance where they could be followed.

    Items need ``box`` [x1, y1, x2, y2] in pixels and ``score`` 0..1, at least ``min_score``; ``fps`` is how many
    frames a second were looked at. An object gets its id with its second frame in a row, from items a little
    above ``min_score``; weaker ones only carry a track on. The frames' times are minded: their rate may vary.
    """
    import supervision  # these two take 2 s to import: only jobs that track pay
    from trackers import ByteTrackTracker

    sure = min(min_score + 0.1, 0.6)
    tracker = ByteTrackTracker(
        # In 30ths of a second, whatever the rate; a few frames at least, where few are looked at.
        lost_track_buffer=round(30 * max(patience_s, 3 / fps)),
        frame_rate=fps,
        track_activation_threshold=sure,
        high_conf_det_threshold=sure,
        minimum_consecutive_frames=2,
        minimum_iou_threshold=0.1,
    )
    ids: dict[int, int] = {}
    for frame in frames:
        followed = _distinct(frame.items)
        found = tracker.update(
            supervision.Detections(
                xyxy=np.array([frame.items[i]["box"] for i in followed], dtype=np.float64).reshape(-1, 4),
                confidence=np.array([frame.items[i]["score"] for i in followed], dtype=np.float64),
                data={"index": np.array(followed, dtype=np.int64)},
            ),
            timestamp=frame.time_s,
        )
        places = np.asarray(found.data.get("index", []), dtype=np.int64)
        numbers = np.asarray(found.tracker_id, dtype=np.int64)
        # By place in the list, so that two that appear at once are numbered as they are listed.
        tracked = sorted(zip(places.tolist(), numbers.tolist(), strict=True))
        given = {place: ids.setdefault(number, len(ids) + 1) for place, number in tracked if number >= 0}
        yield FrameItems(
            frame.index, frame.time_s, [_with_id(item, given.get(i)) for i, item in enumerate(frame.items)]
        )


def _with_id(item: Item, track_id: int | None) -> Item:
    return item if track_id is None else {**item, "track_id": track_id}


def _distinct(items: list[Item]) -> list[int]:
    """Places of the items that are things of their own, best first kept, in the order of the list."""
    if len(items) < 2:
        return list(range(len(items)))
    boxes = np.array([item["box"] for item in items], dtype=np.float64)
    scores = np.array([item["score"] for item in items], dtype=np.float64)
    overlaps = _iou(boxes) > SAME_THING
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if not overlaps[index, kept].any():
            kept.append(index)
    return sorted(kept)


def _iou(boxes: np.ndarray) -> np.ndarray:
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    union = area[:, None] + area[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
