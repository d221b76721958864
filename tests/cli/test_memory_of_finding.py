"""`wimmel find` on pictures that are larger than the memory it may take."""

import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from wimmel.detection import Detector, iou

SIDE, TILE, SQUARE = 16_000, 500, 300
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_a_tiff_of_256_million_pixels_is_searched_within_a_gigabyte(tmp_path):
    scenes, boxes = [], []
    for seed in range(3):
        scene = ground(900, 900)
        corners = [(40 + 30 * seed, 50), (500, 450 + 40 * seed)]
        for x, y in corners:
            scene[y : y + SQUARE, x : x + SQUARE] = 240
        scenes.append(scene.transpose(2, 0, 1))
        boxes.append([[x, y, x + SQUARE, y + SQUARE] for x, y in corners])
    detector = Detector(steps=60, batch_size=32, rounds=2, learning_rate=4e-3).fit(scenes, boxes)
    detector.save(tmp_path / "square.safetensors")
    kinds = np.zeros((SIDE // TILE, SIDE // TILE), int)
    there = [(3, 5), (20, 31), (31, 0)]
    kinds[tuple(zip(*there, strict=True))] = 1
    tile = ground(TILE, TILE)
    tile[100 : 100 + SQUARE, 100 : 100 + SQUARE] = 240
    write_tiff(tmp_path / "large.tif", (ground(TILE, TILE), tile), kinds)
    given = ["find", "square.safetensors", "large.tif", "-o", "out", "--json", "--limit", "3"]
    done = subprocess.run(
        [sys.executable, "-c", CALL, *given], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)["pictures"]
    expected = [[TILE * x + 100, TILE * y + 100, TILE * x + 400, TILE * y + 400] for y, x in there]
    assert (iou([each["box"] for each in found["boxes"]], expected).max(axis=0) > 0.5).all()
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stderr.split()[-1]) * unit < 2**30
