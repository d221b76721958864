"""Normalised cross-correlation: what its definition says in float64, and what OpenCV computes."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import wimmel as wm
from wimmel.detection import correlation, match_template, teeming_scene
from wimmel.detection.windows import divide_by_deviations


def defined(image, template, mask=None, least=1e-6):
    """The definition, window by window; None where the window's variance is too near to the least to tell."""
    image, template = (np.asarray(each, np.float64) for each in (image, template))
    image, template = (each[np.newaxis] if each.ndim == 2 else each for each in (image, template))
    marks = np.ones(template.shape[1:]) if mask is None else mask != 0
    count = marks.sum()
    own = (template - (template * marks).sum(axis=(1, 2), keepdims=True) / count) * marks
    windows = sliding_window_view(image, template.shape[1:], axis=(1, 2))
    theirs = windows - (windows * marks).sum(axis=(3, 4), keepdims=True) / count
    squares = (theirs**2 * marks).sum(axis=(0, 3, 4))
    variance = image.var(axis=(1, 2)).sum()
    flat = squares / count < least * variance
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.einsum("cijab,cab->ij", theirs, own) / np.sqrt(squares * (own**2).sum())
    return np.where(flat, 0, scores)


def drawn(seed):
    """A picture, gray or colour, of whole numbers or floats in various ranges, and a template of another size."""
    draw = np.random.default_rng(seed)
    channels, rows, columns = draw.integers(1, 4), *draw.integers(12, 60, 2)
    height, width = draw.integers(2, rows + 1), draw.integers(2, columns + 1)
    kind = seed % 4
    if kind == 0:
        image = draw.integers(0, 256, (channels, rows, columns)).astype(np.uint8)
    elif kind == 1:
        image = draw.standard_normal((channels, rows, columns)).astype(np.float32) * 1e-20
    elif kind == 2:
        image = 1e6 + draw.standard_normal((channels, rows, columns))
    else:
        image = draw.integers(-30_000, 30_000, (channels, rows, columns)).astype(np.int16)
    top, left = draw.integers(0, rows - height + 1), draw.integers(0, columns - width + 1)
    template = image[:, top : top + height, left : left + width]
    return image, template, (top, left)


@pytest.mark.parametrize("seed", range(24))
def test_scores_are_those_of_the_definition(seed):
    image, template, place = drawn(seed)
    scores = match_template(image, template)
    np.testing.assert_allclose(scores, defined(image, template), atol=1e-5)
    assert np.unravel_index(scores.argmax(), scores.shape) == place


@pytest.mark.parametrize("seed", range(8))
def test_under_a_mask_only_what_it_shows_counts(seed):
    image, template, place = drawn(seed)
    mask = np.random.default_rng(seed).random(template.shape[1:]) < 0.7
    mask[:2, :2] = True
    other = np.where(mask, template, template.max())
    scores = match_template(image, other, mask)
    np.testing.assert_allclose(scores, defined(image, template, mask, 1e-4), atol=2e-5)
    assert np.unravel_index(scores.argmax(), scores.shape) == place


@pytest.mark.parametrize("size, phases", [((9, 5), 2), ((6, 11), 2), ((13, 9), 3), ((16, 16), 4)])
def test_in_phases_it_is_the_same(monkeypatch, size, phases):
    draw = np.random.default_rng(phases)
    image = draw.standard_normal((2, 41, 38))
    template = draw.standard_normal((2, *size))
    monkeypatch.setattr(correlation, "_WIDEST", -(-max(size) // phases))
    np.testing.assert_allclose(match_template(image, template), defined(image, template), atol=1e-5)


def test_windows_of_next_to_no_variance_score_nothing_and_little_is_enough():
    draw = np.random.default_rng(0)
    image = np.zeros((60, 90))
    image[:, 45:] = draw.standard_normal((60, 45))
    image[:30, :40] = 1e-5 * draw.standard_normal((30, 40))
    image[30:, :40] = 0.5 + 5e-3 * draw.standard_normal((30, 40))
    template = draw.standard_normal((8, 8))
    scores = match_template(image, template)
    assert (scores[:20, :30] == 0).all()
    assert (np.abs(scores[31:, :30]).max(axis=0) > 0.05).all()
    np.testing.assert_allclose(scores, defined(image, template), atol=1e-4)


@pytest.mark.parametrize("place", ["park", "snow"])
def test_on_a_ground_of_next_to_one_colour_scores_are_the_definitions(place):
    """OpenCV's are off there by up to 0.005: it subtracts what windows have in common in float32."""
    picture = teeming_scene(0, 20, size=(128, 130), place=place).picture
    template = picture[:, 60:84, 50:64]
    found, expected = match_template(picture, template), defined(picture, template)
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_a_picture_of_one_colour_scores_nothing():
    for value in (0, 7, 0.1):
        assert (match_template(np.full((20, 30), value), np.eye(4)) == 0).all()


SHAPES = [
    ((1, 40, 35), (3, 4)),
    ((2, 50, 20), (50, 20)),
    ((3, 33, 17), (17, 1)),
    ((1, 16, 16), (1, 16)),
    ((1, 1050, 9), (5, 4)),
]


@pytest.mark.parametrize("shape, window", SHAPES)
def test_deviations_are_those_of_the_windows(shape, window):
    pixels = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    windows = sliding_window_view(pixels.astype(np.float64), window, axis=(1, 2))
    expected = 1 / np.sqrt(windows.var(axis=(3, 4)).sum(axis=0) * np.prod(window))
    found = divide_by_deviations(np.ones(expected.shape, np.float32), pixels, window, 1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_threads_make_no_difference():
    draw = np.random.default_rng(0)
    image, template = draw.standard_normal((1100, 90)), draw.standard_normal((30, 35))
    found = []
    for threads in (1, 2):
        with wm.num_threads(threads):
            found.append(match_template(image, template))
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [16, 50, 170])
def test_scores_and_peaks_are_opencvs(side, channels):
    cv2 = pytest.importorskip("cv2", reason="compares with OpenCV, which is not installed")
    draw = np.random.default_rng(side)
    noise = draw.integers(0, 256, (400, 360, channels)).astype(np.uint8)
    image = np.ascontiguousarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX))
    image = image.reshape(400, 360, channels)
    template = np.ascontiguousarray(image[40 : 40 + side, 100 : 100 + side])
    theirs = cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED)
    ours = match_template(image.transpose(2, 0, 1), template.transpose(2, 0, 1))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.unravel_index(ours.argmax(), ours.shape) == np.unravel_index(theirs.argmax(), theirs.shape) == (40, 100)


@pytest.mark.parametrize(
    "image, template, said",
    [
        (np.eye(5), np.eye(6), "6x6 pixels is larger than the picture of 5x5"),
        (np.eye(5), np.ones((3, 3)), "all of one colour"),
        (np.eye(5), np.full((3, 3), 0.1), "all of one colour"),
        (np.eye(5), np.stack([np.eye(3)] * 3), "3 channels and the picture 1 channel"),
        (np.full((5, 5), np.nan), np.eye(3), "picture holds numbers that are not finite"),
        (np.eye(5), np.array([[1, np.inf], [0, 1]]), "template holds numbers that are not finite"),
        (np.zeros((30, 40, 3)), np.eye(3), "channels last"),
        (np.zeros(5), np.eye(3), "shape"),
        (np.zeros((0, 5)), np.eye(3), "shape"),
    ],
)
def test_what_cannot_be_matched_is_refused(image, template, said):
    with pytest.raises(ValueError, match=said):
        match_template(image, template)


def test_what_is_no_real_number_is_refused():
    with pytest.raises(TypeError, match="real numbers; got complex128"):
        match_template(np.eye(5) * 1j, np.eye(3))


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="rows and columns"):
        match_template(np.eye(5), np.eye(3), np.ones((2, 3)))
    with pytest.raises(ValueError, match="0 everywhere"):
        match_template(np.eye(5), np.eye(3), np.zeros((3, 3)))
