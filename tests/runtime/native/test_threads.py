"""How many threads a call may use, and where that number comes from."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wimmel.runtime.native import get_num_threads, num_threads, set_num_threads, threads
from wimmel.runtime.native.systems import linux


@pytest.fixture(autouse=True)
def as_at_the_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(threads.SETTING, raising=False)
    set_num_threads(None)
    threads._from_start.cache_clear()
    yield
    set_num_threads(None)
    threads._from_start.cache_clear()


def test_a_block_goes_before_the_process_and_that_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(threads.SETTING, "7")
    assert get_num_threads() == 7
    set_num_threads(5)
    assert get_num_threads() == 5
    with num_threads(3):
        assert get_num_threads() == 3
        with num_threads(2):
            assert get_num_threads() == 2
        assert get_num_threads() == 3
    assert get_num_threads() == 5
    set_num_threads(None)
    assert get_num_threads() == 7


def test_a_block_ends_with_an_exception_too() -> None:
    before = get_num_threads()
    with pytest.raises(KeyError), num_threads(3):
        raise KeyError
    assert get_num_threads() == before


def test_a_block_counts_for_its_own_thread_and_task() -> None:
    before = get_num_threads()
    seen = []
    with num_threads(before + 1):
        thread = threading.Thread(target=lambda: seen.append(get_num_threads()))
        thread.start()
        thread.join()
    assert seen == [before]

    async def task(count: int) -> int:
        with num_threads(count):
            await asyncio.sleep(0.001)
            return get_num_threads()

    async def both() -> list[int]:
        return await asyncio.gather(task(2), task(3))

    assert asyncio.run(both()) == [2, 3]


def test_a_block_can_be_a_decorator() -> None:
    assert num_threads(3)(get_num_threads)() == 3


@pytest.mark.parametrize("wrong", [0, -1, 1025])
def test_numbers_out_of_range_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="The number of threads must be at"):
        set_num_threads(wrong)
    with pytest.raises(ValueError, match="The number of threads must be at"), num_threads(wrong):
        pass


@pytest.mark.parametrize("wrong", [1.0, "2", True])
def test_what_is_no_whole_number_is_refused(wrong: int) -> None:
    with pytest.raises(TypeError, match="The number of threads must be a whole number"):
        set_num_threads(wrong)


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5", "1025", "²"])
def test_the_environment_is_checked(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv(threads.SETTING, wrong)
    with pytest.raises(ValueError, match=f"WIMMEL_NUM_THREADS is '{wrong}'; it takes a whole number from 1 to 1024"):
        get_num_threads()


def test_the_default_is_at_most_what_this_process_may_use() -> None:
    assert 1 <= get_num_threads() <= (os.cpu_count() or 1)


# cores, in file systems made up


def machine(root: Path, siblings: list[str], group: str = "", files: dict[str, str] | None = None) -> Path:
    """A root folder with these hyperthread siblings for processors 0, 1, ..., and files of control groups."""
    for number, names in enumerate(siblings):
        write(root / f"sys/devices/system/cpu/cpu{number}/topology/core_cpus_list", names)
    write(root / "proc/self/cgroup", group)
    for name, content in (files or {}).items():
        write(root / "sys/fs/cgroup" / name, content)
    return root


def write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content + "\n")


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Which processors the process may run on: a set to be filled."""
    numbers: set[int] = set()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: numbers, raising=False)
    return numbers


def test_hyperthreads_of_a_core_count_once(tmp_path: Path, allowed: set[int]) -> None:
    root = machine(tmp_path, ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"])
    allowed |= set(range(8))
    assert linux.cores(root) == 4
    allowed -= {0, 3, 7}
    assert linux.cores(root) == 3
    allowed -= set(range(8)) - {5}
    assert linux.cores(root) == 1


def test_processors_whose_core_is_unknown_count_each(tmp_path: Path, allowed: set[int]) -> None:
    allowed |= {0, 1, 5}
    assert linux.cores(tmp_path) == 3


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("", 8)]
)
def test_the_quota_of_a_control_group(tmp_path: Path, allowed: set[int], quota: str, cores: int) -> None:
    allowed |= set(range(8))
    assert linux.cores(machine(tmp_path, [], "0::/a/b", {"a/b/cpu.max": quota})) == cores


def test_the_quota_of_a_group_further_up_counts_too(tmp_path: Path, allowed: set[int]) -> None:
    allowed |= set(range(8))
    files = {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}
    assert linux.cores(machine(tmp_path, [], "0::/a/b", files)) == 3


def test_a_path_that_is_not_there_as_in_a_container(tmp_path: Path, allowed: set[int]) -> None:
    allowed |= set(range(8))
    assert linux.cores(machine(tmp_path, [], "0::/../docker/abc", {"cpu.max": "400000 100000"})) == 4


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3)])
def test_control_groups_of_the_first_version(tmp_path: Path, allowed: set[int], quota: str, cores: int) -> None:
    allowed |= set(range(8))
    group = "5:memory:/x\n4:cpu,cpuacct:/x\n1:name=systemd:/x\n0::/"
    files = {"cpu,cpuacct/x/cpu.cfs_quota_us": quota, "cpu,cpuacct/x/cpu.cfs_period_us": "100000"}
    assert linux.cores(machine(tmp_path, [], group, files)) == cores
