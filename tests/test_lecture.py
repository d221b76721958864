"""The lecture's page: its exact calls print again what stands there, its links lead somewhere, every row has its
tests. And the rows that train, in small: L1, L11, L33 and L38 on the digits that come with wimmel, L9, L10 and L36 on
scenes drawn here.
"""

import re

import numpy as np
import pytest

import wimmel as wm
from page_generators import ROOT, lecture
from wimmel import nn
from wimmel.detection import Scene, average_precision, match_template, teeming_scene
from wimmel.report import feature_maps_pictures

EXPECTED = {f"L{number}" for number in (*range(1, 34), 36, 38)}

ROWS = lecture.read_rows()
FIGURES = lecture.read_figures()
PAGE = lecture.PAGE.read_text(encoding="utf-8")
SECTIONS = re.split(r"^(?=###? )", PAGE, flags=re.MULTILINE)


def test_the_page_has_every_row_once():
    names = [row.name for row in ROWS if row.name]
    assert set(names) == EXPECTED
    assert len(names) == len(EXPECTED)
    assert len(SECTIONS) == len(ROWS)


@pytest.mark.parametrize("place", range(len(ROWS)), ids=[row.name or "text" for row in ROWS])
def test_the_page_shows_what_its_calls_print(place):
    assert SECTIONS[place] == lecture.rendered(ROWS[place], FIGURES)


def test_a_call_that_prints_something_else_is_noticed():
    """That the comparison can fail."""
    row = next(row for row in ROWS if row.name == "L12")
    changed = lecture.Row(
        "L12", tuple(lecture.Part(p.kind, p.text.replace("arange(9)", "arange(1, 10)")) for p in row.parts)
    )
    assert lecture.rendered(changed, FIGURES) not in PAGE
    assert lecture.rendered(row, FIGURES) in PAGE


def test_figures_of_code_that_changed_are_refused():
    row = lecture.Row("L1", (lecture.Part("python measured", "accuracy = {}\n"),))
    with pytest.raises(
        ValueError, match=r"has changed since it was measured; run: python docs/make_lecture.py --measure L1"
    ):
        lecture.rendered(row, FIGURES)
    with pytest.raises(ValueError, match="was never measured"):
        lecture.rendered(row, {})


def test_links_and_pictures_of_the_page_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (lecture.DOCS / target).exists(), target


@pytest.mark.parametrize("section", [s for s in SECTIONS if s.startswith("### L")], ids=lambda s: s.split()[1])
def test_every_row_links_to_tests_named_after_it(section):
    number = int(section.split()[1][1:])
    linked = re.findall(r"\]\(\.\./(tests/[^)]+)\)", section)
    assert linked
    for path in linked:
        assert re.search(rf"def test_L0?{number}_", (ROOT / path).read_text(encoding="utf-8")), path


# the trained rows in small: 1,797 digits of 8 x 8 pixels, a quarter of them to test on

DIGITS = wm.data.digits()
TRAIN, TEST = DIGITS.split(0.25, seed=0)


def perceptron(hidden=(128,)):
    return wm.models.mlp((1, 8, 8), 10, hidden, seed=0)


def convolutional():
    layers = []
    for channels, following in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(channels, following, 3, padding=1), nn.BatchNorm2d(following), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10)).initialize(0)


def accuracy(net, train=TRAIN, test=TEST, epochs=3, batch_size=32):
    trainer = wm.Trainer(net, wm.optim.Adam(3e-3), batch_size=batch_size, schedule="one-cycle")
    trainer.fit(train, epochs=epochs, progress=False)
    return wm.evaluate(net, test).accuracy


def permuted(data):
    order = np.random.default_rng(0).permutation(64)
    pixels = data.images.reshape(len(data), 64)[:, order]
    return wm.data.Dataset(pixels.reshape(data.images.shape), data.labels, data.classes)


def test_L1_an_mlp_trained_on_permuted_pixels_is_the_same_network_with_permuted_columns():
    """Through a whole training, if the first weights are permuted alike: nothing in an MLP knows where a pixel was."""
    order = np.random.default_rng(0).permutation(64)
    net, shuffled = perceptron(), perceptron()
    shuffled[1].weight = net[1].weight[:, order]
    pictures = TRAIN.images.reshape(len(TRAIN), 64).astype(np.float32) / 255
    for trained, images in ((net, pictures), (shuffled, pictures[:, order])):
        trainer = wm.Trainer(trained, wm.optim.SGD(0.1))
        trainer.fit((images, TRAIN.labels), epochs=2, progress=False)
    np.testing.assert_allclose(shuffled[1].weight, net[1].weight[:, order], atol=1e-4)
    np.testing.assert_allclose(shuffled(pictures[:, order]), net(pictures), atol=1e-3)


def test_L1_permuted_pixels_hurt_a_cnn_and_not_an_mlp():
    for_mlp = accuracy(perceptron(), epochs=5) - accuracy(perceptron(), permuted(TRAIN), permuted(TEST), epochs=5)
    for_cnn = accuracy(convolutional()) - accuracy(convolutional(), permuted(TRAIN), permuted(TEST))
    assert abs(for_mlp) < 0.015
    assert for_cnn > 0.012


def test_L11_a_network_of_1d_convolutions_reads_digits_column_by_column():
    net = nn.Sequential(nn.Flatten(1, 2), *wm.models.sequence_network(channels=8, classes=10)).initialize(0)
    assert all(not isinstance(layer, nn.Conv2d) for layer in net)
    assert accuracy(net) > 0.93


def test_L33_lenet_learns_real_digits():
    assert accuracy(wm.models.lenet(size=(8, 8), width=(16, 32), seed=0), epochs=5) > 0.93


def test_L38_a_cnn_learns_more_from_300_digits_than_an_mlp_with_more_parameters():
    assert convolutional().parameter_count() < perceptron().parameter_count()
    few = TRAIN.take(300, seed=0)
    assert (
        accuracy(convolutional(), few, epochs=10, batch_size=16)
        > accuracy(perceptron(), few, epochs=10, batch_size=16) + 0.01
    )


# things to find: light squares, and dark ones, on noise

QUICK = {"steps": 60, "batch_size": 32, "rounds": 2, "learning_rate": 4e-3, "widths": (12, 16, 24, 32, 48)}


def drawn(seed, light=1, dark=1):
    """A scene of 64 x 96 pixels with so many squares of 16 x 16, apart from each other; the light are of class 0."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(90, 140, (1, 64, 96)).astype(np.uint8)
    places = rng.permutation(6)[: light + dark]
    boxes = [[32 * (place % 3) + 8, 32 * (place // 3) + 8, 32 * (place % 3) + 24, 32 * (place // 3) + 24]
             for place in places]  # fmt: skip
    for number, (left, top, right, bottom) in enumerate(boxes):
        picture[0, top:bottom, left:right] = 240 if number < light else 10
    return picture, boxes, np.array([0] * light + [1] * dark, int)


def test_L9_the_scores_of_a_picture_of_him_peak_where_he_is():
    scene = teeming_scene(5, figures=40, hidden=0.0, size=(200, 240))
    left, top, right, bottom = scene.boxes[0].round().astype(int)
    scores = match_template(scene.picture, scene.picture[:, top:bottom, left:right])
    assert np.unravel_index(scores.argmax(), scores.shape) == (top, left)
    assert scores.max() > 0.99


def test_L9_a_detector_that_was_taught_peaks_where_it_is_and_tells_whether_there_is_one():
    pictures, boxes, _ = zip(*(drawn(seed, dark=0) for seed in range(4)), strict=True)
    detector = wm.Detector(**QUICK).fit(pictures, boxes)
    for seed in range(100, 104):
        picture, (box, *_), _ = drawn(seed, dark=2)
        heat = detector.look(picture).heat
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        high, wide = (side / count for side, count in zip(picture.shape[1:], heat.shape, strict=True))
        assert box[0] <= wide * (column + 0.5) <= box[2]
        assert box[1] <= high * (row + 0.5) <= box[3]
        assert heat.max() > detector.look(drawn(seed, light=0, dark=3)[0]).heat.max()


def test_L10_a_direction_in_channel_space_detects_edges_where_no_single_channel_does():
    layer = nn.Conv2d(1, 16, 5).initialize(0)

    def channels_and_edges(seed):
        picture = teeming_scene(seed, 40, size=(128, 160)).pixels(channels=1) / np.float32(255)
        windows = np.lib.stride_tricks.sliding_window_view(picture[0], (5, 5))
        edges = windows[..., 3:].mean(axis=(2, 3)) - windows[..., :2].mean(axis=(2, 3))
        return layer(picture[np.newaxis])[0].reshape(16, -1).T, edges.ravel()

    channels, edges = channels_and_edges(0)
    direction = np.linalg.lstsq(channels - channels.mean(axis=0), edges, rcond=None)[0]
    channels, edges = channels_and_edges(1)
    best = max(abs(np.corrcoef(channel, edges)[0, 1]) for channel in channels.T)
    assert np.corrcoef(channels @ direction, edges)[0, 1] > max(0.9, best + 0.1)


def test_L10_every_channel_of_every_layer_has_its_picture(tmp_path):
    net = wm.models.lenet(size=(8, 8), width=(4, 6), seed=0)
    pages = feature_maps_pictures(net, np.float32(TEST.images[0] / 255), tmp_path, layers=("0", "1", "2", "3"))
    assert [page.name for page in pages] == ["layer-0.png", "layer-1.png", "layer-2.png", "layer-3.png"]
    assert all(page.stat().st_size > 1000 for page in pages)


def test_L36_things_of_two_kinds_are_found_and_told_apart():
    pictures, boxes, classes = zip(*(drawn(seed) for seed in range(6)), strict=True)
    detector = wm.Detector(**QUICK).fit(pictures, boxes, classes=classes, class_names=("light", "dark"))
    scenes = [Scene(*drawn(seed, 2, 2), ("light", "dark")) for seed in range(100, 104)]
    found = [detector.find(scene.picture, threshold=0.01) for scene in scenes]
    assert average_precision(found, scenes) > 0.9
