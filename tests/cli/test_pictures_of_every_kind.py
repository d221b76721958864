"""Teaching and finding with pictures of every kind, sound and damaged: the right boxes, or one sentence."""

import json
import re
import signal

import numpy as np
import pytest
import tifffile
from PIL import Image

from wimmel.cli.screen import Bar
from wimmel.detection import Detector, iou, read_annotations
from wimmel.files import write_image, write_text

SIZE = (80, 100)
SQUARES = ((8, 10), (60, 44))
BOXES = [[x, y, x + 16, y + 16] for x, y in SQUARES]


def drawn(seed=0):
    """Two light squares on a dark ground, uint8 (rows, columns, 3)."""
    picture = np.random.default_rng(seed).integers(60, 110, (*SIZE, 1)).astype(np.uint8).repeat(3, axis=2)
    for x, y in SQUARES:
        picture[y : y + 16, x : x + 16] = 240
    return picture


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    path = tmp_path_factory.mktemp("taught") / "square.safetensors"
    scenes = [drawn(seed).transpose(2, 0, 1) for seed in range(4)]
    Detector(steps=40, batch_size=32, rounds=2, learning_rate=4e-3).fit(scenes, [BOXES] * 4).save(path)
    return path


def turned(picture, path):
    """Saved lying on its side, with the camera's note that says so."""
    note = Image.Exif()
    note[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=note)


def with_opacity(picture, path):
    shown = picture.convert("RGBA")
    shown.putalpha(255)
    shown.save(path)


def as_tiff(**how):
    return lambda picture, path: tifffile.imwrite(path, np.asarray(picture), photometric="rgb", **how)


def deep(picture, path):
    values = np.asarray(picture).astype(np.uint16) * 257
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, tile=(16, 16), photometric="rgb")
    else:
        Image.fromarray(values[:, :, 0]).save(path)


def planar(picture, path):
    planes = np.asarray(picture).transpose(2, 0, 1)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", bigtiff=True)


WRITERS = {
    "cmyk.jpg": lambda picture, path: picture.convert("CMYK").save(path, quality=95),
    "palette.png": lambda picture, path: picture.quantize(64).save(path),
    "opacity.png": with_opacity,
    "deep.png": deep,
    "turned.jpg": turned,
    "turned.tif": turned,
    "gray.png": lambda picture, path: picture.convert("L").save(path),
    "tiled.tif": as_tiff(tile=(32, 32)),
    "deep.tif": deep,
    "planar.tif": planar,
    "lzw.tif": lambda picture, path: picture.save(path, compression="tiff_lzw"),
}


@pytest.fixture(params=list(WRITERS))
def scene(request, tmp_path):
    WRITERS[request.param](Image.fromarray(drawn(9)), tmp_path / request.param)
    return tmp_path / request.param


def test_what_is_in_a_picture_is_found_however_it_is_stored(wimmel, detector, scene, tmp_path):
    out = tmp_path / "out"
    result = wimmel("find", detector, scene, "--json", "--limit", 2, "--threshold", 0.1, "-o", out)
    assert result.exit_code == 0, result.output
    [found] = json.loads(result.stdout)["pictures"]
    assert (found["height"], found["width"]) == SIZE
    assert (iou([each["box"] for each in found["boxes"]], BOXES).max(axis=0) > 0.5).all()
    same = Detector.load(detector).find(scene, limit=2, threshold=0.1)
    np.testing.assert_allclose(same.boxes, [each["box"] for each in found["boxes"]], atol=2e-3)
    with Image.open(out / f"{scene.stem}-found.png") as framed:
        assert (framed.height, framed.width) == SIZE
    template = tmp_path / "template.png"
    write_image(template, drawn(9)[6:28, 4:28].transpose(2, 0, 1))
    [found] = json.loads(wimmel("find", template, scene, "--json", "--limit", 1).stdout)["pictures"]
    np.testing.assert_allclose(found["boxes"][0]["box"], [4, 6, 28, 28], atol=1)


def test_it_is_learned_from_however_it_is_stored(wimmel, scene, tmp_path):
    lines = [f"{scene.name},square,{x},{y},{x + 16},{y + 16}" for x, y in SQUARES]
    write_text(tmp_path / "boxes.csv", "\n".join(("picture,class,left,top,right,bottom", *lines)))
    out = tmp_path / "a.safetensors"
    result = wimmel("teach", tmp_path / "boxes.csv", "-o", out, "--steps", 2, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["report"]["objects"] == 2
    assert report["settings"]["object_size"] == [40, 40]
    if scene.suffix != ".jpg" and scene.stem != "palette":
        shown = list(read_annotations(tmp_path / "boxes.csv")[0].crops(1))
        assert all((crop == 240).all() for crop in shown)


def test_boxes_beside_a_turned_picture_as_it_is_stored_are_a_fault(wimmel, tmp_path):
    turned(Image.fromarray(drawn(9)), tmp_path / "turned.jpg")
    lying = f"turned.jpg,square,{SIZE[0] - 40},{SIZE[1] - 16},{SIZE[0] - 20},{SIZE[1]}"
    write_text(tmp_path / "boxes.csv", f"picture,class,left,top,right,bottom\n{lying}\nturned.jpg,square,1,1,9,9\n")
    result = wimmel("teach", tmp_path / "boxes.csv", "-o", tmp_path / "a.safetensors")
    assert result.exit_code == 1
    assert "line 2: the box reaches outside the picture, which has 100x80 pixels" in result.stderr


def damaged(path):
    """A sound picture, cut in its pixels."""
    picture = drawn(9)
    if path.suffix == ".tif":
        tifffile.imwrite(path, picture, tile=(32, 32), photometric="rgb", compression="deflate")
    else:
        Image.fromarray(picture).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.tif"])
def test_a_truncated_picture_is_a_sentence(wimmel, detector, tmp_path, name):
    path = damaged(tmp_path / name)
    result = wimmel("find", detector, path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{name}: it is truncated or damaged" in result.stderr
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(ValueError, match="truncated or damaged"):
        Detector.load(detector).find(path)
    lines = [f"{name},square,{x},{y},{x + 16},{y + 16}" for x, y in SQUARES]
    write_text(tmp_path / "boxes.csv", "\n".join(("picture,class,left,top,right,bottom", *lines)))
    result = wimmel("teach", tmp_path / "boxes.csv", "-o", tmp_path / "a.safetensors", "--steps", 1)
    assert result.exit_code == 1
    assert f"{name} could not be read: it is truncated or damaged" in result.stderr
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"MM\0+" + bytes(40), b"no picture"])
def test_a_corrupt_tiff_is_a_sentence(wimmel, detector, tmp_path, content):
    (tmp_path / "corrupt.tif").write_bytes(content)
    result = wimmel("find", detector, tmp_path / "corrupt.tif")
    assert result.exit_code == 1
    assert "corrupt.tif: it is " in result.stderr
    assert len(result.stderr.splitlines()) == 2, result.stderr


def test_a_damaged_tile_leaves_the_other_pictures_to_be_searched(wimmel, detector, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", drawn(9), tile=(32, 32), photometric="rgb", compression="deflate")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[0].dataoffsets[-1]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[place : place + 20] = bytes(20)
    (tmp_path / "a.tif").write_bytes(content)
    Image.fromarray(drawn(9)).save(tmp_path / "b.png")
    result = wimmel("find", detector, tmp_path, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [each["picture"] for each in document["pictures"]] == [str(tmp_path / "b.png")]
    assert "truncated or damaged" in document["failed"][0]["reason"]


def test_the_limit_of_pixels_holds_but_for_tiffs_in_pieces(wimmel, detector, tmp_path):
    Image.fromarray(drawn(9)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", drawn(9), tile=(32, 32), photometric="rgb")
    result = wimmel("find", detector, tmp_path / "a.png", tmp_path / "a.tif", "--max-pixels", 7999, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [each["picture"] for each in document["pictures"]] == [str(tmp_path / "a.tif")]
    [failed] = document["failed"]
    assert "more than 7,999 pixels" in failed["reason"]
    assert "save it as a tiled TIFF, or raise max_pixels (--max-pixels on the command line)" in failed["reason"]
    write_image(tmp_path / "template.png", drawn(9)[6:28, 4:28].transpose(2, 0, 1))
    result = wimmel("find", tmp_path / "template.png", tmp_path / "a.tif", "--max-pixels", 7999)
    assert "more than 7,999 pixels" in result.stderr
    assert wimmel("find", detector, tmp_path / "a.png", "--max-pixels", 8000).exit_code == 0


def test_it_is_said_that_a_picture_is_drawn_smaller(wimmel, detector, tmp_path, monkeypatch):
    monkeypatch.setattr("wimmel.detection.pictures.LARGEST_DRAWN", 2000)
    tifffile.imwrite(tmp_path / "a.tif", drawn(9), tile=(32, 32), photometric="rgb")
    result = wimmel("find", detector, tmp_path / "a.tif", "-o", tmp_path / "out", "--threshold", 0.1)
    assert result.exit_code == 0, result.output
    assert "a.tif is drawn at 50% of its size." in result.stdout
    for name in ("a-found.png", "a-heat.png"):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == (50, 40)


def test_a_picture_smaller_than_the_object_holds_none(wimmel, detector, tmp_path):
    write_image(tmp_path / "small.png", np.full((3, 5, 4), 90, np.uint8))
    result = wimmel("find", detector, tmp_path / "small.png", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pictures"][0]["boxes"] == []


COCO = {"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}], "annotations": [],
        "categories": [{"id": 1, "name": "square"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([], "None of the 2 scenes has a box"),
        ([(1, [1, 1, 16, 16])], "only one example, .* wimmel find TEMPLATE PICTURES"),
        ([(1, [1, 1, 500, 500]), (2, [1, 1, 16, 16])], "the box reaches outside the picture, which has 100x80 pixels"),
        ([(1, [1, 1, 2, 3]), (2, [1, 1, 16, 16])], "too small to learn from"),
    ],
)
def test_too_few_or_impossible_examples_are_a_sentence(wimmel, tmp_path, marks, said):
    for name in ("a.png", "b.png"):
        Image.fromarray(drawn()).save(tmp_path / name)
    annotations = [{"id": n, "image_id": image, "category_id": 1, "bbox": box} for n, (image, box) in enumerate(marks)]
    write_text(tmp_path / "coco.json", json.dumps(COCO | {"annotations": annotations}))
    result = wimmel("teach", tmp_path / "coco.json", "-o", tmp_path / "a.safetensors", "--steps", 1)
    assert result.exit_code == 1
    assert re.search(said, result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "a.safetensors").exists()


def test_scenes_without_objects_are_learned_from_beside_others(wimmel, tmp_path):
    Image.fromarray(drawn()).save(tmp_path / "a.png")
    Image.fromarray(drawn() // 4).save(tmp_path / "b.png")
    boxes = [{"id": n, "image_id": 1, "category_id": 1, "bbox": [x, y, 16, 16]} for n, (x, y) in enumerate(SQUARES)]
    write_text(tmp_path / "coco.json", json.dumps(COCO | {"annotations": boxes}))
    result = wimmel("teach", tmp_path / "coco.json", "-o", tmp_path / "a.safetensors", "--steps", 2, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["report"]["scenes"] == 2


def test_crowds_are_neither_learned_from_nor_held_against(wimmel, tmp_path):
    """The light area that is marked as a crowd looks like the squares; what is found in it is no mistake."""
    picture = drawn()
    picture[50:78, 4:50] = 240
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(picture).save(tmp_path / name)
    content = COCO | {"images": [*COCO["images"], {"id": 3, "file_name": "c.png"}]}
    content["annotations"] = [
        {"id": 10 * image + n, "image_id": image, "category_id": 1, "bbox": box, "iscrowd": int(n == 2)}
        for image in (1, 2, 3)
        for n, box in enumerate([[x, y, 16, 16] for x, y in SQUARES] + [[4, 50, 46, 28]])
    ]
    write_text(tmp_path / "coco.json", json.dumps(content))
    out = tmp_path / "a.safetensors"
    given = ("teach", tmp_path / "coco.json", "-o", out, "--steps", 50, "--validation", 0.3, "--json")
    document = json.loads(wimmel(*given).stdout)
    assert (document["report"]["scenes"], document["report"]["objects"]) == (2, 4)
    assert document["settings"]["object_size"] == [40, 40]
    assert max(document["settings"]["spans"]) < 0.5, "the crowd's size is not one to look for"
    result = wimmel("find", out, tmp_path / "c.png", "--json", "--threshold", 0.05)
    found = [each["box"] for each in json.loads(result.stdout)["pictures"][0]["boxes"]]
    assert (iou(found, BOXES).max(axis=0) > 0.4).all()


def test_a_folder_of_crops_teaches_what_to_find(wimmel, tmp_path):
    crops = tmp_path / "crops"
    for folder in ("square", "negatives"):
        (crops / folder).mkdir(parents=True)
    for seed in range(6):
        picture = drawn(seed)
        left, top = SQUARES[seed % 2]
        Image.fromarray(picture[top : top + 16, left : left + 16]).save(crops / "square" / f"{seed}.png")
        Image.fromarray(np.ascontiguousarray(picture[28:44, 4:60])).save(crops / "negatives" / f"{seed}.png")
    out = tmp_path / "a.safetensors"
    result = wimmel("teach", crops, "-o", out, "--steps", 60, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["settings"]["class_names"] == ["square"]
    Image.fromarray(drawn(9)).save(tmp_path / "scene.png")
    result = wimmel("find", out, tmp_path / "scene.png", "--json", "--limit", 2, "--threshold", 0.05)
    found = [each["box"] for each in json.loads(result.stdout)["pictures"][0]["boxes"]]
    assert (iou(found, BOXES).max(axis=0) > 0.4).all(), found


def test_ctrl_c_while_teaching_leaves_no_detector(started, tmp_path):
    Image.fromarray(drawn()).save(tmp_path / "a.png")
    lines = [f"a.png,square,{x},{y},{x + 16},{y + 16}" for x, y in SQUARES]
    write_text(tmp_path / "boxes.csv", "\n".join(("picture,class,left,top,right,bottom", *lines)))
    (tmp_path / "a.safetensors").write_bytes(b"what was there")
    process = started("teach", tmp_path / "boxes.csv", "-o", tmp_path / "a.safetensors", "--steps", 10**6)
    for line in process.stdout:
        if line.startswith("seed"):
            break
    process.send_signal(signal.SIGINT)
    output, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert complaint == f"Stopped by Ctrl-C; {tmp_path / 'a.safetensors'} was not written.\n"
    assert "Traceback" not in output
    assert (tmp_path / "a.safetensors").read_bytes() == b"what was there"
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "boxes.csv", "a.safetensors"}


@pytest.mark.parametrize("after", [1, 7, 40])
def test_ctrl_c_at_any_step_of_teaching_is_a_sentence(wimmel, tmp_path, monkeypatch, after):
    Image.fromarray(drawn()).save(tmp_path / "a.png")
    lines = [f"a.png,square,{x},{y},{x + 16},{y + 16}" for x, y in SQUARES]
    write_text(tmp_path / "boxes.csv", "\n".join(("picture,class,left,top,right,bottom", *lines)))
    move = Bar.move

    def stop(self, done, note):
        move(self, done, note)
        if done == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "move", stop)
    result = wimmel("teach", tmp_path / "boxes.csv", "-o", tmp_path / "a.safetensors", "--steps", 40)
    assert result.exit_code == 130
    assert result.stderr == f"Stopped by Ctrl-C; {tmp_path / 'a.safetensors'} was not written.\n"
    assert not (tmp_path / "a.safetensors").exists()


def test_ctrl_c_while_finding_writes_nothing(wimmel, detector, tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        Image.fromarray(drawn(9)).save(tmp_path / name)
    look, left = Detector.look, [2]

    def stop(self, *given, **named):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return look(self, *given, **named)

    monkeypatch.setattr(Detector, "look", stop)
    result = wimmel("find", detector, tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == f"Stopped by Ctrl-C; nothing was written to {tmp_path / 'out'}.\n"
    assert result.stdout == ""
    assert list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_while_writing_leaves_no_half_file(wimmel, detector, tmp_path, monkeypatch):
    Image.fromarray(drawn(9)).save(tmp_path / "a.png")

    def stop(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("wimmel.detection.heat_map", stop)
    result = wimmel("find", detector, tmp_path / "a.png", "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == f"Stopped by Ctrl-C; {tmp_path / 'out'} holds a part of what there was to write.\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a-found.png", "found.json"}
    with Image.open(tmp_path / "out" / "a-found.png") as image:
        image.load()
