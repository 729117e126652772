"""What one camera of the rig publishes of each frame: only what somebody subscribed to is made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from spatia_ros.msg import GeneratedFrame
from spatia_ros.nodes import convert, convert_camera, qos
from spatia_ros.nodes.endpoints import Endpoints
from spatia_ros.nodes.rig.outputs import offer
from spatia_ros.rig import Picture, RigCamera
from spatia_ros.types import Float32


class CameraOutputs:
    """Colour, depth, their calibration, cloud, provenance, segmentation and metadata of one camera.

    ``color/image_raw`` is what comes out of the lens, and ``color/camera_info`` says its D; provenance and segmentation go
    with it pixel for pixel. ``depth/image_rect``, ``depth/camera_info`` and ``points`` are without the lens (D = 0). Without
    a lens the two are one; with one there are ``color/image_rect`` and ``depth/image_raw`` besides.

    Args:
        millimetres: depth images are 16UC1, not 32FC1.
    """

    def __init__(self, endpoints: Endpoints, camera: RigCamera, millimetres: bool = False) -> None:
        self._millimetres = millimetres
        self._all: list[Publisher] = []

        def out(kind: type, topic: str) -> Publisher:
            self._all.append(qos.publisher(endpoints, kind, f"{camera.name}/{topic}", qos.SENSOR_OUT))
            return self._all[-1]

        self.name, self._frame_id = camera.name, camera.optical
        self._colour = out(Image, "color/image_raw")
        self._jpeg = out(CompressedImage, "color/image_raw/compressed")
        self._colour_info = out(CameraInfo, "color/camera_info")
        self._metadata = out(GeneratedFrame, "color/metadata")
        self._depth = out(Image, "depth/image_rect")
        self._packed_depth = out(CompressedImage, "depth/image_rect/compressedDepth")
        self._depth_info = out(CameraInfo, "depth/camera_info")
        self._cloud = out(PointCloud2, "points")
        self._provenance = out(Image, "provenance")
        self._segmentation = out(Image, "segmentation")
        self._straight = out(Image, "color/image_rect") if camera.lens.bends else None
        self._raw_depth = out(Image, "depth/image_raw") if camera.lens.bends else None

    @property
    def wanted(self) -> bool:
        """Whether anybody listens to any of it."""
        return any(publisher.get_subscription_count() for publisher in self._all)

    def publish(self, picture: Picture, stamp_ns: int, metadata: Callable[[], GeneratedFrame]) -> None:
        """Publish one frame; everything carries the same stamp and frame."""
        header, lens = convert.to_header(stamp_ns, self._frame_id), picture.camera.lens
        offer(self._colour_info, lambda: convert_camera.to_lens_info(lens, header))
        offer(self._colour, lambda: convert.to_image(picture.rgb, header))
        offer(self._depth_info, lambda: convert.to_camera_info(lens.camera, header))
        offer(self._depth, lambda: self._depth_of(picture.depth_rect, header))
        offer(self._jpeg, lambda: convert.to_compressed(picture.rgb, header))
        offer(self._packed_depth, lambda: self._packed_of(picture.depth_rect, header))
        offer(self._cloud, lambda: convert_camera.to_frame_cloud(picture.rgb_rect, picture.depth_rect, lens.camera, header))
        offer(self._provenance, lambda: convert.to_image(picture.provenance, header))
        offer(self._segmentation, lambda: convert.to_labels(picture.segmentation, header))
        if self._straight and self._raw_depth:
            offer(self._straight, lambda: convert.to_image(picture.rgb_rect, header))
            offer(self._raw_depth, lambda: self._depth_of(picture.depth, header))

        def labelled() -> GeneratedFrame:
            msg = metadata()
            msg.header, msg.camera = header, self.name
            msg.mean_confidence = float(np.mean(picture.provenance) / 255.0)
            return msg

        offer(self._metadata, labelled)

    def _depth_of(self, depth: Float32, header: Header) -> Image:
        return convert_camera.to_depth_mm(depth, header) if self._millimetres else convert.to_depth(depth, header)

    def _packed_of(self, depth: Float32, header: Header) -> CompressedImage:
        if self._millimetres:
            return convert_camera.to_compressed_depth_mm(depth, header)
        return convert_camera.to_compressed_depth(depth, header)
