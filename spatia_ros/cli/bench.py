"""Measure speed on this machine: drawing and fusing (beside Open3D, in maps of 100 thousand and 10 million voxels), and
the whole loop in frames a second. Takes about two minutes and 3 GB on two cores; close what else computes.

docs/benchmarks.md explains every figure; names stay as they are once published.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from spatia_ros.cli.options import (
    add_config,
    add_json,
    config_of,
    count,
    examples,
    print_table,
    progress_bar,
    write_json_of,
)

EXAMPLES = examples("""
spatia bench --json out/bench.json
spatia bench --set generator.name=projection       # the loop without a network
spatia bench --only-city --city-points 20000000    # a tenth of the city
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia bench``."""
    add_config(parser)
    add_json(parser)
    parser.add_argument("--only-engines", action="store_true", help="measure only the generator's networks, by runtime")
    city = parser.add_argument_group("city", "a synthetic city, built in a file, its writer killed, reopened and walked")
    only = city.add_mutually_exclusive_group()
    only.add_argument("--city", action="store_true", help="measure it too (200 million points: five minutes and 3 GB of disk)")
    only.add_argument("--only-city", action="store_true", help="measure nothing else")
    city.add_argument("--city-points", type=count, default=200_000_000, metavar="N", help="its points, at least (default: 2e8)")
    city.add_argument("--city-file", type=Path, metavar="FILE", help="keep the city here (default: a temporary file)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.evaluate.bench import Figure, generator_figures, run_benches

    figures: dict[str, Figure] = {}
    if args.only_engines:
        figures |= generator_figures(config_of(args))
    elif not args.only_city:
        figures |= run_benches(config_of(args))
    if args.city or args.only_city:
        figures |= _city(args)
    write_json_of(args, figures)
    print_table([(name, _text(value)) for name, value in figures.items()])
    return 0


def _text(value: float | str | dict[str, float]) -> str:
    """A figure, or several by name."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _city(args: argparse.Namespace) -> dict[str, float]:
    """The figures of the city, with a progress bar of its points."""
    from spatia_ros.evaluate.bench_city import run_city

    with tempfile.TemporaryDirectory() as folder, progress_bar("city, points", args.city_points) as bar:
        path = args.city_file or Path(folder) / "city.spatia"
        return run_city(path, args.city_points, lambda safe: bar.update(min(safe, args.city_points) - bar.n))
