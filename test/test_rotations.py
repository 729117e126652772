"""Rotations as plain numbers, against SciPy's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry


def rotations() -> list[Rotation]:
    """Random ones, none, tiny ones, half turns, and nearly those, about axes on which another of the four numbers is largest."""
    rng = np.random.default_rng(0)
    axes = [*np.eye(3), *-np.eye(3), *rng.normal(size=(6, 3))]
    angles = (0.0, 1e-9, 1e-4, 1.0, np.pi - 1e-6, np.pi - 1e-9)
    turned = [Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)) for axis in axes for angle in angles]
    return [*Rotation.random(200, random_state=0), *turned]


@pytest.mark.parametrize("index", range(0, 272, 16))
def test_quaternions_vectors_and_matrices(index: int) -> None:
    for rotation in rotations()[index : index + 16]:
        T = geometry.pose(rotation.as_matrix(), np.array([1.0, -2.0, 3.0]))
        q, w = geometry.quat_xyzw(T), geometry.rotation_vector(T)
        assert q[3] >= 0
        assert abs(np.linalg.norm(q) - 1.0) < 1e-15
        np.testing.assert_allclose(Rotation.from_quat(q).as_matrix(), T[:3, :3], atol=1e-12)
        np.testing.assert_allclose(Rotation.from_rotvec(w).as_matrix(), T[:3, :3], atol=1e-9)
        assert abs(np.linalg.norm(w) - rotation.magnitude()) < 1e-7
        np.testing.assert_allclose(geometry.made_rigid(T), T, atol=1e-12)


def test_half_turns_have_an_axis() -> None:
    for axis in np.eye(3):
        T = geometry.pose(Rotation.from_rotvec(np.pi * axis).as_matrix(), np.zeros(3))
        np.testing.assert_allclose(np.abs(geometry.rotation_vector(T)), np.pi * axis, atol=1e-9)


def test_what_is_nearly_a_rotation_becomes_one() -> None:
    rng = np.random.default_rng(1)
    for rotation in Rotation.random(50, random_state=1):
        T = geometry.pose(rotation.as_matrix() + rng.normal(0, 3e-5, (3, 3)), np.ones(3))
        made = geometry.made_rigid(T)
        np.testing.assert_allclose(made[:3, :3] @ made[:3, :3].T, np.eye(3), atol=1e-14)
        np.testing.assert_allclose(made, T, atol=3e-4)
        np.testing.assert_array_equal(made[:, 3], T[:, 3])
