"""The import direction of the package, read from the sources, and what importing the world may pull in."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "spatia_ros"

LAYERS = (
    ("types", "on_demand", "geometry", "config", "o3d", "formats", "kernels"),
    ("memory", "actors", "generator", "sequence", "rig"),
    ("slam", "seed"),
    ("engine",),
    ("world", "pixels", "variants", "spacetime", "checkpoint", "beside", "ahead"),
    ("ground", "train"),
    ("record", "env", "scenario", "evaluate", "viewer", "gallery", "cli"),
    ("nodes",),
)
"""Lowest first: a module imports from its own layer and from those below."""

GENERATED = ("msg", "srv", "action")
HEAVY = ("rclpy", "torch", "tensorrt", "gymnasium", "mujoco", "open3d")
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(dotted: str) -> str:
    """The name in LAYERS a module belongs to: its first part, with ``cli_demo`` belonging to ``cli``."""
    part = dotted.split(".")[0]
    return "cli" if part.startswith("cli_") else part


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[tuple[int, str]]:
    """``(line, absolute dotted name)`` of every import of a file, inside functions too."""
    found = []
    package = ["spatia_ros", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            origin = (base + (node.module or "")).rstrip(".")
            # `from spatia_ros import types` names the module in the alias
            found += [(node.lineno, f"{origin}.{alias.name}" if origin == "spatia_ros" else origin) for alias in node.names]
    return found


def test_every_module_has_a_layer():
    unknown = {layer_of(module_of(path)) for path in sources() if module_of(path)} - RANK.keys()
    assert not unknown, f"not in the table of layers: {sorted(unknown)}"


def test_imports_go_downwards():
    wrong = []
    for path in sources():
        here = layer_of(module_of(path))
        for line, name in imports(path):
            if not name.startswith("spatia_ros."):
                continue
            there = layer_of(name.removeprefix("spatia_ros."))
            if there in RANK and RANK[there] > RANK.get(here, -1):
                wrong.append(f"{path.relative_to(PACKAGE)}:{line}: {here or 'spatia_ros'} imports {there}, which lies above it")
    assert not wrong, "\n".join(wrong)


def test_ros_only_under_nodes():
    messages = ("std_msgs", "geometry_msgs", "sensor_msgs", "nav_msgs", "tf2_msgs", "simulation_interfaces")
    ros = ("rclpy", "rosidl", "ament_index", "cv_bridge", "launch", *messages)
    wrong = []
    for path in sources():
        if layer_of(module_of(path)) == "nodes":
            continue
        for line, name in imports(path):
            inside = name.removeprefix("spatia_ros.").split(".")[0] in GENERATED and name.startswith("spatia_ros.")
            if inside or name.split(".")[0].startswith(ros):
                wrong.append(f"{path.relative_to(PACKAGE.parent)}:{line}: {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("statement", "module"), [("import a.b", "a.b"), ("from .x import y", "spatia_ros.memory.x")])
def test_the_reader_of_imports_sees(tmp_path, monkeypatch, statement, module):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "spatia_ros")
    path = tmp_path / "spatia_ros" / "memory" / "m.py"
    path.parent.mkdir(parents=True)
    path.write_text(f"def f():\n    {statement}\n")
    assert imports(path) == [(2, module)]


def test_importing_the_world_pulls_in_nothing_heavy():
    code = f"import sys, spatia_ros.world; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
