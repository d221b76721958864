"""Faults in annotations: every one is listed with its file and line or record, none stops at the first."""

import json

import numpy as np
import pytest
from PIL import Image

from wimmel.detection import AnnotationError, read_annotations
from wimmel.files import write_image, write_text


@pytest.fixture
def folder(tmp_path):
    write_image(tmp_path / "one.png", np.zeros((40, 60), np.uint8))
    return tmp_path


def faults(path, **settings):
    with pytest.raises(AnnotationError) as caught:
        read_annotations(path, **settings)
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)
    return {problem.place: problem.reason for problem in caught.value.problems}


def matches(found, expected):
    assert found.keys() == expected.keys()
    for place, part in expected.items():
        assert part in found[place], (place, found[place])


LINES = """picture,left,top,right,bottom,class
one.png,1,2,11,12,waldo
one.png,-5,2,11,12,waldo
one.png,50,2,62,12,waldo
one.png,50,2,61,12,waldo
one.png,5,5,5,9,waldo

one.png,5,9,8,5,waldo
one.png,1,2,11,12,waldo
one.png,1,2,11,12,wenda
one.png,1,two,11,12,waldo
gone.png,1,2,11,12,waldo
,1,2,11,12,waldo
one.png,1,2,nan,12,waldo
one.png,1,3,11,12,
"""
EXPECTED = {
    "line 3": "reaches outside the picture, which has 60x40 pixels: left -5, top 2, right 11, bottom 12",
    "line 4": "reaches outside",
    "line 6": "is empty",
    "line 8": "is empty",
    "line 9": "repeats that of line 2",
    "line 11": "not four numbers: 1, two, 11, 12",
    "line 12": "there is no picture gone.png",
    "line 13": "names no picture",
    "line 14": "not four numbers",
    "line 15": "has no class",
}


def test_every_fault_of_a_table_is_listed(folder):
    write_text(folder / "boxes.csv", LINES)
    matches(faults(folder / "boxes.csv"), EXPECTED)


def test_faults_can_be_left_out(folder):
    write_text(folder / "boxes.csv", LINES)
    read = read_annotations(folder / "boxes.csv", skip_faults=True)
    assert read[0].boxes.tolist() == [[1, 2, 11, 12], [50, 2, 60, 12], [1, 2, 11, 12]]
    assert {problem.place for problem in read.problems} == EXPECTED.keys()


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_pictures_damaged_further_on_are_left_out_too(folder, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 60)).astype(np.uint8)
    write_image(folder / f"cut.{suffix}", noise)
    content = (folder / f"cut.{suffix}").read_bytes()
    (folder / f"cut.{suffix}").write_bytes(content[: len(content) * 2 // 3])
    write_text(folder / "boxes.csv", f"one.png,1,2,11,12\ncut.{suffix},1,2,11,12\n")
    read = read_annotations(folder / "boxes.csv", skip_faults=True)
    assert [scene.picture.name for scene in read] == ["one.png"]
    [problem] = read.problems
    assert f"cut.{suffix} could not be read: it is truncated or damaged" in problem.reason


def test_classes_that_were_not_asked_for_are_unknown(folder):
    write_text(folder / "boxes.csv", "one.png,1,2,11,12,waldo\none.png,1,2,11,12,wenda\n")
    matches(faults(folder / "boxes.csv", class_names=["waldo"]), {"line 2": "class is unknown: wenda"})


def test_faults_of_coco_name_their_record(folder):
    content = {
        "images": [
            {"id": 1, "file_name": "one.png", "width": 60, "height": 40},
            {"id": 1, "file_name": "two.png"},
            {"file_name": "three.png"},
            {"id": 4, "file_name": "one.png", "width": 40, "height": 60},
        ],
        "categories": [{"id": 1, "name": "waldo"}, {"id": 1, "name": "wenda"}, 5],
        "annotations": [
            {"id": 31, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]},
            {"id": 32, "image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5]},
            {"id": 33, "image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5]},
            {"id": 34, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5]},
            {"id": 35, "image_id": 1, "category_id": 1, "bbox": [58, 0, 5, 5]},
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 5]},
            {"id": 37, "image_id": [1], "category_id": 1, "bbox": None},
            "nothing",
        ],
    }
    write_text(folder / "coco.json", json.dumps(content))
    expected = {
        "image 1 (id 1)": "that of another image",
        "image 2": "no file_name, or no id",
        "image 3 (id 4)": "it says that one.png has 40x60 pixels, but it has 60x40",
        "category 1 (id 1)": "another category",
        "category 2": "no record",
        "annotation 1 (id 32)": "class is unknown",
        "annotation 2 (id 33)": "image_id 9 is that of no image",
        "annotation 3 (id 34)": "bbox is not four numbers: [0, 0, 5]",
        "annotation 4 (id 35)": "reaches outside",
        "annotation 5": "is empty",
        "annotation 6 (id 37)": "image_id [1] is that of no image",
        "annotation 7": "no record: nothing",
    }
    matches(faults(folder / "coco.json"), expected)


JUNK = [None, True, -1, 1e400, "", "x", [], {}, [None], "../../etc", [1, 2, 3, 4], "\x00", 10**30]
DOCUMENTS = [
    {
        "images": [{"id": 1, "file_name": "one.png", "width": 60, "height": 40}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 3, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}],
    },
    {
        "imagePath": "one.png",
        "imageHeight": 40,
        "imageWidth": 60,
        "shapes": [{"label": "a", "shape_type": "circle", "points": [[9, 9], [10, 10]]}],
    },
    {
        "classes": ["a"],
        "pictures": [{"picture": "one.png", "boxes": [{"class": "a", "left": 1, "top": 1, "right": 5, "bottom": 5}]}],
    },
]


def with_junk(document, junk):
    """The document with the junk in place of each of its parts."""
    yield junk
    entries = document.items() if isinstance(document, dict) else enumerate(document)
    for key, part in entries:
        for changed in with_junk(part, junk) if isinstance(part, dict | list) else [junk]:
            if isinstance(document, dict):
                yield {**document, key: changed}
            else:
                yield [*document[:key], changed, *document[key + 1 :]]


@pytest.mark.parametrize("document", DOCUMENTS, ids=["coco", "labelme", "wimmel"])
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk)[:12])
def test_junk_in_the_place_of_any_part_is_told_in_sentences(folder, document, junk):
    scenes = 0
    for changed in with_junk(document, junk):
        write_text(folder / "boxes.json", json.dumps(changed))
        try:
            scenes += len(read_annotations(folder / "boxes.json", skip_faults=True))
        except ValueError as error:
            assert str(folder) in str(error)
    assert scenes > 0, "junk in a part that does not matter does no harm"


def test_json_that_is_not_asked_for_is_not_looked_into(folder):
    write_text(folder / "other.json", "{")
    write_text(folder / "boxes.csv", "one.png,1,2,3,4")
    with pytest.raises(ValueError, match="not JSON"):
        read_annotations(folder)
    assert len(read_annotations(folder, format="csv")[0]) == 1


def test_faults_of_voc_name_their_line(folder):
    objects = [
        "<object><name>waldo</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>x</xmax><ymax>5</ymax></bndbox></object>",
        "<object><bndbox/></object>",
        "<object><name>waldo</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>2</xmax><ymax>5</ymax></bndbox></object>",
    ]
    write_text(folder / "one.xml", "\n".join(["<annotation><filename>one.png</filename>", *objects, "</annotation>"]))
    write_text(folder / "two.xml", "<annotation>\n<object>")
    write_text(folder / "three.xml", "<html></html>")
    with pytest.raises(AnnotationError) as caught:
        read_annotations(folder)
    found = {(problem.file.rsplit("/", 1)[-1], problem.place): problem.reason for problem in caught.value.problems}
    expected = {
        ("one.xml", "line 2"): "bndbox is not four numbers: 1, 1, x, 5",
        ("one.xml", "line 3"): "has no name",
        ("one.xml", "line 4"): "is empty",
        ("two.xml", "line 2"): "not XML",
        ("three.xml", "line 1"): "begins with <html>",
    }
    matches(found, expected)


BOMB = """<!DOCTYPE annotation [
<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation><filename>&b;</filename></annotation>"""
OUTSIDE = (
    '<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>'
)


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, '<!DOCTYPE annotation SYSTEM "http://a/b.dtd"><annotation/>'])
def test_a_document_type_is_refused(folder, text):
    write_text(folder / "one.xml", text)
    matches(faults(folder / "one.xml"), {"line 1": "DOCTYPE"})


def test_faults_of_yolo_name_their_line(folder):
    write_text(folder / "classes.txt", "waldo\n")
    write_text(
        folder / "one.txt", "0 .5 .5 .1 .1\n3 .5 .5 .1 .1\n0 .5 .5 .1\n0 .95 .5 .3 .1\nx .5 .5 .1 .1\n0 .5 a .1 .1"
    )
    expected = {
        "line 2": "class is unknown: 3; there are 0 to 0",
        "line 3": "not class, centre, width and height: 0 .5 .5 .1",
        "line 4": "reaches outside",
        "line 5": "class is unknown: x",
        "line 6": "not class, centre",
    }
    matches(faults(folder), expected)


def test_yolo_without_names_of_classes_is_refused(folder):
    write_text(folder / "one.txt", "0 .5 .5 .1 .1")
    with pytest.raises(ValueError, match=r"write them into classes\.txt"):
        read_annotations(folder)


def test_faults_of_labelme_name_their_shape(folder):
    shapes = [
        {"label": "waldo", "shape_type": "point", "points": [[1, 2]]},
        {"shape_type": "rectangle", "points": [[1, 2], [3, 4]]},
        {"label": "waldo", "shape_type": "rectangle", "points": [[1, 2], [3, "x"]]},
        3,
    ]
    write_text(folder / "one.json", json.dumps({"imagePath": "one.png", "shapes": shapes}))
    expected = {
        "shape 0": "a point has no box",
        "shape 1": "no label",
        "shape 2": "not pairs of numbers",
        "shape 3": "no label",
    }
    matches(faults(folder / "one.json"), expected)


def test_faults_of_our_own_json_name_their_box(folder):
    boxes = [{"class": "a", "left": 1, "top": 1, "right": 5, "bottom": None}, 3, {"class": 3, **dict.fromkeys(
        ("left", "top"), 1), **dict.fromkeys(("right", "bottom"), 5)}]  # fmt: skip
    write_text(folder / "b.json", json.dumps({"pictures": [{"picture": "one.png", "boxes": boxes}, {"boxes": []}]}))
    expected = {
        "picture 0 (one.png), box 0": "not numbers",
        "picture 0 (one.png), box 1": "not numbers",
        "picture 0 (one.png), box 2": "no class",
        "picture 1": "names no picture",
    }
    matches(faults(folder / "b.json"), expected)


def test_pictures_that_cannot_be_read_are_listed(folder):
    whole = (folder / "one.png").read_bytes()
    (folder / "text.png").write_bytes(b"no picture")
    (folder / "cut.png").write_bytes(whole[:20])
    write_text(folder / "boxes.csv", "text.png,1,2,3,4\ncut.png,1,2,3,4")
    matches(faults(folder / "boxes.csv"), {"line 1": "not a picture of any kind", "line 2": "could not be read"})


def test_sizes_are_those_of_the_upright_picture(folder):
    picture = Image.new("RGB", (60, 40))
    note = Image.Exif()
    note[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=note)
    head = '{"imagePath": "turned.jpg", "shapes": []'
    write_text(folder / "a.json", head + ', "imageWidth": 60, "imageHeight": 40}')
    matches(faults(folder / "a.json"), {"": "60x40 pixels, but it has 40x60 once it is turned upright"})
    write_text(folder / "a.json", head + "}")
    assert read_annotations(folder / "a.json")[0].size == (60, 40)


def test_a_name_that_fits_several_pictures_is_a_fault(folder):
    for part in ("a", "b"):
        (folder / part).mkdir()
        write_image(folder / part / "two.png", np.zeros((9, 9), np.uint8))
    write_text(folder / "boxes.csv", "two.png,1,2,3,4\nx/b/two.png,1,2,3,4")
    matches(faults(folder / "boxes.csv"), {"line 1": "may be"})


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("boxes.json", "{", "line 1: it is not JSON"),
        ("boxes.json", "[1]", "holds no annotations"),
        ("boxes.json", "[" * 100_000, "nested too deeply"),
        ("boxes.csv", "a,b\n1,2", "line 1: the columns must be"),
        ("boxes.pdf", "", "holds no annotations"),
        ("boxes.csv", "", "holds no scenes"),
        ("boxes.csv", "picture," + 200_000 * "a", "it is not CSV"),
    ],
)
def test_what_is_no_annotation_is_refused(folder, name, text, said):
    write_text(folder / name, text)
    with pytest.raises(ValueError, match=said):
        read_annotations(folder / name)


def test_what_is_no_text_is_refused(folder):
    (folder / "boxes.csv").write_bytes(b"picture\n\xff\xfa")
    with pytest.raises(ValueError, match="line 2: it is no text in UTF-8"):
        read_annotations(folder / "boxes.csv")


def test_what_is_not_there_is_refused(folder):
    with pytest.raises(FileNotFoundError, match=r"no annotations .*gone"):
        read_annotations(folder / "gone.json")
    write_text(folder / "boxes.csv", "one.png,1,2,3,4")
    with pytest.raises(FileNotFoundError, match="no folder of pictures"):
        read_annotations(folder / "boxes.csv", folder / "gone")


def test_several_formats_in_a_folder_need_a_choice(folder):
    write_text(folder / "boxes.csv", "one.png,1,2,3,4")
    write_text(folder / "one.xml", "<annotation/>")
    with pytest.raises(ValueError, match="several annotations"):
        read_annotations(folder)
    assert len(read_annotations(folder, format="csv")[0]) == 1
    with pytest.raises(ValueError, match="in the format coco"):
        read_annotations(folder, format="coco")
    with pytest.raises(ValueError, match="no format 'xls'"):
        read_annotations(folder, format="xls")
