"""Annotations in: the same boxes in every format give the same scenes, wherever the files lie."""

import json

import numpy as np
import pytest

from wimmel.detection import Finds, Scene, read_annotations, write_boxes
from wimmel.files import write_image, write_text

SIZES = {"one.png": (40, 60), "two.png": (50, 30), "none.png": (20, 20)}
BOXES = {
    "one.png": [("waldo", (3, 4, 13, 24)), ("wenda", (30, 10, 50, 40)), ("waldo", (0, 0, 60, 40))],
    "two.png": [("wenda", (5, 25, 10, 50))],
    "none.png": [],
}
NAMES = ("waldo", "wenda")


def pictures_in(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        write_image(folder / name, np.zeros(size, np.uint8))


def coco(folder):
    images = [
        {"id": 10 + number, "file_name": name, "height": SIZES[name][0], "width": SIZES[name][1]}
        for number, name in enumerate(BOXES)
    ]
    categories = [{"id": 7, "name": "waldo"}, {"id": 3, "name": "wenda"}]
    annotations = [
        {"id": 1, "image_id": 10 + image, "category_id": 7 if name == "waldo" else 3, "bbox": [x, y, r - x, b - y]}
        for image, boxes in enumerate(BOXES.values())
        for name, (x, y, r, b) in boxes
    ]
    content = {"images": images, "categories": categories, "annotations": annotations}
    write_text(folder / "instances.json", json.dumps(content))
    return folder / "instances.json"


def voc(folder):
    for picture, boxes in BOXES.items():
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object>\n"
            for name, (left, top, right, bottom) in boxes
        )
        height, width = SIZES[picture]
        size = f"<size><width>{width}</width><height>{height}</height><depth>1</depth></size>"
        text = f"<annotation><filename>{picture}</filename>{size}{objects}</annotation>"
        write_text((folder / picture).with_suffix(".xml"), text)
    return folder


def yolo(folder):
    write_text(folder / "classes.txt", "waldo\nwenda\n")
    for picture, boxes in BOXES.items():
        height, width = SIZES[picture]
        lines = [
            f"{NAMES.index(name)} {(left + right) / 2 / width} {(top + bottom) / 2 / height} "
            f"{(right - left) / width} {(bottom - top) / height}"
            for name, (left, top, right, bottom) in boxes
        ]
        if lines:
            write_text((folder / picture).with_suffix(".txt"), "\n".join(lines))
    return folder


def labelme(folder):
    for picture, boxes in BOXES.items():
        height, width = SIZES[picture]
        shapes = [
            {"label": name, "shape_type": "rectangle", "points": [[right, top], [left, bottom]]}
            if number
            else {"label": name, "points": [[left, top], [right, top + 1], [left + 2, bottom]]}
            for number, (name, (left, top, right, bottom)) in enumerate(boxes)
        ]
        content = {"imagePath": picture, "imageHeight": height, "imageWidth": width, "shapes": shapes}
        write_text((folder / picture).with_suffix(".json"), json.dumps(content))
    return folder


def rows():
    return [(picture, name, *box) for picture, boxes in BOXES.items() for name, box in boxes or [("", [""] * 4)]]


def table(folder):
    lines = [",".join(map(str, (p, left, top, right, bottom, name))) for p, name, left, top, right, bottom in rows()]
    write_text(folder / "boxes.csv", "filename,xmin,ymin,xmax,ymax,class\n" + "\n".join(lines))
    return folder / "boxes.csv"


def sizes_in_table(folder):
    lines = [
        ";".join(map(str, (name, left, top, right - left, bottom - top, picture) if name else ("", *[""] * 4, picture)))
        for picture, name, left, top, right, bottom in rows()
    ]
    write_text(folder / "boxes.csv", "\ufefflabel; X; Y; Width; Height; image\r\n" + "\r\n".join(lines))
    return folder


def table_without_titles(folder):
    lines = [",".join(map(str, (p, left, top, right, bottom, name))) for p, name, left, top, right, bottom in rows()]
    write_text(folder / "boxes.csv", "\r".join(lines))
    return folder / "boxes.csv"


def ours(folder):
    write_boxes(folder / "boxes.json", scenes())
    return folder / "boxes.json"


def our_table(folder):
    write_boxes(folder / "boxes.csv", scenes())
    return folder / "boxes.csv"


def our_coco(folder):
    write_boxes(folder / "boxes.json", scenes(), "coco")
    return folder


def scenes():
    return {
        picture: Scene(
            picture, [box for _, box in boxes], [NAMES.index(n) for n, _ in boxes], NAMES, size=SIZES[picture]
        )
        for picture, boxes in BOXES.items()
    }


WRITERS = [coco, voc, yolo, labelme, table, sizes_in_table, table_without_titles, ours, our_table, our_coco]


def check(read):
    assert read.class_names == NAMES
    assert {scene.picture.name for scene in read} == set(BOXES)
    for scene in read:
        name = scene.picture.name
        assert scene.size == SIZES[name]
        found = [(NAMES[label], tuple(box)) for label, box in zip(scene.classes, scene.boxes.round(6), strict=True)]
        assert found == BOXES[name]
        assert not scene.crowd.any()


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_format_gives_the_same_scenes(tmp_path, write):
    pictures_in(tmp_path)
    check(read_annotations(write(tmp_path)))


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_pictures_may_lie_elsewhere(tmp_path, write):
    annotations = tmp_path / "notes"
    annotations.mkdir()
    pictures_in(tmp_path / "pictures" / "deep")
    check(read_annotations(write(annotations), tmp_path / "pictures"))


def test_yolos_labels_belong_to_the_images_of_the_same_path(tmp_path):
    for part in ("train", "val"):
        pictures_in(tmp_path / "images" / part)
        (tmp_path / "labels" / part).mkdir(parents=True)
        yolo(tmp_path / "labels" / part)
        (tmp_path / "labels" / part / "classes.txt").unlink()
    write_text(tmp_path / "data.yaml", "train: images/train\nnames:\n  0: waldo\n  1: 'wenda'  # her\nnc: 2\n")
    read = read_annotations(tmp_path)
    assert len(read) == 2 * len(BOXES)
    assert {scene.picture.parent.name for scene in read if len(scene) == 3} == {"train", "val"}
    assert read.class_counts.tolist() == [4, 4]


@pytest.mark.parametrize(
    "text, names",
    [
        ("names: [cat, 'dog', \"a b\"]\nnc: 3", ["cat", "dog", "a b"]),
        ("path: x\nnames:\n- cat\n- dog\n", ["cat", "dog"]),
        ("names:\n  0: cat\n  1: dog\ntrain: x", ["cat", "dog"]),
        ("names: {0: cat, 1: dog}", ["cat", "dog"]),
        ("names: [cat,\n  dog]\nnc: 2", ["cat", "dog"]),
    ],
)
def test_names_are_read_from_yaml(tmp_path, text, names):
    from wimmel.detection.annotations.yolo import names_in

    write_text(tmp_path / "data.yaml", text)
    assert names_in(tmp_path / "data.yaml") == names


def test_polygons_of_yolo_and_coco_become_boxes(tmp_path):
    pictures_in(tmp_path)
    write_text(tmp_path / "classes.txt", "waldo")
    write_text(tmp_path / "one.txt", "0 0.1 0.2 0.5 0.3 0.3 0.9")
    read = read_annotations(tmp_path / "one.txt")
    np.testing.assert_allclose(read[0].boxes, [[6, 8, 30, 36]])
    annotation = {"image_id": 1, "category_id": 1, "segmentation": [[1, 2, 9, 3], [4, 8, 5, 5]], "iscrowd": 1}
    content = {
        "images": [{"id": 1, "file_name": "one.png"}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "waldo"}],
    }
    write_text(tmp_path / "coco.json", json.dumps(content))
    scene = read_annotations(tmp_path / "coco.json")[0]
    assert scene.boxes.tolist() == [[1, 2, 9, 8]]
    assert scene.crowd.tolist() == [True]


def test_a_circle_of_labelme_becomes_its_box(tmp_path):
    pictures_in(tmp_path)
    shape = {"label": "waldo", "shape_type": "circle", "points": [[20, 20], [23, 24]]}
    write_text(tmp_path / "one.json", json.dumps({"imagePath": "..\\here\\one.png", "shapes": [shape]}))
    assert read_annotations(tmp_path / "one.json", tmp_path)[0].boxes.tolist() == [[15, 15, 25, 25]]


def test_crops_are_scenes_that_their_object_fills(tmp_path):
    for name in ("waldo/a.png", "waldo/b.png", "Negatives/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name, np.zeros((8, 6), np.uint8))
    read = read_annotations(tmp_path)
    assert read.class_names == ("waldo",)
    assert {scene.picture.name: scene.boxes.tolist() for scene in read} == {
        "a.png": [[0, 0, 6, 8]],
        "b.png": [[0, 0, 6, 8]],
        "c.png": [],
    }


def test_loose_crops_have_no_class_of_their_own(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((8, 6), np.uint8))
    assert read_annotations(tmp_path).class_names == ("object",)


def test_classes_are_sorted_as_people_count(tmp_path):
    pictures_in(tmp_path)
    lines = [f"one.png,{n},0,{n + 5},5,class {n}" for n in (10, 9, 1)]
    write_text(tmp_path / "boxes.csv", "\n".join(lines))
    assert read_annotations(tmp_path / "boxes.csv").class_names == ("class 1", "class 9", "class 10")


def test_sets_are_split_and_cut(tmp_path):
    pictures_in(tmp_path)
    read = read_annotations(coco(tmp_path))
    rest, part = read.split(0.3, seed=1)
    assert sorted(scene.picture for scene in (*rest, *part)) == sorted(scene.picture for scene in read)
    assert len(read[:2]) == 2
    with pytest.raises(ValueError, match="split"):
        read.split(1.0)


def test_coco_boxes_out_are_what_pycocotools_reads(tmp_path):
    import contextlib
    import io

    from pycocotools.coco import COCO

    found = Finds([[1, 2, 4, 8], [0, 0, 2.5, 2]], [0.5, 0.25], [1, 0], NAMES)
    write_boxes(tmp_path / "found.json", {"one.png": found, "two.png": Finds([], [], [], NAMES)}, "coco", SIZES)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / "found.json")
    assert [(image["file_name"], image["height"]) for image in coco.dataset["images"]] == [
        ("one.png", 40),
        ("two.png", 50),
    ]
    read = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [each["bbox"] for each in read] == [[1, 2, 3, 6], [0, 0, 2.5, 2]]
    assert [each["score"] for each in read] == [0.5, 0.25]
    assert [coco.cats[each["category_id"]]["name"] for each in read] == ["wenda", "waldo"]


def test_boxes_out_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "boxes.csv"
    write_text(path, "old")
    with pytest.raises(ValueError, match="share their classes"):
        write_boxes(path, {"a": Finds([], []), "b": Finds([], [], [], NAMES)})
    with pytest.raises(ValueError, match="formats are json, csv, coco"):
        write_boxes(path, {}, "xml")
    assert path.read_text() == "old"
