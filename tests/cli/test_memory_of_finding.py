"""`wimmel find` on pictures that are larger than the memory it may take."""

import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from wimmel.detection import Detector, iou

SIDE, TILE, SQUARE = 16_000, 500, 300
THERE = [(3, 5), (20, 18), (31, 0)]
"""The tiles with a square, by row and column."""

EXPECTED = [[TILE * x + 100, TILE * y + 100, TILE * x + 400, TILE * y + 400] for y, x in THERE]
CALL = """
import resource, sys
from wimmel.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def ground(rows, columns):
    return np.random.default_rng(0).integers(60, 110, (rows, columns, 3)).astype(np.uint8)


def write_tiff(path, tiles, kinds):
    """A TIFF whose tiles are of a few kinds, each of which is stored once."""
    stored = [zlib.compress(tile.tobytes()) for tile in tiles]
    count = kinds.size
    bits, offsets = 8 + 2 + 12 * 10 + 4, 8 + 2 + 12 * 10 + 4 + 6
    begin = offsets + 8 * count
    places = [begin + sum(len(data) for data in stored[:number]) for number in range(len(stored))]
    entries = [
        *((256, 4, 1, SIDE), (257, 4, 1, SIDE), (258, 3, 3, bits), (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3)),
        *((322, 4, 1, TILE), (323, 4, 1, TILE), (324, 4, count, offsets), (325, 4, count, offsets + 4 * count)),
    ]
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<IH", 8, len(entries)))
        file.write(b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4) + struct.pack("<3H", 8, 8, 8))
        for values in (places, [len(data) for data in stored]):
            file.write(struct.pack(f"<{count}I", *(values[kind] for kind in kinds.ravel())))
        file.write(b"".join(stored))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A function that searches a picture, and gives the corners of what it found and the bytes of memory it took."""
    folder = tmp_path_factory.mktemp("squares")
    scenes, boxes = [], []
    for seed in range(3):
        scene = ground(900, 900)
        corners = [(40 + 30 * seed, 50), (500, 450 + 40 * seed)]
        for x, y in corners:
            scene[y : y + SQUARE, x : x + SQUARE] = 240
        scenes.append(scene.transpose(2, 0, 1))
        boxes.append([[x, y, x + SQUARE, y + SQUARE] for x, y in corners])
    detector = Detector(steps=60, batch_size=32, rounds=2, learning_rate=4e-3).fit(scenes, boxes)
    detector.save(folder / "square.safetensors")

    def search(picture):
        given = ["find", "square.safetensors", str(picture), "-o", "out", "--json", "--limit", str(len(THERE))]
        done = subprocess.run(
            [sys.executable, "-c", CALL, *given], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        [found] = json.loads(done.stdout)["pictures"]
        unit = 1 if sys.platform == "darwin" else 1024
        return [each["box"] for each in found["boxes"]], int(done.stderr.split()[-1]) * unit

    return search


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_a_tiff_of_256_million_pixels_is_searched_within_a_gigabyte(searched, tmp_path):
    kinds = np.zeros((SIDE // TILE, SIDE // TILE), int)
    kinds[tuple(zip(*THERE, strict=True))] = 1
    tile = ground(TILE, TILE)
    tile[100 : 100 + SQUARE, 100 : 100 + SQUARE] = 240
    write_tiff(tmp_path / "large.tif", (ground(TILE, TILE), tile), kinds)
    found, taken = searched(tmp_path / "large.tif")
    assert (iou(found, EXPECTED).max(axis=0) > 0.5).all()
    assert taken < 2**30


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
@pytest.mark.parametrize("name", ["large.png", "large.jpg"])
def test_other_formats_take_a_gigabyte_and_the_decoded_picture(searched, tmp_path, name):
    side = 10_500
    picture = np.tile(ground(TILE, TILE), (side // TILE, side // TILE, 1))
    here = [box for box in EXPECTED if max(box) < side]
    assert here
    for left, top, right, bottom in here:
        picture[top:bottom, left:right] = 240
    Image.fromarray(picture).save(tmp_path / name, **({"compress_level": 1} if name.endswith("png") else {}))
    found, taken = searched(tmp_path / name)
    assert (iou(found, here).max(axis=0) > 0.5).all()
    assert taken < 2**30 + picture.nbytes
