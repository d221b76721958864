"""Augmented pictures against NumPy's own shifts and turns and SciPy's affine map; draws that depend on places alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from wimmel.data import Augmentation, Dataset, digits
from wimmel.data.augment import bilinear_warp

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (40, 3, 7, 10), np.uint8)
PLACES = np.arange(40) + 1000


def shifted(picture, down, right):
    """np.roll, with what came round the corner replaced by the nearest pixel of the edge."""
    rolled = np.roll(picture, (down, right), axis=(1, 2))
    height, width = picture.shape[1:]
    if down > 0:
        rolled[:, :down] = rolled[:, down : down + 1]
    elif down < 0:
        rolled[:, down:] = rolled[:, height + down - 1 : height + down]
    if right > 0:
        rolled[:, :, :right] = rolled[:, :, right : right + 1]
    elif right < 0:
        rolled[:, :, right:] = rolled[:, :, width + right - 1 : width + right]
    return rolled


def test_shifts_are_whole_pixels_of_every_kind_within_the_limit():
    varied = Augmentation(shift=0.3).apply(PICTURES, PLACES, seed=1, epoch=0)
    possible = {(down, right) for down in range(-2, 3) for right in range(-3, 4)}
    seen = set()
    for before, after in zip(PICTURES, varied, strict=True):
        [shift] = [shift for shift in possible if np.array_equal(after, shifted(before, *shift))]
        seen.add(shift)
    assert len(seen) > 15


def test_half_are_mirrored_and_half_are_not():
    varied = Augmentation(flip=True).apply(PICTURES, PLACES, seed=1, epoch=0)
    mirrored = [np.array_equal(after, before[:, :, ::-1]) for before, after in zip(PICTURES, varied, strict=True)]
    same = [np.array_equal(after, before) for before, after in zip(PICTURES, varied, strict=True)]
    assert all(one != other for one, other in zip(mirrored, same, strict=True))
    assert 8 < sum(mirrored) < 32


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_warp_by_90_degrees_is_rot90(quarter_turns):
    square = PICTURES[:, :, :, :7]
    angle = np.deg2rad(90 * quarter_turns)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    start = np.array([3, 3]) - matrix @ [3, 3]
    turned = bilinear_warp(square, np.tile(matrix, (40, 1, 1)), np.tile(start, (40, 1)))
    np.testing.assert_allclose(turned, np.rot90(square, quarter_turns, axes=(2, 3)), atol=1e-3)


@pytest.mark.parametrize("turn", [-90, 90])
def test_the_augmentation_itself_turns_a_quarter(turn, monkeypatch):
    """With the draw of the angle at its end (0 or nearly 1), the picture is turned by the whole angle."""
    at_the_end = np.full((1, 8), 0.5)
    at_the_end[0, 3] = 0.0 if turn < 0 else 1.0
    monkeypatch.setitem(Augmentation.apply.__globals__, "uniform", lambda *keys: at_the_end)
    square = PICTURES[:1, :, :, :7]
    turned = Augmentation(rotate=90).apply(square, PLACES[:1], 0, 0)
    np.testing.assert_array_equal(turned, np.rot90(square, turn // 90, axes=(2, 3)))


@given(
    matrix=st.lists(st.floats(-1.5, 1.5, width=32), min_size=4, max_size=4),
    start=st.lists(st.floats(-8, 12, width=32), min_size=2, max_size=2),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 1000),
)
def test_any_warp_is_scipys_affine_transform(matrix, start, shape, seed):
    picture = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    matrix = np.array(matrix).reshape(2, 2)
    ours = bilinear_warp(picture[None], matrix[None], np.array(start)[None])[0]
    for channel in range(shape[0]):
        plane = picture[channel].astype(float)
        theirs = ndimage.affine_transform(plane, matrix, start, order=1, mode="nearest")
        np.testing.assert_allclose(ours[channel], theirs, atol=0.02)


def test_all_options_together_are_one_affine_map_of_scipy():
    """The whole of a random variation, rebuilt from its draws step by step: crop, flip, rotate, shift, brightness."""
    from wimmel.data.draws import Purpose, uniform

    options = Augmentation(shift=0.2, flip=True, rotate=30, crop=0.6, brightness=0.3)
    varied = options.apply(PICTURES, PLACES, seed=5, epoch=2)
    height, width = PICTURES.shape[2:]
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    for before, after, place in zip(PICTURES, varied, PLACES, strict=True):
        draw = uniform(5, Purpose.AUGMENTATION, 2, int(place), np.arange(8))
        down = np.floor(draw[0] * (2 * round(0.2 * height) + 1)) - round(0.2 * height)
        right = np.floor(draw[1] * (2 * round(0.2 * width) + 1)) - round(0.2 * width)
        angle = np.deg2rad(30 * (2 * draw[3] - 1))
        scale = 0.6 + 0.4 * draw[4]
        room = (1 - scale) * np.array([height, width]) / 2
        # Homogeneous matrices that take an output point back to the picture, from the last step to the first.
        unshift = np.array([[1, 0, -down], [0, 1, -right], [0, 0, 1]])
        to_centre = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1]])
        unturn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        unflip = np.diag([1, -1 if draw[2] < 0.5 else 1, 1])
        crop_centre = centre + room * (2 * draw[5:7] - 1)
        uncrop = np.array([[scale, 0, crop_centre[0]], [0, scale, crop_centre[1]], [0, 0, 1]])
        back = uncrop @ unflip @ unturn @ to_centre @ unshift
        factor = 1 + 0.3 * (2 * draw[7] - 1)
        for channel in range(3):
            plane = before[channel].astype(float)
            expected = ndimage.affine_transform(plane, back, order=1, mode="nearest") * factor
            assert np.abs(np.minimum(expected, 255) - after[channel]).max() < 0.6


def test_a_crop_stays_inside_the_picture():
    """Cropping alone never repeats an edge: a ramp's ends move inward, and its slope falls to the crop's scale."""
    ramp = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (200, 1, 25, 1))
    varied = Augmentation(crop=0.5).apply(ramp, np.arange(200), 0, 0).astype(float)
    slopes = (varied[:, 0, 0, -1] - varied[:, 0, 0, 0]) / 240
    assert 0.48 <= slopes.min() < 0.6
    assert 0.9 < slopes.max() <= 1
    assert len(np.unique(varied[:, 0, 0, 0])) > 20


def test_brightness_multiplies_and_saturates():
    gray = np.full((500, 1, 1, 2), [100, 230], np.uint8)
    varied = Augmentation(brightness=0.2).apply(gray, np.arange(500), 0, 0)
    first, second = varied[:, 0, 0, 0].astype(float), varied[:, 0, 0, 1]
    assert first.min() < 83
    assert first.max() > 117
    assert 80 <= first.min() <= first.max() <= 120
    assert second.max() == 255
    np.testing.assert_allclose(np.minimum(first / 100 * 230, 255), second, atol=2)


EVERYTHING = Augmentation(shift=0.2, flip=True, rotate=20, crop=0.7, brightness=0.3)


@pytest.mark.parametrize("options", [EVERYTHING, Augmentation(shift=0.2, flip=True), Augmentation(brightness=0.5)])
def test_a_pictures_variation_depends_on_its_place_alone(options):
    whole = options.apply(PICTURES, PLACES, seed=3, epoch=4)
    order = np.random.default_rng(7).permutation(40)
    np.testing.assert_array_equal(options.apply(PICTURES[order], PLACES[order], 3, 4), whole[order])
    alone = np.concatenate([options.apply(PICTURES[[k]], PLACES[[k]], 3, 4) for k in range(40)])
    np.testing.assert_array_equal(alone, whole)


@pytest.mark.parametrize(("seed", "epoch"), [(3, 5), (4, 4)])
def test_another_epoch_or_seed_varies_anew(seed, epoch):
    first, second = EVERYTHING.apply(PICTURES, PLACES, 3, 4), EVERYTHING.apply(PICTURES, PLACES, seed, epoch)
    assert all(not np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_switching_one_option_on_leaves_the_draws_of_the_others():
    plain = Augmentation(shift=0.3).apply(PICTURES, PLACES, 0, 0)
    flipped = Augmentation(shift=0.3, flip=True).apply(PICTURES[:, :, :, ::-1], PLACES, 0, 0)
    same = [np.array_equal(one, other) for one, other in zip(plain, flipped, strict=True)]
    assert 8 < sum(same) < 32  # those that were mirrored back, under the same shifts


def test_the_given_pictures_are_not_changed():
    before = PICTURES.copy()
    EVERYTHING.apply(PICTURES, PLACES, 0, 0)
    np.testing.assert_array_equal(PICTURES, before)


@pytest.mark.parametrize("view", [PICTURES[::-1, :, ::-1], PICTURES[:, :, ::2, ::3], np.asfortranarray(PICTURES)])
def test_views_are_varied_like_their_copies(view):
    view = view.view()
    view.flags.writeable = False
    for options in (EVERYTHING, Augmentation(shift=0.3, flip=True)):
        expected = options.apply(np.ascontiguousarray(view), PLACES, 0, 0)
        np.testing.assert_array_equal(options.apply(view, PLACES, 0, 0), expected)


def test_no_option_and_no_picture_change_nothing():
    assert Augmentation().apply(PICTURES, PLACES, 0, 0) is PICTURES
    assert EVERYTHING.apply(PICTURES[:0], PLACES[:0], 0, 0).shape == (0, 3, 7, 10)


@pytest.mark.parametrize(
    "options", [{"shift": 0.6}, {"shift": -0.1}, {"rotate": 181}, {"crop": 0}, {"crop": 1.1}, {"brightness": 2}]
)
def test_options_out_of_range_are_refused(options):
    [name] = options
    with pytest.raises(ValueError, match=f"{name} must be"):
        Augmentation(**options)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match=r"uint8 pictures .* got float64"):
        EVERYTHING.apply(PICTURES / 255, PLACES, 0, 0)
    with pytest.raises(ValueError, match="and 39 indices"):
        EVERYTHING.apply(PICTURES, PLACES[1:], 0, 0)


def test_the_default_never_mirrors_unless_asked():
    photos = Dataset(PICTURES, [0, 1] * 20, ("cat", "dog"))
    letters = Dataset(np.zeros((2, 1, 28, 28), np.uint8), [0, 1], ("b", "d"))
    assert not any(Augmentation.for_dataset(dataset).flip for dataset in (photos, letters, digits()))
    assert Augmentation.for_dataset(photos, flip=True).flip
    assert Augmentation.for_dataset(photos).crop < 1
    assert Augmentation.for_dataset(letters) == Augmentation(shift=0.08, rotate=10)
    assert Augmentation.for_dataset(digits()).shift == 0
