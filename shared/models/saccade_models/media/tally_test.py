from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade_models.media import tally
from saccade_models.media.look import FrameItems
from saccade_models.media.tally import Tally, runs
from saccade_models.video_types import VideoGap

MESSAGE = "gone"


def of(missing: list[int]) -> Tally:
    """What a scan says of a segment without these frames."""
    counted = Tally(lost=len(missing))
    spans = [(run[0], run[-1]) for run in runs(missing, 1)]
    counted.add_gaps([_gap(first, last) for first, last in spans], 1)
    return counted


def _gap(first: int, last: int) -> VideoGap:
    return VideoGap(from_index=first, to_index=last, from_time_s=first / 10, to_time_s=last / 10, message=MESSAGE)


@given(st.sets(st.integers(0, 60)), st.lists(st.integers(0, 61), max_size=6))
def test_gaps_of_segments_are_those_of_the_whole(missing: set[int], cuts: list[int]) -> None:
    places, joined = [0, *sorted(cuts), 61], Tally()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "MOST_GAPS", 4)
        for start, stop in pairwise(places):
            segment = of(sorted(i for i in missing if start <= i < stop))
            joined.add(Tally.of(json.loads(json.dumps(segment.to_json()))), 1)
        assert joined == of(sorted(missing))
    every = [(run[0], run[-1]) for run in runs(sorted(missing), 1)]
    assert [(gap.from_index, gap.to_index) for gap in joined.gaps] == every[:4]
    assert joined.gaps_left_out == max(0, len(every) - 4)


def test_a_thousand_gaps_are_listed_and_the_others_counted() -> None:
    found = of(list(range(0, 5000, 2)))
    assert (len(found.gaps), found.gaps[-1].to_index, found.gaps_left_out) == (1000, 1998, 1500)


def test_counts_add_up() -> None:
    first, second = Tally(), Tally()
    assert len(list(first.counted([FrameItems(0, 0.0, [{}, {}]), FrameItems(1, 0.1, [])]))) == 2
    assert len(list(second.counted([FrameItems(2, 0.2, [{}])]))) == 1
    first.add(second, 1)
    assert (first.frames_seen, first.frames_with_items, first.items, first.most_at_once) == (3, 2, 3, 2)
