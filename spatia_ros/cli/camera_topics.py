"""How the drivers of common RGB-D cameras name their topics by default, colour with depth registered to it."""

from __future__ import annotations

from typing import NamedTuple


class CameraTopics(NamedTuple):
    """Topics of one camera, and what its driver must be told for them to be there."""

    color: str
    depth: str
    camera_info: str
    needs: str

    def remappings(self) -> dict[str, str]:
        """From the names the mapper subscribes to."""
        return {"color/image_raw": self.color, "depth/image_rect": self.depth, "color/camera_info": self.camera_info}


DEVICES = {
    "realsense": CameraTopics(
        "/camera/camera/color/image_raw", "/camera/camera/aligned_depth_to_color/image_raw", "/camera/camera/color/camera_info",
        "ros2 launch realsense2_camera rs_launch.py align_depth.enable:=true",
    ),
    "oak": CameraTopics(
        "/oak/rgb/image_raw", "/oak/stereo/image_raw", "/oak/rgb/camera_info",
        "ros2 launch depthai_ros_driver camera.launch.py (pipeline RGBD, depth aligned to colour)",
    ),
    "orbbec": CameraTopics(
        "/camera/color/image_raw", "/camera/depth/image_raw", "/camera/color/camera_info",
        "ros2 launch orbbec_camera gemini_330_series.launch.py depth_registration:=true",
    ),
}  # fmt: skip
"""To our best knowledge: only partly checked against the drivers' documentation, and no camera was at hand to try them with."""
