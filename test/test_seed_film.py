"""Films without depth: read, and given depth by estimators that are right only up to what each kind leaves open."""

from __future__ import annotations

import numpy as np
import pytest
from speckled_room import frame_at
from tiny_room import swaying

from spatia_ros.record.files import encode_png, write_bytes
from spatia_ros.record.video import write_video
from spatia_ros.seed.depth import Estimate
from spatia_ros.seed.film import fitted, is_film, read_film, with_depth
from spatia_ros.sequence import Sequence
from spatia_ros.types import SpatiaError

FRAMES = [frame_at(swaying(0.03 * k), (k + 1) * 10**8) for k in range(4)]


class Stand:
    """An estimator that knows the depth of the frames it is shown in turn, up to what its kind leaves open."""

    name = "a stand-in"

    def __init__(self, kind: str) -> None:
        self.kind, self.at = kind, 0

    def estimate(self, rgb, camera):
        depth, k = FRAMES[self.at].depth, self.at
        self.at += 1
        if self.kind == "metric":
            values = depth
        elif self.kind == "scale":
            values = depth * (1.0 + 0.5 * k)
        else:
            values = np.where(depth > 0, (1.0 / np.maximum(depth, 0.1) + 0.02 * k) * (1.0 + 0.3 * k), 0)
        return Estimate(values.astype(np.float32), self.kind, None)


@pytest.mark.parametrize("kind", ["scale", "inverse"])
def test_a_frame_is_fitted_to_the_one_before(kind):
    stand = Stand(kind)
    stand.at = 3
    known = (FRAMES[3].depth > 0) & (FRAMES[2].depth > 0)
    depth = fitted(stand.estimate(None, None), FRAMES[2].depth)
    assert np.median(np.abs(depth - FRAMES[3].depth)[known] / FRAMES[3].depth[known]) < 0.02


def test_metres_are_taken_as_they_are():
    values = np.array([[1.0, 2.0, -1.0, np.nan, 1e9]], np.float32)
    depth = fitted(Estimate(values, "metric", None), np.full((1, 5), 7.0, np.float32))
    np.testing.assert_allclose(depth, [[1.0, 2.0, 0.0, 0.0, 0.0]], atol=1e-5)


def test_a_recording_gets_the_depth_of_an_estimator():
    camera, stamps = FRAMES[0].camera, np.array([f.stamp_ns for f in FRAMES], np.int64)
    blind = Sequence.unposed("room", camera, stamps, lambda i: (FRAMES[i].rgb, np.zeros_like(FRAMES[i].depth)), {})
    told = list[tuple[str, float]]()
    deep = with_depth(blind, Stand("metric"), report=lambda what, share: told.append((what, share)))
    for k, frame in enumerate(FRAMES):
        rgb, depth = deep.images(k)
        np.testing.assert_array_equal(rgb, frame.rgb)
        np.testing.assert_allclose(depth, frame.depth, rtol=2e-3)
    assert told[-1] == ("estimating depth", 1.0)


def test_videos_and_folders_of_images_are_films(tmp_path):
    rng = np.random.default_rng(0)
    shots = [np.kron(rng.integers(0, 255, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(5)]
    write_video(tmp_path / "film.mp4", shots, 10.0, crf=5)
    (tmp_path / "images").mkdir()
    for k, shot in enumerate(shots):
        write_bytes(tmp_path / "images" / f"{k:03d}.png", encode_png(shot))
    for path in (tmp_path / "film.mp4", tmp_path / "images"):
        assert is_film(path)
        film = read_film(path, 1.0)
        assert (len(film), film.posed, film.camera.width, film.camera.height) == (5, False, 48, 32)
        rgb, depth = film.images(3)
        assert np.abs(rgb.astype(int) - shots[3]).mean() < 12
        assert not depth.any()
        assert film.camera.fx == pytest.approx(24 / np.tan(0.5))
    assert np.diff(read_film(tmp_path / "film.mp4").stamps_ns).tolist() == [10**8] * 4
    (tmp_path / "images" / "depth").mkdir()
    assert not is_film(tmp_path / "images")


@pytest.mark.parametrize("make", [lambda p: p / "nothing.mp4", lambda p: p, lambda p: (p / "x.mp4")])
def test_what_is_no_film_is_refused(tmp_path, make):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(SpatiaError, match="film"):
        read_film(make(tmp_path))
