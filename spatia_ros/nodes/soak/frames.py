"""What every frame of a world promises, checked from its messages alone: nothing of the world's own code is asked.

The messages of one frame carry one stamp. They are gathered by it; a frame is judged when it is whole, and one that never
becomes whole is told as lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spatia_ros import geometry
from spatia_ros.nodes import convert
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.types import Float64

NEEDED = ("told", "colour", "colour_info", "depth", "depth_info", "pose", "odom", "tf")
"""What a frame is made of. Of tf: both transforms that move."""
POSE_TOLERANCE = 1e-6
SLOW_LENGTH, SLOW_PERIODS = 7, 2
"""A commanded path of so many poses has stamps of its own, so many frame periods apart: how player and checker agree on it."""
OVERTAKEN = 20
"""A frame is lost when so many later ones are whole."""
JUMP_M = 0.5
"""odom never jumps farther than the world's parameter motion.jump_m (its default)."""


class FrameRules:
    """Gathers the messages of frames and judges them.

    Args:
        ledger: where what does not hold is noted. rig: names of the frames. period_ns: time between frames.
    """

    def __init__(self, ledger: Ledger, rig: Rig, period_ns: int) -> None:
        self._ledger, self._rig, self._period_ns = ledger, rig, period_ns
        self._open: dict[int, dict[str, Any]] = {}
        self._static: dict[str, Float64] = {}
        self._last: dict[str, Any] | None = None
        self._last_ns, self._whole_since = -1, dict[int, int]()
        self.deaf = False
        """Whether what comes is not to be judged."""
        self.heard = 0
        """Frames seen whole."""

    def take(self, name: str, msg: Any) -> None:
        """One message of a frame: ``name`` is one of NEEDED but ``tf``."""
        if not self.deaf:
            self._put(convert.time_ns(msg.header.stamp, name), name, msg)

    def take_tf(self, msg: Any, static: bool = False) -> None:
        """A message of /tf or /tf_static."""
        names = self._rig.names
        for each in msg.transforms:
            T = convert.from_transform(each.transform, "tf")
            if static:
                self._static[each.child_frame_id] = T
            elif (each.header.frame_id, each.child_frame_id) in ((names.odom, names.base), (names.map, names.odom)):
                stamp_ns = convert.time_ns(each.header.stamp, "tf")
                if stamp_ns > self._last_ns and not self.deaf:  # else the pose said again for who came late
                    moved = self._open.setdefault(stamp_ns, {}).setdefault("parts", {})
                    moved[each.child_frame_id] = T
                    if len(moved) == 2:
                        self._put(stamp_ns, "tf", moved)

    def _put(self, stamp_ns: int, name: str, msg: Any) -> None:
        if not self._ledger.expect(
            stamp_ns > self._last_ns, f"{name}: stamp {stamp_ns} ns comes after {self._last_ns} ns was shown"
        ):
            return
        found = self._open.setdefault(stamp_ns, {})
        self._ledger.expect(name not in found or name == "tf", f"{name}: two of the stamp {stamp_ns} ns")
        found[name] = msg
        if all(n in found for n in NEEDED):
            self._judge(stamp_ns, self._open.pop(stamp_ns))

    def _judge(self, stamp_ns: int, frame: dict[str, Any]) -> None:
        self.heard += 1
        self._ledger.counts["frames"] += 1
        self._time(stamp_ns, frame["told"])
        self._images(frame)
        self._poses(frame)
        self._last, self._last_ns = frame, stamp_ns
        for earlier in [s for s in self._open if s < stamp_ns]:
            self._whole_since[earlier] = self._whole_since.get(earlier, 0) + 1
            if self._whole_since[earlier] >= OVERTAKEN:
                self._lost(earlier)

    def _lost(self, stamp_ns: int) -> None:
        found = self._open.pop(stamp_ns)
        self._whole_since.pop(stamp_ns, None)
        if set(found) - {"parts", "tf"}:
            missing = [n for n in NEEDED if n not in found]
            self._ledger.expect(False, f"frame {stamp_ns} ns: {', '.join(missing)} never came")

    # The rules

    def _time(self, stamp_ns: int, told: Any) -> None:
        """Stamps grow by one period, or as the commanded path has it; the frame says that it is synthetic."""
        self._ledger.expect(told.synthetic is True, f"frame {stamp_ns} ns: synthetic is {told.synthetic}")
        if self._last is not None:
            slow = told.clip_length == SLOW_LENGTH and told.clip_index > 0
            wanted = self._period_ns * (SLOW_PERIODS if slow else 1)
            passed, clip = stamp_ns - self._last_ns, f"{told.clip_index + 1} of {told.clip_length}"
            self._ledger.expect(passed == wanted, f"frame {stamp_ns} ns ({clip}): {passed} ns after the last, expected {wanted}")

    def _images(self, frame: dict[str, Any]) -> None:
        """Image, depth, calibration and metadata of one stamp agree, byte for byte of their sizes."""
        colour, depth, optical = frame["colour"], frame["depth"], self._rig.optical
        for name in ("told", "colour", "colour_info", "depth", "depth_info"):
            got = frame[name].header.frame_id
            self._ledger.expect(got == optical, f"{name}: frame {got!r}, expected {optical!r}")
        for name, image, encoding, size in (("colour", colour, "rgb8", 3), ("depth", depth, "32FC1", 4)):
            info, shape = frame[f"{name}_info"], (image.height, image.width)
            whole = (
                image.encoding == encoding and image.step == image.width * size and len(image.data) == image.step * image.height
            )
            self._ledger.expect(whole, f"{name}: {image.encoding} {shape} step {image.step} with {len(image.data)} bytes")
            self._ledger.expect((info.height, info.width) == shape, f"{name}: {shape}, its camera_info {info.height, info.width}")
            K, P = np.array(info.k).reshape(3, 3), np.array(info.p).reshape(3, 4)
            sane = np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and np.array_equal(P[:, :3], K)
            self._ledger.expect(
                bool(sane) and not any(info.d), f"{name}: calibration K {K.tolist()} P {P.tolist()} D {list(info.d)}"
            )
        metres = np.frombuffer(depth.data, np.float32)
        known = metres[~np.isnan(metres)]
        self._ledger.expect(
            bool((np.isfinite(known) & (known > 0)).all()), "depth: expected metres or NaN, got 0, infinity or less"
        )
        told = frame["told"]
        shares = (told.remembered_ratio, told.mean_confidence)
        self._ledger.expect(all(0.0 <= share <= 1.0 for share in shares), f"metadata: shares {shares}")

    def _poses(self, frame: dict[str, Any]) -> None:
        """tf at the stamp is the pose, and odom; odom does not jump."""
        names, moved = self._rig.names, frame["tf"]
        T_map_base = moved[names.odom] @ moved[names.base]
        said = convert.from_pose(frame["pose"].pose)
        off = float(np.abs(T_map_base - said).max())
        self._ledger.expect(off < POSE_TOLERANCE, f"tf: {off:.3g} from the pose of the same stamp")
        self._ledger.expect(frame["pose"].header.frame_id == names.map, f"pose: frame {frame['pose'].header.frame_id!r}")
        T_odom_base = convert.from_pose(frame["odom"].pose.pose)
        off = float(np.abs(moved[names.base] - T_odom_base).max())
        self._ledger.expect(off < POSE_TOLERANCE, f"odom: {off:.3g} from tf of the same stamp")
        if self._last is not None:
            before = convert.from_pose(self._last["odom"].pose.pose)
            step_m = float(np.linalg.norm((geometry.inverse(before) @ T_odom_base)[:3, 3]))
            self._ledger.expect(step_m <= JUMP_M + POSE_TOLERANCE, f"odom: jumped by {step_m:.3f} m")

    # Breaks

    @property
    def settled(self) -> bool:
        """Whether no frame is half there."""
        return not any(set(found) - {"parts", "tf"} for found in self._open.values())

    def end(self, *, killed: bool, stamps_fall: bool = True) -> None:
        """What was seen ends here: the world was killed (half a frame is no fault then), or its time or place began anew."""
        for stamp_ns in list(self._open):
            if killed:
                self._open.pop(stamp_ns)
            else:
                self._lost(stamp_ns)
        self._whole_since.clear()
        self._last = None
        if stamps_fall:
            self._last_ns = -1

    @property
    def T_base_optical(self) -> Float64 | None:
        """How the camera is mounted, from /tf_static; None until it was said."""
        if not {self._rig.link, self._rig.optical} <= set(self._static):
            return None
        return self._static[self._rig.link] @ self._static[self._rig.optical]
