"""Write docs/reference.md and docs/interfaces.md: what running nodes really have, and what the message files say.

    python -m spatia_ros.nodes.environment python docs/reference.py

Topics, services, actions and their quality of service are read from nodes that are started here; parameters from the
settings; messages from msg/, srv/ and action/. What cannot be read from code, the meaning of a topic, is in the tables
below: a topic without one, or one without its topic, is an error. test/ros/test_reference.py keeps the pages equal to the code.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("msg", "srv", "action")
NOTICE = "<!-- Written by docs/reference.py from the code: change it there, and write it again. -->\n"
EVERYONES = ("/tf", "/tf_static", "/clock", "/diagnostics")
"""Absolute names."""
OWN = ("get_parameters", "get_parameter_types", "list_parameters", "set_parameters", "set_parameters_atomically",
       "describe_parameters", "get_type_description")  # fmt: skip
"""Of every ROS node."""
MANAGED = ("change_state", "get_state", "get_available_states", "get_available_transitions", "get_transition_graph")

PUBLISHED = {
    "<camera>/color/image_raw": "what the camera sees, rgb8",
    "<camera>/color/image_raw/compressed": "the same as JPEG",
    "<camera>/color/camera_info": "its calibration, with the image's stamp and frame",
    "<camera>/color/metadata": "seed, step, latencies, remembered share, model and its hash; `synthetic` is always true",
    "<camera>/color/image_rect": "the image without its lens's distortion",
    "<camera>/depth/image_rect": "depth, 32FC1, metres, NaN unknown, registered to colour",
    "<camera>/depth/image_raw": "depth, pixel for pixel with the distorted colour image",
    "<camera>/depth/image_rect/compressedDepth": "the same as PNG, 16 bit",
    "<camera>/depth/camera_info": "its calibration",
    "<camera>/points": "the frame as a cloud",
    "<camera>/provenance": "mono8: 255 goes back to a sensor (or is an actor), 96 to an earlier invention, 0 is new",
    "<camera>/segmentation": "16UC1: the number of the actor a pixel shows, 0 the static place",
    "actors/states": "every actor in this frame: pose, velocity, box, animation time, pixels",
    "actors/markers": "their boxes and names, for rviz",
    "odom": "pose of the base in odom, velocity in the base",
    "pose": "where the base is in the map; of the mapper: where the colour image's frame is",
    "path": "the newest poses",
    "/tf": "map -> odom -> base; of the mapper: where the map is",
    "/tf_static": "how cameras are mounted",
    "/clock": "simulated time, one tick a frame",
    "/diagnostics": "rates, latencies, drops, memory use, the last error",
    "~/memory/points": "the memory as a cloud in the map",
    "~/memory/update": "what a frame changed of it: who applies all of them holds the same map",
    "~/status": "the node in one message",
    "~/heartbeat": "that the node is alive",
}
SUBSCRIBED = {
    "cmd_pose": "be there now",
    "cmd_trajectory": "a frame a pose, in order; stamps give the timing, all zero: the frame rate",
    "cmd_vel": "drive",
    "initialpose": "rviz's pose button: teleport",
    "color/image_raw": "a sensor's colour images",
    "color/image_raw/compressed": "the same, compressed",
    "depth/image_rect": "its depth, registered to colour",
    "color/camera_info": "its calibration",
    "odom": "odometry, where that is the source of poses",
    "/tf": "where the sensor is",
    "/tf_static": "how it is mounted",
    "/clock": "simulated time",
}
STANDARD = {
    "get_simulator_features": "what of the standard is served here", "get_spawnables": "what can be spawned by name",
    "spawn_entity": "put an actor in", "spawn_entities": "several at once", "delete_entity": "take one out",
    "get_entities": "their names",
    "get_entity_state": "pose and velocity of one", "get_entities_states": "of all that pass a filter",
    "set_entity_state": "move an actor, or teleport the ego", "get_entity_info": "category and tags",
    "set_entity_info": "change them", "get_entity_bounds": "the box of one", "get_named_poses": "poses with a name",
    "get_named_pose_bounds": "the room around one", "get_simulation_state": "stopped, playing, paused",
    "set_simulation_state": "change it", "reset_simulation": "back to the start: time, state, what was spawned",
    "step_simulation": "make so many frames, and answer when they are made", "simulate_steps": "the same as an action",
    "load_world": "another world in place of this one", "unload_world": "none", "get_current_world": "which one it is",
    "get_available_worlds": "which there are",
}  # fmt: skip
"""simulation_interfaces says what each does in its own words; these are shorter."""


LENS = """\
cameras:
  - {name: camera, width_px: 96, height_px: 64, hfov_deg: 60.0, distortion: {model: plumb_bob, coefficients: [-0.1]}}
"""
"""A rig whose one camera has a lens."""
INTRODUCTION = """\
Read from running nodes. Names are relative to the node's namespace, `~` is the node, `<camera>` is `frames.camera` or a camera
of a rig. What each is about is in [ros.md](ros.md), fields of messages are in [interfaces.md](interfaces.md). A parameter that
is not live may be set while the node is unconfigured. Qualities of service are defaults: `qos_overrides.TOPIC.publisher.*` and
`.subscription.*` change them. In mapping mode a world subscribes to what the mapper does.
"""


class Entry(NamedTuple):
    """A row: an end of a node."""

    name: str
    kind: str
    quality: str
    when: str


def variants(rig: Path) -> list[tuple[str, dict[str, Any], str]]:
    """Nodes that are started: class, settings on top of small ones, when that is so (empty: by default); ``rig`` has a lens."""
    return [
        ("world", {}, ""), ("world", {"publish_clock": True}, "`publish_clock`"),
        ("world", {"motion.twist_stamped": False}, "`motion.twist_stamped` off"),
        ("world", {"rig.file": str(rig)}, "a lens in `rig.file`"),
        ("mapper", {}, ""), ("mapper", {"sensor.compressed": True}, "`sensor.compressed`"),
        ("mapper", {"sensor.pose_source": "odom"}, "`sensor.pose_source` odom"),
        ("mapper", {"sensor.pose_source": "tracked"}, "`sensor.pose_source` tracked"),
    ]  # fmt: skip


def read_graph() -> dict[str, dict[str, list[Entry]]]:
    """By node, then by kind of end: its entries."""
    from rclpy.context import Context
    from rclpy.parameter import Parameter

    from spatia_ros.nodes.runner import node_of

    out: dict[str, dict[str, list[Entry]]] = {}
    context, folder = Context(), tempfile.TemporaryDirectory()
    (rig := Path(folder.name) / "lens.yaml").write_text(LENS)
    context.init()
    try:
        for name, changes, when in variants(rig):
            small = {"generator.name": "projection", "camera.width_px": 96, "camera.height_px": 64} if name == "world" else {}
            settings = [Parameter(key, value=value) for key, value in (small | changes).items()]
            node = node_of(name)(context=context, parameter_overrides=settings)
            node.start()
            for kind, entries in ends(node, when).items():
                known = out.setdefault(name, {}).setdefault(kind, [])
                there = {(e.name, e.kind) for e in known}
                known += [e for e in entries if (e.name, e.kind) not in there]
            node.destroy_node()
    finally:
        context.try_shutdown()
        folder.cleanup()
    return out


def ends(node: Any, when: str) -> dict[str, list[Entry]]:
    """What a node publishes, subscribes to and serves."""
    from rclpy.action import get_action_server_names_and_types_by_node

    topics = {
        kind: [Entry(short(node, e.topic_name), type_of(e.msg_type), quality(e.qos_profile), when) for e in found]
        for kind, found in (("published", node.publishers), ("subscribed", node.subscriptions))
    }
    unusual = {kind: [e for e in entries if e.name not in ("/parameter_events", "/rosout")] for kind, entries in topics.items()}
    services = [Entry(short(node, s.service_name), type_of(s.srv_type), "", when) for s in node.services]
    services = [s for s in services if s.name.removeprefix("~/") not in OWN and "/_action/" not in s.name]
    served = get_action_server_names_and_types_by_node(node, node.get_name(), "/")
    actions = [Entry(short(node, action), kinds[0].replace("/action/", "/"), "", when) for action, kinds in served]
    return unusual | {"services": services, "actions": actions}


def short(node: Any, name: str) -> str:
    """A name as a user writes it."""
    if name in EVERYONES or name in ("/parameter_events", "/rosout"):
        return name
    own = f"/{node.get_name()}/"
    if name.startswith(own):
        return "~/" + name.removeprefix(own)
    return name.removeprefix("/").replace("camera/", "<camera>/", 1) if name.startswith("/camera/") else name.removeprefix("/")


def type_of(kind: Any) -> str:
    """``package/Name``."""
    return f"{kind.__module__.split('.')[0]}/{kind.__name__}"


def quality(profile: Any) -> str:
    """Reliability, durability unless volatile, depth."""
    words = [profile.reliability.name.lower().replace("_", " ")]
    words += ["transient local"] if profile.durability.name == "TRANSIENT_LOCAL" else []
    return ", ".join([*words, str(profile.depth)])


def meaning(entry: Entry, kind: str) -> str:
    """What an entry is for.

    Raises:
        LookupError: when nobody has said.
    """
    name = entry.name.removeprefix("~/") if kind in ("services", "actions") else entry.name
    if kind in ("published", "subscribed"):
        table = PUBLISHED if kind == "published" else SUBSCRIBED
        if entry.name in table:
            return table[entry.name]
    elif name in STANDARD:
        return STANDARD[name]
    elif name in MANAGED:
        return "the lifecycle"
    elif (file := file_of(entry.kind, "srv" if kind == "services" else "action")).is_file():
        return first_sentence(file)
    raise LookupError(f"docs/reference.py: {kind} {entry.name} ({entry.kind}): expected a meaning, found none")


def file_of(name: str, kind: str) -> Path:
    """The file that defines ``package/Name`` if it is ours."""
    return ROOT / kind / f"{name.split('/')[1]}.{kind}"


def first_sentence(file: Path) -> str:
    """What the comment at the top of an interface says first."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    sentence = " ".join(lines).split(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]) + "\n"


def node_page(name: str, graph: dict[str, list[Entry]]) -> str:
    """The part of a page that is one node's."""
    from spatia_ros.nodes.parameters import leaves
    from spatia_ros.nodes.settings import MapperSettings, WorldSettings

    text = f"\n## {name}\n"
    for kind, title in (("published", "Published"), ("subscribed", "Subscribed")):
        rows = [
            [f"`{e.name}`", e.kind, e.quality, meaning(e, kind) + (f" (with {e.when})" if e.when else "")] for e in graph[kind]
        ]
        text += f"\n### {name}: {title.lower()}\n\n" + table(["Topic", "Type", "Quality of service", ""], rows)
    for kind, title in (("services", "services"), ("actions", "actions")):
        rows = [[f"`{e.name}`", e.kind, meaning(e, kind)] for e in graph[kind]]
        text += f"\n### {name}: {title}\n\n" + table(["Name", "Type", ""], rows) if rows else ""
    settings = WorldSettings if name == "world" else MapperSettings
    rows = [[f"`{leaf.name}`", f"`{shown(leaf.default)}`", limits(leaf), "yes" if leaf.live else "", leaf.field.description or ""]
            for leaf in leaves(settings)]  # fmt: skip
    return text + f"\n### {name}: parameters\n\n" + table(["Name", "Default", "Range", "Live", ""], rows)


def shown(value: Any) -> str:
    """A default as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(value)


def limits(leaf: Any) -> str:
    """Words or bounds."""
    from spatia_ros.nodes.parameters import bounds, choices

    if words := choices(leaf):
        return ", ".join(words)
    low, high = bounds(leaf.field)
    if low is None and high is None:
        return ""
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}" if low is not None else f"to {high:g}"


def reference() -> str:
    """docs/reference.md."""
    graph = read_graph()
    said = {e.name for node in graph.values() for e in node["published"]}
    heard = {e.name for node in graph.values() for e in node["subscribed"]}
    odd = {"/clock", "/tf_static"}  # of each kind, there where the other is
    if orphans := (PUBLISHED.keys() - said - odd) | (SUBSCRIBED.keys() - heard - odd):
        raise LookupError(f"docs/reference.py: {sorted(orphans)}: expected topics of these names, found none")
    text = NOTICE + "# Reference: topics, services, actions, parameters\n\n"
    text += INTRODUCTION
    return text + "".join(node_page(name, ends) for name, ends in graph.items())


def interfaces() -> str:
    """docs/interfaces.md."""
    text = NOTICE + "# Messages, services and actions of spatia_ros\n"
    for kind, title in zip(KINDS, ("Messages", "Services", "Actions"), strict=True):
        text += f"\n## {title}\n"
        for file in sorted((ROOT / kind).glob(f"*.{kind}")):
            text += f"\n### {file.stem}\n\n```\n{file.read_text().strip()}\n```\n"
    return text


PAGES = {"reference.md": reference, "interfaces.md": interfaces}


def main() -> None:
    """Write both pages, each whole."""
    for name, write in PAGES.items():
        path = ROOT / "docs" / name
        partial = path.with_name(name + ".partial")
        partial.write_text(write())
        os.replace(partial, path)
        sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
