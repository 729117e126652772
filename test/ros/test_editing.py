"""The service memory/edit on both nodes: parts by name and by shape, in the map frame; undo, redo, add; refusals."""

import gc
import weakref

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion
from harness import parameters, wait, wall_memory
from std_msgs.msg import ColorRGBA

from spatia_ros import geometry
from spatia_ros.memory import Points
from spatia_ros.memory.edit import Editor
from spatia_ros.nodes import convert
from spatia_ros.nodes.editing import region_of
from spatia_ros.nodes.mapper_node import MapperNode
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import EditMemory, LoadMemory

Ask = EditMemory.Request
SETTINGS = {"generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64}
CRATE = np.array([1.2, 0.3, 1.1])


def crate(side_m: float = 0.3) -> Points:
    line = np.arange(0, side_m, 0.02) - side_m / 2
    xyz = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)
    return Points.measured(xyz.astype(np.float32), np.full(xyz.shape, (250, 0, 0), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import trimesh

    path = tmp_path_factory.mktemp("data")
    memory = wall_memory()
    Editor(memory).add(crate(), geometry.pose(np.eye(3), CRATE), "crate")
    memory.save(path / "crate.spatia")
    trimesh.creation.box((0.2, 0.2, 0.2)).export(path / "box.glb")
    return path


@pytest.fixture(scope="module", params=["world", "mapper"])
def edit(request, graph, folder):
    """Calls the service of one of the two nodes, which holds a wall and a crate before it."""
    name = f"/edit_{request.param}"
    if request.param == "world":
        values = parameters(**SETTINGS, data_dir=str(folder), source__memory="crate.spatia")
        node = graph.add(WorldNode(context=graph.context, namespace=name, parameter_overrides=values))
    else:
        node = graph.add(MapperNode(context=graph.context, namespace=name, parameter_overrides=parameters(data_dir=str(folder))))
        assert graph.call(LoadMemory, f"{name}/memory/load", path="crate.spatia").success

    def call(**asked):
        return graph.call(EditMemory, f"{name}/memory/edit", **asked)

    call.node, call.load = node, lambda: graph.call(LoadMemory, f"{name}/memory/load", path="crate.spatia")
    yield call
    graph.remove(node)


def middle(answer, name):
    at = list(answer.names).index(name)
    corners = [np.array([p.x, p.y, p.z]) for p in (answer.lows[at], answer.highs[at])]
    return (corners[0] + corners[1]) / 2


def test_an_object_is_listed_moved_removed_and_brought_back(edit):
    listed = edit(operation=Ask.LIST)
    assert listed.success, listed.message
    assert list(listed.names) == ["crate"]
    assert 1000 < listed.counts[0] < listed.points
    before = middle(listed, "crate")
    moved = edit(operation=Ask.MOVE, object="crate", motion=Pose(position=Point(x=0.1, y=-0.4, z=0.0)))
    assert moved.success, moved.message
    np.testing.assert_allclose(middle(moved, "crate") - before, (0.1, -0.4, 0.0), atol=0.03)
    removed = edit(operation=Ask.REMOVE, object="crate")
    assert removed.success, removed.message
    assert "remove the object 'crate'" in removed.message
    assert removed.changed > 1000
    assert list(removed.names) == []
    for _ in range(2):
        assert edit(operation=Ask.UNDO).success
    again = edit(operation=Ask.LIST)
    assert (again.points, list(again.counts)) == (listed.points, list(listed.counts))
    np.testing.assert_allclose(middle(again, "crate"), before, atol=1e-9)
    redone = edit(operation=Ask.REDO)
    assert "done again: move the object 'crate'" in redone.message
    assert edit(operation=Ask.UNDO).success


def test_shapes_colours_and_files(edit):
    at = middle(edit(operation=Ask.LIST), "crate").tolist()
    ball = edit(operation=Ask.RECOLOUR, sphere=[*at, 0.5], object="crate", color=ColorRGBA(r=0.0, g=0.0, b=1.0, a=1.0))
    assert ball.success, ball.message
    assert ball.changed > 1000
    added = edit(operation=Ask.ADD, path="box.glb", name="box", motion=Pose(position=Point(x=at[0], y=at[1] + 0.6, z=at[2])))
    assert added.success, added.message
    assert sorted(added.names) == ["box", "crate"]
    np.testing.assert_allclose(middle(added, "box"), np.add(at, (0, 0.6, 0)), atol=0.03)
    upper = edit(operation=Ask.REMOVE, object="box", half_space=[*middle(added, "box"), 0.0, 0.0, 1.0])
    assert 0 < upper.changed < added.changed
    for _ in range(3):
        assert edit(operation=Ask.UNDO).success
    assert list(edit(operation=Ask.LIST).names) == ["crate"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"operation": Ask.REMOVE}, "expected a part"),
        ({"operation": Ask.REMOVE, "object": "chair"}, "expected one of crate"),
        ({"operation": Ask.REMOVE, "box": [0.0, 1.0]}, "box: expected 6 finite numbers"),
        ({"operation": Ask.REMOVE, "sphere": [0.0, 0.0, float("nan"), 1.0]}, "sphere: expected 4 finite numbers"),
        ({"operation": Ask.MOVE, "object": "crate", "motion": Pose(orientation=Quaternion(w=0.0))}, "unit quaternion"),
        ({"operation": Ask.RECOLOUR, "object": "crate", "color": ColorRGBA(r=7.0)}, "colour of 0..255"),
        ({"operation": Ask.ADD, "path": "../outside.glb"}, "inside the data folder"),
        ({"operation": Ask.ADD, "path": "none.glb"}, "does not exist"),
        ({"operation": Ask.REDO}, "expected an edit that was undone"),
        ({"operation": 9}, "operation of 0..6"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence_and_changes_nothing(edit, asked, says):
    if asked["operation"] == Ask.REDO:  # a new edit ends what could be redone
        assert edit(operation=Ask.RECOLOUR, object="crate", color=ColorRGBA(a=0.5)).success
    before = edit(operation=Ask.LIST)
    answer = edit(**asked)
    assert not answer.success
    assert says in answer.message
    assert answer.points == edit(operation=Ask.LIST).points == before.points


def test_who_takes_another_memory_lets_go_of_the_one_that_was_edited(edit):
    assert edit(operation=Ask.REMOVE, object="crate").success
    edited = weakref.ref(edit.node.face.memory)
    assert edit.load().success

    def gone():
        gc.collect()
        return edited() is None

    wait(gone, "the edited memory to be let go of", 20.0)  # a cloud or an update of it may still be on its way
    assert "expected an edit to undo" in edit(operation=Ask.UNDO).message


def test_parts_are_said_in_the_map_and_found_in_the_memory_s_own_world():
    """A memory with optical axes: its world's z is the map's x."""
    T_map_world = convert.map_from_world("-y")
    point_map = np.array([2.0, 0.5, 0.25])
    point_world = (geometry.inverse(T_map_world) @ [*point_map, 1.0])[None, :3]
    parts = {
        "box": [1.9, 0.4, 0.2, 2.1, 0.6, 0.3], "sphere": [2.0, 0.5, 0.25, 0.01], "half_space": [1.9, 0.0, 0.0, 1.0, 0.0, 0.0],
    }  # fmt: skip
    for part, values in parts.items():
        region = region_of(Ask(**{part: values}), geometry.inverse(T_map_world))
        assert region.contains(point_world).all(), part
        assert not region.contains(point_world + geometry.inverse(T_map_world)[:3, :3] @ (-0.5, 0, 0)).any(), part
