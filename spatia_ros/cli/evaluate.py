"""Measure a world against a recording it was not shown, with every baseline and a no-memory control in the same run.

novel-view    memory from some frames, others drawn and compared: PSNR and SSIM over all, remembered and invented
              pixels, depth error; beside projection alone, Telea and Navier-Stokes inpainting, and no memory
closed-loop   memory from one frame; out along the recording and back: is what was seen (and invented) still there?
long-horizon  the same over 2, 4, 6 and 60 clips
camera        is each generated frame seen from where the camera was told to be?
onward        turning away from all that was seen, each frame going on from inventions: does the place stay likely?
tsed          do pairs of generated frames agree on the geometry their cameras were told?
ablation      what each condition, the number of references and the point spacing are worth
report        all of these on one page with curves and pictures, beside the papers' figures
loop          round a block with drift: is the loop found, how far off is the map with and without it?
dynamics      one object moves while the camera moves: what of it stays in static memory, and what else is lost?
edit          things removed by name: does any later frame still show them, and did anything else change?
navigation    a camera path followed from pictures alone, told neither depth nor poses, with its ablations
box           the box the generator draws of what the prompt names, against the geometric one
time-control  a recording with things that move, from another camera's way under ten time patterns, against the truth
grounding     phrases with known answers: is the right thing found, and does the camera get there without collision?
slam          poses withheld: how far off is the path that is found? ATE and RPE, beside Open3D's odometry

docs/evaluation.md defines every figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spatia_ros.cli.evaluate_dynamics import add_dynamics
from spatia_ros.cli.evaluate_edit import add_edit
from spatia_ros.cli.evaluate_grounding import add_grounding
from spatia_ros.cli.evaluate_loop import add_loop
from spatia_ros.cli.evaluate_navigation import add_navigation
from spatia_ros.cli.evaluate_onward import add_onward
from spatia_ros.cli.evaluate_slam import add_slam
from spatia_ros.cli.evaluate_time import add_time_control
from spatia_ros.cli.evaluate_world import add_source, add_world_measures, delay_of, number, source_of
from spatia_ros.cli.options import config_of, examples, print_table, write_json_of

EXAMPLES = examples("""
spatia evaluate novel-view --sequence data/lounge --json out/novel_view.json
spatia evaluate novel-view --sequence data/lounge --protocol interpolate
spatia evaluate closed-loop --sequence data/lounge --json out/closed_loop.json
spatia evaluate closed-loop --sequence data/lounge --set generator.name=projection
spatia evaluate closed-loop --scene 7 --scene-kind street
spatia evaluate long-horizon --sequence data/lounge --json out/long_horizon.json
spatia evaluate camera --scene 7
spatia evaluate tsed --sequence data/lounge
spatia evaluate onward --set generator.name=out/engines/mine --json out/onward.json
spatia evaluate ablation --scene 7 --json out/ablation.json
spatia evaluate report --sequence data/lounge --out out/evaluate/lounge
spatia evaluate loop --json out/loop.json
spatia evaluate dynamics --json out/dynamics.json
spatia evaluate edit --json out/edit.json
spatia evaluate navigation --set generator.name=out/engines/mine --contiguous-indices --no-joint-guidance
spatia evaluate box --set generator.name=out/engines/mine --json out/box.json
spatia evaluate slam --sequence data/lounge --json out/slam.json
spatia evaluate grounding --json out/grounding.json
spatia evaluate time-control --json out/time_control.json
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia evaluate``."""
    measures = parser.add_subparsers(title="what to measure", metavar="MEASURE", required=True)
    novel = measures.add_parser("novel-view", help="draw frames of the recording that memory was not made from")
    loop = measures.add_parser("closed-loop", help="out from one frame and back: compare first and last picture")
    novel.add_argument(
        "--protocol", choices=("half", "interpolate"), default="half",
        help="half: memory from the first half, targets every third frame of the second that memory shows in part (default); "
        "interpolate: memory from every 8th frame, targets midway",
    )
    add_source(novel, run_novel_view)
    add_source(loop, run_closed_loop)
    add_world_measures(measures)
    add_onward(measures)
    add_loop(measures)
    add_dynamics(measures)
    add_edit(measures)
    add_navigation(measures)
    add_slam(measures)
    add_grounding(measures)
    add_time_control(measures)


def run_novel_view(args: argparse.Namespace) -> int:
    """``spatia evaluate novel-view``."""
    from spatia_ros.evaluate import evaluate_novel_view

    config = config_of(args)
    sequence = source_of(args, config)
    out = args.out or Path("out/evaluate") / f"novel_view_{sequence.name}"
    figures = evaluate_novel_view(sequence, config, out, protocol=args.protocol, depth_delay=delay_of(args))
    write_json_of(args, figures)
    methods = list(figures["all"])
    print(f"\n{figures['frames']} frames of {sequence.name}; dB, higher is better\n")
    print(_row("", methods))
    for group in ("all", "remembered", "invented"):
        print(_row(group, [number(figures[group][m], ".2f") for m in methods]))
    print(_row("ssim (all)", [number(figures["ssim"][m], ".3f") for m in methods]))
    remembered, invented = (number(figures["depth"][f"absrel_{where}"], ".4f") for where in ("remembered", "invented"))
    mean_colour, best = (number(figures["invented_if_told"][name], ".2f") for name in ("mean_colour", "recoloured"))
    print(f"\ninvented pixels, if one knew the truth: its mean colour {mean_colour}; ours, recoloured as suits it best {best}")
    print(f"depth AbsRel: remembered {remembered}, invented {invented}")
    print(f"left in {out}")
    return 0


def run_closed_loop(args: argparse.Namespace) -> int:
    """``spatia evaluate closed-loop``."""
    from spatia_ros.evaluate import evaluate_closed_loop

    config = config_of(args)
    sequence = source_of(args, config)
    out = args.out or Path("out/evaluate") / f"closed_loop_{sequence.name}"
    figures = evaluate_closed_loop(sequence, config, out, depth_delay=delay_of(args))
    write_json_of(args, figures)
    print_table([("ours", _figures_of(figures)), ("no memory", _figures_of(figures["no_memory"]))])
    print(f"left in {out}")
    return 0


def _figures_of(part: dict[str, Any]) -> str:
    first, real = number(part["psnr_first_last"], ".2f"), number(part["psnr_real_last"], ".2f")
    ssim, match = number(part["ssim"], ".3f"), number(part["match"], ".2f")
    return f"first-last {first} dB, real-last {real} dB, SSIM {ssim}, match {match} ({part['matcher']})"


def _row(name: str, values: list[str]) -> str:
    return f"  {name:<12}" + "".join(f"{value:>15}" for value in values)
