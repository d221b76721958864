"""Collages keep the object that they are about, up to the part that may be hidden, and take the rest from elsewhere."""

import numpy as np
import pytest

from wimmel.detection.learned.collages import hide_part, set_among

BOX = (10.0, 8.0, 30.0, 40.0)
DRAWN = np.random.default_rng(0).random((200, 5))


def pair():
    return np.zeros((3, 50, 45), np.uint8), np.full((3, 50, 45), 255, np.uint8)


@pytest.mark.parametrize("drawn", DRAWN[:20, :4])
def test_what_is_around_an_object_is_taken_from_elsewhere_and_the_object_stays(drawn):
    seen, other = pair()
    set_among(seen, other, BOX, drawn)
    assert (seen[:, 10:38, 12:28] == 0).all()
    outside = np.ones(seen.shape[1:], bool)
    outside[4:44, 6:34] = False
    assert (seen[:, outside] == 255).all()


def test_no_more_of_an_object_is_hidden_than_may_be_and_all_of_it_now_and_then():
    covered, shares = np.zeros((50, 45)), []
    for drawn in DRAWN:
        seen, other = pair()
        hide_part(seen, other, BOX, 0.3, drawn)
        shares.append((seen[0, 8:40, 10:30] == 255).mean())
        covered += seen[0] == 255
    # edges fall on whole pixels, half a pixel off at most on either side
    assert max(shares) < 0.3 + 0.5 * (1 / 20 + 1 / 32)
    assert np.mean(shares) > 0.05
    assert (covered[8:40, 10:30] > 0).all()


@pytest.mark.parametrize("box", [(-20.0, -9.0, 8.0, 12.0), (40.0, 45.0, 80.0, 90.0), (-50.0, -50.0, -20.0, -20.0)])
def test_boxes_that_reach_out_of_the_window_are_cut_off_at_its_edge(box):
    for drawn in DRAWN[:40]:
        seen, other = pair()
        hide_part(seen, other, box, 0.3, drawn)
        set_among(seen, other, box, drawn[:4])
        assert set(np.unique(seen)) <= {0, 255}
