"""The sweep in tiles gives what the network says about the whole picture at once."""

import math
import threading
import time

import numpy as np
import pytest
from PIL import Image

import wimmel as wm
from wimmel.detection import Piecewise
from wimmel.detection.learned import pyramid
from wimmel.detection.learned import sweep as sweeping
from wimmel.detection.learned.calibration import Calibration
from wimmel.detection.learned.network import STRIDE, network, window_size
from wimmel.detection.learned.pyramid import WholePicture, piece_of_level, shrunken
from wimmel.detection.learned.settings import Settings
from wimmel.detection.learned.sweep import bands, centres, sweep

AWKWARD = ((61, 83), (8, 130), (113, 7), (200, 64), (1, 1))


def small(channels=3, size=(40.0, 26.0), spans=(0.7109375, 1.0, 1.84765625), classes=("one", "other")):
    return Settings(classes, channels, size, spans, widths=(4, 5, 6, 7, 8))


def random_picture(rows, columns, channels=3):
    return np.random.default_rng(rows * columns).integers(0, 256, (channels, rows, columns)).astype(np.uint8)


def whole_level(picture, span):
    """The level as Pillow makes it from the whole picture, across and then down."""
    rows, columns = math.floor(picture.shape[1] / span), math.floor(picture.shape[2] / span)
    image = Image.fromarray(picture.transpose(1, 2, 0))
    bilinear, high = Image.Resampling.BILINEAR, image.height
    level = image.resize((columns, high), bilinear, box=(0, 0, columns * span, high))
    level = level.resize((columns, rows), bilinear, box=(0, 0, columns, rows * span))
    return (np.asarray(level).transpose(2, 0, 1).astype(np.float32) - 127.5) / 64


class Counted:
    """A picture in pieces that remembers the largest piece it was asked for, and is to be asked by one at a time."""

    def __init__(self, pixels):
        self.pixels, self.largest, self.asked = pixels, 0, threading.Lock()

    @property
    def shape(self):
        return self.pixels.shape

    def piece(self, top, left, bottom, right):
        assert 0 <= top < bottom <= self.shape[1] and 0 <= left < right <= self.shape[2]
        assert self.asked.acquire(blocking=False), "two threads ask for a piece at once"
        self.largest = max(self.largest, (bottom - top) * (right - left))
        time.sleep(1e-4)
        self.asked.release()
        return self.pixels[:, top:bottom, left:right].copy()


@pytest.mark.parametrize("tile", [3, 5, 16, 64])
@pytest.mark.parametrize("size", AWKWARD)
def test_tiled_scores_are_those_of_the_untiled_sweep(size, tile):
    settings, picture = small(), random_picture(*size)
    net = network(settings).initialize(3)
    field = window_size(settings)
    for band in bands(net, settings, WholePicture(picture), tile):
        try:
            whole = whole_level(picture, band.span)
        except ValueError:  # no pixel at all at this size
            assert band.outputs.shape[1:] == tuple(side // band.span // STRIDE + 1 for side in size)
            continue
        rows, columns = (side // STRIDE + 1 for side in whole.shape[1:])
        ends = [STRIDE * (count - 1) + side - side // 2 - have for count, side, have in
                zip((rows, columns), field, whole.shape[1:], strict=True)]  # fmt: skip
        frame = ((0, 0), *((side // 2, max(end, 0)) for side, end in zip(field, ends, strict=True)))
        expected = net(np.pad(whole, frame)[np.newaxis])[0, :, :rows, :columns]
        assert band.outputs.shape == (6, rows, columns)
        np.testing.assert_allclose(band.outputs, expected, atol=1e-4)


@pytest.mark.parametrize("size", AWKWARD)
def test_whether_there_is_one_is_decided_by_the_highest_score_of_any_level(size):
    settings, picture = small(), WholePicture(random_picture(*size))
    net = network(settings).initialize(3)
    seen = list(bands(net, settings, picture))
    highest = [max(level.outputs[label].max() for level in seen) for label in range(len(settings.class_names))]
    for tile in (64, 4):
        found = sweep(net, settings, picture, 0.999, 0.4, 1, tile, (Calibration(2.0, -1.0, 3, 4), None)).presence
        np.testing.assert_allclose(found.scores, highest, atol=1e-4)
        odds = np.array([2 * found.scores[0] - 1, found.scores[1]])
        np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp(-odds)), rtol=1e-9)
        assert found.calibrated == (True, False) and found.class_names == settings.class_names


@pytest.mark.parametrize("size", AWKWARD)
@pytest.mark.parametrize("tile", [1, 4])
def test_a_level_may_be_seen_band_by_band(size, tile, monkeypatch):
    settings, picture = small(spans=(0.28125, 1.0, 1.84765625)), WholePicture(random_picture(*size))
    net = network(settings).initialize(3)
    monkeypatch.setattr(sweeping, "_MOST_WINDOWS", 20)
    whole = [band.outputs for band in bands(net, settings, picture, tile)]
    together = sweep(net, settings, picture, 0.01, 0.4, 1000, tile)
    monkeypatch.setattr(sweeping, "BAND", 1)
    parts = list(bands(net, settings, picture, tile))
    assert max(band.outputs.shape[1] for band in parts) <= tile
    for outputs, span in zip(whole, settings.spans, strict=True):
        level = [band for band in parts if band.span == span]
        ends = [band.first + band.outputs.shape[1] for band in level]
        assert [band.first for band in level] == [0, *ends[:-1]] and {band.rows for band in level} == {ends[-1]}
        np.testing.assert_array_equal(np.concatenate([band.outputs for band in level], axis=1), outputs)
    apart = sweep(net, settings, picture, 0.01, 0.4, 1000, tile)
    assert len(apart.finds) > 0
    for name in ("boxes", "scores", "classes"):
        np.testing.assert_array_equal(getattr(apart.finds, name), getattr(together.finds, name))
    np.testing.assert_array_equal(apart.windows, together.windows)
    np.testing.assert_array_equal(apart.heat, together.heat)
    np.testing.assert_array_equal(apart.presence.scores, together.presence.scores)


@pytest.mark.parametrize(("across", "expected"), [(0.0, [[24, 32], [28, 32]]), (-0.1, [[24, 32]])])
def test_of_neighbouring_windows_both_count_unless_they_tell_of_the_same_thing(across, expected):
    settings = small(spans=(1.0,), classes=("pencil",))

    def net(tile):
        rows, columns = (
            (side - field) // STRIDE + 1 for side, field in zip(tile.shape[2:], window_size(settings), strict=True)
        )
        outputs = np.zeros((1, 5, rows, columns), np.float32)
        outputs[0, 0] = -9
        outputs[0, 0, 8, 6], outputs[0, 0, 8, 7] = 5, 4
        outputs[0, 1, 8, 7] = across
        outputs[0, 3] = math.log(0.2)  # of 26 pixels
        return outputs

    finds = sweep(net, settings, WholePicture(random_picture(80, 80)), 0.5, 0.4, 10).finds
    middles = (finds.boxes[:, :2] + finds.boxes[:, 2:]) / 2
    np.testing.assert_allclose(middles, expected, atol=0.51)
    np.testing.assert_allclose(finds.boxes[:, 2] - finds.boxes[:, 0], 5.2, rtol=1e-5)


@pytest.mark.parametrize("size", AWKWARD[:4])
def test_boxes_do_not_depend_on_the_tiles(size):
    settings, picture = small(), WholePicture(random_picture(*size))
    net = network(settings).initialize(3)
    one, other = (sweep(net, settings, picture, 0.4, 0.4, 50, tile).finds for tile in (64, 4))
    assert len(one) > 0
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    assert (one.classes == other.classes).all()


def test_any_number_of_threads_gives_the_same_bits():
    settings, picture = small(), random_picture(200, 300)
    net = network(settings).initialize(3)
    swept = []
    for threads in (1, 2, 3, 40):
        with wm.num_threads(threads), wm.precision("exact"):
            swept.append([band.outputs for band in bands(net, settings, Counted(picture), tile=8)])
    for others in swept[1:]:
        for one, other in zip(swept[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_threads_that_look_at_tiles_keep_to_the_settings_of_their_caller():
    settings, picture, seen = small(spans=(1.0,)), random_picture(200, 300), set()
    net = network(settings).initialize(3)

    def watched(tile):
        seen.add((wm.get_precision(), wm.get_num_threads()))
        return net(tile)

    with wm.num_threads(2), wm.precision("exact"):
        list(bands(watched, settings, WholePicture(picture), tile=8))
        assert wm.get_num_threads() == 2
    assert seen == {("exact", 2), ("exact", 1)}


def test_what_goes_wrong_in_a_tile_ends_the_sweep():
    settings, asked = small(spans=(1.0,)), []

    def failing(tile):
        asked.append(tile.shape)
        if len(asked) > 1:
            raise RuntimeError("no more of this")
        return np.zeros((1, 6, 8, 8), np.float32)

    with wm.num_threads(2), pytest.raises(RuntimeError, match="no more of this"):
        list(bands(failing, settings, WholePicture(random_picture(1000, 1000)), tile=8))
    assert len(asked) < 100


@pytest.mark.parametrize("span", [0.28125, 1.0, 1.00390625, 3.51953125])
def test_a_piece_of_a_level_has_the_bits_of_the_whole(span):
    picture = random_picture(90, 140)
    whole = whole_level(picture, span)
    rows, columns = whole.shape[1:]
    rng = np.random.default_rng(1)
    for _ in range(20):
        top, left = int(rng.integers(0, rows)), int(rng.integers(0, columns))
        bottom, right = int(rng.integers(top, rows)) + 1, int(rng.integers(left, columns)) + 1
        piece = piece_of_level(WholePicture(picture), span, top, left, bottom, right)
        np.testing.assert_array_equal(piece, whole[:, top:bottom, left:right])


def test_only_pieces_of_a_tiles_size_are_read():
    settings, picture = small(spans=(1.0, 2.0)), Counted(random_picture(400, 600))
    assert isinstance(picture, Piecewise)
    net = network(settings).initialize(0)
    sweep(net, settings, picture, 0.5, 0.4, 10, tile=8)
    rows, columns = (STRIDE * 7 + side for side in window_size(settings))
    assert picture.largest <= (2 * rows + 6) * (2 * columns + 6)


@wm.precision("exact")
def test_a_score_belongs_to_the_window_around_its_centre():
    """No bit of any other score changes; under fast precision roundings do, within tiles."""
    settings = small(channels=1, spans=(1.0,))
    rows, columns = window_size(settings)
    net = network(settings).initialize(0)
    plain = np.full((1, 160, 180), 128, np.uint8)
    [before] = bands(net, settings, WholePicture(plain))
    x, y = centres(settings, np.array([19]), np.array([23]))
    # the window of row 19 and column 23 changes, and only its pixels
    changed = plain.copy()
    top, left = int(y[0] - rows / 2), int(x[0] - columns / 2)
    changed[0, top : top + rows, left : left + columns] = 255
    [after] = bands(net, settings, WholePicture(changed))
    seen = np.argwhere((before.outputs != after.outputs).any(axis=0))
    np.testing.assert_allclose(seen.min(axis=0) + seen.max(axis=0), (38, 46))
    edge = plain.copy()
    edge[0, :top] = edge[0, top + rows :] = 255
    edge[0, :, :left] = edge[0, :, left + columns :] = 255
    [beside] = bands(net, settings, WholePicture(edge))
    np.testing.assert_allclose(beside.outputs[:, 19, 23], before.outputs[:, 19, 23], atol=1e-6)


@pytest.mark.parametrize("score", [-3e4, -200.0, 200.0, 3e4])
def test_scores_of_any_size_become_probabilities(score):
    settings = small(classes=("one",))
    net = network(settings).initialize(3)
    bias = np.zeros(5, np.float32)
    bias[0] = score
    net.load_state_dict(net.state_dict() | {f"{len(net) - 1}.bias": bias})
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        swept = sweep(net, settings, WholePicture(random_picture(90, 90)), 0.5, 0.4, 50)
    assert (len(swept.finds) > 0) == (score > 0)
    np.testing.assert_allclose(swept.heat, float(score > 0), atol=1e-6)


@pytest.mark.parametrize("most", [1, 300, 5000])
def test_a_level_made_from_small_parts_has_the_same_bits(monkeypatch, most):
    picture = random_picture(90, 140)
    for span in (0.28125, 1.00390625, 7.51953125):
        whole = whole_level(picture, span)
        monkeypatch.setattr(pyramid, "_AT_ONCE", most)
        counted = Counted(picture)
        piece = piece_of_level(counted, span, 0, 0, *whole.shape[1:])
        np.testing.assert_array_equal(piece, whole)
        reach = 2 * (math.ceil(max(span, 1)) + 1) + 1
        assert counted.largest <= (math.sqrt(most) + span + reach) ** 2 * 2


def test_a_large_picture_is_shrunken_to_a_number_of_pixels():
    picture = np.full((3, 200, 300), 90, np.uint8)
    picture[:, 100:110, 150:160] = 200
    same, span = shrunken(WholePicture(picture), 60_000)
    assert span == 1
    np.testing.assert_array_equal(same, picture)
    small, span = shrunken(WholePicture(picture), 15_000)
    assert span == 2
    assert small.shape == (3, 100, 150)
    np.testing.assert_array_equal(np.unique(np.nonzero(small[0] > 150)[0]), np.arange(50, 55))
    assert shrunken(WholePicture(picture[:, :1]), 10)[0].shape == (3, 1, 10)


@pytest.mark.parametrize(("width", "height"), [(2.5, 40.0), (40.0, 3.0), (160.0, 80.0)])
def test_objects_of_other_proportions_than_the_typical_keep_theirs(width, height):
    settings = small(spans=(1.0,))
    rows, columns = window_size(settings)
    typical_height, typical_width = settings.object_size

    def one_find(tile):
        counts = (tile.shape[2] - rows) // STRIDE + 1, (tile.shape[3] - columns) // STRIDE + 1
        outputs = np.zeros((1, 6, *counts), np.float32)
        outputs[:, :2] = -9
        outputs[0, :, 20, 22] = 9, -9, 0, 0, np.log(width / typical_width), np.log(height / typical_height)
        return outputs

    [box] = sweep(one_find, settings, WholePicture(random_picture(400, 400)), 0.5, 0.4, 10).finds.boxes
    np.testing.assert_allclose(box[2:] - box[:2], (width, height), rtol=1e-5)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_answers_that_are_no_numbers_are_refused(number):
    settings = small(spans=(1.0,))
    net = network(settings).initialize(0)

    def broken(tile):
        outputs = net(tile).copy()
        outputs[0, 0, 0, 0] = number
        return outputs

    with pytest.raises(ValueError, match="not finite"):
        sweep(broken, settings, WholePicture(random_picture(100, 100)), 0.5, 0.4, 10)
