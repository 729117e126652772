"""What a run leaves behind: whole files, videos, sheets, reports, and folders that can be continued."""

import json
import re

import av
import cv2
import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.config import WorldConfig, dump, override
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.memory import Memory
from spatia_ros.record.chart import line_chart, share_chart
from spatia_ros.record.files import encode_png, replacing, write_json, write_text
from spatia_ros.record.panels import Film, depth_colours, provenance_colours
from spatia_ros.record.poses import write_poses
from spatia_ros.record.report import Page, write_report
from spatia_ros.record.run_folder import RunFolder
from spatia_ros.record.sheet import contact_sheet, poster
from spatia_ros.record.shot import Shot
from spatia_ros.record.video import write_video
from spatia_ros.sequence import open_sequence
from spatia_ros.sequence.tum import read_poses
from spatia_ros.types import Camera, Frame, SpatiaError, Trajectory
from spatia_ros.world import World

CAMERA = Camera.from_fov(64, 48, 1.2)


def shot(k: int, provenance: int = 255) -> Shot:
    rgb = np.full((48, 64, 3), 40 + k, np.uint8)
    depth = np.full((48, 64), 1.0 + k * 0.1, np.float32)
    origin = np.full((48, 64), provenance, np.uint8)
    return Shot(k * 10**8, np.eye(4), rgb, depth, origin, {"render_ms": 1.0 + k, "total_ms": 3.0})


def wall() -> Frame:
    """A textured wall 2 m ahead."""
    texture = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    rgb = cv2.resize(texture, (64, 48), interpolation=cv2.INTER_CUBIC)
    return Frame(rgb, np.full((48, 64), 2.0, np.float32), CAMERA, np.eye(4))


def world() -> World:
    config = override(WorldConfig(), ["generator.name=projection", "memory.voxel_m=0.05"])
    memory = Memory(config.memory)
    memory.integrate(wall())
    return World(config, memory, ProjectionGenerator(), CAMERA)


def sideways(n: int) -> Trajectory:
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, 0, 3] = 0.05 * np.arange(n)
    return Trajectory((1 + np.arange(n, dtype=np.int64)) * 10**8, T)


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "figures.json"
    write_text(path, "before")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_nan(tmp_path):
    with pytest.raises(SpatiaError, match="plain finite values"):
        write_json(tmp_path / "f.json", {"psnr": float("nan")})
    assert not (tmp_path / "f.json").exists()


def test_poses_survive_the_text_file(tmp_path):
    T = geometry.look_at(np.array([1.0, 2.0, 3.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    sent = Trajectory(np.array([1, 1_700_000_000_123_456_789], np.int64), np.stack([np.eye(4), T]))
    write_poses(tmp_path / "poses.txt", sent)
    got = read_poses(tmp_path / "poses.txt")
    assert (got.stamps_ns == sent.stamps_ns).all()
    np.testing.assert_allclose(got.T_world_cam, sent.T_world_cam, atol=1e-8)


def test_shares_count_each_pixel_once():
    provenance = np.full((48, 64), 255, np.uint8)
    provenance[:24] = 0
    provenance[24:36] = 96
    mixed = Shot(0, np.eye(4), np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32), provenance)
    assert mixed.shares() == (0.25, 0.25, 0.5)


def test_depth_colours_tell_near_far_and_unknown():
    near, far, unknown = depth_colours(np.array([[0.5, 5.0, 0.0]], np.float32), 0.5, 5.0)[0].astype(int)
    assert near[0] > near[2] + 50, "near is red"
    assert far[2] > far[0] + 50, "far is blue"
    assert unknown.max() < 80, "unknown is dark"


def test_provenance_colours_keep_the_three_origins_apart():
    grey = np.full((1, 3, 3), 128, np.uint8)
    sensed, remembered, invented = provenance_colours(grey, np.array([[255, 96, 0]], np.uint8))[0].astype(int)
    assert sensed.argmax() == 1
    assert invented.argmax() == 0
    assert np.abs(remembered - invented).max() > 40


def test_video_has_every_frame_and_even_sides(tmp_path):
    path = tmp_path / "v.mp4"
    write_video(path, (np.full((49, 65, 3), 20 * k, np.uint8) for k in range(7)), 10.0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert len(frames) == 7
    assert frames[0].shape == (48, 64, 3)
    assert abs(float(frames[6].mean()) - 120) < 6


@pytest.mark.parametrize(("sizes", "message"), [([], "at least one frame"), ([(48, 64), (48, 66)], "expected frames of")])
def test_a_video_that_cannot_be_is_not_left_behind(tmp_path, sizes, message):
    with pytest.raises(SpatiaError, match=message):
        write_video(tmp_path / "v.mp4", (np.zeros((*size, 3), np.uint8) for size in sizes), 10.0)
    assert not list(tmp_path.iterdir())


def test_the_film_marks_its_place_in_the_strip():
    film = Film([shot(0), shot(1, 0), shot(2, 0)], "a wall")
    first, last = film.draw(0), film.draw(2)
    assert first.shape == last.shape
    assert first.shape[0] % 2 == first.shape[1] % 2 == 0
    assert (first != last)[-40:].any(), "the cursor moved"
    np.testing.assert_allclose(film.shares[:, 0], [1, 0, 0])


@pytest.mark.parametrize("shots", [1, 3, 20])
def test_contact_sheet_shows_at_most_eight_moments(shots):
    sheet = contact_sheet(Film([shot(k) for k in range(shots)], "a wall"))
    columns, rows = min(shots, 4), 2 if shots > 4 else 1
    width = 256 + 6
    assert sheet.shape == (rows * (26 + 3 * (192 + 6)), columns * width, 3)


def test_the_poster_shows_start_farthest_and_end():
    film = Film([shot(0), shot(200, 0), shot(100)], "a wall")
    picture = poster(film)
    assert picture.shape == (3 * (26 + 256 + 6) + 26, 3 * (341 + 6) - 6, 3)
    rows = [picture[26 + k * 288 + 100, 100, 0] for k in range(3)]
    assert rows == [40, 240, 140], "colour of the first, the least seen and the last frame"


def test_charts_are_svg_with_every_series():
    x = [0.0, 0.5, 1.0]
    lines = line_chart(x, {"render": [1, 2, 3], "a < b": [3, 2, 1]}, "s", "ms")
    assert lines.count("<polyline") == 2
    assert "a &lt; b" in lines
    shares = share_chart(x, {"seen": [1.0, 0.5, 0.2], "new": [0.0, 0.5, 0.8]}, "s", "share")
    assert shares.count("<polygon") == 2
    points = re.findall(r'points="([^"]+)"', shares)[1].split()
    assert float(points[0].split(",")[1]) == float(points[2].split(",")[1]), "stacked shares add up to the same top"


def test_the_report_holds_everything_and_fetches_nothing(tmp_path):
    film = Film([shot(k) for k in range(4)], "a wall")
    write_video(tmp_path / "video.mp4", (film.draw(i) for i in range(4)), 10.0)
    page = Page("<A> wall", "Seen.", [("psnr", "30 dB", "of what")], "seed: 0\n", [("run.mcap", "messages")], "spatia demo")
    write_report(tmp_path / "report.html", page, film, contact_sheet(film), tmp_path / "video.mp4")
    html = (tmp_path / "report.html").read_text()
    assert "&lt;A&gt; wall" in html
    assert "data:video/mp4;base64," in html
    assert "data:image/jpeg;base64," in html
    assert "30 dB" in html
    elsewhere = re.findall(r'(?:src|href)="(?!data:)[^"]*"|url\((?!data:)[^)]*\)', html)
    assert not elsewhere
    assert set(re.findall(r"https?://[^\s\"<]+", html)) <= {"http://www.w3.org/2000/svg"}


def fly(folder: RunFolder, place: World, clips: list[Trajectory]) -> None:
    for clip in clips:
        folder.append(place.advance(clip))


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path):
    clips = list(sideways(6).clips(1))
    whole = RunFolder(tmp_path / "whole", {"a": 1}, CAMERA)
    place = world()
    whole.create(dump(place.config))
    fly(whole, place, clips)
    whole.checkpoint(place, complete=True)

    broken, place = RunFolder(tmp_path / "broken", {"a": 1}, CAMERA), world()
    broken.create(dump(place.config))
    fly(broken, place, clips[:3])
    broken.checkpoint(place)
    fly(broken, place, clips[3:5])  # lost: no checkpoint after them

    again, place = RunFolder(tmp_path / "broken", {"a": 1}, CAMERA), world()
    again.resume(place)
    assert (len(again), again.complete) == (3, False)
    fly(again, place, clips[len(again) :])
    again.checkpoint(place, complete=True)
    assert len(again) == len(whole) == 6
    for a, b in zip(again, whole, strict=True):
        assert (a.rgb == b.rgb).all()
        assert (a.depth == b.depth).all()
    assert (tmp_path / "broken/poses.txt").read_text() == (tmp_path / "whole/poses.txt").read_text()
    assert not list((tmp_path / "broken").glob("memory-*"))


def test_a_run_folder_is_a_recording(tmp_path):
    folder, place = RunFolder(tmp_path / "run", {}, CAMERA), world()
    folder.create(dump(place.config))
    fly(folder, place, list(sideways(3).clips(1)))
    folder.checkpoint(place, complete=True)
    sequence = open_sequence(tmp_path / "run")
    assert len(sequence) == 3
    np.testing.assert_allclose(sequence.T_world_cam, sideways(3).T_world_cam, atol=1e-8)
    assert (sequence.frame(1).rgb == folder[1].rgb).all()
    np.testing.assert_allclose([sequence.camera.fx, sequence.camera.cx], [CAMERA.fx, CAMERA.cx])


def test_a_folder_of_another_run_is_refused(tmp_path):
    folder, place = RunFolder(tmp_path / "run", {"seed": 1}, CAMERA), world()
    folder.create(dump(place.config))
    folder.checkpoint(place)
    with pytest.raises(SpatiaError, match="holds another run"):
        RunFolder(tmp_path / "run", {"seed": 2}, CAMERA).resume(world())


@pytest.mark.parametrize("state", ["", "{", "[]", '{"format": 99}'])
def test_a_damaged_state_is_refused(tmp_path, state):
    folder, place = RunFolder(tmp_path / "run", {}, CAMERA), world()
    folder.create(dump(place.config))
    (tmp_path / "run/state.json").write_text(state)
    with pytest.raises(SpatiaError, match=r"state\.json"):
        RunFolder(tmp_path / "run", {}, CAMERA).resume(world())


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    folder = RunFolder(tmp_path, {}, CAMERA)
    with pytest.raises(SpatiaError, match="other files"):
        folder.resume(world())
    folder.clear()
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_missing_picture_is_named(tmp_path):
    folder, place = RunFolder(tmp_path / "run", {}, CAMERA), world()
    folder.create(dump(place.config))
    fly(folder, place, list(sideways(1).clips(1)))
    (tmp_path / "run/depth/000000.png").write_bytes(encode_png(np.zeros((4, 4), np.uint8))[:20])
    with pytest.raises(SpatiaError, match=r"depth/000000\.png"):
        folder[0]


def test_timeline_keeps_the_figures_of_each_frame(tmp_path):
    folder, place = RunFolder(tmp_path / "run", {}, CAMERA), world()
    folder.create(dump(place.config))
    fly(folder, place, list(sideways(2).clips(1)))
    folder.checkpoint(place, complete=True)
    rows = json.loads((tmp_path / "run/timeline.json").read_text())
    assert [row["stamp_ns"] for row in rows] == [10**8, 2 * 10**8]
    assert all(row["render_ms"] > 0 for row in rows)
