"""MCAP files and rosbag2 folders as we write them: read by others, split, and mended after their writer was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from spatia_ros.sequence.bag_folder import BagFolder, mend, qos_profile, qos_text
from spatia_ros.sequence.bag_writer import _qos
from spatia_ros.sequence.mcap_file import McapFile
from spatia_ros.sequence.mcap_file import mend as mend_file
from spatia_ros.sequence.mcap_records import Topic
from spatia_ros.types import SpatiaError

STORE = get_typestore(Stores.ROS2_JAZZY)
STRING = "std_msgs/msg/String"
QOS = qos_text([qos_profile(reliable=True, latched=False)])


def topic(name: str, kind: str = STRING) -> Topic:
    return Topic(name, kind, STORE.generate_msgdef(kind, ros_version=2)[0], QOS, STORE.hash_rihs01(kind))


def said(text: str) -> bytes:
    return bytes(STORE.serialize_cdr(STORE.types[STRING](text), STRING))


def heard(path: Path) -> list[tuple[str, int, str]]:
    """What rosbags reads."""
    with AnyReader([path], default_typestore=STORE) as reader:
        return [(c.topic, ns, reader.deserialize(data, c.msgtype).data) for c, ns, data in reader.messages()]


def decoded(path: Path) -> list[tuple[str, int, str]]:
    """What the MCAP library reads."""
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        return [(c.topic, m.log_time, ros.data) for _, c, m, ros in reader.iter_decoded_messages()]


def write_some(path: Path, count: int, *, compressed: bool = True) -> list[tuple[str, int, str]]:
    with McapFile(path, compressed=compressed) as file:
        numbers = [file.add(topic(name)) for name in ("/a", "/b")]
        told = [("/a" if k % 3 else "/b", 1000 + k, f"message {k} " + "x" * (k % 50)) for k in range(count)]
        for k, (_, log_ns, text) in enumerate(told):
            file.write(numbers[0 if k % 3 else 1], log_ns, said(text))
            if k % 10 == 9:
                file.flush()
    return told


@pytest.mark.parametrize("compressed", [True, False])
def test_others_read_what_we_write(tmp_path: Path, compressed: bool) -> None:
    told = write_some(tmp_path / "x.mcap", 35, compressed=compressed)
    assert decoded(tmp_path / "x.mcap") == heard(tmp_path / "x.mcap") == told
    with (tmp_path / "x.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary.statistics.message_count == 35
    assert summary.statistics.chunk_count == len(summary.chunk_indexes) == 4
    assert {c.topic: c.metadata["offered_qos_profiles"] for c in summary.channels.values()} == {"/a": QOS, "/b": QOS}


def test_a_file_that_ends_anywhere_is_mended_up_to_its_last_whole_chunk(tmp_path: Path) -> None:
    told = write_some(tmp_path / "whole.mcap", 35)
    whole = (tmp_path / "whole.mcap").read_bytes()
    kept = []
    for length in np.random.default_rng(0).integers(40, len(whole), 40).tolist() + [len(whole)]:
        path = tmp_path / f"cut_{length}.mcap"
        path.write_bytes(whole[:length])
        counts = mend_file(path)
        assert decoded(path) == told[: sum(counts.values())]
        assert heard(path) == decoded(path) if counts else True
        kept.append((length, sum(counts.values())))
    kept.sort()
    assert kept[-1][1] == 35
    assert {n for _, n in kept} >= {0, 10, 20, 35}
    assert [n for _, n in kept] == sorted(n for _, n in kept)


def test_damage_in_the_middle_costs_what_comes_after_it(tmp_path: Path) -> None:
    told = write_some(tmp_path / "x.mcap", 35)
    data = bytearray((tmp_path / "x.mcap").read_bytes())
    second = data.index(b"zstd", data.index(b"zstd") + 1)
    data[second + 40] ^= 0xFF
    (tmp_path / "x.mcap").write_bytes(data)
    count = sum(mend_file(tmp_path / "x.mcap").values())
    assert count == 10
    assert decoded(tmp_path / "x.mcap") == told[:count]


@pytest.mark.parametrize("compressed", [True, False])
def test_whatever_is_in_a_file_is_mended_or_refused(tmp_path: Path, compressed: bool) -> None:
    """Bytes changed at random, and checksums taken out so that the changes are believed."""
    write_some(tmp_path / "whole.mcap", 35, compressed=compressed)
    whole = bytearray((tmp_path / "whole.mcap").read_bytes())
    for at in (i for i in range(len(whole)) if whole[i : i + 1] == b"\x06" and whole[i + 37 : i + 41] in (b"\4\0\0\0", bytes(4))):
        whole[at + 33 : at + 37] = bytes(4)
    rng, refused = np.random.default_rng(1), list[str]()
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.integers(8, len(data), rng.integers(1, 4)).tolist():
            data[at] = rng.integers(256)
        (tmp_path / "x.mcap").write_bytes(data)
        try:
            mend_file(tmp_path / "x.mcap")
        except SpatiaError as error:
            refused.append(str(error))
    assert len(refused) < 200
    assert compressed or refused
    assert all("x.mcap" in words for words in refused)


def test_messages_outside_chunks_are_not_cut_off(tmp_path: Path) -> None:
    from mcap.writer import Writer as Plain

    with (tmp_path / "x.mcap").open("wb") as file:
        writer = Plain(file, use_chunking=False)
        writer.start("ros2")
        schema = writer.register_schema(STRING, "ros2msg", b"string data")
        writer.add_message(writer.register_channel("/a", "cdr", schema), 1, said("x"), 1)
        writer.finish()
    before = (tmp_path / "x.mcap").read_bytes()
    with pytest.raises(SpatiaError, match="expected messages in chunks"):
        mend_file(tmp_path / "x.mcap")
    assert (tmp_path / "x.mcap").read_bytes() == before


def test_what_is_no_mcap_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_bytes(b"years of work")
    with pytest.raises(SpatiaError, match="expected an MCAP file"):
        mend_file(tmp_path / "x.mcap")
    assert (tmp_path / "x.mcap").read_bytes() == b"years of work"
    with pytest.raises(FileExistsError):
        McapFile(tmp_path / "x.mcap")


def test_a_folder_says_of_itself_what_rosbags_would(tmp_path: Path) -> None:
    """metadata.yaml field by field against one written by another implementation."""
    ours = BagFolder(tmp_path / "ours")
    with Writer(tmp_path / "theirs", version=9, storage_plugin=StoragePlugin.MCAP) as theirs:
        connection = theirs.add_connection("/a", STRING, typestore=STORE, offered_qos_profiles=[_qos("/a")])
        number = ours.add(topic("/a"))
        for k in range(3):
            theirs.write(connection, 1000 + k, said(str(k)))
            ours.write(number, 1000 + k, said(str(k)))
    ours.close()
    told, wanted = (yaml.safe_load((tmp_path / name / "metadata.yaml").read_text()) for name in ("ours", "theirs"))
    told, wanted = told["rosbag2_bagfile_information"], wanted["rosbag2_bagfile_information"]
    assert told.keys() == wanted.keys()
    for name in ("version", "storage_identifier", "duration", "starting_time", "message_count", "topics_with_message_count",
                 "compression_format", "compression_mode", "custom_data"):  # fmt: skip
        assert told[name] == wanted[name], name
    assert told["files"][0].keys() == wanted["files"][0].keys()
    assert told["files"][0] | {"path": ""} == wanted["files"][0] | {"path": ""}
    assert told["relative_file_paths"] == ["ours_0.mcap"], "the name that rosbag2 gives"
    assert heard(tmp_path / "ours") == heard(tmp_path / "theirs")


@pytest.mark.parametrize(("limits", "files"), [({"split_bytes": 400}, 4), ({"split_s": 5e-9}, 4), ({}, 1)])
def test_long_recordings_are_split(tmp_path: Path, limits: dict[str, float], files: int) -> None:
    bag = BagFolder(tmp_path / "run", compressed=False, **limits)
    number = bag.add(topic("/a"))
    for k in range(20):
        bag.write(number, 100 + k, said(f"{k:060d}"))
        bag.flush()
    bag.close()
    names = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert len(names) >= files + 1 if limits else names == ["metadata.yaml", "run_0.mcap"]
    assert [ns for _, ns, _ in heard(tmp_path / "run")] == list(range(100, 120))
    each = [decoded(tmp_path / "run" / name) for name in names if name.endswith(".mcap")]
    assert all(each), "every file by itself, with its definitions"
    told = yaml.safe_load((tmp_path / "run" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert sum(f["message_count"] for f in told["files"]) == told["message_count"] == 20


@pytest.mark.parametrize("closed", [True, False])
def test_a_folder_is_gone_on_with(tmp_path: Path, closed: bool) -> None:
    """Closed, or left as its writer's death leaves it."""
    for begin, end in ((0, 3), (3, 5)):
        bag = BagFolder(tmp_path / "run", go_on=True)
        assert bag.counts["/a"] == begin
        number = bag.add(topic("/a"))
        for k in range(begin, end):
            bag.write(number, k, said(str(k)))
        bag.flush()
        (bag.close if closed else bag.abandon)()
    assert mend(tmp_path / "run") == (tmp_path / "run", {"/a": 5})
    assert [text for _, _, text in heard(tmp_path / "run")] == list("01234")
    with pytest.raises(SpatiaError, match="not overwritten"):
        BagFolder(tmp_path / "run")


WRITER = """
import sys
from pathlib import Path
from test_mcap_file import BagFolder, said, topic
bag = BagFolder(Path(sys.argv[1]))
number = bag.add(topic("/a"))
for k in range(10**9):
    bag.write(number, k, said(f"message {k}"))
    if k % 100 == 99:
        bag.flush()
        print(k, flush=True)
"""


def test_what_was_flushed_survives_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        flushed = [int(writer.stdout.readline()) for _ in range(5)][-1]
        writer.send_signal(signal.SIGKILL)
    assert not (tmp_path / "run" / "metadata.yaml").exists()
    _, counts = mend(tmp_path / "run")
    assert counts["/a"] > flushed
    assert [text for _, _, text in heard(tmp_path / "run")] == [f"message {k}" for k in range(counts["/a"])]
