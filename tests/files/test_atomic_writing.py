"""A file is written whole or not at all: errors of many kinds, and what is on the disk after each."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wimmel.files import save_tensors, write_bytes, write_image, write_text, write_whole


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def full_disk(*_args, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_new_file_holds_exactly_what_was_written(tmp_path):
    write_bytes(tmp_path / "new.bin", b"\x00\xff\r\n")
    assert contents(tmp_path) == {"new.bin": b"\x00\xff\r\n"}


def test_text_is_utf8_with_its_own_line_ends(tmp_path):
    write_text(tmp_path / "text.txt", "Größe\n\r\n")
    assert contents(tmp_path) == {"text.txt": b"Gr\xc3\xb6\xc3\x9fe\n\r\n"}


def test_until_the_block_ends_the_old_file_stands(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with write_whole(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
    assert contents(tmp_path) == {"file.txt": b"new"}


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(type(error)), write_whole(target) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert contents(tmp_path) == {"file.txt": b"old"}


def test_a_full_disk_while_writing_leaves_the_old_file_and_says_so(tmp_path):
    target = tmp_path / "model.bin"
    target.write_bytes(b"old")
    sentence = r"model\.bin could not be written .*untouched.*the disk is full"
    with pytest.raises(OSError, match=sentence) as caught, write_whole(target) as temporary:
        temporary.write_bytes(b"half")
        full_disk()
    assert caught.value.errno == errno.ENOSPC
    assert contents(tmp_path) == {"model.bin": b"old"}


def test_a_full_disk_at_the_final_flush_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "model.bin").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="the disk is full"):
        write_bytes(tmp_path / "model.bin", b"new")
    assert contents(tmp_path) == {"model.bin": b"old"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_device_that_is_always_full_fails_like_a_full_disk(tmp_path):
    sentence = r"no file was left behind.*the disk is full"
    always_full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    with pytest.raises(OSError, match=sentence), write_whole(tmp_path / "copy.bin"), always_full:
        always_full.write(b"x")
    assert contents(tmp_path) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file sizes are POSIX's")
def test_a_write_cut_short_by_the_operating_system_leaves_the_old_file(tmp_path):
    """A real failed write: the process may make no file longer than 1,000 bytes."""
    (tmp_path / "model.safetensors").write_bytes(b"old")
    program = (
        "import resource, sys, numpy\n"
        "from wimmel.files import save_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    save_tensors(sys.argv[1], {'w': numpy.ones(1000)}, {})\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-B", "-c", program, str(tmp_path / "model.safetensors")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not be written (the file that was there is untouched)" in result.stdout
    assert contents(tmp_path) == {"model.safetensors": b"old"}


@pytest.mark.parametrize("write", [
    lambda path: save_tensors(path.with_suffix(".safetensors"), {}, {}),
    lambda path: write_image(path.with_suffix(".png"), np.zeros((4, 4), np.uint8)),
    lambda path: write_text(path, "text"),
])  # fmt: skip
def test_every_writer_goes_through_the_same_door(tmp_path, monkeypatch, write):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="the disk is full"):
        write(tmp_path / "file")
    assert contents(tmp_path) == {}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist; create it first"):
        write_bytes(tmp_path / "nowhere" / "file.bin", b"")


def test_a_folder_is_not_overwritten(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        write_bytes(tmp_path, b"")


@pytest.mark.skipif(not Path(os.devnull).exists(), reason="this system has no null device in its file tree")
def test_a_device_is_not_replaced():
    with pytest.raises(OSError, match="is a device, not an ordinary file"):
        write_bytes(os.devnull, b"")


def test_an_error_about_another_file_keeps_its_own_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), write_whole(tmp_path / "file.bin"):
        (tmp_path / "other").read_bytes()
    assert contents(tmp_path) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits are POSIX's")
def test_permissions_of_an_existing_file_are_kept_and_new_ones_follow_the_umask(tmp_path):
    (tmp_path / "old").write_bytes(b"")
    (tmp_path / "old").chmod(0o640)
    (tmp_path / "ordinary").write_bytes(b"")
    write_bytes(tmp_path / "old", b"x")
    write_bytes(tmp_path / "new", b"x")
    mode = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "new", "ordinary")}
    assert mode["old"] == 0o640
    assert mode["new"] == mode["ordinary"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need special rights on Windows")
def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to(tmp_path / "store" / "real.bin")
    write_bytes(tmp_path / "link.bin", b"new")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "store" / "real.bin").read_bytes() == b"new"


def test_the_longest_permitted_name_can_be_written(tmp_path):
    name = "n" * 251 + ".bin"
    write_bytes(tmp_path / name, b"x")
    assert contents(tmp_path) == {name: b"x"}
