"""Pictures in folders and archives: what is recognised, what is skipped, and what each mistake is told."""

import io
import os
import shutil
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from wimmel.data import decoding, progress, read, sources
from wimmel.files import encode_image, write_image

SHADES = {"cat": 10, "dog": 90, "owl": 170}


def picture(value, size=(6, 8), channels=1):
    return np.full((channels, *size), value, np.uint8)


def make_tree(folder, counts=None, channels=1, size=(6, 8)):
    """A folder per class; picture number i of a class with shade s is filled with s + i."""
    for name, count in (counts or {"cat": 3, "dog": 2, "owl": 1}).items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            write_image(folder / name / f"{number}.png", picture(SHADES.get(name, 0) + number, size, channels))
    return folder


def shades(dataset):
    return dataset.images[:, 0, 0, 0].tolist()


EXPECTED_SHADES = [10, 11, 12, 90, 91, 170]


def make_zip(folder, path, inside="", **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for file in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(file, inside + file.relative_to(folder).as_posix())
    return path


def make_tar(folder, path, inside="", mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for file in sorted(folder.rglob("*.png"), reverse=True):
            archive.add(file, inside + file.relative_to(folder).as_posix())
    return path


def test_a_folder_per_class(tmp_path):
    train, test = read(make_tree(tmp_path / "pets"))
    assert test is None
    assert train.name == "pets"
    assert train.classes == ("cat", "dog", "owl")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert shades(train) == EXPECTED_SHADES
    assert train.shape == (1, 6, 8)
    assert train.skipped == ()


def test_other_files_are_ignored(tmp_path):
    folder = make_tree(tmp_path / "pets")
    (folder / "README.md").write_text("about")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "cat" / "notes.txt").write_text("about")
    write_image(folder / "cat" / "._hidden.png", picture(0))
    (folder / "empty").mkdir()
    (folder / ".git").mkdir()
    write_image(folder / ".git" / "logo.png", picture(0))
    train = read(folder).train
    assert shades(train) == EXPECTED_SHADES
    assert (train.classes, train.skipped) == (("cat", "dog", "owl"), ())


def test_folders_below_a_class_count(tmp_path):
    folder = make_tree(tmp_path / "pets")
    (folder / "dog" / "old" / "2019").mkdir(parents=True)
    write_image(folder / "dog" / "old" / "2019" / "x.JPG", picture(95))
    assert shades(read(folder).train) == [10, 11, 12, 90, 91, 95, 170]


def test_numbered_classes_are_sorted_as_numbers(tmp_path):
    train = read(make_tree(tmp_path / "n", {"10": 1, "9": 1, "1": 1})).train
    assert train.classes == ("1", "9", "10")
    train = read(make_tree(tmp_path / "m", {"10": 1, "9": 1, "b": 1})).train
    assert train.classes == ("10", "9", "b")


@pytest.mark.parametrize("testing", ["test", "val", "valid", "Validation", "TEST"])
def test_parts_in_folders(tmp_path, testing):
    make_tree(tmp_path / "pets" / "train")
    make_tree(tmp_path / "pets" / testing, {"owl": 1, "cat": 2})
    train, test = read(tmp_path / "pets")
    assert shades(train) == EXPECTED_SHADES
    assert shades(test) == [10, 11, 170]
    assert test.labels.tolist() == [0, 0, 2]
    assert test.classes == train.classes
    assert (train.name, test.name) == ("pets", "pets test")


def test_validation_joins_training_where_there_is_a_test(tmp_path):
    for part, counts in (("train", {"cat": 1, "dog": 1}), ("val", {"cat": 2}), ("test", {"dog": 1})):
        make_tree(tmp_path / part, counts)
    train, test = read(tmp_path)
    assert sorted(shades(train)) == [10, 10, 11, 90]
    assert shades(test) == [90]


def test_a_class_may_be_called_train(tmp_path):
    assert read(make_tree(tmp_path, {"train": 1, "plane": 1})).train.classes == ("plane", "train")


def test_a_lone_train_folder_and_other_wrappers_are_passed_through(tmp_path):
    make_tree(tmp_path / "download" / "pets" / "train")
    train, test = read(tmp_path)
    assert (train.classes, test) == (("cat", "dog", "owl"), None)


@pytest.mark.parametrize("inside", ["", "pets/", "./", "a/b/"])
@pytest.mark.parametrize("kind", ["zip", "deflated.zip", "tar", "tar.gz", "tar.xz", "tgz"])
def test_archives_hold_the_same_data_set(tmp_path, kind, inside):
    folder = make_tree(tmp_path / "tree")
    archive = tmp_path / f"pets.{kind}"
    if kind.endswith("zip"):
        make_zip(folder, archive, inside, compression=zipfile.ZIP_DEFLATED if "deflated" in kind else 0)
    else:
        make_tar(folder, archive, inside, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tgz": "w:gz"}[kind])
    train, test = read(archive)
    assert shades(train) == EXPECTED_SHADES
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert (train.classes, test) == (("cat", "dog", "owl"), None)
    assert train.name in ("pets", "pets.deflated")


def test_an_archive_is_known_by_its_contents(tmp_path):
    folder = make_tree(tmp_path / "tree")
    make_zip(folder, tmp_path / "download")
    make_tar(folder, tmp_path / "other.bin")
    assert shades(read(tmp_path / "download").train) == EXPECTED_SHADES
    assert shades(read(tmp_path / "other.bin").train) == EXPECTED_SHADES


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_two_archives_are_two_parts(tmp_path, kind):
    make = make_zip if kind == "zip" else make_tar
    (tmp_path / "pets").mkdir()
    make(make_tree(tmp_path / "a"), tmp_path / "pets" / f"train.{kind}")
    make(make_tree(tmp_path / "b", {"dog": 2}), tmp_path / "pets" / f"test.{kind}", inside="test/")
    train, test = read(tmp_path / "pets")
    assert shades(train) == EXPECTED_SHADES
    assert shades(test) == [90, 91]
    assert test.labels.tolist() == [1, 1]


def test_a_folder_around_a_single_archive_stands_for_it(tmp_path):
    (tmp_path / "download").mkdir()
    make_zip(make_tree(tmp_path / "tree"), tmp_path / "download" / "pets.zip")
    assert shades(read(tmp_path / "download").train) == EXPECTED_SHADES


def test_nothing_is_unpacked_and_dangerous_names_are_skipped(tmp_path):
    archive = make_zip(make_tree(tmp_path / "tree"), tmp_path / "pets.zip")
    outside = tmp_path / "outside"
    with zipfile.ZipFile(archive, "a") as opened:
        for name in ("../outside/x.png", "/abs/x.png", "cat/../../x.png", "C:/x.png", "..\\x.png"):
            opened.writestr(zipfile.ZipInfo(name), encode_image(picture(1)))
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc/hostname")
    before = sorted(tmp_path.rglob("*"))
    train = read(archive).train
    assert shades(train) == EXPECTED_SHADES
    assert len(train.skipped) == 6
    assert {reason for _, reason in train.skipped} == {"its name leads outside the archive", "it is a link"}
    assert sorted(tmp_path.rglob("*")) == before
    assert not outside.exists()


def test_links_and_devices_in_a_tar_are_skipped(tmp_path):
    folder = make_tree(tmp_path / "tree")
    with tarfile.open(tmp_path / "pets.tar", "w") as archive:
        archive.add(folder, ".")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"cat/{kind.decode()}.png")
            member.type, member.linkname = kind, "/etc/hostname"
            archive.addfile(member)
        member = tarfile.TarInfo("../x.png")
        archive.addfile(member, io.BytesIO())
    train = read(tmp_path / "pets.tar").train
    assert shades(train) == EXPECTED_SHADES
    assert len(train.skipped) == 5


def test_absurd_sizes_are_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SIZE_LIMIT", 5000)
    folder = make_tree(tmp_path / "tree")
    (folder / "cat" / "zeros.png").write_bytes(bytes(6000))
    for archive in (
        make_zip(folder, tmp_path / "a.zip", compression=zipfile.ZIP_DEFLATED),
        make_tar(folder, tmp_path / "a.tgz"),
    ):
        train = read(archive).train
        assert shades(train) == EXPECTED_SHADES
        assert train.skipped == ((f"{archive}: cat/zeros.png", "it would unpack to 6,000 bytes"),)


def test_corrupt_pictures_among_good_ones_are_skipped_listed_and_counted(tmp_path):
    folder = make_tree(tmp_path / "pets")
    whole = encode_image(np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8), "jpg")
    (folder / "cat" / "0cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "empty.png").write_bytes(b"")
    (folder / "owl" / "text.gif").write_text("no picture")
    train = read(folder).train
    assert shades(read(folder, channels=1, size=(6, 8)).train) == EXPECTED_SHADES
    assert len(train) == 6
    assert repr(train).endswith("3 skipped)")
    assert dict(train.skipped).keys() == {
        str(folder / "cat" / "0cut.jpg"),
        str(folder / "dog" / "empty.png"),
        str(folder / "owl" / "text.gif"),
    }
    reasons = dict(train.skipped)
    assert "truncated" in reasons[str(folder / "cat" / "0cut.jpg")]
    assert "not a picture" in reasons[str(folder / "owl" / "text.gif")]


def test_corrupt_pictures_in_the_test_part_are_listed_there(tmp_path):
    make_tree(tmp_path / "train")
    make_tree(tmp_path / "test")
    (tmp_path / "test" / "cat" / "bad.png").write_bytes(b"bad")
    train, test = read(tmp_path)
    assert (len(train.skipped), len(test.skipped), len(test)) == (0, 1, 6)


def test_a_damaged_member_of_a_zip_is_skipped(tmp_path):
    archive = make_zip(make_tree(tmp_path / "tree"), tmp_path / "pets.zip")
    with zipfile.ZipFile(archive) as opened:
        offset = opened.getinfo("dog/1.png").header_offset + 30 + len("dog/1.png")
    data = bytearray(archive.read_bytes())
    data[offset + 40] ^= 0xFF
    archive.write_bytes(data)
    train = read(archive).train
    assert shades(train) == [10, 11, 12, 90, 170]
    assert "CRC" in train.skipped[0][1]


def test_pictures_that_lie_in_no_class_are_skipped(tmp_path):
    folder = make_tree(tmp_path / "pets")
    write_image(folder / "cover.png", picture(1))
    train = read(folder).train
    assert shades(train) == EXPECTED_SHADES
    assert train.skipped == ((str(folder / "cover.png"), "it lies in no class's folder"),)


def test_an_unlabelled_test_part_is_no_test_part(tmp_path):
    make_tree(tmp_path / "train")
    (tmp_path / "test").mkdir()
    write_image(tmp_path / "test" / "1.png", picture(1))
    train, test = read(tmp_path)
    assert test is None
    assert len(train.skipped) == 1


def test_colour_anywhere_makes_all_colour_and_gray_everywhere_stays_gray(tmp_path):
    folder = make_tree(tmp_path / "pets")
    assert read(folder).train.shape[0] == 1
    assert read(folder, channels=3).train.shape[0] == 3
    write_image(folder / "cat" / "colour.png", picture(3, channels=3))
    assert read(folder).train.shape[0] == 3
    assert read(folder, channels=1).train.shape[0] == 1


def test_a_size_shared_by_all_is_kept_however_large(tmp_path):
    assert read(make_tree(tmp_path, {"cat": 1, "dog": 1}, size=(100, 130))).train.shape == (1, 100, 130)


def test_different_sizes_become_their_median_at_most_64(tmp_path):
    make_tree(tmp_path / "small", {"cat": 1, "dog": 1}, size=(20, 30))
    write_image(tmp_path / "small" / "cat" / "other.png", picture(0, (24, 44)))
    assert read(tmp_path / "small").train.shape == (1, 20, 30)
    make_tree(tmp_path / "large", {"cat": 1, "dog": 1}, size=(150, 200))
    write_image(tmp_path / "large" / "cat" / "other.png", picture(0, (300, 200)))
    assert read(tmp_path / "large").train.shape == (1, 48, 64)
    assert read(tmp_path / "large", size=(9, 7)).train.shape == (1, 9, 7)


def test_the_test_part_is_brought_to_the_training_parts_size(tmp_path):
    make_tree(tmp_path / "train", size=(10, 12))
    make_tree(tmp_path / "test", size=(30, 20), channels=3)
    train, test = read(tmp_path)
    assert train.shape == test.shape == (1, 10, 12)


def test_above_the_budget_pictures_lie_in_a_mapped_file(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MEMORY_BUDGET", 100)
    folder = make_tree(tmp_path / "pets")
    (folder / "cat" / "0bad.png").write_bytes(b"bad")
    train = read(folder).train
    base = train.images
    while not isinstance(base, np.memmap):
        base = base.base
    assert shades(train) == EXPECTED_SHADES
    assert shades(train.split(0.5)[0]) + shades(train.split(0.5)[1])


def test_a_full_disk_above_the_budget_is_a_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(decoding, "MEMORY_BUDGET", 100)
    monkeypatch.setattr(decoding, "_reserve", full)
    with pytest.raises(OSError, match=r"288 bytes are needed .* has no room .*set TMPDIR"):
        read(make_tree(tmp_path))


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need special rights here")
def test_linked_folders_are_followed_once(tmp_path):
    store = make_tree(tmp_path / "store")
    (tmp_path / "pets").mkdir()
    for name in SHADES:
        (tmp_path / "pets" / name).symlink_to(store / name)
    (store / "cat" / "round").symlink_to(tmp_path / "pets")
    assert set(shades(read(tmp_path / "pets").train)) <= set(EXPECTED_SHADES)
    (store / "cat" / "round").unlink()
    assert shades(read(tmp_path / "pets").train) == EXPECTED_SHADES


def no_pictures(folder):
    folder.mkdir()


def only_text(folder):
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "a.txt").write_text("text")


def no_classes(folder):
    folder.mkdir()
    write_image(folder / "a.png", picture(1))


def one_class(folder):
    make_tree(folder, {"cat": 2})


def nothing_readable(folder):
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(b"bad")


def one_class_readable(folder):
    make_tree(folder, {"cat": 2})
    (folder / "dog").mkdir()
    (folder / "dog" / "a.png").write_bytes(b"bad")


def no_training_part(folder):
    make_tree(folder / "test")
    make_tree(folder / "val")


def new_class_in_test(folder):
    make_tree(folder / "train", {"cat": 1, "dog": 1})
    make_tree(folder / "test", {"cat": 1, "owl": 1})


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (no_pictures, r"No pictures were found in .*one folder per class, such as photos/cat/1\.jpg"),
        (only_text, "No pictures were found"),
        (no_classes, r"lie in no folder that would tell their class.*one folder per class"),
        (one_class, r"The 2 pictures in .* are all in one class, cat; at least two"),
        (nothing_readable, r"0 could be read, and not from two classes; 2 were passed over.*a\.png: it is not a"),
        (one_class_readable, "2 could be read, and not from two classes; 1 were passed over"),
        (no_training_part, "has folders test and val, but no train/"),
        (new_class_in_test, "classes that the training part lacks: owl"),
    ],
)
def test_every_mistake_gets_its_sentence(tmp_path, make, expected):
    make(tmp_path / "given")
    with pytest.raises(ValueError, match=expected):
        read(tmp_path / "given")


def test_unknown_kinds_and_missing_paths_get_a_sentence(tmp_path):
    (tmp_path / "table.csv").write_text("1,2,3\n")
    with pytest.raises(ValueError, match=r"table\.csv is of no kind that pictures are read from.*Expected is"):
        read(tmp_path / "table.csv")
    (tmp_path / "nothing").write_bytes(b"")
    with pytest.raises(ValueError, match="nothing is of no kind"):
        read(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"There is nothing at .*absent"):
        read(tmp_path / "absent")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar"])
def test_a_truncated_archive_is_refused_by_name_and_never_loses_pictures_in_silence(tmp_path, kind):
    folder = make_tree(tmp_path / "tree")
    make = make_zip if kind == "zip" else lambda a, b: make_tar(a, b, mode=f"w:{kind[4:]}")
    whole = make(folder, tmp_path / f"pets.{kind}").read_bytes()
    cut = tmp_path / f"cut.{kind}"
    refused = 0
    steps = range(0, len(whole), 512 if kind == "tar" else 37)
    for length in steps:
        cut.write_bytes(whole[:length])
        try:
            assert shades(read(cut).train) == EXPECTED_SHADES  # only the padding at the end is missing
        except ValueError as error:
            assert f"cut.{kind}" in str(error)
            refused += 1
    assert refused >= len(steps) // 3


@pytest.mark.parametrize(("option", "value"), [("size", 0), ("size", (1, 2, 3)), ("channels", 2)])
def test_wrong_options_are_refused(tmp_path, option, value):
    with pytest.raises(ValueError, match=option):
        read(make_tree(tmp_path), **{option: value})


def test_progress_is_told_to_a_callback(tmp_path):
    told = []
    read(make_tree(tmp_path), progress=lambda task, done, total: told.append((task, done, total)))
    assert told[-1] == ("decoding", 6, 6)
    assert ("measuring", 6, 6) in told


def test_a_bar_is_shown_when_it_takes_long_and_only_then(tmp_path, monkeypatch, capsys):
    read(make_tree(tmp_path / "fast"))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress, "_PATIENCE", -1.0)
    monkeypatch.setattr(decoding, "_PICTURES_PER_TASK", 2)
    read(tmp_path / "fast")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Decoding" in shown.err
    read(tmp_path / "fast", progress=False)
    assert capsys.readouterr() == ("", "")


def test_many_pictures_keep_their_order_whatever_the_threads(tmp_path, monkeypatch):
    folder = tmp_path / "tree"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for number in range(120):
        write_image(folder / "ab"[number % 2] / f"{number:03}.png", picture(number, (2, 2)))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    expected = [*range(0, 120, 2), *range(1, 120, 2)]
    assert shades(read(folder).train) == expected
    assert shades(read(make_tar(folder, tmp_path / "t.tar.gz")).train) == expected
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wimmel")]


def test_an_error_in_the_callback_ends_the_threads(tmp_path):
    def fails(*_):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        read(make_tree(tmp_path), progress=fails)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wimmel")]


def test_a_folder_that_vanishes_while_it_is_read_is_skipped_not_fatal(tmp_path):
    folder = make_tree(tmp_path / "pets")

    def remove(task, done, total):
        shutil.rmtree(folder / "owl", ignore_errors=True)

    train = read(folder, progress=remove).train
    assert shades(train) == EXPECTED_SHADES[:-1]
    assert "could not be read" in train.skipped[0][1]


def test_one_class_is_enough_where_that_is_asked_for(tmp_path):
    (tmp_path / "dog").mkdir()
    write_image(tmp_path / "dog" / "1.png", np.full((1, 4, 4), 9, np.uint8))
    assert read(tmp_path, fewest_classes=1).train.classes == ("dog",)
    with pytest.raises(ValueError, match="all in one class, dog"):
        read(tmp_path)
    with pytest.raises(ValueError, match="fewest_classes must be 1 or 2; got 0"):
        read(tmp_path, fewest_classes=0)


def test_no_pictures_at_all_are_not_enough_for_anything(tmp_path):
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="0 could be read; 1 were passed over"):
        read(tmp_path, fewest_classes=1)
