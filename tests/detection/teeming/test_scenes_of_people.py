"""Scenes that teem with people: the same for the same seed, Wim where his box is, and no other like him."""

from itertools import islice

import numpy as np
import pytest

from wimmel.detection import LEVELS, teeming_scene
from wimmel.detection.teeming.arrangement import arranged
from wimmel.detection.teeming.figures import (
    CHOICES,
    HATS,
    PATTERNS,
    WIM,
    Figure,
    differences,
    drawn_clothes,
    drawn_figure,
    shapes_of,
    twins_clothes,
)
from wimmel.detection.teeming.luck import lucky
from wimmel.detection.teeming.places import PLACES
from wimmel.detection.teeming.shapes import Stand, extent, silhouette

SMALL = (256, 320)
TEAL = np.array((18, 148, 150))


def test_the_same_seed_gives_the_same_scene_and_another_another():
    scene = teeming_scene(3, 40, size=SMALL)
    again, other = teeming_scene(3, 40, size=SMALL), teeming_scene(4, 40, size=SMALL)
    assert (scene.picture == again.picture).all()
    assert (scene.boxes == again.boxes).all()
    assert (scene.picture != other.picture).any()
    assert scene.boxes.tolist() != other.boxes.tolist()


@pytest.mark.parametrize("place", PLACES)
def test_wim_stands_in_his_box(place):
    for seed in range(2):
        scene = teeming_scene(seed, 60, wims=2, hidden=0.1, size=SMALL, place=place)
        assert len(scene) == 2
        for crop, (left, top, right, bottom) in zip(scene.crops(), scene.boxes, strict=True):
            assert 0 <= left < right <= SMALL[1]
            assert 0 <= top < bottom <= SMALL[0]
            assert 24 <= bottom - top <= 64
            near = np.abs(crop.transpose(1, 2, 0).astype(int) - TEAL).max(axis=-1) < 40
            assert near.mean() > 0.04, "his coat is seen"


def test_a_scene_may_be_without_wim():
    scene = teeming_scene(0, 30, wims=0, size=SMALL)
    assert len(scene) == 0
    assert scene.class_names == ("wim",)


def window_of(shapes, stand):
    left, top, right, bottom = extent(shapes, stand)
    return int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))


def hidden_parts(standing):
    """For all that must be told: whether it is Wim, and the part of what tells it that nearer things hide."""
    windows = [window_of(each.shapes, each.stand) for each in standing]
    for place, each in enumerate(standing):
        if not each.telling:
            continue
        window = window_of(each.telling, each.stand)
        mask = silhouette(each.telling, each.stand, window)
        hidden = np.zeros_like(mask)
        for nearer, (left, top, right, bottom) in zip(standing[place + 1 :], windows[place + 1 :], strict=True):
            if left < window[2] and right > window[0] and top < window[3] and bottom > window[1]:
                hidden |= silhouette(nearer.shapes, nearer.stand, window) & mask
        yield each.is_wim, hidden.sum() / mask.sum()


@pytest.mark.parametrize("level", LEVELS)
def test_no_more_is_hidden_than_can_be_spared(level):
    figures, hidden = LEVELS[level]
    wims, twins = [], []
    for seed in range(2):
        standing = arranged(seed, figures // 4, 3, hidden, (512, 512), 36, PLACES["fair"].props)
        for is_wim, part in hidden_parts(standing):
            (wims if is_wim else twins).append(part)
        assert len(standing) >= figures // 4
        assert [each.stand.down for each in standing] == sorted(each.stand.down for each in standing)
    assert len(wims) == 6
    assert max(wims) <= hidden
    assert max(twins) <= 0.5
    assert 0.2 < len(twins) / (2 * figures // 4) < 0.5, "about a third are twins"
    if level == "hard":
        assert max(wims) > 0.05
        assert max(twins) > 0.2


def test_what_must_be_told_is_not_cut_off_by_the_edge():
    for each in arranged(1, 150, 2, 0.3, (300, 340), 20, PLACES["park"].props):
        if each.telling:
            left, top, right, bottom = extent(each.shapes if each.is_wim else each.telling, each.stand)
            assert 0 <= left < right <= 340
            assert 0 <= top < bottom <= 300


def test_twins_differ_in_one_attribute_and_others_in_more():
    for which in range(200):
        assert differences(twins_clothes(lucky(0, which)), WIM) == 1
        assert differences(drawn_clothes(lucky(1, which)), WIM) >= 2
    changed = {
        name
        for which in range(200)
        for name in CHOICES
        if getattr(twins_clothes(lucky(0, which)), name) != getattr(WIM, name)
    }
    assert changed == set(CHOICES)


def test_every_attribute_is_seen():
    """Two figures that differ in one attribute are drawn differently."""
    own = shapes_of(Figure(WIM))
    for which in range(60):
        assert shapes_of(Figure(twins_clothes(lucky(2, which)))) != own


def test_figures_stay_within_their_height():
    for which in range(40):
        luck = lucky(3, which)
        left, top, right, bottom = extent(
            shapes_of(drawn_figure(drawn_clothes(luck), luck, holds=False)), Stand(0, 0, 1)
        )
        assert -1.31 <= top < bottom <= 0.02
        assert -0.4 < left < right < 0.4
    assert {*PATTERNS} == {*CHOICES["pattern"]}
    assert {*HATS} == {*CHOICES["hat"]}


def test_luck_is_even():
    values = np.array(list(islice(lucky(5, 1), 2000)))
    assert abs(values.mean() - 0.5) < 0.03
    assert values.min() >= 0
    assert values.max() < 1


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"seed": -1}, "seed"),
        ({"seed": 0, "figures": 0}, "figures"),
        ({"seed": 0, "figures": 2, "wims": 3}, "wims"),
        ({"seed": 0, "hidden": 1.0}, "hidden"),
        ({"seed": 0, "size": (100, 200)}, "side"),
        ({"seed": 0, "place": "moon"}, "park, beach, fair, snow"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        teeming_scene(**settings)
