"""What no source of the project may do: run what it reads, unpickle, open a shell, follow YAML tags, talk to the network."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("spatia_ros", "scripts", "launch", "docs", "bench", "test")
MODULES = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "dbm", "copyreg",
    "urllib.request", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib", "xmlrpc", "http.client", "http.server",
    "xml.etree", "xml.dom", "xml.sax", "lxml", "pty", "code", "codeop",
}  # fmt: skip
CALLS = {
    "eval", "exec", "__import__", "compile", "os.system", "os.popen", "os.execv", "os.execl", "os.spawnv", "tempfile.mktemp",
    "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.full_load_all", "yaml.unsafe_load_all",
    "shutil.unpack_archive", "np.fromregex", "subprocess.getoutput", "subprocess.getstatusoutput", "hashlib.md5", "hashlib.sha1",
    "torch.hub.load", "torch.jit.load", "onnx.hub.load", "cv2.FileStorage",
}  # fmt: skip
METHODS = {"extractall", "read_pickle", "to_pickle"}
NEEDED = {
    "np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False), "torch.load": ("weights_only", True),
    "from_pretrained": ("local_files_only", True), "snapshot_download": ("local_files_only", True),
}  # fmt: skip
"""Calls that need an argument of this value: nothing pickled, no code, nothing downloaded."""
NEVER = {"shell": True, "trust_remote_code": True, "allow_pickle": True, "weights_only": False, "allow_anywhere": True}
ALLOWED = {
    ("spatia_ros/cli/ros.py", "os.execv"): "becomes the program it was asked for",
    ("spatia_ros/cli/doctor_host.py", "xml.etree"): "the Fast DDS profile that the user's own environment names",
    ("spatia_ros/nodes/tools/host_facts.py", "xml.etree"): "package.xml of the installed package",
    ("spatia_ros/nodes/rig/urdf.py", "xml.etree.ElementTree"): "builds the tree; the parser is its own, without document types",
    ("test/test_package.py", "xml.etree"): "the package.xml of the project",
    ("test/test_environment.py", "xml.etree"): "the profile that the project writes",
    ("test/ros/test_security_policy.py", "xml.etree"): "the policies that the project writes",
    ("test/test_build_engine.py", "compile"): "sees whether a script that was written is Python",
    ("scripts/audit.py", "urllib.request"): "asks for known vulnerabilities, one request, of what is installed",
    ("test/test_audit.py", "http.server"): "stands in for that service",
}
"""``(file, what)``: why it may."""
TAGS = ("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.CLoader", "yaml.Dumper")
YAML = ("spatia_ros/formats/plain_yaml.py", "scripts/", "test/", "docs/")
"""Where yaml.safe_load may be called; everybody else goes through plain_yaml, which refuses aliases, too."""


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*found, ROOT / "setup.py"]


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an expression, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value) or '?'}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(text: str, name: str) -> list[str]:
    """``line: what`` of everything in a source that may not be there."""
    found = []
    for node in ast.walk(ast.parse(text, name)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, each.name) for each in node.names if _within(each.name)]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
            found += [(node.lineno, module) for module in names if _within(module)][:1]
        elif isinstance(node, ast.Call):
            found += [(node.lineno, what) for what in _call_faults(node, name)]
        elif isinstance(node, ast.Attribute) and dotted(node) in TAGS:
            found.append((node.lineno, dotted(node)))
    return [f"{line}: {what}" for line, what in found if (name, what) not in ALLOWED]


def _within(module: str) -> bool:
    return any(module == each or module.startswith(each + ".") for each in MODULES)


def _call_faults(node: ast.Call, name: str) -> list[str]:
    called, found = dotted(node.func), []
    if called in CALLS or called.rsplit(".", 1)[-1] in METHODS:
        found.append(called.removeprefix("?."))
    if called == "yaml.safe_load" and not name.startswith(YAML):
        found.append("yaml.safe_load (use formats/plain_yaml)")
    arguments = {each.arg: getattr(each.value, "value", None) for each in node.keywords if each.arg}
    spread = any(each.arg is None for each in node.keywords)  # **options: looked at where they are made
    for key in (called, called.rsplit(".", 1)[-1]):
        if key in NEEDED and not spread and arguments.get(NEEDED[key][0]) is not NEEDED[key][1]:
            found.append(f"{called} without {NEEDED[key][0]}={NEEDED[key][1]}")
            break
    return found + [f"{key}={value}" for key, value in NEVER.items() if key in arguments and arguments[key] is value]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_does_nothing_forbidden(path):
    assert faults(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import pickle", "1: pickle"),
        ("from xml.etree import ElementTree", "1: xml.etree"),
        ("import xml.etree.ElementTree as ET", "1: xml.etree.ElementTree"),
        ("eval('1')", "1: eval"),
        ("os.system('ls')", "1: os.system"),
        ("subprocess.run('ls', shell=True)", "1: shell=True"),
        ("yaml.load(text, Loader=yaml.Loader)", "1: yaml.load"),
        ("yaml.safe_load(text)", "1: yaml.safe_load (use formats/plain_yaml)"),
        ("np.load(path)", "1: np.load without allow_pickle=False"),
        ("np.load(path, allow_pickle=True)", "1: np.load without allow_pickle=False"),
        ("torch.load(path, weights_only=False)", "1: torch.load without weights_only=True"),
        ("AutoModel.from_pretrained(folder)", "1: AutoModel.from_pretrained without local_files_only=True"),
        ("zipfile.ZipFile(path).extractall(folder)", "1: extractall"),
        ("FilePathResolver(p, allow_anywhere=True)", "1: allow_anywhere=True"),
    ],
)
def test_it_would_be_seen(text, what):
    assert what in faults(text, "spatia_ros/some.py")


@pytest.mark.parametrize(
    "text", ["np.load(path, allow_pickle=False)", "network.eval()", "re.compile('a')", "subprocess.run(['ls'])", "import json"]
)
def test_what_is_fine_is_let_be(text):
    assert faults(text, "spatia_ros/some.py") == []
