"""The command line: it teaches, it refuses with one line, and its commands leave what they say."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spatia_ros import cli
from spatia_ros.memory import Memory
from spatia_ros.sequence import write_tum
from spatia_ros.types import Camera, Frame

ROOT = Path(__file__).resolve().parents[1]
COARSE = ["--set", "memory.voxel_m=0.04"]
SMALL = ["--set", "generator.name=projection", "--set", "camera.width_px=64", "--set", "camera.height_px=48"]
QUICK = [*SMALL, *COARSE]


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    """A camera that slides along a striped wall 2 m away: 9 frames."""
    camera, rng = Camera.from_fov(96, 72, 1.2), np.random.default_rng(1)
    stripes = rng.integers(30, 220, (72, 400, 3), np.uint8)
    frames = []
    for k in range(9):
        T = np.eye(4)
        T[0, 3] = 0.1 * k
        frames.append(Frame(stripes[:, 4 * k : 4 * k + 96].copy(), np.full((72, 96), 2.0, np.float32), camera, T, k * 10**8))
    return write_tum(frames, tmp_path_factory.mktemp("data") / "wall")


def spatia(*words: object) -> int:
    return cli.main([str(word) for word in words])


@pytest.mark.parametrize("command", [[], *[[name] for name in cli.COMMANDS]])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main([*command, "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    if command:
        assert text.count(f"spatia {command[0]}") >= 2, "a usage line and an example"
        assert "examples:" in text
    else:
        assert all(name in text for name in cli.COMMANDS)


def test_help_imports_nothing_heavy():
    code = (
        "import sys, contextlib, io\nfrom spatia_ros import cli\n"
        "for command in ([], *([c] for c in cli.COMMANDS)):\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "        cli.main([*command, '--help'])\n"
        "print(sorted({'numpy', 'numba', 'cv2', 'torch', 'open3d', 'rclpy', 'av', 'scipy', 'pydantic'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--sequence", "nowhere", "--set", "generator.name=projection"], "nowhere"),
        (["run", "--set", "generator.name=no-such-engine"], "no-such-engine"),
        (["demo", "--set", "generator.name=no-such-engine"], "no-such-engine"),
        (["run", "--set", "camera.width_px=-1"], "camera.width_px"),
        (["run", "--set", "no.such=1"], "no"),
        (["run", "--config", "none.yaml"], "none.yaml"),
        (["map", "--sequence", "nowhere"], "nowhere"),
        (["memory", "info", "nowhere.spatia"], "nowhere.spatia"),
        (["demo", "--sequence", "nowhere", "--set", "generator.name=projection"], "nowhere"),
        (["evaluate", "novel-view", "--sequence", "nowhere"], "nowhere"),
        (["evaluate", "closed-loop", "--depth-delay", "soon", "--sequence", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, says, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("spatia: error: ")
    assert says in error
    assert error.count("\n") == 1


def test_seed_frames_out_of_range_are_refused(recording, capsys):
    assert spatia("run", "--sequence", recording, "--seed-frames", 10, *QUICK) == 2
    assert "expected 1..9" in capsys.readouterr().err


def test_run_leaves_everything_it_promises(recording, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["run", "--sequence", recording, "--frames", 12, "--out", out, "--json", tmp_path / "f.json", *QUICK]
    assert spatia(*words) == 0
    names = {path.name for path in out.iterdir()}
    assert {"config.yaml", "poses.txt", "memory.spatia", "figures.json", "video.mp4", "contact_sheet.png"} <= names
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures == json.loads((out / "figures.json").read_text())
    assert figures["frames"] == 12 == len(list((out / "rgb").iterdir())) == len(list((out / "depth").iterdir()))
    assert figures["return_psnr_db"] > 30
    shares = figures["seen_share"] + figures["invented_earlier_share"] + figures["invented_now_share"]
    assert shares == pytest.approx(1, abs=1e-3)
    before = (out / "poses.txt").stat().st_mtime_ns
    assert spatia(*words) == 0, "the same command again has nothing to do"
    assert "12 of 12 frames are there already" in capsys.readouterr().out
    assert (out / "poses.txt").stat().st_mtime_ns == before


def test_another_run_does_not_overwrite_unasked(recording, tmp_path, capsys):
    words = ["run", "--sequence", recording, "--out", tmp_path / "run", "--no-video", "--trajectory", "recorded", *QUICK]
    assert spatia(*words) == 0
    assert spatia(*words, "--set", "seed=5") == 2
    assert "another run" in capsys.readouterr().err
    assert spatia(*words, "--set", "seed=5", "--overwrite") == 0


def test_run_follows_a_path_of_ones_own(recording, tmp_path):
    path = tmp_path / "path.txt"
    path.write_text("# t tx ty tz qx qy qz qw\n1.0 0 0 0 0 0 0 1\n1.5 0.1 0 -0.2 0 0 0 1\n")
    assert spatia("run", "--sequence", recording, "--trajectory", path, "--out", tmp_path / "run", "--no-video", *QUICK) == 0
    rows = (tmp_path / "run/poses.txt").read_text().splitlines()[1:]
    assert [row.split()[:4] for row in rows] == [
        ["1.000000000", "0.000000000", "0.000000000", "0.000000000"],
        ["1.500000000", "0.100000000", "0.000000000", "-0.200000000"],
    ]


def test_run_follows_spatias_camera_files_and_leaves_them(recording, tmp_path):
    from spatia_ros.sequence.w2c import read_w2c

    (tmp_path / "w2c.txt").write_text("[[1,0,0,0],[0,1,0,0],[0,0,1,0]]\n[[1,0,0,-0.1],[0,1,0,0],[0,0,1,0.2],[0,0,0,1]]\n")
    (tmp_path / "k.txt").write_text("[0.75 1.25 0.5 0.5]")
    words = ["run", "--sequence", recording, "--trajectory", tmp_path / "w2c.txt", "--relative"]
    words += ["--intrinsics", tmp_path / "k.txt"]
    assert spatia(*words, "--out", tmp_path / "run", "--no-video", *QUICK) == 0
    first, second = read_w2c(tmp_path / "run/w2c.txt")
    motion = np.linalg.inv(first) @ second
    np.testing.assert_allclose(motion[:3, 3], [0.1, 0.0, -0.2], atol=1e-6)
    assert (tmp_path / "run/intrinsics.txt").read_text() == "[0.75 1.25 0.5 0.5]\n"


def test_evaluate_prints_what_it_writes(recording, tmp_path, capsys):
    words = ["evaluate", "long-horizon", "--sequence", recording, "--clips", 2, "--json", tmp_path / "f.json"]
    words += ["--out", tmp_path / "out", "--depth-delay", 0, "--set", "generator.name=projection"]
    assert spatia(*words, *QUICK) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["clips"] == [2]
    assert f"{figures['psnr_c'][0]:.2f} dB" in capsys.readouterr().out
    assert spatia("evaluate", "long-horizon", "--sequence", recording, "--clips", 3) == 2
    assert "even numbers" in capsys.readouterr().err
    assert spatia("evaluate", "tsed", "--sequence", recording) == 2
    assert "at least 16 frames" in capsys.readouterr().err


def test_run_from_a_saved_memory(recording, tmp_path):
    assert spatia("map", "--sequence", recording, "--out", tmp_path / "wall.spatia", *COARSE) == 0
    words = ["--trajectory", "orbit", "--frames", 8, "--out", tmp_path / "run", "--no-video", *SMALL]
    assert spatia("run", "--memory", tmp_path / "wall.spatia", *words) == 0
    assert json.loads((tmp_path / "run/figures.json").read_text())["frames"] == 8


def test_an_interrupted_run_is_continued_by_the_same_command(recording, tmp_path):
    out = tmp_path / "run"
    words = ["run", "--sequence", recording, "--frames", 250, "--out", out, "--no-video", *QUICK]
    command = [sys.executable, "-m", "spatia_ros.cli", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    while process.poll() is None and len(list(out.glob("rgb/*.png"))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=60)
    done = json.loads((out / "state.json").read_text())
    assert process.returncode == 130, complained
    assert 3 <= done["frames"] < 250
    assert f"{done['frames']} of 250 frames" in said
    assert "Traceback" not in complained
    assert spatia(*words) == 0
    assert json.loads((out / "figures.json").read_text())["frames"] == 250


def test_map_and_memory(recording, tmp_path, capsys):
    memory = tmp_path / "wall.spatia"
    assert spatia("map", "--sequence", recording, "--every", 2, "--out", memory, "--json", tmp_path / "m.json", *COARSE) == 0
    figures = json.loads((tmp_path / "m.json").read_text())
    assert (figures["frames"], figures["points"]) == (5, len(Memory.load(memory)))
    assert (tmp_path / "wall.ply").read_bytes().startswith(b"ply\n")
    capsys.readouterr()
    assert spatia("memory", "info", memory, "--json", tmp_path / "i.json") == 0
    info = json.loads((tmp_path / "i.json").read_text())
    assert (info["points"], info["voxel_m"], info["sensed_share"]) == (figures["points"], 0.04, 1.0)
    assert info["bounds_m"][0][2] == pytest.approx(2.0, abs=0.05)
    assert "all checksums right" in capsys.readouterr().out
    assert spatia("memory", "ply", memory, tmp_path / "p.ply") == 0
    assert len((tmp_path / "p.ply").read_bytes()) == len((tmp_path / "wall.ply").read_bytes()), "as many points, to the quantum"
    assert spatia("memory", "verify", memory) == 0
    assert spatia("memory", "compact", memory) == 0
    assert spatia("memory", "migrate", memory, tmp_path / "again.spatia") == 0
    both = "--out", tmp_path / "two.spatia", "--T", "0 0 0 0 0 0 1"
    assert spatia("memory", "merge", memory, tmp_path / "again.spatia", *both) == 0
    assert len(Memory.load(tmp_path / "two.spatia")) == len(Memory.load(memory))
    assert spatia("memory", "render", memory, tmp_path / "p.png", "--size", "64x48", "--pose", "0 0 0 0 0 0 1") == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert spatia("memory", "convert", memory, tmp_path / "coarse.spatia", "--voxel-m", 0.2) == 0
    assert 0 < len(Memory.load(tmp_path / "coarse.spatia")) < figures["points"] / 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--size", "64"], "--size"),
        (["--pose", "1 2 3"], "--pose"),
        (["--pose", "0 0 0 0 0 0 0"], "unit quaternion"),
        (["--keyframe", "99"], "--keyframe"),
    ],
)
def test_memory_render_refuses(recording, tmp_path, words, says, capsys):
    memory = tmp_path / "wall.spatia"
    assert spatia("map", "--sequence", recording, "--every", 4, "--out", memory, "--no-ply", *COARSE) == 0
    assert spatia("memory", "render", memory, tmp_path / "p.png", *words) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "p.png").exists()


def test_a_damaged_memory_is_told_apart(recording, tmp_path, capsys):
    memory = tmp_path / "wall.spatia"
    assert spatia("map", "--sequence", recording, "--every", 4, "--out", memory, "--no-ply", *COARSE) == 0
    data = bytearray(memory.read_bytes())
    data[len(data) // 2] ^= 1
    memory.write_bytes(data)
    assert spatia("memory", "info", memory) == 2
    assert "damaged" in capsys.readouterr().err
