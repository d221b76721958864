"""Templates: found where they are, at their scale and angle, to a fraction of a pixel."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

import wimmel as wm
from wimmel.detection import Finds, Template, iou
from wimmel.detection.peaks import peaks
from wimmel.files import write_image


def figure(side=48):
    """Something without symmetry, smooth enough to be turned."""
    picture = Image.new("L", (4 * side, 4 * side), 90)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((60, 20, 130, 90), fill=230)
    draw.rectangle((50, 90, 140, 170), fill=20)
    draw.rectangle((110, 120, 180, 140), fill=160)
    draw.polygon([(20, 180), (60, 100), (70, 180)], fill=250)
    return picture.resize((side, side), Image.Resampling.BOX)


def scene_with(*poses, size=(220, 260), background=90):
    """A noisy gray picture with the figure at each (across, down, scale, angle), and the boxes around them."""
    picture = Image.new("L", size[::-1], background)
    boxes = []
    for across, down, scale, angle in poses:
        side = round(48 * scale)
        thing = figure().resize((side, side), Image.Resampling.BICUBIC)
        turned = thing.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        mask = Image.new("L", thing.size, 255).rotate(angle, expand=True)
        picture.paste(turned, (across, down), mask)
        boxes.append((across, down, across + turned.width, down + turned.height))
    noise = np.random.default_rng(0).normal(0, 4, size)
    return np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8), boxes


def test_every_copy_is_found_once():
    scene, boxes = scene_with((10, 20, 1, 0), (100, 30, 1, 0), (180, 150, 1, 0))
    found = wm.find(np.asarray(figure()), scene)
    assert isinstance(found, Finds)
    assert len(found) == 3
    assert (iou(found.boxes, boxes).max(axis=1) > 0.97).all()
    assert (found.scores > 0.95).all()
    assert (np.diff(found.scores) <= 0).all()
    assert found.poses.tolist() == [[1, 0]] * 3


def test_scales_and_angles_are_told():
    poses = [(10, 10, 1, 0), (90, 20, 1.5, 0), (180, 10, 1, 90), (20, 120, 0.75, 30), (130, 120, 1, -45)]
    scene, boxes = scene_with(*poses)
    template = Template(np.asarray(figure()), scales=(0.75, 1, 1.5), angles=(0, 30, -45, 90), name="waldo")
    found = template.find(scene, threshold=0.85)
    assert len(found) == len(poses)
    assert found.class_names == ("waldo",)
    overlaps = iou(found.boxes, boxes)
    assert (overlaps.max(axis=1) > 0.9).all()
    for place, (scale, angle) in zip(overlaps.argmax(axis=1), found.poses, strict=True):
        assert poses[place][2:] == (scale, angle)


def test_places_are_told_to_a_fraction_of_a_pixel():
    large = np.asarray(figure(192).resize((800, 800), Image.Resampling.BICUBIC))
    for shift in (0, 2, 4, 6):
        canvas = np.full((960, 960), 90, np.uint8)
        canvas[80 + shift : 880 + shift, 40:840] = large
        scene = np.asarray(Image.fromarray(canvas).resize((120, 120), Image.Resampling.BOX))
        sharp = np.asarray(Image.fromarray(large).resize((100, 100), Image.Resampling.BOX))
        found = wm.find(sharp, scene, threshold=0.6)[:1]
        np.testing.assert_allclose(found.boxes[0], [5, 10 + shift / 8, 105, 110 + shift / 8], atol=0.15)


def test_the_surface_of_a_peak_is_followed_to_its_top():
    rows, columns = np.mgrid[:20, :30]
    for top in ((8.3, 20.4), (3.0, 4.5), (15.75, 10.1)):
        down, across = rows - top[0], columns - top[1]
        scores = 1 - 0.02 * down**2 - 0.01 * across**2 - 0.008 * down * across
        np.testing.assert_allclose(peaks(scores.astype(np.float32), 0.9, 1).places[0], top, atol=1e-3)


def test_peaks_at_the_border_stay_where_they_are():
    scores = np.zeros((5, 6), np.float32)
    scores[0, 3], scores[4, 5], scores[2, 2] = 0.9, 0.8, 0.7
    found = peaks(scores, 0.5, 10)
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.7], rtol=1e-6)
    assert found.places.tolist() == [[0, 3], [4, 5], [2, 2]]
    assert len(peaks(scores, 0.5, 2).scores) == 2


def test_files_are_searched_and_brought_to_the_templates_channels(tmp_path):
    scene, boxes = scene_with((30, 40, 1, 0))
    write_image(tmp_path / "scene.png", np.stack([scene] * 3))
    write_image(tmp_path / "waldo.png", np.asarray(figure()))
    found = wm.find(tmp_path / "waldo.png", str(tmp_path / "scene.png"))
    assert iou(found.boxes, boxes)[0, 0] > 0.97
    (tmp_path / "cut.png").write_bytes((tmp_path / "scene.png").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cut\.png could not be read"):
        wm.find(tmp_path / "waldo.png", tmp_path / "cut.png")


def test_what_is_transparent_in_a_templates_file_does_not_count(tmp_path):
    scene, boxes = scene_with((30, 40, 1, 0))
    scene[40:52, 30:42] = np.random.default_rng(1).integers(0, 256, (12, 12))
    layers = np.stack([np.asarray(figure()), np.full((48, 48), 255, np.uint8)], axis=-1)
    Image.fromarray(layers).save(tmp_path / "whole.png")
    layers[:12, :12, 1] = 0
    Image.fromarray(layers).save(tmp_path / "cut.png")
    whole, cut = (Template(tmp_path / name).find(scene, limit=1) for name in ("whole.png", "cut.png"))
    assert iou(cut.boxes, boxes)[0, 0] > 0.97
    assert cut.scores[0] > 0.97 > whole.scores[0]


def test_anything_that_finds_may_stand_in_the_templates_place():
    class Finder:
        def find(self, image, *, threshold=None, overlap=None, limit=None):
            return Finds([[0, 0, limit, limit]], [threshold])

    found = wm.find(Finder(), np.zeros((9, 9)), threshold=0.5, limit=3)
    assert found.boxes.tolist() == [[0, 0, 3, 3]]


def test_settings_choose_among_finds():
    scene, _ = scene_with((10, 20, 1, 0), (100, 30, 1, 0), (180, 150, 1, 0))
    template = Template(np.asarray(figure()))
    assert len(template.find(scene, limit=2)) == 2
    assert len(template.find(scene, threshold=1)) == 0
    assert len(template.find(scene, threshold=0.2, overlap=1)) > 3


def test_scales_too_large_are_passed_over():
    scene, boxes = scene_with((30, 40, 1, 0), size=(100, 100))
    found = Template(np.asarray(figure()), scales=(1, 3)).find(scene)
    assert iou(found.boxes, boxes)[0, 0] > 0.97
    with pytest.raises(ValueError, match="144x144 pixels is larger than the picture of 100x100"):
        Template(np.asarray(figure()), scales=(3, 4)).find(scene)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"picture": np.ones((5, 5))}, "all of one colour"),
        ({"picture": np.full((5, 5), np.nan)}, "template holds numbers that are not finite"),
        ({"picture": np.eye(5), "scales": ()}, "scales"),
        ({"picture": np.eye(5), "scales": (1, 0)}, "scales"),
        ({"picture": np.eye(5), "angles": (np.nan,)}, "angles"),
        ({"picture": np.eye(5), "mask": np.ones((4, 4))}, "mask"),
    ],
)
def test_what_is_no_template_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Template(**arguments)


def test_settings_out_of_range_are_refused():
    template = Template(np.eye(5))
    with pytest.raises(ValueError, match="threshold"):
        template.find(np.eye(9), threshold=0)
    with pytest.raises(ValueError, match="limit"):
        template.find(np.eye(9), limit=0)
    with pytest.raises(ValueError, match="leave that scale out"):
        Template(np.eye(5), scales=(0.1,)).find(np.eye(9))
    with pytest.raises(ValueError, match="3 channels and the picture 1 channel"):
        Template(np.stack([np.eye(5)] * 3)).find(np.eye(9))
