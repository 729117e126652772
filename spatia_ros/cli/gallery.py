"""A gallery of films: bullet time, time backwards, one who stands still among those who move, a change that stays, what-ifs.

Each film is a script of actors (config/gallery/NAME.yaml), a way of the camera, and a place: the built-in room, a procedural
street, and the house of small_house where $SPATIA_DATA has it. Places are scanned once. What is there already is not made again;
an interrupted gallery goes on by the same command. index.html says which command makes each film alone, and so how to
make one of your own: copy a script, change a line.

Leaves in --out:  index.html, and for each film a folder with
  film.mp4  strip.png  strip.jpg  *.yaml (what is played)  camera.txt (the camera's way, TUM)  film.json (what was measured)
and places/: the memories, a recording, and their configurations
"""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatia_ros.cli import gallery_recording as recording
from spatia_ros.cli.options import add_config, add_json, config_of, examples, print_table, progress, write_json_of

if TYPE_CHECKING:
    from spatia_ros.config import WorldConfig
    from spatia_ros.gallery.film import Film
    from spatia_ros.gallery.page import Entry
    from spatia_ros.gallery.studio import Studio
    from spatia_ros.world import World

OUT = Path("out/gallery")
SIZE, RATE_HZ = (480, 272), 15.0
EXAMPLES = examples("""
spatia gallery                                     # all of it, in out/gallery
spatia gallery --list                              # what there is
spatia gallery --only bullet-time --only edit      # some of it
spatia gallery --size 960x544 --out out/large      # larger pictures
spatia gallery --set generator.name=projection     # another generator
make gallery                                       # the same, with the set-up done first
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia gallery``."""
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"folder of the gallery (default: {OUT})")
    parser.add_argument("--only", action="append", metavar="NAME", help="make this film; may be repeated (default: all)")
    parser.add_argument("--list", action="store_true", help="say what films there are, and make none")
    parser.add_argument("--overwrite", action="store_true", help="make films again that are there already")
    width, height = SIZE
    parser.add_argument("--size", type=size, default=SIZE, metavar="WxH", help=f"of the pictures (default: {width}x{height})")
    parser.add_argument("--rate", type=float, default=RATE_HZ, metavar="HZ", help=f"frames a second (default: {RATE_HZ:g})")
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def size(text: str) -> tuple[int, int]:
    """Width and height, as ``480x272``."""
    words = text.lower().split("x")
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected a width and a height, as 480x272, got {text}")
    return int(words[0]), int(words[1])


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from spatia_ros.gallery.studio import Studio

    films = chosen(args.only)
    recorded = args.only is None or recording.NAME in args.only
    if args.list:
        print_table([(film.name, film.title) for film in films] + [(recording.NAME, recording.TITLE)] * recorded)
        return 0
    began = time.monotonic()
    studio = Studio(args.out, framed(args), lambda things, what, n: progress(things, what, n), change)
    facts: dict[str, Any] = {}
    for film in films:
        kept = None if args.overwrite else studio.facts(film)
        facts[film.name] = studio.make(film) if kept is None else kept
        page(args, studio)
    if recorded:
        kept = None if args.overwrite else recording.facts(args.out, args.assignments)
        facts[recording.NAME] = recording.make(args.out, args.assignments) if kept is None else kept
        page(args, studio)
    write_json_of(args, {"films": facts, "seconds": round(time.monotonic() - began, 1)})
    print_table([(name, said(known) or f"{known['frames']} frames") for name, known in facts.items()])
    print(f"left in {args.out}: open {args.out / 'index.html'}")
    return 0


def framed(args: argparse.Namespace) -> WorldConfig:
    """The configuration with the pictures' size and rate."""
    from spatia_ros.config import override

    width, height = args.size
    settings = [f"camera.width_px={width}", f"camera.height_px={height}", f"frame_rate_hz={args.rate}"]
    return override(config_of(args), settings)


def chosen(names: list[str] | None) -> list[Film]:
    """The films of these names; None: all that can be made here.

    Raises:
        SpatiaError: for a name that no film has, or a film whose place is not there.
    """
    from spatia_ros.gallery.films import FILMS
    from spatia_ros.gallery.places import PLACES, data_folder
    from spatia_ros.types import SpatiaError

    known = {film.name: film for film in FILMS}
    names = None if names is None else [name for name in names if name != recording.NAME]
    for name in names or ():
        if name not in known:
            raise SpatiaError(f"--only: expected one of {', '.join((*known, recording.NAME))}, got {name!r}")
        place = PLACES[known[name].place]
        if not place.there:
            raise SpatiaError(f"--only {name}: expected {place.needs} in {data_folder()} (SPATIA_DATA), found none")
    return [known[name] for name in names] if names is not None else [film for film in FILMS if PLACES[film.place].there]


def change(world: World, words: str) -> None:
    """Edit a world's memory as ``spatia edit MEMORY`` would by these words."""
    from spatia_ros.cli import edit
    from spatia_ros.memory.edit import Editor

    parser = argparse.ArgumentParser()
    edit.add_arguments(parser)
    edit.apply(Editor(world.memory), parser.parse_args(["memory", *shlex.split(words)]))


def page(args: argparse.Namespace, studio: Studio) -> None:
    """The page of all films that are there by now, this time's or earlier ones."""
    from spatia_ros.gallery.films import FILMS
    from spatia_ros.gallery.page import write_page

    entries = [entry(studio, film, facts) for film in FILMS if (facts := studio.facts(film)) is not None]
    if recording.facts(args.out, args.assignments) is not None:
        entries.append(recording.entry(args.out, args.assignments))
    write_page(args.out / "index.html", entries, shlex.join(["spatia", "gallery", "--out", str(args.out)]))


def entry(studio: Studio, film: Film, facts: dict[str, Any]) -> Entry:
    """A film on the page."""
    from spatia_ros.gallery.page import Entry
    from spatia_ros.gallery.studio import POSTER, VIDEO

    scripts = [f"# {take.script}.yaml\n{studio.script_text(take.script)}" for take in film.takes]
    video, strip = (f"{film.name}/{name}" for name in (VIDEO, POSTER))
    return Entry(film.name, film.title, film.sentence, video, strip, scripts, command(studio, film), said(facts))


def command(studio: Studio, film: Film) -> str:
    """What makes a film's frames again; its edits are made while it runs."""
    from spatia_ros.gallery.studio import CAMERA

    folder, lines = studio.out / film.name, []
    for take in film.takes:
        words = [
            "spatia", "run", "--memory", studio.memory_file(film), "--config", studio.config_file(film),
            "--trajectory", folder / CAMERA, "--actors", folder / f"{take.script}.yaml", "--out", f"out/{take.script}",
        ]  # fmt: skip
        lines.append(shlex.join(str(word) for word in words))
    lines += [f"# at {e.at_s:g} s: spatia edit MEMORY --out MEMORY {e.words}" for e in film.edits]
    return "\n".join(lines)


def said(facts: dict[str, Any]) -> str:
    """What was measured of a film, in words."""
    words = []
    if "differing_share" in facts:
        stray = facts["differing_without_actor_px"]
        words.append(
            f"{facts['differing_share']:.1%} of the pixels differ; of those that show an actor in neither take, {stray or 'none'}"
        )
    if "return_psnr_db" in facts:
        words.append(f"{facts['return_psnr_db']:.1f} dB between the place before the camera left and after it came back")
    return "; ".join(words)
