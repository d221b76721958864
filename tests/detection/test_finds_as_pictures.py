"""Finds as pictures: frames lie where boxes are, heat where scores are high, the best finds on one page."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from wimmel.detection import Finds, Scene, annotated, finds_picture, heat_map, match_template, overview, pictures
from wimmel.detection.pictures import _told_apart
from wimmel.files import open_image, read_image, write_image

ORANGE, BLUE = [213, 94, 0], [0, 114, 178]
GRAY = np.full((120, 160), 200, np.uint8)


def places_of(picture, colour):
    return np.argwhere((picture == np.array(colour)[:, None, None]).all(axis=0))


def test_frames_lie_on_the_edges_of_boxes():
    framed = annotated(
        GRAY, Finds([[20, 30, 80, 90], [100, 10, 150, 50]], [0.5, 0.6], [0, 1], ("a", "b")), labels=False
    )
    assert framed.shape == (3, 120, 160)
    for colour, (left, top, right, bottom) in ((ORANGE, (20, 30, 80, 90)), (BLUE, (100, 10, 150, 50))):
        rows, columns = places_of(framed, colour).T
        assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (top, bottom, left, right)
    assert (framed[:, 40:80, 40:60] == 200).all()


def test_labels_are_written_above_or_where_there_is_no_room_inside():
    found = Finds([[20, 60, 80, 100], [90, 0, 150, 50]], [0.5, 0.61], [0, 1], ("a", "b"))
    bare, labelled = annotated(GRAY, found, labels=False), annotated(GRAY, found)
    changed = (bare != labelled).any(axis=0)
    assert changed[:60, 20:80].any(), "above the first box"
    assert changed[:20, 90:150].any(), "inside the second"
    assert not changed[101:].any()


def test_the_best_find_is_on_top():
    box = [20, 30, 80, 90]
    for first, second in ((0, 1), (1, 0)):
        framed = annotated(GRAY, Finds([box, box], [0.5, 0.9], [first, second], ("a", "b")), labels=False)
        assert len(places_of(framed, (ORANGE, BLUE)[second]))
        assert not len(places_of(framed, (ORANGE, BLUE)[first]))


def test_boxes_beyond_the_picture_and_without_area_are_drawn_as_far_as_they_go():
    framed = annotated(GRAY, Finds([[-50, -50, 300, 300], [40, 40, 40, 40], [300, 300, 400, 400]], [1, 1, 1]))
    assert framed[:, 0, 0].tolist() == ORANGE


def test_scenes_and_files_are_drawn_too(tmp_path):
    write_image(tmp_path / "scene.png", GRAY)
    names = ("größer", "Влад")
    framed = annotated(tmp_path / "scene.png", Scene(tmp_path / "scene.png", [[20, 60, 80, 100]] * 2, [0, 1], names))
    assert len(places_of(framed, BLUE)) > 100


def test_nothing_found_leaves_the_picture_as_it_is():
    assert (annotated(GRAY, Finds([], [])) == 200).all()


def test_heat_is_where_scores_are_high():
    scores = np.zeros((12, 16))
    scores[3, 11] = 5
    glowing = heat_map(GRAY, scores).astype(int)
    warm = glowing[0] - glowing[2]
    row, column = np.argwhere(warm > 30).mean(axis=0)
    assert abs(row - 35) <= 8
    assert abs(column - 115) <= 8
    assert (warm[60:] == 0).all()


def test_heat_covers_the_part_that_the_map_does():
    draw = np.random.default_rng(0)
    scene = draw.integers(0, 256, (120, 160)).astype(np.uint8)
    template = scene[60:90, 100:140]
    glowing = heat_map(scene, match_template(scene, template), (20, 15, 140, 105), low=0.2).astype(int)
    row, column = np.unravel_index((glowing[0] - glowing[2]).argmax(), scene.shape)
    assert abs(row - 75) <= 2
    assert abs(column - 120) <= 2


def test_a_map_without_any_heat_is_no_error():
    assert heat_map(GRAY, np.zeros((3, 3))).shape == (3, 120, 160)


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((0, 3)), np.full((2, 2), np.nan)])
def test_what_is_no_map_is_refused(scores):
    with pytest.raises(ValueError, match="map of scores"):
        heat_map(GRAY, scores)


def test_the_best_finds_stand_on_one_page(tmp_path):
    scene = np.stack([GRAY, GRAY // 2, GRAY // 4])
    many = Finds(np.tile([20.0, 30, 40, 50], (30, 1)), np.linspace(0.1, 0.9, 30))
    some = Finds([[0, 0, 10, 10], [150, 110, 170, 130], [5, 5, 5, 5]], [1, 0.95, 0.2])
    finds_picture({"a.png": scene, "b.png": GRAY}, {"a.png": many, "b.png": some}, tmp_path / "page.png", limit=12)
    channels, height, width = read_image(tmp_path / "page.png").shape
    assert channels == 3
    assert 300 < height < width
    finds_picture({"a.png": scene}, {"a.png": Finds([], [])}, tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"finds in b\.png, but no picture"):
        finds_picture({"a.png": scene}, {"b.png": some}, tmp_path / "page.png")


def save(path, mode, **settings):
    Image.new(mode, (160, 120), 90 if mode in ("P", "L", "I;16") else None).save(path, **settings)
    return path


@pytest.mark.parametrize(
    "mode, suffix", [("CMYK", "jpg"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("I;16", "png"), ("1", "png")]
)
def test_pictures_of_every_kind_are_drawn_on(tmp_path, mode, suffix):
    path = save(tmp_path / f"scene.{suffix}", mode)
    framed = annotated(path, Finds([[20, 30, 80, 90]], [1.0]), labels=False)
    assert len(places_of(framed, ORANGE)) > 200


def test_a_turned_picture_is_drawn_upright_and_a_cut_one_refused(tmp_path):
    note = Image.Exif()
    note[0x0112] = 6
    path = save(tmp_path / "turned.jpg", "RGB", exif=note)
    assert annotated(path, Finds([], [])).shape == (3, 160, 120)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"cut\.jpg could not be read"):
        annotated(cut, Finds([], []))


def test_a_peak_of_a_single_cell_glows_as_much_as_a_broad_one():
    scores = np.zeros((60, 80))
    scores[13, 14] = scores[40:43, 54:57] = 1
    glowing = heat_map(np.full((480, 640), 200, np.uint8), scores).astype(int)
    warm = glowing[0] - glowing[2]
    assert warm[108, 116] > 0.8 * warm[332, 444]


def test_an_overview_has_the_finds_the_heat_and_the_best_find_from_near():
    scene = GRAY.copy()
    scene[40:60, 100:110] = 10
    found = Finds([[10, 80, 30, 110], [100, 40, 110, 60]], [0.6, 0.9])
    heat = np.zeros((15, 20))
    heat[6, 13] = 0.9
    page = overview(scene, found, heat)
    assert page.shape == (3, 120, 160 + 8 + 75)
    assert (page[:, :, :160] == annotated(scene, found)).all()
    right = page[:, :, 168:].astype(int)
    row, column = np.argwhere(right[0, :56] - right[2, :56] > 60).mean(axis=0)
    assert abs(row - 6.5 * 56 / 15) < 5
    assert abs(column - 13.5 * 75 / 20) < 5
    near = right[:, 64:]
    assert (near[:, 0] == np.array(ORANGE)[:, None]).all()
    dark = np.argwhere(near[0] < 60)
    np.testing.assert_allclose(dark.mean(axis=0), (27.5, 37), atol=2)
    assert dark[:, 0].max() - dark[:, 0].min() > 28, "from near"


def test_an_overview_without_finds_shows_the_middle_from_near():
    page = overview(GRAY, Finds([], []), np.zeros((15, 20)))
    assert (page[:, 70:, 170:] == 200).all()


def test_an_overview_at_the_pictures_edge_stays_inside():
    for box in ([0, 0, 5, 9], [150, 115, 160, 120], [0, 0, 160, 120]):
        assert overview(GRAY, Finds([box], [1]), np.zeros((15, 20))).shape == (3, 120, 243)


def test_pictures_on_a_page_are_called_by_what_tells_them_apart():
    assert _told_apart(["a/x.png"]) == {"a/x.png": ""}
    assert _told_apart(["a/x.png", "a/y.png"]) == {"a/x.png": "x.png", "a/y.png": "y.png"}
    assert _told_apart(["a/x.png", "b/x.png"]) == {"a/x.png": "a/x.png", "b/x.png": "b/x.png"}


def test_a_large_picture_is_drawn_smaller_with_its_boxes_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST_DRAWN", 120 * 160 // 4)
    tifffile.imwrite(tmp_path / "scene.tif", GRAY, tile=(32, 32))
    found = Finds([[20, 30, 80, 90]], [0.5])
    for given in (GRAY, tmp_path / "scene.tif", open_image(tmp_path / "scene.tif")):
        framed = annotated(given, found, labels=False)
        assert framed.shape == (3, 60, 80)
        rows, columns = places_of(framed, ORANGE).T
        assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (15, 45, 10, 40)
        scores = np.zeros((12, 16))
        scores[3, 11] = 5
        glowing = heat_map(given, scores, (0, 0, 160, 120)).astype(int)
        assert glowing.shape == (3, 60, 80)
        row, column = np.argwhere(glowing[0] - glowing[2] > 30).mean(axis=0)
        assert abs(row - 17.5) <= 4
        assert abs(column - 57.5) <= 4


def test_tiles_of_the_page_are_cut_from_the_full_picture(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(pictures, "tiles_page", lambda path, title, subtitle, tiles: shown.extend(tiles))
    monkeypatch.setattr(pictures, "LARGEST_DRAWN", 100)
    scene = np.random.default_rng(0).integers(0, 256, (120, 160)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "scene.tif", scene, tile=(32, 32))
    write_image(tmp_path / "other.png", scene)
    names = (str(tmp_path / "scene.tif"), str(tmp_path / "other.png"))
    found = (Finds([[20, 30, 40, 50], [100, 60, 110, 70]], [0.9, 0.5]), Finds([[50, 50, 60, 70]], [0.7]))
    finds_picture({name: name for name in names}, dict(zip(names, found, strict=True)), tmp_path / "page.png")
    boxes = ((14, 24, 46, 56), (47, 44, 63, 76), (97, 57, 113, 73))
    assert len(shown) == 3
    for tile, (left, top, right, bottom) in zip(shown, boxes, strict=True):
        assert tile.picture.shape[0] == 3
        np.testing.assert_array_equal(tile.picture[0], scene[top:bottom, left:right])
