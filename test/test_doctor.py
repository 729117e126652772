"""spatia doctor: what it says of machines that are made up, and how it looks."""

import io
import json
from dataclasses import replace

import pytest

from spatia_ros.cli import doctor, doctor_host, doctor_rules, main
from spatia_ros.cli.doctor_host import Disk, Host, Profile
from spatia_ros.cli.doctor_rules import GB, MB, ON_THE_WIRE, findings


def package(**values):
    return {"version": "5.3.6", "error": "", "hashes": {}, "definitions": {}, "maintainer": "", **values}


def hashes():
    out = {}
    for kind, digest in ON_THE_WIRE.items():
        out.setdefault(kind.split("/")[0], {})[kind] = "RIHS01_" + digest
    return out


ROS = {
    "rclpy": "7.1.5", "error": "", "wheels": True, "rmw": "rmw_fastrtps_cpp",
    "environment": {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"},
    "packages": {
        **{name: package(hashes=own) for name, own in hashes().items()},
        "spatia_ros": package(definitions={"msg/SimStatus.msg": "bool a"}),
        "simulation_interfaces": package(version="1.5.1", maintainer="maintainers@spatia-ros.invalid"),
    },
    "optional": {"cv_bridge": True},
}  # fmt: skip
GOOD = Host(
    python=(3, 12, 3), machine="x86_64", cores=8, memory_bytes=16 * GB, environ={"ROS_DOMAIN_ID": "7"}, ros=ROS,
    profile=Profile("fastdds.xml", 32 * MB, 16 * MB, True), shm=Disk("/dev/shm", 4 * GB, True), shm_bytes=8 * GB,
    definitions={"msg/SimStatus.msg": "bool a"}, gpus=(), cuda=None, providers=("CPUExecutionProvider",), packages={},
    engines={"nano": ""}, built={}, disks={"data_dir": Disk("/data", 50 * GB, True)},
    loopback={"sent": 30, "arrived": 30, "taken_ms": [1.0] * 30, "error": ""},
)  # fmt: skip


def ros(**changed):
    return {**ROS, **changed}


def packages(**changed):
    return ros(packages={**ROS["packages"], **changed})


def says(host):
    return {f.name: f for f in findings(host)}


def test_a_good_host_has_nothing_to_do():
    assert [f for f in findings(GOOD) if f.level != "ok"] == []
    assert not any(f.do for f in findings(GOOD))


BAD = [
    ({"python": (3, 9, 1)}, "Python", "fail", "3.10"),
    ({"cores": 1}, "computer", "warn", "smaller frames"),
    ({"ros": {"error": "No module named 'rclpy'"}}, "rclpy", "fail", "make set-up-run"),
    ({"ros": ros(wheels=False), "environ": {"ROS_DISTRO": "foxy"}}, "rclpy", "warn", "humble"),
    ({"ros": ros(rmw="rmw_cyclonedds_cpp")}, "middleware", "warn", "16 MB"),
    ({"environ": {"ROS_DOMAIN_ID": "seven"}}, "ROS_DOMAIN_ID", "fail", "0 to 101"),
    ({"environ": {"ROS_DOMAIN_ID": "150"}}, "ROS_DOMAIN_ID", "warn", "ports"),
    ({"environ": {"ROS_DOMAIN_ID": "233"}}, "ROS_DOMAIN_ID", "fail", "0 to 101"),
    ({"ros": ros(environment={"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"})}, "discovery", "fail", "unset"),
    ({"environ": {"ROS_LOCALHOST_ONLY": "1"}}, "discovery", "warn", "unset"),
    ({"profile": None}, "DDS profile", "fail", "eval"),
    ({"profile": Profile("mine.xml", error="no such file")}, "DDS profile", "fail", "unset"),
    ({"profile": Profile("mine.xml")}, "DDS profile", "warn", "lost"),
    ({"shm": Disk("/dev/shm", 50 * MB, True)}, "/dev/shm", "fail", "--shm-size"),
    ({"shm": Disk("/dev/shm", 80 * MB, True)}, "/dev/shm", "warn", "third"),
    ({"ros": ros(left_over_bytes=35 * MB)}, "left over", "warn", "--fix"),
    ({"loopback": None}, "images", "warn", "--no-loopback"),
    ({"loopback": {"sent": 30, "arrived": 2, "taken_ms": [9.0, 9.0]}}, "images", "fail", "/dev/shm"),
    ({"loopback": {"sent": 30, "arrived": 29, "taken_ms": [9.0] * 29}}, "images", "warn", "busy"),
    ({"loopback": {"sent": 30, "arrived": 30, "taken_ms": [90.0] * 30}}, "images", "warn", "busy"),
    ({"loopback": {"error": "did not find each other"}}, "images", "fail", "firewall"),
    ({"ros": packages(nav_msgs=package(error="ImportError: x"))}, "nav_msgs", "fail", "make set-up-run"),
    ({"ros": packages(sensor_msgs=package(hashes={"sensor_msgs/msg/Image": "RIHS01_00"}))}, "type hashes", "warn", "not hear"),
    ({"definitions": {"msg/SimStatus.msg": "bool a, b"}}, "spatia_ros", "fail", "make set-up-run"),
    ({"providers": ()}, "ONNX Runtime", "fail", "requirements/runtime.txt"),
    ({"engines": {}}, "weights", "fail", "projection"),
    ({"engines": {"nano": "expected 9 bytes, got 8"}}, "weights nano", "fail", "git checkout -- engines/nano"),
    ({"gpus": ("H200",)}, "CUDA", "warn", "requirements/train.txt"),
    ({"gpus": ("H200",), "cuda": False, "packages": {"torch": "2.13.0+cpu"}}, "CUDA", "warn", "CUDA build"),
    ({"gpus": ("H200",), "cuda": True, "packages": {"torch": "2", "tensorrt": "1"}, "built": {"nano": False}}, "TensorRT", "warn",
     "spatia build-engine nano"),
    ({"disks": {"data_dir": Disk("/data", 50 * GB, False)}}, "data_dir", "fail", "owner"),
    ({"disks": {"data_dir": Disk("/data", 5 * MB, True)}}, "data_dir", "fail", "make room"),
    ({"disks": {"data_dir": Disk("/data", GB, True)}}, "data_dir", "warn", "minute"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "name", "level", "do"), BAD)
def test_what_is_wrong_is_said_with_what_to_do(change, name, level, do):
    finding = says(replace(GOOD, **change))[name]
    assert finding.level == level
    assert do in finding.do


def test_a_gpu_with_everything_is_fine():
    host = replace(GOOD, gpus=("H200, 570",), cuda=True, packages={"torch": "2.13.0", "tensorrt": "10.3"}, built={"nano": True})
    assert [says(host)[n].level for n in ("GPU", "CUDA", "TensorRT")] == ["ok"] * 3


def test_a_ros_before_type_hashes_is_fine():
    old = {name: package(definitions=p["definitions"]) for name, p in ROS["packages"].items()}
    assert says(replace(GOOD, ros=ros(packages=old)))["type hashes"].level == "ok"


def test_a_comment_changes_no_message():
    host = replace(GOOD, definitions={"msg/SimStatus.msg": "# what it is\n\nbool   a   # a remark\n"})
    assert says(host)["spatia_ros"].level == "ok"


def test_the_stand_in_is_told_from_the_real_one():
    assert "built here" in says(GOOD)["simulation_interfaces"].text
    real = packages(simulation_interfaces=package(version="2.1.0", maintainer="someone@robotec.ai"))
    assert "2.1.0, installed" in says(replace(GOOD, ros=real))["simulation_interfaces"].text


def test_profiles_are_read(tmp_path):
    for name, size in (("fastdds", 32), ("fastdds_small", 16)):
        profile = doctor_host.read_profile(doctor_host.ROOT / "config" / f"{name}.xml")
        assert (profile.segment_bytes, profile.message_bytes, profile.loopback_only) == (size * MB, size * MB // 2, True)
    (tmp_path / "udp.xml").write_text("<dds><transport_descriptor><type>UDPv4</type></transport_descriptor></dds>")
    assert doctor_host.read_profile(tmp_path / "udp.xml") == Profile(str(tmp_path / "udp.xml"))
    (tmp_path / "broken.xml").write_text("<dds>")
    assert doctor_host.read_profile(tmp_path / "broken.xml").error
    assert doctor_host.read_profile(tmp_path / "none.xml").error


def test_a_folder_that_is_not_there_yet_has_the_room_of_the_one_above(tmp_path):
    assert doctor_host.disk(tmp_path / "a" / "b").writable
    assert doctor_host.disk(tmp_path / "a" / "b").free_bytes > 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_is_coloured_and_wrapped_on_a_terminal_and_plain_elsewhere(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    found = [f._asdict() for f in findings(replace(GOOD, profile=None))]
    screen, pipe = Terminal(), io.StringIO()
    doctor.show(found, screen)
    doctor.show(found, pipe)
    assert "\033[31mFAIL" in screen.getvalue()
    assert "\033" not in pipe.getvalue()
    assert max(map(len, pipe.getvalue().splitlines())) < 80
    assert "1 failed" in pipe.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    doctor.show(found, plain)
    assert "\033" not in plain.getvalue()


@pytest.mark.parametrize(("host", "status"), [(GOOD, 0), (replace(GOOD, cores=1), 0), (replace(GOOD, profile=None), 1)])
def test_the_exit_status_is_whether_anything_fails(host, status, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(doctor_host, "look", lambda folder, loopback: host)
    assert main(["doctor", "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] == (status == 0)
    assert {f["level"] for f in report["findings"]} <= set(doctor.MARKS)
    assert main(["doctor", "--json", str(tmp_path / "report.json")]) == status
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert "ok," in capsys.readouterr().out


def test_a_program_that_fails_is_an_answer(monkeypatch):
    monkeypatch.setattr(doctor_host, "ROS_FACTS", "no_such_module")
    assert "no_such_module" in doctor_host.ask_ros()["error"]


def test_damaged_weights_are_found(tmp_path, monkeypatch):
    import shutil

    from spatia_ros.engine import bundle

    shutil.copytree(doctor_host.ROOT / "engines", tmp_path / "engines")
    monkeypatch.setattr(bundle, "engines_folder", lambda: tmp_path / "engines")
    assert doctor_host.checked_engines() == {"nano": ""}
    graph = tmp_path / "engines" / "nano" / "text.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    assert "text.onnx" in doctor_host.checked_engines()["nano"]
    assert doctor_rules.findings(replace(GOOD, engines=doctor_host.checked_engines()))
