"""The tiny room with a look that can be recognised: every 12 cm of it has a colour of its own."""

import numpy as np
from tiny_room import CAMERA, room_depth

from spatia_ros import geometry
from spatia_ros.types import Camera, Float64, Frame, UInt8

CELL_M = 0.12


def speckled(T_world_cam: Float64, camera: Camera = CAMERA) -> UInt8:
    """Colour of the room: a hash of the cell each pixel's point lies in."""
    points, _ = geometry.backproject(room_depth(T_world_cam, camera), camera, T_world_cam)
    x, y, z = np.floor(points / CELL_M + 0.1).astype(np.int64).T
    code = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    code = (code ^ (code >> 13)) * 1274126177
    colours = np.stack([(code >> shift) & 255 for shift in (3, 11, 19)], -1)
    return (60 + colours * 0.6).astype(np.uint8).reshape(camera.height, camera.width, 3)


def frame_at(T_world_cam: Float64, stamp_ns: int = 0) -> Frame:
    """An exact frame of the speckled room."""
    return Frame(speckled(T_world_cam), room_depth(T_world_cam), CAMERA, T_world_cam, stamp_ns)


def round_the_ball(n: int, turns: float = 1.0, radius_m: float = 1.5) -> Float64:
    """``T_world_cam`` [n, 4, 4] on a circle in the room (its y axis is up), looking along the way and outwards."""
    angle = np.linspace(0.0, 2 * np.pi * turns, n)
    eyes = np.column_stack([radius_m * np.cos(angle), np.zeros(n), radius_m * np.sin(angle)])
    ahead = np.column_stack([-np.sin(angle) + 0.8 * np.cos(angle), np.zeros(n), np.cos(angle) + 0.8 * np.sin(angle)])
    return np.stack([geometry.look_at(e, e + a, np.array([0.0, -1.0, 0.0])) for e, a in zip(eyes, ahead, strict=True)])
