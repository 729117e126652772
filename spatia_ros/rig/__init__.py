"""Cameras as they are built: where they hang on a rig, what their lens bends, and when each row is exposed."""

from spatia_ros.rig.camera import MAX_CAMERAS, RigCamera
from spatia_ros.rig.lens import MODELS, Lens
from spatia_ros.rig.picture import Picture, prepare
from spatia_ros.rig.shutter import DIRECTIONS, Shutter

__all__ = ["DIRECTIONS", "MAX_CAMERAS", "MODELS", "Lens", "Picture", "RigCamera", "Shutter", "prepare"]
