"""Measure speed on this machine: drawing and fusing (beside Open3D, in maps of 100 thousand and 10 million voxels), and
the whole loop in frames a second. Takes about two minutes and 3 GB on two cores; close what else computes.

docs/benchmarks.md explains every figure; names stay as they are once published.
"""

from __future__ import annotations

import argparse

from spatia_ros.cli.options import add_config, add_json, config_of, examples, print_table, write_json_of

EXAMPLES = examples("""
spatia bench --json out/bench.json
spatia bench --set generator.name=projection       # the loop without a network
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia bench``."""
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.evaluate.bench import run_benches

    figures = run_benches(config_of(args))
    write_json_of(args, figures)
    print_table([(name, f"{value:.2f}" if isinstance(value, float) else str(value)) for name, value in figures.items()])
    return 0
