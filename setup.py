"""The core without ROS as an ordinary Python package: ``pip install .`` gives the command ``spatia``.

The ROS package (messages, nodes, launch files) is built by CMakeLists.txt.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """The pins of a requirements file."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """A folder of data files, installed where the ROS package has it too (setuptools wants relative paths)."""
    files = sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return [(f"share/spatia_ros/{path.parent}", [str(path)]) for path in files]



setup(
    name="spatia_ros",
    version="0.1.0",
    description="A scanned place as a world that a robot camera can be simulated in",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["spatia_ros", "spatia_ros.*"]),
    package_data={"spatia_ros.record": ["*.j2"], "spatia_ros.gallery": ["*.j2"], "spatia_ros.engine": ["support/*.json"]},
    data_files=shared("engines") + shared("config"),
    install_requires=requirements("runtime"),
    extras_require={"train": requirements("train"), "test": requirements("test")},
    entry_points={"console_scripts": ["spatia = spatia_ros.cli:main"]},
)
