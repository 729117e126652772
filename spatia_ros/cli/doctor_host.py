"""What ``spatia doctor`` looks at, gathered once: :class:`Host` is plain data, so that a test can make up any machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from spatia_ros.types import SpatiaError

ROS_FACTS = "spatia_ros.nodes.tools.host_facts"
NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader")
OPTIONAL = ("torch", "tensorrt", "polygraphy", "openvino", "transformers", "diffusers")
DEFINITIONS = ("msg", "srv", "action")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Disk:
    """A folder and the space there: of the nearest folder above it that exists."""

    path: str
    free_bytes: int
    writable: bool


@dataclass(frozen=True)
class Profile:
    """A Fast DDS profile file; sizes are None where it has no shared memory or does not say."""

    path: str
    segment_bytes: int | None = None
    message_bytes: int | None = None
    loopback_only: bool = False
    error: str = ""


@dataclass(frozen=True)
class Host:
    """A machine.

    Args:
        python: version. environ: of the user's shell. ros: the answer of ``nodes/host_facts``; ``error`` where it gave none.
        profile: the Fast DDS profile that our programs use. shm: shared memory.
        definitions: our messages' texts in the source checkout, by ``msg/Name.msg``; empty where there is no checkout.
        gpus: one line each. cuda: what torch says of CUDA, None when it was not asked. providers: ONNX Runtime's.
        packages: versions of optional Python packages. engines: by name, what is wrong with it (empty: nothing).
        built: by name, whether TensorRT engines of it are in the cache. disks: by what they are for.
        loopback: the answer of the image test; None when it was left out.
    """

    python: tuple[int, int, int]
    machine: str
    cores: int
    memory_bytes: int
    environ: Mapping[str, str]
    ros: Mapping[str, Any]
    profile: Profile | None
    shm: Disk
    shm_bytes: int
    definitions: Mapping[str, str]
    gpus: tuple[str, ...]
    cuda: bool | None
    providers: tuple[str, ...]
    packages: Mapping[str, str]
    engines: Mapping[str, str]
    built: Mapping[str, bool]
    disks: Mapping[str, Disk]
    loopback: Mapping[str, Any] | None = None
    jetson: str = ""
    extras: Mapping[str, bool] = field(default_factory=dict)


def look(data_dir: Path, with_loopback: bool) -> Host:
    """This machine."""
    ros = ask_ros()
    gpus = lines_of(NVIDIA_SMI)
    release = Path("/etc/nv_tegra_release")
    jetson = release.read_text(errors="replace").splitlines()[0] if release.is_file() else ""
    file = ros.get("environment", {}).get("FASTRTPS_DEFAULT_PROFILES_FILE", "")
    packages = {name: text for name in OPTIONAL if (text := version_of(name))}
    shm = Path("/dev/shm")
    engines = checked_engines()
    return Host(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        machine=platform.machine(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        environ=dict(os.environ),
        ros=ros,
        profile=read_profile(Path(file)) if file else None,
        shm=disk(shm),
        shm_bytes=size_bytes(shm),
        definitions=source_definitions(ROOT),
        gpus=gpus,
        cuda=torch_sees_cuda() if (gpus or jetson) and "torch" in packages else None,
        providers=onnx_providers(),
        packages=packages,
        engines=engines,
        built=built_engines(engines, bool(gpus or jetson)),
        disks={"data_dir": disk(data_dir), "cache": disk(user_cache())},
        loopback=ask_ros("loopback") if with_loopback and ros.get("rclpy") else None,
        jetson=jetson,
        extras={"ffmpeg": shutil.which("ffmpeg") is not None, "rviz2": shutil.which("rviz2") is not None},
    )


def ask_ros(*words: str) -> dict[str, Any]:
    """The answer of the program that may import ROS; with ``error`` where it gave none."""
    command = [sys.executable, "-m", ROS_FACTS, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    answer = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("{")), None)
    if done.returncode or answer is None:
        words_left = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"error": words_left}
    return dict(json.loads(answer))


def lines_of(command: tuple[str, ...]) -> tuple[str, ...]:
    """What a program prints, line by line; nothing when there is no such program or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip()) if done.returncode == 0 else ()


def read_profile(path: Path) -> Profile:
    """The sizes that matter in a Fast DDS profile."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        return Profile(str(path), error=str(error))
    for element in root.iter():  # with or without the name space
        element.tag = element.tag.rpartition("}")[2]
    shared = [t for t in root.iter("transport_descriptor") if (t.findtext("type") or "").strip().upper() == "SHM"]

    def number(name: str) -> int | None:
        text = shared[0].findtext(name) if shared else None
        return int(text) if text and text.strip().isdigit() else None

    addresses = [(a.text or "").strip() for a in root.iter("address")]
    only_here = bool(addresses) and all(a.startswith("127.") for a in addresses)
    return Profile(str(path), number("segment_size"), number("maxMessageSize"), only_here)


def source_definitions(root: Path) -> dict[str, str]:
    """Our message definitions in a source checkout; none in an installation."""
    if not (root / "CMakeLists.txt").is_file():
        return {}
    return {f"{kind}/{p.name}": p.read_text() for kind in DEFINITIONS for p in sorted((root / kind).glob(f"*.{kind}"))}


def version_of(package: str) -> str:
    """The version of an installed Python package; empty when there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def torch_sees_cuda() -> bool:
    """Asked in another process: CUDA takes a second and a gigabyte."""
    return lines_of((sys.executable, "-c", "import torch; print(torch.cuda.is_available())")) == ("True",)


def onnx_providers() -> tuple[str, ...]:
    """What ONNX Runtime can run on."""
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())


def checked_engines() -> dict[str, str]:
    """Every shipped engine held against its manifest, and what is wrong with it."""
    from spatia_ros.engine.bundle import MANIFEST, checked_file, engines_folder, read_bundle

    out: dict[str, str] = {}
    try:
        folders = sorted(p.parent for p in engines_folder().glob(f"*/{MANIFEST}"))
    except SpatiaError:
        return out
    for folder in folders:
        try:
            bundle = read_bundle(folder)
            for precision, files in bundle.files.items():
                for part in files:
                    checked_file(folder, bundle, precision, part)
            out[folder.name] = ""
        except (SpatiaError, OSError) as error:
            out[folder.name] = str(error)
    return out


def built_engines(names: Mapping[str, str], has_gpu: bool) -> dict[str, bool]:
    """Which of the sound engines are built for this GPU."""
    if not has_gpu or not version_of("tensorrt"):
        return {}
    from spatia_ros.engine.built import is_built
    from spatia_ros.engine.bundle import engines_folder

    return {name: is_built(engines_folder() / name) for name, wrong in names.items() if not wrong}


def user_cache() -> Path:
    """Where built engines and compiled kernels go."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def disk(path: Path) -> Disk:
    """The space for a folder that may not be there yet."""
    there = next((p for p in (path.resolve(), *path.resolve().parents) if p.is_dir()), Path("/"))
    return Disk(str(path), shutil.disk_usage(there).free, os.access(there, os.W_OK))


def size_bytes(folder: Path) -> int:
    """The size of the file system a folder is on; 0 when there is no such folder."""
    return shutil.disk_usage(folder).total if folder.is_dir() else 0
