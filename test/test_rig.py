"""Cameras as they are built, held against OpenCV's models and against where things are when each row is exposed."""

import cv2
import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.rig import Lens, Picture, RigCamera, Shutter
from spatia_ros.types import Camera, SpatiaError, Step, Trajectory

IMAGE = Camera.from_calibration(160, 120, 110.0, 112.0, 82.3, 57.8)
LENSES = {
    "barrel": Lens(IMAGE, "plumb_bob", (-0.28, 0.09, 0.001, -0.0015, -0.01)),
    "pincushion": Lens(IMAGE, "plumb_bob", (0.12, 0.03, -0.002, 0.001, 0.0)),
    "rational": Lens(IMAGE, "rational_polynomial", (0.4, -0.1, 0.001, 0.0005, 0.02, 0.75, -0.05, 0.01)),
    "fisheye": Lens(IMAGE, "equidistant", (0.02, -0.01, 0.003, -0.0005)),
}
UP = np.array([0.0, -1.0, 0.0])


def by_opencv(lens, points):
    """Pixels of points by OpenCV's own projection, centres at +0.5."""
    fx, fy, cx, cy = lens.camera.calibration()
    K, D = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), np.array(lens.coefficients)
    project = cv2.fisheye.projectPoints if lens.model == "equidistant" else cv2.projectPoints
    if lens.model == "equidistant":
        return project(points[:, None], np.zeros(3), np.zeros(3), K, D)[0][:, 0] + 0.5
    return project(points[:, None], np.zeros(3), np.zeros(3), K, D)[0][:, 0] + 0.5


def step_of(camera, T_world_cam, rgb, depth, segmentation=None):
    """A step of one frame with given pixels."""
    h, w = depth.shape
    nowhere = np.zeros((1, h, w), np.uint8)
    ids = np.zeros((h, w), np.uint16) if segmentation is None else segmentation
    return Step(
        0, 0, Trajectory(np.array([1], np.int64), T_world_cam[None]), camera, rgb[None], depth[None], nowhere > 0,
        np.full((1, h, w), 255, np.uint8), nowhere, ids[None], np.zeros(1), ((),),
    )  # fmt: skip


@pytest.mark.parametrize("name", LENSES)
def test_a_lens_projects_as_opencv_does(name):
    lens = LENSES[name]
    rng = np.random.default_rng(0)
    points = np.stack([rng.uniform(-1.2, 1.2, 500), rng.uniform(-1, 1, 500), rng.uniform(1.5, 4, 500)], -1)
    np.testing.assert_allclose(lens.project(points), by_opencv(lens, points), atol=1e-9)


@pytest.mark.parametrize("name", LENSES)
def test_every_pixels_ray_leads_back_to_it(name):
    lens = LENSES[name]
    xy, sound = lens.rays()
    assert sound.mean() > 0.99
    rays = np.concatenate([xy[sound], np.ones((sound.sum(), 1))], -1)
    v, u = np.nonzero(sound)
    np.testing.assert_allclose(by_opencv(lens, rays), np.stack([u, v], -1) + 0.5, atol=0.02)


@pytest.mark.parametrize("name", LENSES)
def test_known_points_are_where_opencv_projects_them(name):
    """Dots on a far wall: colour between pixels, depth of the wall, labels of the nearest pixel."""
    camera = RigCamera("c", np.eye(4), LENSES[name])
    source, z = camera.source, 4.0
    rng = np.random.default_rng(1)
    places = np.stack([rng.uniform(-1.5, 1.5, 12), rng.uniform(-1.0, 1.0, 12)], -1)
    rays = geometry.pixel_rays(source)[..., :2] * z
    spots = sum(np.exp(-((rays - p) ** 2).sum(-1) / (2 * 0.06**2)) for p in places)
    rgb = np.repeat((255 * np.minimum(spots, 1)).astype(np.uint8)[..., None], 3, -1)
    labels = np.zeros(spots.shape, np.uint16)
    for i, p in enumerate(places):
        labels[((rays - p) ** 2).sum(-1) < 0.12**2] = i + 1
    picture = Picture(camera, step_of(source, np.eye(4), rgb, np.full(spots.shape, z, np.float32), labels))
    wanted = by_opencv(camera.lens, np.concatenate([places, np.full((12, 1), z)], -1))
    lonely = [i for i in range(12) if np.sort(np.linalg.norm(places - places[i], axis=1))[1] > 0.45]
    checked = 0
    for i in lonely:
        u, v = wanted[i]
        if not (8 < u < IMAGE.width - 8 and 8 < v < IMAGE.height - 8):
            continue
        window = np.s_[int(v) - 6 : int(v) + 7, int(u) - 6 : int(u) + 7]
        mass = picture.rgb[window][..., 0].astype(float)
        mass[picture.segmentation[window] != i + 1] = 0
        rows, columns = np.mgrid[window]
        np.testing.assert_allclose(
            [(mass * (columns + 0.5)).sum() / mass.sum(), (mass * (rows + 0.5)).sum() / mass.sum()], [u, v], atol=0.2
        )
        assert picture.segmentation[int(v), int(u)] == i + 1
        checked += 1
    assert checked >= 3
    assert set(np.unique(picture.depth)) <= {0.0, z}
    assert (picture.depth == z).mean() > 0.99


def test_without_a_lens_the_picture_is_the_frame_itself():
    camera = RigCamera("c", np.eye(4), Lens(IMAGE))
    assert camera.plain
    assert camera.source == IMAGE
    rgb = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    picture = Picture(camera, step_of(IMAGE, np.eye(4), rgb, np.ones((120, 160), np.float32)))
    assert (picture.rgb == rgb).all()
    assert (picture.rgb_rect == rgb).all()


def test_the_straight_image_behind_a_lens_is_the_pinholes_own():
    """It has the lens's size and K, pixel by pixel what the wider picture has there."""
    camera = RigCamera("c", np.eye(4), LENSES["barrel"])
    left, top = camera.offset
    assert min(left, top) > 0  # a barrel sees more than its pinhole
    assert camera.source.cropped(left, top, 160, 120) == IMAGE
    rgb = np.random.default_rng(0).integers(0, 255, (camera.source.height, camera.source.width, 3), np.uint8)
    picture = Picture(camera, step_of(camera.source, np.eye(4), rgb, np.ones(rgb.shape[:2], np.float32)))
    assert (picture.rgb_rect == rgb[top : top + 120, left : left + 160]).all()


@pytest.mark.parametrize(
    ("model", "coefficients", "radius_px"),
    [
        ("equidistant", (0.0,) * 4, 45 * np.radians(75)),  # what lies farther from the axis is not drawn
        ("plumb_bob", (-0.3, 0, 0, 0, 0), 45 * 2 / 3 / np.sqrt(0.9)),  # r - 0.3 r^3 turns back there
    ],
)
def test_pixels_without_a_ray_are_black_and_unknown(model, coefficients, radius_px):
    camera = RigCamera("c", np.eye(4), Lens(Camera(160, 160, 45.0, 45.0, 80.0, 80.0), model, coefficients))
    _, sound = camera.lens.rays()
    away = np.linalg.norm(np.stack(np.mgrid[:160, :160]) + 0.5 - 80, axis=0)
    assert (sound == (away < radius_px))[np.abs(away - radius_px) > 0.5].all()
    shape = camera.source.height, camera.source.width
    frame = np.full((*shape, 3), 9, np.uint8), np.ones(shape, np.float32)
    picture = Picture(camera, step_of(camera.source, np.eye(4), *frame))
    assert ((picture.depth > 0) == sound).mean() > 0.999
    assert (picture.rgb[~sound] == 0).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Lens(IMAGE, "fov", (0.0,)), "expected a model of"),
        (lambda: Lens(IMAGE, "plumb_bob", (0.0,) * 4), "expected 5 finite numbers"),
        (lambda: Lens(IMAGE, "plumb_bob", (np.nan,) * 5), "finite"),
        (lambda: Shutter(-0.1), "expected a readout"),
        (lambda: Shutter(0.01, "sideways"), "expected a direction"),
        (lambda: RigCamera("two words", np.eye(4), Lens(IMAGE)), "camera name"),
        (lambda: RigCamera("c", np.eye(4), Lens(IMAGE), every=0), "every 1.."),
        (lambda: RigCamera("c", np.zeros((4, 4)), Lens(IMAGE)), "rotation"),
    ],
)  # fmt: skip
def test_what_is_no_camera_is_refused_with_a_sentence(make, words):
    with pytest.raises(SpatiaError, match=words):
        make()


# A rolling shutter


def pole_and_wall(camera, T_world_cam, pole_x=0.0, pole_z=2.0, wall_z=6.0, half=0.04):
    """A vertical white pole before a dark wall with vertical grey stripes, drawn exactly; axes are the camera's at rest."""
    rays, (x, _, z) = geometry.pixel_rays(camera), T_world_cam[:3, 3]
    at = x + rays[..., 0] * (pole_z - z)
    pole = np.abs(at - pole_x) < half
    stripes = 60 + 40 * np.sin(9 * (x + rays[..., 0] * (wall_z - z)))
    grey = np.where(pole, 250, stripes).astype(np.uint8)
    depth = np.where(pole, pole_z - z, wall_z - z).astype(np.float32)
    return np.repeat(grey[..., None], 3, -1), depth, pole.astype(np.uint16)


def moved(x):
    return geometry.pose(np.eye(3), np.array([x, 0.0, 0.0]))


@pytest.mark.parametrize(("direction", "lens"), [("down", Lens(IMAGE)), ("up", Lens(IMAGE)), ("down", LENSES["barrel"])])
def test_a_vertical_pole_slants_by_the_known_number_of_pixels(direction, lens):
    """The camera moves right at 4 m/s and reads out in 20 ms: the first row saw the pole from 8 cm further left."""
    camera = RigCamera("c", np.eye(4), lens, Shutter(0.02, direction))
    speed, passed_s, now = 4.0, 1 / 30, moved(0.1)
    step = step_of(camera.source, now, *pole_and_wall(camera.source, now))
    picture = Picture(camera, step, moved(0.1 - speed * passed_s), passed_s)
    off = []
    for row in range(6, 114, 9):
        late = row / 119 if direction == "down" else 1 - row / 119
        x = 0.1 - speed * 0.02 * (1 - late)
        columns = np.flatnonzero(picture.segmentation[row])
        wanted = [lens.project(np.array([[0.0 - x, y, 2.0]]))[0] for y in np.linspace(-1.5, 1.5, 601)]
        there = min(wanted, key=lambda p: abs(p[1] - row - 0.5))
        off.append(np.mean(columns + 0.5) - there[0])
        assert (picture.depth[row, columns] == 2.0).all()
    assert np.abs(off).max() < (1.25 if lens.bends else 0.75)  # labels are of the nearest pixel, behind a lens twice
    assert np.abs(off).mean() < 0.5
    lean = [np.flatnonzero(picture.segmentation[row]).mean() for row in (0, 119)]
    if not lens.bends:
        assert abs(lean[1] - lean[0]) == pytest.approx(IMAGE.fx * speed * 0.02 / 2.0, abs=1.0)  # 4.4 px


def test_each_row_is_what_a_camera_at_its_pose_sees():
    """Everywhere but where a gap was closed by what lies behind."""
    camera = RigCamera("c", np.eye(4), Lens(IMAGE), Shutter(0.03))
    passed_s, before, now = 0.05, moved(-0.1), moved(0.1)
    now = now @ geometry.pose(cv2.Rodrigues(np.array([0.0, 0.02, 0.0]))[0], np.zeros(3))
    grey, depth, pole = pole_and_wall_turned(camera.source, now)
    picture = Picture(camera, step_of(camera.source, now, grey, depth, pole), before, passed_s)
    poses = now @ camera.shutter.poses(before, now, passed_s, 120)
    right = []
    for row in range(120):
        truth = pole_and_wall_turned(IMAGE, poses[row])
        right.append(np.abs(picture.rgb[row].astype(int) - truth[0][row]).max(-1) < 12)
        assert np.abs(picture.segmentation[row].astype(int) - truth[2][row]).sum() <= 3
    assert np.mean(right) > 0.95
    still = Picture(camera, step_of(camera.source, now, grey, depth, pole), now, passed_s)
    first = np.abs(still.rgb[0].astype(int) - pole_and_wall_turned(IMAGE, poses[0])[0][0]).max(-1)
    assert (first < 12).mean() < 0.8  # a global shutter is another picture


def pole_and_wall_turned(camera, T_world_cam, pole_z=2.0, wall_z=6.0, half=0.06):
    """The same scene from any pose: the pole a strip in the plane z = 2, the wall the plane z = 6."""
    rays, eye = geometry.pixel_rays(camera) @ T_world_cam[:3, :3].T, T_world_cam[:3, 3]
    to_pole, to_wall = (pole_z - eye[2]) / rays[..., 2], (wall_z - eye[2]) / rays[..., 2]
    pole = np.abs(eye[0] + to_pole * rays[..., 0]) < half
    stripes = 60 + 40 * np.sin(3 * (eye[0] + to_wall * rays[..., 0]))
    grey = np.where(pole, 250, stripes).astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1), np.where(pole, to_pole, to_wall).astype(np.float32), pole.astype(np.uint16)


def test_a_camera_that_stands_or_jumps_is_exposed_at_once():
    camera = RigCamera("c", np.eye(4), Lens(IMAGE), Shutter(0.02))
    left, top = camera.offset
    step = step_of(camera.source, np.eye(4), *pole_and_wall(camera.source, np.eye(4)))
    for picture in (Picture(camera, step), Picture(camera, step, np.eye(4), 0.1)):
        assert (picture.rgb == step.rgb[0, top : top + 120, left : left + 160]).all()


def test_the_last_row_is_exposed_at_the_stamp_and_none_before_the_frame_before():
    poses = Shutter(0.04).poses(moved(0.0), moved(0.3), 0.03, 5)
    np.testing.assert_allclose(poses[-1], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(poses[:, 0, 3], [-0.3, -0.3, -0.2, -0.1, 0.0], atol=1e-9)
