"""Pictures in all the ways files hold them, made with Pillow and compared with what they must look like."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from wimmel.files import (
    ImageError,
    ImageHeader,
    encode_image,
    fit_image,
    read_image,
    read_image_header,
    read_opacity,
    write_image,
)

GRAY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
COLOUR = np.stack([GRAY, 255 - GRAY, GRAY // 2])


def stored(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def png(width, height, bits, colour_type, rows):
    """A PNG written from its specification, for what Pillow cannot write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def test_gray_has_one_channel():
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(GRAY))), GRAY[np.newaxis])


def test_colour_has_three_in_the_order_red_green_blue():
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(COLOUR.transpose(1, 2, 0)))), COLOUR)


def test_the_result_is_contiguous_and_writable():
    picture = read_image(stored(Image.fromarray(COLOUR.transpose(1, 2, 0))))
    assert picture.flags.c_contiguous
    assert picture.flags.writeable


def test_one_bit_is_black_and_white():
    bits = GRAY > 100
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(bits)))[0], np.where(bits, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    wide = np.array([[0, 128, 129, 257], [32767, 32896, 65407, 65535]], np.uint16)
    expected = np.floor(wide / 65535 * 255 + 0.5)
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(wide), kind))[0], expected)


def test_sixteen_bit_big_endian_tiff_is_scaled_too():
    """A TIFF written from its specification: one strip of two big-endian 16-bit pixels."""
    entries = [(256, 2), (257, 1), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 4)]
    directory = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    pixels = struct.pack(">HH", 257 * 100, 65535)
    tiff = b"MM\0*" + struct.pack(">I", 12) + pixels + struct.pack(">H", len(entries)) + directory + bytes(4)
    np.testing.assert_array_equal(read_image(io.BytesIO(tiff)), [[[100, 255]]])


def test_sixteen_bit_colour_keeps_the_upper_byte():
    pixels = [(0x12FF, 0x8001, 0xFFFF), (0, 0x00FF, 0x0100)]
    row = b"".join(struct.pack(">HHH", *pixel) for pixel in pixels)
    np.testing.assert_array_equal(read_image(png(2, 1, 16, 2, [row])), [[[0x12, 0]], [[0x80, 0]], [[0xFF, 1]]])


def test_floats_are_taken_from_0_to_1():
    values = np.array([[0, 0.25, 1]], np.float32)
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(values), "TIFF")), [[[0, 64, 255]]])


@pytest.mark.parametrize("values", [np.array([[0, 7]], np.float32), np.array([[-1, 5]], np.int32)])
def test_numbers_without_a_meaning_are_refused(values):
    with pytest.raises(ImageError, match=r"defined meaning"):
        read_image(stored(Image.fromarray(values), "TIFF"))


def test_a_palette_gives_its_colours():
    indexed = Image.fromarray(COLOUR.transpose(1, 2, 0)).convert("P", palette=Image.Palette.ADAPTIVE)
    expected = np.asarray(indexed.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_image(stored(indexed)), expected)


def test_a_gray_palette_gives_one_channel():
    indexed = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    indexed.putpalette([9, 9, 9, 70, 70, 70, 200, 200, 200])
    assert indexed.mode == "P"
    np.testing.assert_array_equal(read_image(stored(indexed)), [[[9, 70, 200]]])


def test_cmyk_becomes_rgb():
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[:, :, 0] = 255  # cyan alone takes away all red
    picture = read_image(stored(Image.fromarray(inks, "CMYK"), "JPEG", quality=100))
    assert picture.shape == (3, 8, 8)
    np.testing.assert_allclose(picture.mean(axis=(1, 2)), [0, 255, 255], atol=3)


def test_lab_becomes_rgb():
    white = Image.new("LAB", (3, 3), (255, 128, 128))
    np.testing.assert_allclose(read_image(stored(white, "TIFF")), 255, atol=2)


def test_transparent_parts_show_white():
    layers = np.zeros((1, 3, 4), np.uint8)
    layers[0, :, 0] = 200  # dark red ...
    layers[0, :, 3] = [0, 51, 255]  # ... invisible, at a fifth, opaque
    expected = [[[255, 244, 200]], [[255, 204, 0]], [[255, 204, 0]]]
    np.testing.assert_allclose(read_image(stored(Image.fromarray(layers, "RGBA"))), expected, atol=1)


def test_gray_with_transparency_stays_gray():
    layers = np.array([[[100, 0], [100, 255]]], np.uint8)
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(layers, "LA"))), [[[255, 100]]])


def test_a_transparent_palette_entry_shows_white():
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8))
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    np.testing.assert_array_equal(read_image(stored(indexed, transparency=0)), [[[255, 40]], [[255, 50]], [[255, 60]]])


def test_a_transparent_colour_key_shows_white():
    np.testing.assert_array_equal(
        read_image(stored(Image.fromarray(np.array([[5, 6]], np.uint8)), transparency=5)), [[[255, 6]]]
    )


def test_gray_and_colour_are_converted_as_asked():
    colour = Image.fromarray(COLOUR.transpose(1, 2, 0))
    np.testing.assert_array_equal(read_image(stored(colour), channels=1)[0], np.asarray(colour.convert("L")))
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(GRAY)), channels=3), np.stack([GRAY] * 3))


@pytest.mark.parametrize("held", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_cameras_rotation_is_applied(held, kind):
    notes = Image.Exif()
    notes[0x0112] = held
    turned = {
        1: GRAY,
        2: GRAY[:, ::-1],
        3: GRAY[::-1, ::-1],
        4: GRAY[::-1],
        5: GRAY.T,
        6: np.rot90(GRAY, -1),
        7: GRAY[::-1, ::-1].T,
        8: np.rot90(GRAY),
    }[held]
    file = stored(Image.fromarray(GRAY), kind, exif=notes)
    np.testing.assert_array_equal(read_image(file)[0], turned)
    assert read_image_header(file) == ImageHeader(*turned.shape, 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_notes_about_rotation_do_not_spoil_the_picture():
    file = stored(Image.fromarray(GRAY), "JPEG", quality=100, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01")
    assert read_image(file).shape == (1, 4, 6)


def test_a_size_is_covered_and_cut_around_the_middle():
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(wide)), size=10), np.full((1, 10, 10), 200))


def test_scaling_down_averages_whole_blocks_where_they_are_even():
    blocks = np.kron(np.array([[0, 100], [200, 40]], np.uint8), np.ones((32, 32), np.uint8))
    small = read_image(stored(Image.fromarray(blocks)), size=(2, 2))[0]
    np.testing.assert_allclose(small, np.asarray(Image.fromarray(blocks).resize((2, 2), Image.Resampling.BILINEAR)))
    checkerboard = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (32, 32))
    assert abs(int(read_image(stored(Image.fromarray(checkerboard)), size=(7, 7))[0, 3, 3]) - 127) <= 2


@pytest.mark.parametrize("size", [(5, 9), (9, 5), (40, 3), 17, (48, 64)])
def test_any_size_is_met_exactly_as_pillows_own_fit(size):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 64), np.uint8))
    rows, columns = (size, size) if isinstance(size, int) else size
    expected = np.asarray(ImageOps.fit(noise, (columns, rows), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(read_image(stored(noise), size)[0], expected, atol=1)


def test_a_large_jpeg_decoded_small_looks_like_the_full_one_scaled():
    rows, columns = np.mgrid[0:256, 0:384]
    smooth = (127 + 60 * np.sin(rows / 40) + 60 * np.cos(columns / 50)).astype(np.uint8)
    full = stored(Image.fromarray(smooth), "JPEG", quality=95)
    exact = np.asarray(ImageOps.fit(Image.open(full), (16, 16), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(read_image(full, size=16)[0] - exact).max() <= 2


def test_fit_image_does_the_same_to_arrays():
    file = stored(Image.fromarray(COLOUR.transpose(1, 2, 0)))
    np.testing.assert_array_equal(fit_image(COLOUR, (3, 2), 1), read_image(file, (3, 2), 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_every_truncation_is_an_error_or_a_picture_never_a_crash(tmp_path, kind):
    noise = np.random.default_rng(2).integers(0, 256, (16, 16, 3), np.uint8)
    whole = stored(Image.fromarray(noise), kind).getvalue()
    path = tmp_path / "cut.picture"
    for length in range(0, len(whole) - 8, 7):
        path.write_bytes(whole[:length])
        try:
            assert read_image(path).shape == (3, 16, 16)
        except ImageError as error:
            assert str(path) in str(error)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"cut\.picture could not be read: it is"):
        read_image(path)


def test_what_is_no_picture_is_refused_by_name(tmp_path):
    (tmp_path / "note.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"note\.jpg could not be read: it is not a picture"):
        read_image(tmp_path / "note.jpg")
    with pytest.raises(ValueError, match=r"named\.png could not be read"):
        read_image(io.BytesIO(b""), name="named.png")


def test_a_decompression_bomb_is_refused_before_decoding():
    with pytest.raises(ImageError, match="more than 178,956,970 pixels"):
        read_image(png(50_000, 50_000, 1, 0, []))
    with pytest.raises(ImageError, match="more than 178,956,970 pixels"):
        read_image_header(png(50_000, 50_000, 1, 0, []))


def test_formats_that_start_other_programs_are_not_opened():
    with pytest.raises(ImageError, match="not a picture of any kind known here"):
        read_image(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no picture .*none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("size", [0, (3,), (3, -1), (2.5, 2), (1, 2, 3)])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(ValueError, match="size must be a whole number or"):
        read_image(stored(Image.fromarray(GRAY)), size=size)


def test_wrong_channels_are_refused():
    with pytest.raises(ValueError, match="channels must be 1"):
        read_image(stored(Image.fromarray(GRAY)), channels=4)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
@pytest.mark.parametrize("picture", [COLOUR, GRAY[np.newaxis], GRAY, COLOUR[:, ::-1, ::2], np.asfortranarray(COLOUR)])
def test_written_pictures_come_back(tmp_path, suffix, picture):
    path = tmp_path / f"picture{suffix}"
    write_image(path, picture)
    np.testing.assert_array_equal(read_image(path), np.atleast_3d(picture) if picture.ndim == 3 else picture[None])


def test_a_written_jpeg_is_a_jpeg(tmp_path):
    write_image(tmp_path / "photo.JPG", COLOUR)
    with Image.open(tmp_path / "photo.JPG") as image:
        assert (image.format, image.size) == ("JPEG", (6, 4))


@pytest.mark.parametrize(
    ("name", "picture", "error", "expected"),
    [
        ("a.png", COLOUR.astype(float), TypeError, "must be uint8.*got float64"),
        ("a.png", np.zeros((2, 4, 4), np.uint8), ValueError, r"shape .*got \(2, 4, 4\)"),
        ("a.png", np.zeros((0, 4), np.uint8), ValueError, "shape"),
        ("a.txt", COLOUR, ValueError, "which kind of picture"),
        ("a", COLOUR, ValueError, "which kind of picture"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, name, picture, error, expected):
    with pytest.raises(error, match=expected):
        write_image(tmp_path / name, picture)
    assert not list(tmp_path.iterdir())


def test_an_encoded_picture_is_read_by_pillow():
    with Image.open(io.BytesIO(encode_image(COLOUR))) as image:
        np.testing.assert_array_equal(np.asarray(image), COLOUR.transpose(1, 2, 0))


@pytest.mark.parametrize("width", range(20, 70))
@pytest.mark.parametrize("height", [29, 40, 58])
def test_pictures_of_any_size_are_scaled(width, height, tmp_path):
    Image.new("L", (width, height), 200).save(tmp_path / "picture.png")
    scaled = read_image(tmp_path / "picture.png", size=28)
    assert scaled.shape == (1, 28, 28) and (scaled == 200).all()


def test_tiffs_of_32_bit_numbers_are_refused(tmp_path):
    Image.new("I", (5, 5), 200).save(tmp_path / "picture.tif")
    with pytest.raises(ValueError, match="32-bit whole numbers"):
        read_image(tmp_path / "picture.tif")


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_opacity_is_read_upright(tmp_path, mode):
    image = Image.new("LA" if mode == "LA" else "RGBA", (3, 2))
    alpha = np.array([[0, 128, 255], [10, 20, 30]], np.uint8)
    image.putalpha(Image.fromarray(alpha))
    if mode == "PA":
        image = image.quantize()
    note = Image.Exif()
    note[0x0112] = 3
    image.save(tmp_path / "seen.png", exif=note)
    found = read_opacity(tmp_path / "seen.png")
    assert found.shape == (2, 3)
    if mode != "PA":
        assert (found == alpha[::-1, ::-1]).all()


def test_opaque_files_have_no_opacity(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "opaque.png")
    assert read_opacity(tmp_path / "opaque.png") is None
