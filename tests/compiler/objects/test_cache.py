"""Objects on disk: what was written is read back whole, or not at all."""

import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from wimmel.compiler.objects import cache

POSIX = pytest.mark.skipif(os.name != "posix", reason="owners and permissions as POSIX has them")


def key(number):
    return number.to_bytes(32, "little")


def entry(folder, number):
    return folder / f"{key(number).hex()}.object"


def content(number):
    return f"object {number} ".encode() * 50


@pytest.fixture(autouse=True)
def not_warned(monkeypatch):
    monkeypatch.setattr(cache, "_warned", set())
    monkeypatch.setattr(cache, "_written", 0)


def write(*numbers):
    cache.write({key(number): content(number) for number in numbers})


def read(*numbers):
    return {int.from_bytes(found, "little"): value for found, value in cache.read(map(key, numbers)).items()}


def test_what_was_written_is_read():
    assert read(1, 2) == {}
    write(1, 2)
    assert read(1, 2, 3) == {1: content(1), 2: content(2)}


@POSIX
def test_the_folder_and_its_files_are_the_users_alone(folder):
    before = os.umask(0)
    try:
        write(1)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert entry(folder, 1).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "longer", "exchanged", "magic"])
def test_a_damaged_entry_is_not_read_and_is_replaced(folder, damage):
    write(1, 2)
    path = entry(folder, 1)
    whole = path.read_bytes()
    flipped = whole[:-7] + bytes([whole[-7] ^ 1]) + whole[-6:]
    path.write_bytes(
        {"cut": whole[:-1], "empty": b"", "flipped": flipped, "longer": whole + b"\0",
         "exchanged": entry(folder, 2).read_bytes(), "magic": b"W" + whole[1:]}[damage]
    )  # fmt: skip
    assert read(1, 2) == {2: content(2)}
    write(1)
    assert read(1, 2) == {1: content(1), 2: content(2)}


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_to_is_not_used(folder, mode):
    write(1)
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match=r"not kept in .*cache, because other users may write to it; set WIMMEL_C"):
        assert read(1) == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert read(1) == {}
        write(2)
    assert not entry(folder, 2).exists()
    folder.chmod(0o700)
    assert read(1) == {1: content(1)}


@POSIX
def test_a_folder_of_another_user_is_not_used(folder, monkeypatch):
    write(1)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.warns(RuntimeWarning, match="because it belongs to another user"):
        assert read(1) == {}
    write(2)
    assert not entry(folder, 2).exists()


@POSIX
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_not_read_and_is_replaced(folder, mode):
    write(1)
    entry(folder, 1).chmod(mode)
    assert read(1) == {}
    write(1)
    assert read(1) == {1: content(1)}
    assert entry(folder, 1).stat().st_mode & 0o777 == 0o600


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_read(folder):
    write(1)
    os.chown(entry(folder, 1), 12345, -1)
    assert read(1) == {}


@POSIX
@pytest.mark.parametrize("kind", ["link", "hanging link", "folder", "pipe"])
def test_what_is_no_plain_file_is_not_read(folder, tmp_path, kind):
    write(1)
    path = entry(folder, 1)
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "hanging link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert read(1) == {}
    write(1)
    assert read(1) == ({} if kind == "folder" else {1: content(1)})
    assert not (tmp_path / "nowhere").exists()


@POSIX
def test_a_link_to_a_folder_of_ones_own_is_followed(folder, tmp_path):
    (tmp_path / "large disk").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "large disk")
    write(1)
    assert read(1) == {1: content(1)}


@pytest.mark.parametrize("place", ["below a file", "in a file"])
def test_without_a_folder_nothing_is_kept_and_nothing_is_said(tmp_path, monkeypatch, place):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("WIMMEL_CACHE_DIR", str(file / "cache" if place == "below a file" else file))
    write(1)
    assert read(1) == {}


@POSIX
def test_a_folder_that_may_only_be_read_serves_what_it_has(folder, monkeypatch):
    write(1)
    old = time.time() - 1e6
    os.utime(entry(folder, 1), (old, old))
    there = os.open

    def read_only(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", path)
        return there(path, flags, *args, **kwargs)

    def refused(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "utime", refused)
    write(2)
    assert read(1, 2) == {1: content(1)}


@POSIX
def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch):
    write(1)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    write(2)
    assert sorted(path.name for path in folder.iterdir()) == sorted([entry(folder, 1).name, "pruned"])


@pytest.mark.parametrize("word", ["off", "OFF", " off", "Off "])
def test_off_keeps_nothing(tmp_path, monkeypatch, word):
    monkeypatch.setenv("WIMMEL_CACHE_DIR", word)
    monkeypatch.chdir(tmp_path)
    write(1)
    assert read(1) == {}
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_each_system_has_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WIMMEL_CACHE_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.folder() == tmp_path / "xdg" / "wimmel"
    for unset in ("", "relative/folder"):  # which the standard says to ignore
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache.folder() == tmp_path / ".cache" / "wimmel"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == tmp_path / "Library" / "Caches" / "wimmel"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.folder() == tmp_path / "local" / "wimmel"
    monkeypatch.delenv("LOCALAPPDATA")
    assert cache.folder() is None


@POSIX
def test_a_user_without_a_home_has_no_folder(monkeypatch):
    import pwd

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("WIMMEL_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert cache.folder() is None
    write(1)
    assert read(1) == {}


def test_a_large_folder_loses_what_was_not_used_for_longest(folder, monkeypatch):
    now = time.time()
    write(*range(20))
    for number in range(20):
        used = now - 10 * cache.DAY + number * 3600
        os.utime(entry(folder, number), (used, used))
    assert read(3) == {3: content(3)}  # and so it is the latest
    monkeypatch.setattr(cache, "LIMIT_BYTES", 10_000)
    monkeypatch.setattr(cache, "_PRUNE_AFTER_BYTES", 0)
    write(20)
    kept = [number for number in range(21) if entry(folder, number).exists()]
    assert 6500 < sum(entry(folder, number).stat().st_size for number in kept) <= 7500
    assert kept[0] == 3 and kept[1:] == list(range(22 - len(kept), 21))


def test_a_folder_is_looked_through_once_a_day(folder, monkeypatch):
    times = []
    prune = cache._Folder.prune
    monkeypatch.setattr(cache._Folder, "prune", lambda self, limit: (times.append(limit), prune(self, limit)))
    for number in range(5):
        write(number)
    assert len(times) == 1
    old = time.time() - 2 * cache.DAY
    os.utime(folder / "pruned", (old, old))
    write(6)
    write(7)
    assert len(times) == 2


def test_what_was_never_finished_is_removed_and_what_is_not_ours_stays(folder):
    write(1)
    unfinished = [folder / f"{key(2).hex()}.{number:016x}.unfinished" for number in (1, 2)]
    for path in unfinished:
        path.write_bytes(b"half of")
    (folder / "model.object").write_text("not ours")
    old = time.time() - 7200
    os.utime(unfinished[0], (old, old))
    with cache._Folder.open(folder) as opened:
        opened.prune(0)
    assert [path.exists() for path in unfinished] == [False, True]
    assert not entry(folder, 1).exists()
    assert (folder / "model.object").exists()


@POSIX
def test_a_process_killed_while_writing_leaves_no_broken_entry(folder):
    script = """
import os
from wimmel.compiler.objects import cache
content = os.urandom(3_000_000)
print(flush=True)
while True:
    cache.write({number.to_bytes(32, "little"): content for number in range(3)})
"""
    for moment in (0.0, 0.02, 0.05):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.03 + moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        whole = [path for path in folder.iterdir() if path.suffix == ".object"]
        assert len(read(0, 1, 2)) == len(whole)
    write(0, 1, 2)
    assert read(0, 1, 2) == {number: content(number) for number in range(3)}
