from __future__ import annotations

import numpy as np
import pytest

from saccade_models.faces import calibrate as module
from saccade_models.faces import doubts
from saccade_models.faces.calibrate import Pairs, calibrate, pairs, point, threshold_for
from saccade_models.faces.doubts import look_alikes, odd_photos
from saccade_models.faces.testing import people, unit


def test_all_pairs_of_a_small_gallery() -> None:
    rows, owners = people(6, 4, seed=3)
    mixed = np.random.default_rng(0).permutation(len(rows))
    rows, owners = rows[mixed], owners[mixed]
    found = pairs(rows, owners)
    table = rows @ rows.T
    upper = np.triu(np.ones_like(table, dtype=bool), 1)
    same = owners[:, None] == owners[None]
    assert found.genuine == pytest.approx(np.sort(table[upper & same]), abs=1e-6)
    assert found.impostor == pytest.approx(np.sort(table[upper & ~same]), abs=1e-6)
    assert (len(found.genuine), len(found.impostor), found.sampled) == (36, 240, False)


def test_a_large_gallery_is_sampled_alike_each_time() -> None:
    rows, owners = people(100, 5)
    found, again = pairs(rows, owners, limit=700), pairs(rows, owners, limit=700)
    assert found.sampled and len(found.genuine) == 700 and len(found.impostor) == 700
    assert (found.genuine == again.genuine).all() and (found.impostor == again.impostor).all()
    whole = pairs(rows, owners)
    assert whole.genuine.mean() == pytest.approx(found.genuine.mean(), abs=0.02)
    assert whole.impostor.mean() == pytest.approx(found.impostor.mean(), abs=0.02)


@pytest.mark.parametrize("count", [0, 1])
def test_no_pairs_of_nothing(count: int) -> None:
    found = pairs(*people(count, 1))
    assert not len(found.genuine) and not len(found.impostor)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.001, 0.0001])
def test_the_threshold_is_the_least_that_keeps_the_rate(rate: float) -> None:
    impostor = np.sort(np.random.default_rng(1).normal(0.0, 0.1, 5000)).astype(np.float32)
    found = Pairs(np.zeros(0, np.float32), impostor)
    threshold = threshold_for(impostor, rate)
    accepted = point(found, threshold).false_accept_rate
    lower = point(found, threshold - 2e-4).false_accept_rate
    assert accepted is not None and lower is not None
    assert accepted <= rate
    assert lower > rate - 1.5e-3  # one step of the rounding lower it is at the limit


def test_equal_similarities_are_all_refused_or_all_accepted() -> None:
    impostor = np.array([0.1, 0.3, 0.3, 0.3], np.float32)
    assert threshold_for(impostor, 0.5) > 0.3
    assert threshold_for(impostor, 0.75) == pytest.approx(0.1001, abs=1.1e-4)
    assert threshold_for(impostor, 1.0) == -1


def test_rates_and_curve() -> None:
    found = Pairs(np.array([0.2, 0.5, 0.6, 0.9], np.float32), np.linspace(-0.2, 0.4, 4000, dtype=np.float32))
    done = calibrate(found, 0.01, fallback=0.45)
    assert done.point.threshold == pytest.approx(0.394, abs=0.0003)
    assert done.point.false_reject_rate == 0.25
    assert done.point.false_accept_rate == pytest.approx(0.01, abs=0.0003)
    accepts = [p.false_accept_rate for p in done.curve]
    assert accepts == sorted(accepts, key=lambda rate: -(rate or 0)) and accepts[-1] == 0 and (accepts[0] or 0) > 0.99
    assert done.curve[0].false_reject_rate == 0
    assert done.notes == []


def test_too_few_pairs_cannot_vouch() -> None:
    few = Pairs(np.zeros(0, np.float32), np.array([0.01, 0.05, 0.1], np.float32))
    done = calibrate(few, 0.001, fallback=0.45)
    assert done.point.threshold == 0.45
    assert done.point.false_reject_rate is None
    words = " ".join(done.notes)
    assert "needs 3,000" in words and "below 1" in words and "false-reject rate is not known" in words
    nothing = calibrate(Pairs(np.zeros(0, np.float32), np.zeros(0, np.float32)), 0.001, fallback=0.45)
    assert nothing.point == module.Point(0.45, None, None)


def test_look_alikes_are_those_above_the_threshold() -> None:
    rows, owners = people(30, 3, seed=5)
    rows[4] = unit(rows[60] + 0.2 * rows[4])  # a photo of person 1 that shows person 20
    (pair,) = look_alikes(rows, owners, 0.6)
    assert (pair.first, pair.second) == (1, 20)
    assert pair.best == pytest.approx(float((rows[3:6] @ rows[60:63].T).max()), abs=1e-5)
    assert pair.mean == pytest.approx(float((rows[3:6] @ rows[60:63].T).mean()), abs=1e-5)
    everybody = look_alikes(rows, owners, -1, most=500)
    assert len(everybody) == 30 * 29 // 2
    assert [p.best for p in everybody] == sorted((p.best for p in everybody), reverse=True)
    assert look_alikes(rows, owners, -1, most=7) == everybody[:7]


def test_owners_need_not_be_in_order_nor_without_gaps() -> None:
    rows, owners = people(10, 3, seed=6)
    mixed = np.random.default_rng(2).permutation(len(rows))
    plain = look_alikes(rows, owners, 0.05)
    strange = look_alikes(rows[mixed], owners[mixed] * 7 + 3, 0.05)
    assert [(p.first * 7 + 3, p.second * 7 + 3) for p in plain] == [(p.first, p.second) for p in strange]


def test_large_galleries_are_compared_by_means(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, owners = people(40, 3, spread=0.4, seed=7)
    rows[30:33] = unit(rows[90:93] + 0.05)
    monkeypatch.setattr(doubts, "MAX_FACES", 50)
    (pair,) = look_alikes(rows, owners, 0.6)
    assert (pair.first, pair.second) == (10, 30)


def test_the_odd_photo_out_is_found_and_whom_it_shows() -> None:
    rows, owners = people(12, 4, seed=8)
    rows[9] = unit(rows[30] + 0.3 * rows[9])
    (odd,) = odd_photos(rows, owners, 0.5)
    assert odd.row == 9 and odd.nearest == 7
    assert odd.best < 0.5 < (odd.nearest_similarity or 0)


def test_two_photos_that_differ_are_both_odd_and_single_ones_never() -> None:
    rows = np.eye(5, 16, dtype=np.float32)
    assert [odd.row for odd in odd_photos(rows, np.array([0, 0, 1, 2, 3], np.uint32), 0.5)] == [0, 1]
    alone = odd_photos(rows[:2], np.array([4, 4], np.uint32), 0.5)
    assert [(odd.nearest, odd.nearest_similarity) for odd in alone] == [(None, None)] * 2


def test_ticks_come_and_may_end_it() -> None:
    rows, owners = people(50, 2)

    def stop() -> None:
        raise InterruptedError

    for work in (
        lambda: pairs(rows, owners, tick=stop),
        lambda: look_alikes(rows, owners, 0.5, tick=stop),
        lambda: odd_photos(rows, owners, 0.5, tick=stop),
    ):
        with pytest.raises(InterruptedError):
            work()
