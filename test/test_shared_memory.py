"""Segments in shared memory whose owners were killed are removed, and no others."""

import fcntl
import os
import subprocess
import sys
import time

from spatia_ros.nodes.shared_memory import remove_left_over

OWNER = """
import fcntl, sys, time
lock = open(sys.argv[1] + "_el", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
open(sys.argv[1], "wb").write(bytes(1000))
print("ready", flush=True)
time.sleep(60)
"""
OLD = (time.time() - 100.0,) * 2


def owner(path):
    child = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE)
    child.stdout.readline()
    os.utime(f"{path}_el", OLD)
    return child


def test_what_a_killed_owner_left_goes_and_what_a_living_one_has_stays(tmp_path):
    dead, alive = tmp_path / "fastrtps_00000000000000aa", tmp_path / "fastrtps_00000000000000bb"
    children = [owner(dead), owner(alive)]
    assert remove_left_over(tmp_path) == 0
    children[0].kill()
    children[0].wait()
    assert remove_left_over(tmp_path) == 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == [alive.name, f"{alive.name}_el"]
    children[1].kill()
    children[1].wait()


def test_other_files_stay(tmp_path):
    names = ("fastrtps_port7411_el", "fastrtps_port7411", "somebody_el", "fastrtps_zz_el", "fastrtps_00000000000000cc")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, OLD)
    assert remove_left_over(tmp_path) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_one_that_is_just_being_made_stays(tmp_path):
    segment = tmp_path / "fastrtps_00000000000000dd"
    segment.write_bytes(b"x")
    (tmp_path / f"{segment.name}_el").touch()  # not locked yet
    assert remove_left_over(tmp_path) == 0
    assert segment.exists()


def test_a_machine_without_shared_memory(tmp_path):
    assert remove_left_over(tmp_path / "nowhere") == 0


def test_a_lock_that_is_held_by_this_process_counts(tmp_path):
    segment = tmp_path / "fastrtps_00000000000000ee"
    segment.write_bytes(b"x")
    with (tmp_path / f"{segment.name}_el").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(lock.name, OLD)
        assert remove_left_over(tmp_path) == 0
