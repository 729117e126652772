"""Examine what the project stands on: every requirement pinned, installed as pinned, of a licence that fits, without known holes.

    .venv/bin/python scripts/audit.py            what `make lint` runs
    .venv/bin/python scripts/audit.py --table    the licences

The first three need no network. Known vulnerabilities are asked for in one request to an advisory database (OSV's interface,
https://osv.dev); where none can be reached it says "not audited", and does not fail. ``SPATIA_ADVISORIES`` names another
address, or is ``off``. Advisories that do not concern the project stand in ``requirements/advisories.txt``, each with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
OSV = "https://api.osv.dev/v1/querybatch"
TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 16 << 20
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==([A-Za-z0-9.!+_-]+)")
INSTEAD = ("ros-host.txt",)
"""Pins that take the place of others where another ROS is sourced."""
UNPINNED = {"pip", "setuptools", "wheel", "spatia-ros"}
"""What an environment has of itself, and the project."""
FREE = (
    "MIT", "BSD", "ISC", "APACHE", "PSF", "PYTHON SOFTWARE", "MPL", "MOZILLA", "ZLIB", "UNLICENSE", "PUBLIC DOMAIN", "BSL",
    "BOOST", "CNRI", "ANY-OSI",
)  # fmt: skip
STRONG = re.compile(r"(?<!L)\b[AL]?GPL|GENERAL PUBLIC|PROPRIETARY|COMMERCIAL", re.IGNORECASE)
REASONS = {
    "evo": "GPL-3.0: imported when a flight is evaluated, not shipped with the project; both together are under the GPL",
    "docutils": "several licences by file; the GPL one is of an editor's mode that nothing here uses",
    "polygraphy": "Apache-2.0 (NVIDIA), says its repository; for machines with TensorRT",
    "setuptools": "MIT, says its repository", "lazy-importer": "any licence approved by the OSI, says its author",
}  # fmt: skip
"""Packages whose metadata alone would not do, and why they may be used."""


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(folder: Path, only: tuple[str, ...] = ()) -> tuple[dict[str, str], list[str]]:
    """Version by package of all requirement files (or ``only`` those), and what is wrong with them."""
    found: dict[str, str] = {}
    wrong = []
    for path in sorted(folder.glob("*.txt")):
        if path.name not in only if only else path.name in (*INSTEAD, "advisories.txt"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            text = line.partition("#")[0].split(";")[0].strip()
            if not text:
                continue
            match = PIN.fullmatch(text)
            if match is None:
                wrong.append(f"{path.name}:{number}: expected name==version, got {text!r}")
            elif found.setdefault(normal(match[1]), match[2]) != match[2]:
                wrong.append(f"{path.name}:{number}: expected {match[1]}=={found[normal(match[1])]} as elsewhere, got {match[2]}")
    return found, wrong


def installed() -> dict[str, metadata.Distribution]:
    """The distributions of this environment, without generated messages: those are built here, or come with a ros-* wheel."""
    out = {normal(d.metadata["Name"]): d for d in metadata.distributions() if d.metadata["Name"]}
    return {name: d for name, d in out.items() if f"ros-{name}" not in out and not _is_built_here(d)}


def _is_built_here(distribution: metadata.Distribution) -> bool:
    return any((ROOT / folder / distribution.metadata["Name"].replace("-", "_")).is_dir() for folder in ("interfaces", "."))


def differences(wanted: dict[str, str], present: dict[str, str], instead: dict[str, str]) -> list[str]:
    """Where an environment is not what the pins say, or those ``instead`` of them; which build it is (+cpu) is left open."""
    out = [
        f"{name}: expected {wanted[name]}, {version} is installed"
        for name, version in sorted(present.items())
        if name in wanted and version.partition("+")[0] not in (wanted[name], instead.get(name))
    ]
    loose = sorted(set(present) - set(wanted) - UNPINNED)
    return out + [f"{name}: {present[name]} is installed, and pinned nowhere" for name in loose]


def licence(distribution: metadata.Distribution) -> str:
    """What a distribution says of its licence, by its metadata or its ROS package.xml; empty when it says nothing."""
    said = distribution.metadata
    classes = [each.rpartition("::")[2].strip() for each in said.get_all("Classifier") or [] if each.startswith("License ::")]
    short = (said.get("License") or "").strip().splitlines()[:1]
    text = said.get("License-Expression") or "; ".join(classes) or (short[0][:60] if short else "")
    return text or _of_ros_package(said["Name"])


def _of_ros_package(name: str) -> str:
    package = name.removeprefix("ros-").replace("-", "_")
    described = Path(sys.prefix) / "share" / package / "package.xml"
    if not described.is_file():
        return "Apache-2.0 (ROS 2)" if name.startswith("ros-") else ""
    return "; ".join(re.findall(r"<license[^>]*>([^<]+)</license>", described.read_text(encoding="utf-8", errors="replace")))


def does_not_fit(name: str, said: str) -> str:
    """Why a licence does not fit an Apache-2.0 project; empty when it does."""
    if name in REASONS:
        return ""
    if not said:
        return f"{name}: expected a licence, its metadata names none"
    if STRONG.search(said):
        return f"{name}: {said}: expected a licence that Apache-2.0 may be combined with"
    return "" if any(word in said.upper() for word in FREE) else f"{name}: {said}: is not among the licences known to fit"


def advisories(wanted: dict[str, str], url: str) -> dict[str, list[str]]:
    """Identifiers of known vulnerabilities by package.

    Raises:
        OSError: when the database cannot be asked. ValueError: when its answer is none.
    """
    if not re.match(r"https://|http://(localhost|127\.0\.0\.1)[:/]", url):
        raise ValueError(f"expected an https address, got {url!r}")
    names = sorted(wanted)
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": wanted[name]} for name in names]
    request = urllib.request.Request(url, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        results = json.loads(answer.read(MAX_ANSWER_BYTES))["results"]
    if len(results) != len(names):
        raise ValueError(f"expected {len(names)} results, got {len(results)}")
    found = {name: sorted(each["id"] for each in result.get("vulns", ())) for name, result in zip(names, results, strict=True)}
    return {name: ids for name, ids in found.items() if ids}


def accepted(path: Path) -> dict[str, str]:
    """Reasons by advisory: lines of ``ID reason``."""
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = [line.split(None, 1) for line in lines if line.strip() and not line.startswith("#")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def vulnerabilities(wanted: dict[str, str], url: str, known: dict[str, str]) -> tuple[str, list[str]]:
    """What was asked, in words, and what is wrong."""
    if url == "off":
        return "vulnerabilities: not audited: SPATIA_ADVISORIES is off", []
    try:
        found = advisories(wanted, url)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"vulnerabilities: NOT AUDITED: no advisory database reachable ({url}: {error})", []
    wrong = [f"{name}=={wanted[name]}: {each}" for name, ids in sorted(found.items()) for each in ids if each not in known]
    passed = sorted({each for ids in found.values() for each in ids} & set(known))
    told = f"; accepted with a reason: {', '.join(passed)}" if passed else ""
    return f"vulnerabilities: {len(wanted)} packages asked about at {url}, {len(wrong)} open{told}", wrong


def main() -> int:
    """Say what was examined; the exit status is 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python scripts/audit.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", action="store_true", help="print name, version and licence of everything installed")
    args = parser.parse_args()
    wanted, wrong = pins(REQUIREMENTS)
    present = installed()
    said = {name: licence(distribution) for name, distribution in present.items()}
    if args.table:
        print("\n".join(f"| {n} | {present[n].version} | {REASONS.get(n) or said[n]} |" for n in sorted(present)))
        return 0
    wrong += differences(wanted, {name: d.version for name, d in present.items()}, pins(REQUIREMENTS, INSTEAD)[0])
    wrong += [fault for name in sorted(present) if (fault := does_not_fit(name, said[name]))]
    both = len(set(present) & set(wanted))
    print(f"requirements: {len(wanted)} pinned exactly, none by hash; {len(present)} installed, {both} of them pinned")
    line, open_ones = vulnerabilities(wanted, os.environ.get("SPATIA_ADVISORIES", OSV), accepted(REQUIREMENTS / "advisories.txt"))
    print(line)
    for fault in (wrong := wrong + open_ones):
        print(f"audit: {fault}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
