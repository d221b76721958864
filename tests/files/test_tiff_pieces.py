"""TIFFs read in pieces give the pixels that tifffile reads, from tiles and strips of every kind."""

import io
import itertools
import os
import struct
import threading
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from wimmel.files import ImageError, Piecewise, open_image, read_image, read_image_header
from wimmel.files import tiff as tiff_module
from wimmel.files.pixels import as_array, plain_image
from wimmel.files.tiff import open_tiff

ROWS, COLUMNS = 70, 90
SAMPLES = {"gray": 1, "negative": 1, "gray and opacity": 2, "colour": 3, "colour and opacity": 4}


def drawn(kind, dtype, is_planar, rows=ROWS, columns=COLUMNS):
    shape = (SAMPLES[kind], rows, columns) if is_planar else (rows, columns, SAMPLES[kind])
    values = np.random.default_rng(len(kind)).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    return values.reshape(rows, columns) if SAMPLES[kind] == 1 else values


def write(path, values, kind, is_planar=False, **how):
    samples = SAMPLES[kind]
    photometric = "rgb" if samples >= 3 else "miniswhite" if kind == "negative" else "minisblack"
    if samples > 1:
        how["planarconfig"] = "separate" if is_planar else "contig"
    if samples in (2, 4):
        how["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(path, values, photometric=photometric, **how)
    return path


def as_eight_bits(values, kind, is_planar):
    """What the picture shows, float64 (1 or 3, rows, columns): wide gray scaled, of wide colours the upper byte."""
    planes = values[np.newaxis] if values.ndim == 2 else values if is_planar else values.transpose(2, 0, 1)
    if kind == "negative":
        planes = np.iinfo(values.dtype).max - planes
    if values.dtype == np.uint16:
        planes = np.rint(planes * (255 / 65535)) if len(planes) == 1 else planes >> 8
    planes = planes.astype(np.float64)
    if len(planes) in (2, 4):
        opacity = planes[-1:] / 255
        return planes[:-1] * opacity + 255 * (1 - opacity)
    return planes


STORED = [
    {"tile": (32, 48)},
    {"rowsperstrip": 16},
    {},
    {"tile": (16, 16), "compression": "deflate", "predictor": True},
    {"rowsperstrip": 7, "compression": "deflate"},
    {"compression": "deflate", "predictor": True},
]


@pytest.mark.parametrize("how", STORED, ids=lambda how: " ".join(f"{key}={value}" for key, value in how.items()) or "-")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", list(SAMPLES))
def test_pieces_are_parts_of_what_tifffile_reads(tmp_path, kind, dtype, how):
    for is_planar, order, is_big in itertools.product((False, True), "<>", (False, True)):
        if SAMPLES[kind] == 1 and is_planar:
            continue
        if kind == "gray and opacity" and dtype == np.uint16 and not is_planar:
            continue  # Pillow does not know it
        values = drawn(kind, dtype, is_planar)
        path = write(tmp_path / "a.tif", values, kind, is_planar, byteorder=order, bigtiff=is_big, **how)
        np.testing.assert_array_equal(tifffile.imread(path), values)
        picture, expected = open_tiff(path), as_eight_bits(values, kind, is_planar)
        assert isinstance(picture, Piecewise)
        assert picture.shape == expected.shape
        for box in ((0, 0, ROWS, COLUMNS), (31, 47, 33, 49), (0, 0, 1, 1), (69, 3, 70, 90), (5, 89, 66, 90)):
            top, left, bottom, right = box
            piece = picture.piece(*box)
            assert piece.dtype == np.uint8
            np.testing.assert_allclose(
                piece, expected[:, top:bottom, left:right], atol=1 if len(values.shape) > 2 else 0
            )
        np.testing.assert_array_equal(picture.piece(0, 0, ROWS, COLUMNS), read_image(path))


@pytest.mark.parametrize(
    ("mode", "compression"),
    [("L", "tiff_lzw"), ("RGB", "tiff_lzw"), ("RGB", "jpeg"), ("L", "jpeg"), ("RGB", "packbits"), ("P", "tiff_lzw"),
     ("1", "tiff_lzw"), ("CMYK", "tiff_lzw"), ("CMYK", "raw"), ("RGBA", "tiff_deflate"), ("F", "tiff_lzw"),
     ("YCbCr", "jpeg"), ("LAB", "tiff_lzw"), ("I;16", "tiff_lzw")],
)  # fmt: skip
def test_whatever_pillow_writes_comes_out_as_pillow_reads_it(tmp_path, mode, compression):
    noise = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    if mode == "I;16":
        image = Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(noise[:, :, 0] / np.float32(255))
    elif mode == "LAB":
        image = Image.frombytes("LAB", image.size, image.tobytes())
    else:
        image = image.convert(mode)
    path = tmp_path / "a.tif"
    image.save(path, compression=compression, tiffinfo={278: 16})
    with Image.open(path) as again:
        expected = as_array(plain_image(again, None))
    np.testing.assert_array_equal(open_tiff(path).piece(20, 30, 50, 77), expected[:, 20:50, 30:77])
    np.testing.assert_array_equal(read_image(path), expected)


def test_channels_are_converted_as_asked(tmp_path):
    path = write(tmp_path / "a.tif", drawn("colour", np.uint8, False), "colour", tile=(32, 32))
    for channels in (1, 3):
        picture = open_image(path, channels)
        assert picture.shape == (channels, ROWS, COLUMNS)
        np.testing.assert_array_equal(picture.piece(3, 4, 60, 80), read_image(path, channels=channels)[:, 3:60, 4:80])


def test_other_pictures_are_read_in_pieces_too(tmp_path):
    values = drawn("colour", np.uint8, False)
    Image.fromarray(values).save(tmp_path / "a.png")
    picture = open_image(tmp_path / "a.png")
    assert isinstance(picture, Piecewise)
    assert picture.shape == (3, ROWS, COLUMNS)
    np.testing.assert_array_equal(picture.piece(3, 4, 60, 80), values.transpose(2, 0, 1)[:, 3:60, 4:80])


def test_a_turned_tiff_is_read_upright(tmp_path):
    values = drawn("colour", np.uint8, False)
    path = write(tmp_path / "a.tif", values, "colour", tile=(32, 32), extratags=[(274, 3, 1, 6, True)])
    assert open_tiff(path) is None
    upright = np.rot90(values, -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(open_image(path).piece(0, 0, COLUMNS, ROWS), upright)
    assert read_image_header(path).height == COLUMNS


def test_each_tile_is_decoded_once_while_it_is_kept(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", drawn("gray", np.uint8, False, 256, 256), "gray", tile=(64, 64))
    decoded, real = [], tiff_module._pixels
    monkeypatch.setattr(tiff_module, "_pixels", lambda *place: decoded.append(place[2:]) or real(*place))
    picture = open_tiff(path)
    for _ in range(2):
        for top, left in itertools.product(range(0, 256, 32), repeat=2):
            picture.piece(top, left, min(top + 50, 256), min(left + 50, 256))
    assert sorted(decoded) == sorted(itertools.product(range(4), repeat=2))
    decoded.clear()
    monkeypatch.setattr(tiff_module, "KEPT_BYTES", 2 * 64 * 64)
    picture = open_tiff(path)
    picture.piece(0, 0, 256, 256)
    picture.piece(192, 128, 256, 256)
    assert len(decoded) == 16
    picture.piece(0, 0, 64, 64)
    assert len(decoded) == 17


def test_tiles_that_are_not_stored_are_zero(tmp_path):
    path = write(tmp_path / "a.tif", drawn("colour", np.uint8, False), "colour", tile=(32, 48), compression="deflate")
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages[0].tags
        tags["TileOffsets"].overwrite((*tags["TileOffsets"].value[:-1], 0))
        tags["TileByteCounts"].overwrite((*tags["TileByteCounts"].value[:-1], 0))
    picture = open_tiff(path)
    assert (picture.piece(64, 48, ROWS, COLUMNS) == 0).all()
    assert (picture.piece(0, 0, 64, 48) != 0).any()


def test_of_several_pages_the_first_is_read(tmp_path):
    first, second = (drawn("gray", np.uint8, False) // divisor for divisor in (1, 2))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(first, tile=(32, 32))
        file.write(second, tile=(32, 32))
    np.testing.assert_array_equal(open_tiff(tmp_path / "a.tif").piece(0, 0, ROWS, COLUMNS)[0], first)


def test_the_limit_of_pixels_holds_for_what_is_decoded_as_a_whole(tmp_path):
    Image.new("L", (100, 80)).save(tmp_path / "a.png")
    write(tmp_path / "a.tif", drawn("gray", np.uint8, False, 80, 100), "gray", tile=(32, 32))
    assert open_image(tmp_path / "a.png", max_pixels=8000).shape == (1, 80, 100)
    with pytest.raises(ImageError, match=r"a\.png could not be read: it has more than 7,999 pixels"):
        open_image(tmp_path / "a.png", max_pixels=7999)
    assert open_image(tmp_path / "a.tif", max_pixels=7999).shape == (1, 80, 100)
    for name in ("a.png", "a.tif"):
        with pytest.raises(ImageError, match="more than 7,999 pixels"):
            read_image(tmp_path / name, max_pixels=7999)


def test_pillows_own_limit_neither_warns_nor_holds(tmp_path):
    Image.new("1", (9500, 9500)).save(tmp_path / "a.png")  # Pillow warns of more than 89 million
    before = Image.MAX_IMAGE_PIXELS
    picture = open_image(tmp_path / "a.png")
    assert picture.shape == (1, 9500, 9500)
    assert picture.piece(9000, 9000, 9500, 9500).max() == 0
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("how", [{"tile": (32, 48)}, {"tile": (32, 48), "compression": "deflate"}, {}], ids=str)
def test_every_truncation_is_an_error_or_a_picture_never_a_crash(tmp_path, how):
    path = write(tmp_path / "a.tif", drawn("colour", np.uint8, False), "colour", **how)
    whole, cut = path.read_bytes(), tmp_path / "cut.tif"
    expected = read_image(path)
    for end in range(0, len(whole), max(len(whole) // 150, 1)):
        cut.write_bytes(whole[:end])
        try:
            picture = open_image(cut)
            got = picture.piece(0, 0, *picture.shape[1:])
        except ImageError as error:
            assert "cut.tif could not be read: it is" in str(error)
        else:
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("is_big", [False, True])
def test_nonsense_in_any_place_of_the_directory_is_an_error_or_a_picture(tmp_path, order, is_big):
    values = drawn("gray", np.uint8, False)
    path = write(tmp_path / "a.tif", values, "gray", tile=(32, 48), byteorder=order, bigtiff=is_big, metadata=None)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        end = min(file.pages[0].dataoffsets)
    rng = np.random.default_rng(0)
    for place in range(4, end):
        for byte in (255, int(rng.integers(256))):
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            try:
                picture = open_tiff(path)
                if picture is not None and picture.shape[1] * picture.shape[2] < 10**6:
                    picture.piece(0, 0, *picture.shape[1:])
            except ImageError as error:
                assert "a.tif could not be read" in str(error)


def test_compressions_that_cannot_be_decoded_are_named(tmp_path):
    path = write(tmp_path / "a.tif", drawn("gray", np.uint8, False), "gray", tile=(32, 48))
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["Compression"].overwrite(34712)
    with pytest.raises(ImageError, match=r"compressed by JPEG 2000, which .* save it with another compression"):
        open_image(path)


def test_numbers_without_a_meaning_are_refused_where_they_are_met(tmp_path):
    values = np.zeros((64, 64), np.float32)
    values[40, 40] = 7
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(32, 32))
    picture = open_image(tmp_path / "a.tif")
    assert (picture.piece(0, 0, 32, 32) == 0).all()
    with pytest.raises(ImageError, match=r"a\.tif could not be read: its numbers go from 0 to 7"):
        picture.piece(0, 0, 64, 64)


def test_a_header_that_promises_much_costs_little(tmp_path):
    entries = [(256, 4, 10**9), (257, 4, 10**9), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 2**31)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, k, 1, n) for t, k, n in entries)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + bytes(4))
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.tif")


def classic(entries, behind=b"", size=0):
    """A TIFF of entries (tag, kind, how many, value or place)."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return (b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + behind).ljust(size, b"\0")


def ones(**values):
    """Entries of one number each."""
    numbers = {"width": 256, "length": 257, "bits": 258, "compression": 259, "photometric": 262, "offset": 273,
               "rows_per_strip": 278, "count": 279, "tile_width": 322, "tile_length": 323}  # fmt: skip
    return [(numbers[name], 4, 1, value) for name, value in values.items()]


def hostile():
    """Files of at most some megabytes that promise, or ask to read, more than there is memory."""
    gray = {"bits": 8, "compression": 1, "photometric": 1}
    yield "rows without a place", classic(ones(width=2**23, length=2**32 - 1, **gray, count=5))
    whole = [(40000 + number, 1, 2**20, 0) for number in range(4000)]
    small = ones(width=10, length=10, **gray, offset=2**20, count=100)
    yield "tags that are all of the file", classic([*small, *whole], size=2**20 + 100)
    many, behind = 10_000, 8 * 2**20
    lines = ones(width=100, length=many, bits=8, compression=5, photometric=1, rows_per_strip=1)
    place = 8 + 2 + 12 * (len(lines) + 2) + 4
    strips = [(273, 4, many, place), (279, 4, many, place + 4 * many)]
    sizes = struct.pack("<I", place) * many + struct.pack("<I", behind) * many
    yield "strips that are all of the file", classic([*lines, *strips], sizes, size=behind + 1000)
    tile = ones(width=9, length=9, **gray, tile_width=0, tile_length=0)
    yield "tiles of nothing", classic([*tile, (324, 4, 1, 8), (325, 4, 1, 100)])
    tile = ones(width=9, length=9, **gray, tile_width=2**31, tile_length=2**31)
    yield "a tile beyond all bounds", classic([*tile, (324, 4, 1, 8), (325, 4, 1, 100)])


@pytest.mark.parametrize(("what", "data"), [*hostile()], ids=lambda given: given if isinstance(given, str) else "")
def test_whatever_a_file_says_memory_is_bounded(tmp_path, what, data):
    (tmp_path / "a.tif").write_bytes(data)
    tracemalloc.start()
    try:
        picture = open_image(tmp_path / "a.tif")
        picture.piece(0, 0, *picture.shape[1:])
    except ImageError as error:
        assert "a.tif could not be read: it is truncated or damaged" in str(error)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 100 * 2**20


def test_pictures_of_too_many_pixels_are_refused_without_a_warning(tmp_path, recwarn):
    Image.new("1", (100, 80)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="more than 7,000 pixels"):
        open_image(tmp_path / "a.png", max_pixels=7000)
    assert not recwarn


class Stream(io.RawIOBase):
    """Bytes as they come through a pipe."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, room):
        return self.data.readinto(room)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_come_through_pipes_too(tmp_path, suffix):
    values = drawn("colour", np.uint8, False)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    data = (tmp_path / f"a.{suffix}").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
    writer.start()
    for source in (Stream(data), tmp_path / "pipe"):
        np.testing.assert_array_equal(read_image(source), values.transpose(2, 0, 1))
