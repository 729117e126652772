"""package.xml and CMakeLists.txt: what the nodes import is a dependency, what they need at run time is installed."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
OF_ROS = re.compile(r"(\w+_(msgs|interfaces|srvs)|rclpy|launch|launch_ros|cv_bridge|tf2_ros|ament_index_python)$")


def depended():
    package = ElementTree.parse(ROOT / "package.xml")
    return {e.text for kind in ("depend", "exec_depend") for e in package.iter(kind)}


def imported(folder):
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            yield from (name.split(".")[0] for name in names)


def test_every_ros_package_that_is_imported_is_a_dependency():
    used = {n for folder in ("spatia_ros", "launch") for n in imported(ROOT / folder) if OF_ROS.match(n)}
    assert {"rclpy", "lifecycle_msgs", "simulation_interfaces", "launch"} <= used
    assert used <= depended()


def test_every_message_package_that_our_messages_name_is_a_dependency():
    text = "\n".join(p.read_text() for kind in ("msg", "srv", "action") for p in (ROOT / kind).glob(f"*.{kind}"))
    named = set(re.findall(r"^(\w+)/\w+(?:\[.*?\])? \w", text, re.MULTILINE))
    assert {"std_msgs", "sensor_msgs"} <= named
    assert named <= depended()
    generated = (ROOT / "CMakeLists.txt").read_text()
    assert all(f"find_package({name} REQUIRED)" in generated for name in named)


def test_folders_that_nodes_read_are_installed():
    (folders,) = re.findall(r"foreach\(folder ([\w ]+)\)", (ROOT / "CMakeLists.txt").read_text())
    assert {"config", "engines", "launch"} <= set(folders.split())


def test_versions_agree():
    version = ElementTree.parse(ROOT / "package.xml").findtext("version")
    assert f'"{version}"' in (ROOT / "setup.py").read_text()
