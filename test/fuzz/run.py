"""Fuzz everything that takes input from outside.

    .venv/bin/python test/fuzz/run.py --inputs 200000 --json out/fuzz.json      over all targets together
    .venv/bin/python test/fuzz/run.py --minutes 10 --targets cast_npz,bag_mcap
    .venv/bin/python test/fuzz/run.py --list

The targets of a module run in a process of their own, so that a fault in compiled code is seen and not suffered. The same
``--seed`` and number of inputs give the same inputs. What breaks a target is kept in ``--keep`` (default: out/fuzz); put it
into ``test/fuzz/corpus`` once it is mended, and ``test_fuzz_targets.py`` sees to it that it stays so.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ("node_targets", "read_targets", "memory_targets", "engine_targets")
SHARE = {"node_targets": 1.0, "memory_targets": 0.5, "engine_targets": 0.5}
"""Of the inputs of a cheap target, so many get those of a module: theirs cost more."""
LAST_S = 900
"""For the names of a module's targets."""


def all_targets(modules: tuple[str, ...] = MODULES) -> Iterator[tuple[str, Any]]:
    """Every target with the module it is of."""
    for name in modules:
        for target in importlib.import_module(name).targets():
            yield name, target


def names_of(module: str) -> list[str]:
    """The targets of a module, asked for in a process of their own: making them needs what they test."""
    done = _python("--module", module, "--list", timeout=LAST_S)
    if done.returncode:
        sys.exit(f"fuzz: {module}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    return [line for line in done.stdout.splitlines() if line.isidentifier()]


def environment() -> dict[str, str]:
    """Of the targets' processes: they find each other's modules, and nobody on the network."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from spatia_ros.nodes.environment import ros_environment

    paths = os.pathsep.join((str(ROOT), str(ROOT / "test"), str(ROOT / "test" / "ros"), str(HERE)))
    return {**ros_environment(os.environ), "PYTHONPATH": paths, "ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF", "PYTHONUNBUFFERED": "1"}


def _python(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "run.py"), *arguments]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, errors="replace", timeout=timeout, check=False
    )  # fmt: skip


def child(args: argparse.Namespace) -> None:
    """Feed the targets of one module, in this process; results go to standard output as JSON lines."""
    from target import Result, feed

    faulthandler.enable()
    warnings.simplefilter("error", RuntimeWarning)
    wanted = set(args.targets.split(",")) if args.targets else None
    for _, target in all_targets((args.module,)):
        if args.list:
            print(target.name)
            continue
        if wanted is None or target.name in wanted:
            result: Result = feed(target, args.inputs, args.seed, Path(args.keep) if args.keep else None)
            print("RESULT " + json.dumps(result.as_dict()), flush=True)
            if hasattr(target, "close"):
                target.close()


def told(module: str, targets: list[str], inputs: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The results of a module's targets as they come; the death of their process is a finding, the rest are run in another."""
    targets = list(targets)
    while targets:
        told_to = ["--targets", ",".join(targets), "--inputs", str(inputs), "--seed", str(args.seed), "--keep", args.keep]
        command = [sys.executable, str(HERE / "run.py"), "--module", module, *told_to]
        begun = ""
        with tempfile.TemporaryFile("w+") as errors:
            with subprocess.Popen(
                command, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace"
            ) as process:
                for line in process.stdout or ():
                    if ": seed " in line:
                        begun = line.strip()
                    elif line.startswith("RESULT "):
                        result = json.loads(line[7:])
                        targets.remove(result["target"])
                        yield result
            errors.seek(0)
            said = errors.read()
        if not targets:
            return
        if process.returncode == 0:
            raise RuntimeError(f"fuzz: {module}: expected results of {targets}, got none")
        died = begun.split(":")[0] if begun.split(":")[0] in targets else targets[0]
        words = f"the process ended with {process.returncode} in {begun or 'its beginning'}: {said[:1500]} ... {said[-1500:]}"
        fault = {"target": died, "words": words, "where": "process", "times": 1, "kept": ""}
        yield {"target": died, "inputs": 0, "accepted": 0, "refused": 0, "seconds": 0.0, "grown_mb": 0.0, "findings": [fault]}
        targets.remove(died)


def main() -> int:
    """Run the targets asked for; the exit status is 1 when something was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=200_000, help="over all targets together")
    parser.add_argument("--minutes", type=float, default=0.0, help="instead of --inputs: go on with new seeds until then")
    parser.add_argument("--targets", default="", help="names, with commas between; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--keep", default=str(ROOT / "out" / "fuzz"), help="folder for the inputs that broke something")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--module", default="", choices=["", *MODULES], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.module:
        child(args)
        return 0
    names = [(module, name) for module in MODULES for name in names_of(module)]
    wanted = set(args.targets.split(",")) if args.targets else {name for _, name in names}
    if unknown := wanted - {name for _, name in names}:
        parser.error(f"--targets: expected some of {', '.join(name for _, name in names)}, got {', '.join(sorted(unknown))}")
    chosen = [(module, name) for module, name in names if name in wanted]
    if args.list:
        print("\n".join(name for _, name in chosen))
        return 0
    results = rounds(chosen, args)
    report(results, args)
    return int(any(result["findings"] for result in results))


def rounds(chosen: list[tuple[str, str]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every target once with its share of the inputs; with ``--minutes`` again and again, each time from another seed."""
    until, total = time.monotonic() + 60 * args.minutes, {}
    share = sum(SHARE.get(module, 1) for module, _ in chosen)
    inputs = args.inputs if not args.minutes else round(500 * share)
    while True:
        with ThreadPoolExecutor(args.jobs) as pool:
            modules = [(m, [n for of, n in chosen if of == m]) for m in MODULES]
            each = [(m, names, round(inputs * SHARE.get(m, 1) / share), args) for m, names in modules if names]
            for _ in pool.map(lambda job: [_add(total, result) for result in told(*job)], each):
                pass
        args.seed += 1_000_000
        if time.monotonic() > until:
            return list(total.values())


def _add(total: dict[str, dict[str, Any]], result: dict[str, Any]) -> None:
    name = result["target"]
    counts = f"{result['inputs']:7} inputs {result['accepted']:7} taken {result['refused']:7} refused"
    print(f"{name:40} {counts} {result['seconds']:7.1f} s")
    for finding in result["findings"]:
        print(f"    FOUND {finding['words'][:600]}\n          [{finding['where']}] x{finding['times']} {finding['kept']}")
    sys.stdout.flush()
    if name not in total:
        total[name] = result
        return
    for key in ("inputs", "accepted", "refused", "seconds"):
        total[name][key] += result[key]
    total[name]["findings"] += result["findings"]


def report(results: list[dict[str, Any]], args: argparse.Namespace) -> None:
    """Sums, and the file."""
    inputs, findings = sum(r["inputs"] for r in results), sum(len(r["findings"]) for r in results)
    print(f"{inputs} inputs over {len(results)} targets: {findings} findings")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        partial = args.json.with_name(args.json.name + ".partial")
        partial.write_text(json.dumps({"inputs": inputs, "findings": findings, "targets": results}, indent=1) + "\n")
        os.replace(partial, args.json)


if __name__ == "__main__":
    sys.exit(main())
