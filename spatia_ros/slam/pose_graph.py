"""Poses that agree with what was measured between them: Open3D's global optimisation behind a small signature.

The graph has a node per keyframe and an edge per measured motion. Odometry edges are certain; loop edges are not and
carry a line process (Zhou, Park, Koltun, "Robust Reconstruction of Indoor Scenes", CVPR 2015, eq. 5), so that a false
loop that the others speak against loses its say instead of bending the map. A line process only finds what is false
near a solution, so the tolerance is lowered step by step (graduated non-convexity, Blake & Zisserman 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatia_ros.slam.odometry import orthonormal
from spatia_ros.types import Bool, Float64, SpatiaError, check_array, check_pose

TOLERANCES = (16.0, 4.0, 1.0, 0.25)
"""Misfits at which a loop keeps a quarter of its say, step by step, in multiples of the final one."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A measured motion between two nodes.

    Args:
        i, j: the nodes. T_i_j: float64 [4, 4], pose of node j seen from node i.
        information: float64 [6, 6], inverse covariance of (translation m, rotation rad) in the axes of node j.
        uncertain: may be false (a loop), and is then left out if the rest of the graph speaks against it.
    """

    i: int
    j: int
    T_i_j: Float64
    information: Float64
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Solution:
    """What :func:`optimise` found.

    Args:
        T_world_node: float64 [N, 4, 4]; the first node stays where it was.
        believed: bool [E], edges that were not found to be false.
    """

    T_world_node: Float64
    believed: Bool


def information(sigma_m: float, sigma_rad: float) -> Float64:
    """Information [6, 6] of an error of ``sigma_m`` along and ``sigma_rad`` about each axis."""
    return np.diag([sigma_m**-2.0] * 3 + [sigma_rad**-2.0] * 3)


def optimise(T_world_node: Float64, edges: Sequence[Edge], misfit_m: float = 0.1) -> Solution:
    """The poses of all nodes that fit the edges best; the first node is held.

    Args:
        T_world_node: float64 [N, 4, 4], where the nodes are thought to be.
        misfit_m: an uncertain edge that ends up this far from the solution is half disbelieved; farther, it is left out.

    Raises:
        SpatiaError: on an edge to a node that is not there, or on information that is no finite symmetric matrix.
    """
    check_array("optimise: T_world_node", T_world_node, (len(T_world_node), 4, 4), np.float64)
    for edge in edges:
        _check(edge, len(T_world_node))
    poses = T_world_node.copy()
    loops = [e for e in edges if e.uncertain]
    if not loops:
        return Solution(poses, np.ones(len(edges), bool))
    for scale in TOLERANCES:
        poses = _solved(poses, edges, misfit_m * scale)
    believed = np.array([not e.uncertain or _misfit_m(poses, e) < misfit_m for e in edges])
    kept = [e for e, good in zip(edges, believed, strict=True) if good]
    return Solution(_solved(poses, kept, misfit_m) if not believed.all() else poses, believed)


def _check(edge: Edge, nodes: int) -> None:
    if not (0 <= edge.i < nodes and 0 <= edge.j < nodes and edge.i != edge.j):
        raise SpatiaError(f"edge: expected two different nodes of 0..{nodes - 1}, got {edge.i} and {edge.j}")
    check_pose("edge.T_i_j", edge.T_i_j)
    check_array("edge.information", edge.information, (6, 6), np.float64)
    information = edge.information
    if not np.isfinite(information).all() or np.abs(information - information.T).max() > 1e-6 * np.abs(information).max():
        raise SpatiaError("edge.information: expected a finite symmetric matrix")


def _misfit_m(poses: Float64, edge: Edge) -> float:
    """Distance between where the edge says node j is and where it is, metres."""
    return float(np.linalg.norm((poses[edge.i] @ edge.T_i_j)[:3, 3] - poses[edge.j][:3, 3]))


def _solved(poses: Float64, edges: Sequence[Edge], misfit_m: float) -> Float64:
    from spatia_ros.o3d import o3d

    r = o3d.pipelines.registration
    graph = r.PoseGraph()
    graph.nodes.extend([r.PoseGraphNode(T) for T in poses])
    order = [3, 4, 5, 0, 1, 2]  # Open3D puts rotation first
    for e in edges:
        # Open3D's source is our j: its transformation maps the source's points to the target's frame.
        graph.edges.append(r.PoseGraphEdge(e.j, e.i, e.T_i_j, e.information[np.ix_(order, order)], uncertain=e.uncertain))
    option = r.GlobalOptimizationOption(
        max_correspondence_distance=misfit_m, edge_prune_threshold=0.0, preference_loop_closure=1.0, reference_node=0
    )
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        r.global_optimization(
            graph, r.GlobalOptimizationLevenbergMarquardt(), r.GlobalOptimizationConvergenceCriteria(), option
        )
    return np.stack([orthonormal(np.asarray(node.pose)) for node in graph.nodes])
