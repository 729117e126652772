"""Images in a /dev/shm of 64 MB: two processes with the small Fast DDS profile keep within it, and every image arrives."""

import os

import pytest
from conftest import own_domain
from image_pair import watch

from spatia_ros.nodes.environment import fastdds_profile, ros_environment

pytest.importorskip("rclpy", reason="ROS 2 is not installed here")

FRAMES = 90


def test_the_profile_is_chosen_by_the_size_of_shared_memory(tmp_path, monkeypatch):
    class Stat:
        f_frsize = 4096
        f_blocks = (64 << 20) // 4096

    monkeypatch.setattr(os, "statvfs", lambda _: Stat)
    assert fastdds_profile(tmp_path).name == "fastdds_small.xml"
    Stat.f_blocks = (1 << 30) // 4096
    assert fastdds_profile(tmp_path).name == "fastdds.xml"


def test_images_arrive_within_64_mb():
    with own_domain() as number:  # alone: whoever else is on the domain has segments, too
        images_arrive_within_64_mb(str(number))


def images_arrive_within_64_mb(domain):
    small = fastdds_profile().with_name("fastdds_small.xml")
    env = ros_environment(os.environ) | {
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(small), "FASTDDS_DEFAULT_PROFILES_FILE": str(small),
        "ROS_DOMAIN_ID": domain,
    }  # fmt: skip
    got, _, sizes = watch(FRAMES, env)
    assert len(got) >= 0.98 * FRAMES, f"{FRAMES - len(got)} of {FRAMES} images were lost"
    total = sum(sizes.values())
    print(f"{len(got)} of {FRAMES} images; {total / 2**20:.1f} MB of shared memory, {len(sizes)} segments")
    assert len(sizes) >= 2  # this one's own, and the camera's that it reads from
    assert total < 64 << 20
