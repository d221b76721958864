"""The pictures about trained networks: they are there, readable for any number of classes, and show what is so."""

import subprocess
import sys

import numpy as np
import pytest

from wimmel import nn
from wimmel.data import Dataset, Preprocessing
from wimmel.files import read_image
from wimmel.models import lenet
from wimmel.report import (
    confusion_matrix_picture,
    feature_maps_picture,
    feature_maps_pictures,
    history_picture,
    layer_answers,
    mistakes_picture,
    predictions_picture,
)
from wimmel.report.canvas import counted, page, percent, shortened
from wimmel.train import Epoch, Evaluation, History

BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)


def evaluation_of(labels, predictions, classes, sureness=0.9):
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    probabilities = np.full((len(labels), len(classes)), (1 - sureness) / max(len(classes) - 1, 1), np.float32)
    probabilities[np.arange(len(labels)), predictions] = sureness
    return Evaluation(labels, probabilities, 0.5, tuple(classes))


def random_evaluation(count, names=None, examples=600):
    generator = np.random.default_rng(count)
    labels = generator.integers(0, count, examples)
    predictions = np.where(generator.random(examples) < 0.8, labels, generator.integers(0, count, examples))
    return evaluation_of(labels, predictions, names or [f"class {number}" for number in range(count)])


def pixels_like(path, colour, tolerance=60):
    """How many of the picture's pixels have nearly this hue: mixed with white to any degree but the palest."""
    picture = read_image(path).astype(float)
    depth = (255 - picture).sum(axis=0) / (3 * 255 - sum(colour))
    with np.errstate(divide="ignore", invalid="ignore"):
        full = 255 - (255 - picture) / np.maximum(depth, 1e-9)
    near = np.abs(full - np.array(colour)[:, None, None]).max(axis=0) < tolerance
    return int((near & (depth > 0.1)).sum())


@pytest.mark.parametrize("count", [1, 2, 10, 30, 31, 100, 200])
def test_a_confusion_matrix_is_drawn_for_any_number_of_classes(tmp_path, count):
    confusion_matrix_picture(random_evaluation(count), tmp_path / "matrix.png")
    channels, height, width = read_image(tmp_path / "matrix.png").shape
    assert channels == 3
    assert 200 < height < 2600
    assert 200 < width < 2600


def test_right_answers_are_blue_and_only_mistakes_are_orange(tmp_path):
    labels = np.arange(40) % 4
    confusion_matrix_picture(evaluation_of(labels, labels, "abcd"), tmp_path / "right.png")
    confusion_matrix_picture(evaluation_of(labels, (labels + 1) % 4, "abcd"), tmp_path / "wrong.png")
    assert pixels_like(tmp_path / "right.png", BLUE) > 10_000
    assert pixels_like(tmp_path / "right.png", ORANGE) == 0
    assert pixels_like(tmp_path / "wrong.png", ORANGE) > 10_000


def test_a_single_mistake_among_thousands_shows(tmp_path):
    labels = np.repeat([0, 1], 5000)
    predictions = labels.copy()
    predictions[0] = 1
    confusion_matrix_picture(evaluation_of(labels, predictions, ["cat", "dog"]), tmp_path / "matrix.png")
    assert pixels_like(tmp_path / "matrix.png", ORANGE) > 1000


@pytest.mark.filterwarnings("error")
def test_names_of_any_kind_are_drawn_as_they_are(tmp_path):
    names = [
        "$5 and $10",
        "a_very_long_name_that_nobody_wants_to_read_to_its_end",
        "日本語",
        "two\nlines",
        "",
        "\\frac{1}{2}",
    ]
    confusion_matrix_picture(random_evaluation(6, names), tmp_path / "matrix.png")
    images = np.zeros((600, 1, 8, 8), np.uint8)
    evaluation = random_evaluation(6, names)
    mistakes_picture(Dataset(images, evaluation.labels, names), evaluation, tmp_path / "mistakes.png")
    predictions_picture(images[:3], evaluation.probabilities[:3], names, tmp_path / "predictions.png", ["$1$.png"] * 3)


def test_a_class_without_pictures_has_no_recall_and_does_no_harm(tmp_path):
    confusion_matrix_picture(evaluation_of([0, 0, 1], [0, 1, 1], "abc"), tmp_path / "matrix.png")
    assert read_image(tmp_path / "matrix.png").size


def test_the_page_of_mistakes_shows_the_surest_mistakes_and_nothing_else(tmp_path):
    # Mistakes are red pictures, the surest one green, right answers blue: the page shows which it took.
    images = np.zeros((30, 3, 10, 10), np.uint8)
    images[:, 2] = 255
    images[5:25, 2] = 0
    images[5:25, 0] = 255
    images[20, 0], images[20, 1] = 0, 255
    labels = np.zeros(30, np.int64)
    predictions = np.zeros(30, np.int64)
    predictions[5:25] = 1
    evaluation = evaluation_of(labels, predictions, "ab", sureness=0.7)
    evaluation.probabilities[20] = [0.01, 0.99]
    dataset = Dataset(images, labels, ("a", "b"))
    mistakes_picture(dataset, evaluation, tmp_path / "all.png")
    mistakes_picture(dataset, evaluation, tmp_path / "one.png", limit=1)
    shown = {name: read_image(tmp_path / f"{name}.png").reshape(3, -1).T.tolist() for name in ("all", "one")}
    assert [255, 0, 0] in shown["all"]
    assert [0, 255, 0] in shown["all"]
    assert [0, 0, 255] not in shown["all"]
    assert [0, 255, 0] in shown["one"]
    assert [255, 0, 0] not in shown["one"]


def test_a_network_without_mistakes_gets_a_page_that_says_so(tmp_path):
    labels = np.zeros(3, np.int64)
    dataset = Dataset(np.zeros((3, 1, 8, 8), np.uint8), labels, ("a",))
    mistakes_picture(dataset, evaluation_of(labels, labels, "a"), tmp_path / "mistakes.png")
    assert (read_image(tmp_path / "mistakes.png") < 100).any()


def test_mistakes_of_another_data_set_are_refused(tmp_path):
    dataset = Dataset(np.zeros((3, 1, 8, 8), np.uint8), np.zeros(3, np.int64), ("a", "b"))
    with pytest.raises(ValueError, match=r"The evaluation is of 2 pictures, the data set has 3"):
        mistakes_picture(dataset, evaluation_of([0, 1], [0, 1], "ab"), tmp_path / "mistakes.png")


@pytest.mark.parametrize("count", [1, 2, 9, 70])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 90), (3, 200, 20)])
def test_predictions_of_pictures_of_any_shape(tmp_path, count, shape):
    images = np.full((count, *shape), 128, np.uint8)
    probabilities = np.tile(np.array([0.7, 0.2, 0.1]), (count, 1))
    predictions_picture(images, probabilities, ("cat", "dog", "cow"), tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape[2] > 300


def test_predictions_that_do_not_fit_are_refused(tmp_path):
    images = np.zeros((3, 1, 8, 8), np.uint8)
    with pytest.raises(ValueError, match=r"shape \(3, 2\)"):
        predictions_picture(images, np.ones((3, 4)), ("a", "b"), tmp_path / "p.png")
    with pytest.raises(ValueError, match="2 names"):
        predictions_picture(images, np.ones((3, 2)), ("a", "b"), tmp_path / "p.png", ["x", "y"])


def test_a_prediction_is_marked_wrong_only_where_the_truth_is_known(tmp_path):
    images = np.full((4, 1, 8, 8), 128, np.uint8)
    probabilities = np.tile(np.array([0.7, 0.3]), (4, 1))
    for name, labels in (("unknown", None), ("right", [0] * 4), ("wrong", [0, 0, 1, 0])):
        predictions_picture(images, probabilities, ("cat", "dog"), tmp_path / f"{name}.png", labels=labels)
    orange = {name: pixels_like(tmp_path / f"{name}.png", ORANGE) for name in ("unknown", "right", "wrong")}
    assert orange["unknown"] == orange["right"] == 0
    assert orange["wrong"] > 20
    with pytest.raises(ValueError, match="as many labels"):
        predictions_picture(images, probabilities, ("cat", "dog"), tmp_path / "no.png", labels=[0])


def test_the_first_of_many_pictures_are_called_so(tmp_path):
    images, probabilities = np.full((4, 1, 8, 8), 128, np.uint8), np.tile(np.array([0.7, 0.3]), (4, 1))
    predictions_picture(images, probabilities, ("cat", "dog"), tmp_path / "all.svg")
    predictions_picture(images, probabilities, ("cat", "dog"), tmp_path / "some.svg", total=120)
    titles = {name: (tmp_path / f"{name}.svg").read_text(encoding="utf-8") for name in ("all", "some")}
    assert "4 pictures, recognised" in titles["all"]
    assert "The first 4 of 120 pictures, recognised" in titles["some"]


EPOCHS = tuple(Epoch(n, 2.0 / n, 1 - 0.9 / n, 2.2 / n, 1 - 1.0 / n, 0.01) for n in range(1, 13))


@pytest.mark.parametrize(
    "history",
    [
        History(EPOCHS),
        History(EPOCHS[:1]),
        History(tuple(Epoch(e.epoch, e.loss, e.accuracy, None, None, 0.1) for e in EPOCHS), interrupted=True),
        History(tuple(Epoch(e.epoch, e.loss, None, e.validation_loss, None, 0.1) for e in EPOCHS), stopped_early=True),
        History((Epoch(1, float("nan"), 0.1, float("inf"), 0.1, 0.1),)),
        History(tuple(Epoch(n, 0.0, 1.0, 0.0, 1.0, 0.1) for n in range(1, 4))),
    ],
    ids=["validated", "one epoch", "interrupted", "without accuracy", "not finite", "perfect"],
)
def test_a_history_is_drawn(tmp_path, history):
    history_picture(history, tmp_path / "history.png")
    assert read_image(tmp_path / "history.png").shape[1] > 200


def test_validation_is_blue_and_absent_where_there_was_none(tmp_path):
    history_picture(History(EPOCHS), tmp_path / "with.png")
    without = tuple(Epoch(e.epoch, e.loss, e.accuracy, None, None, 0.1) for e in EPOCHS)
    history_picture(History(without), tmp_path / "without.png")
    assert pixels_like(tmp_path / "with.png", BLUE) > 500
    assert pixels_like(tmp_path / "without.png", BLUE, tolerance=20) == 0


def test_a_history_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="without epochs"):
        history_picture(History(), tmp_path / "history.png")


@pytest.fixture
def net():
    network = lenet(3, size=(12, 14), seed=1)
    network.preprocessing = Preprocessing((1, 12, 14), (0.2,), (0.5,))
    return network


def test_a_layers_answers_are_those_of_the_network_cut_off_behind_it(net):
    image = np.random.default_rng(0).integers(0, 256, (1, 12, 14)).astype(np.uint8)
    entering = (image[np.newaxis] / np.float32(255) - np.float32(0.2)) / np.float32(0.5)
    for place in (0, 2, 5, 6, 11):
        expected = nn.Sequential(*net.layers[: place + 1])(entering)[0]
        np.testing.assert_allclose(layer_answers(net, image, str(place)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["0", "1", "5"])
def test_feature_maps_are_drawn(tmp_path, net, layer):
    feature_maps_picture(net, np.full((1, 12, 14), 200, np.uint8), layer, tmp_path / "maps.png")
    feature_maps_picture(net, np.ones((1, 12, 14), np.float32), layer, tmp_path / "floats.png", limit=2)
    assert read_image(tmp_path / "maps.png").shape[2] > read_image(tmp_path / "floats.png").shape[2] > 200


def test_layers_without_a_map_are_refused_by_name(tmp_path, net):
    image = np.zeros((1, 12, 14), np.uint8)
    with pytest.raises(ValueError, match=r"Layer 11 gives .* without rows and columns"):
        feature_maps_picture(net, image, "11", tmp_path / "maps.png")
    with pytest.raises(ValueError, match="There is no layer '99'; there are: 0, 1, 2"):
        feature_maps_picture(net, image, "99", tmp_path / "maps.png")
    with pytest.raises(ValueError, match="no preprocessing"):
        feature_maps_picture(lenet(size=(12, 14)), image, "0", tmp_path / "maps.png")


def test_every_activation_with_rows_and_columns_gets_a_page_and_others_if_asked_for(tmp_path, net):
    image = np.random.default_rng(0).integers(0, 256, (1, 12, 14)).astype(np.uint8)
    pages = feature_maps_pictures(net, image, tmp_path)
    assert [page.name for page in pages] == ["layer-1.png", "layer-4.png"]
    [chosen] = feature_maps_pictures(net, image, tmp_path, layers=["0"])
    feature_maps_picture(net, image, "0", tmp_path / "alone.png")
    assert chosen.read_bytes() == (tmp_path / "alone.png").read_bytes()
    with pytest.raises(ValueError, match="There is no layer '99'"):
        feature_maps_pictures(net, image, tmp_path, layers=["0", "99"])
    convolution = nn.Sequential(nn.Conv2d(1, 2, 3)).initialize(0)
    assert [page.name for page in feature_maps_pictures(convolution, image / np.float32(255), tmp_path)] == [
        "layer-0.png"
    ]


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".jpg", b"\xff\xd8")]
)
def test_the_suffix_chooses_the_format(tmp_path, suffix, start):
    confusion_matrix_picture(random_evaluation(3), tmp_path / f"matrix{suffix}")
    assert (tmp_path / f"matrix{suffix}").read_bytes().startswith(start)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_result_gives_the_same_file(tmp_path, suffix):
    for name in ("a", "b"):
        confusion_matrix_picture(random_evaluation(3), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"end its name in .png, .svg or .pdf"):
        confusion_matrix_picture(random_evaluation(3), tmp_path / "matrix.docx")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        confusion_matrix_picture(random_evaluation(3), tmp_path / "absent" / "matrix.png")


def test_a_failure_leaves_the_older_picture(tmp_path):
    path = tmp_path / "page.png"
    path.write_bytes(b"older")
    with pytest.raises(RuntimeError), page(path, 2, 2):
        raise RuntimeError
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_the_callers_matplotlib_neither_changes_nor_plays_a_part(tmp_path):
    import matplotlib

    confusion_matrix_picture(random_evaluation(3), tmp_path / "plain.png")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "savefig.facecolor": "red"}):
        before = {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}
        confusion_matrix_picture(random_evaluation(3), tmp_path / "styled.png")
        assert {name: matplotlib.rcParams[name] for name in before} == before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_no_backend_is_chosen_for_the_caller(tmp_path):
    program = (
        "import sys; from wimmel.report import history_picture; assert 'matplotlib' not in sys.modules; "
        "from wimmel.train import Epoch, History; "
        "history_picture(History((Epoch(1, 1.0, 0.5, None, None, 0.1),)), sys.argv[1]); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "history.png")], check=True)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.5, "50%"),
        (0.985, "98%"),
        (0.996, "99.6%"),
        (0.9999, ">99.9%"),
        (0.004, "0.4%"),
        (1e-9, "<0.1%"),
    ],
)
def test_a_share_is_never_rounded_to_certainty(share, text):
    assert percent(share) == text


def test_numbers_and_names_as_people_write_them():
    assert [counted(n, "class", "classes") for n in (0, 1, 1234)] == ["0 classes", "1 class", "1,234 classes"]
    assert shortened("exactly ten", 11) == "exactly ten"
    assert shortened("one too many", 11) == "one too ma…"
    assert shortened("two\n lines", 20) == "two lines"
