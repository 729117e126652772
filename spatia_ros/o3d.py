"""Open3D, for everyone who needs it: ``from spatia_ros.o3d import o3d``.

Its wheel wants the system's libusb for depth cameras we do not drive. Minimal hosts and
containers lack that library; there the copy in the libusb-package wheel is loaded first.
"""

from __future__ import annotations

import ctypes

try:
    import open3d as o3d
except ImportError as error:
    if "libusb" not in str(error):
        raise
    import libusb_package

    ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    import open3d as o3d

__all__ = ["o3d"]
