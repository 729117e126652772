"""Public depth networks from a local folder, through Hugging Face ``transformers``.

The folder is what ``save_pretrained`` of a depth model and of its image processor leave: config.json,
model.safetensors, preprocessor_config.json. Nothing is ever downloaded, and no code of the folder is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.seed.depth import Estimate, Kind
from spatia_ros.types import Camera, SpatiaError, UInt8

KINDS: dict[str, Kind] = {"zoedepth": "metric", "glpn": "metric", "depth_pro": "metric", "dpt": "inverse"}
"""What the networks of each family give; Depth Anything's configuration says it itself."""


class NetworkDepth:
    """A depth network.

    Args:
        folder: see the module. kind: metric, scale or inverse; empty: what the network's configuration says.

    Raises:
        SpatiaError: when torch or transformers are not installed, or the folder holds no depth network.
    """

    def __init__(self, folder: Path | str, kind: str = "") -> None:
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise SpatiaError(f"photo: expected a folder with config.json of a depth network, got {folder}")
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModelForDepthEstimation
        except ImportError as error:
            raise SpatiaError(
                "photo: depth networks need torch and transformers: pip install -r requirements/train.txt "
                f"-c requirements/constraints.txt ({error})"
            ) from error
        try:
            self._processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModelForDepthEstimation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
        except Exception as error:
            # The loaders raise whatever their parts raise on files that are not theirs.
            raise SpatiaError(f"photo: {folder}: not a depth network: {type(error).__name__}: {error}") from error
        self._torch, self.name = torch, f"the depth network in {folder.name}"
        self._model.eval()
        self.kind = self._kind(kind)

    def _kind(self, said: str) -> Kind:
        config = self._model.config
        own = KINDS.get(config.model_type)
        if hasattr(config, "depth_estimation_type"):
            own = "metric" if config.depth_estimation_type == "metric" else "inverse"
        known: tuple[Kind, ...] = ("metric", "scale", "inverse")
        for kind in known:
            if kind == (said or own):
                return kind
        if said:
            raise SpatiaError(f"depth kind: expected {', '.join(known)}, got {said!r}")
        raise SpatiaError(f"photo: {config.model_type}: not known whether it gives metres: say metric, scale or inverse")

    def estimate(self, rgb: UInt8, camera: Camera | None) -> Estimate:
        """What the network says of a picture uint8 [H, W, 3], at the picture's own size."""
        height, width = rgb.shape[:2]
        inputs = self._processor(images=rgb, return_tensors="pt")
        with self._torch.inference_mode():
            outputs = self._model(**inputs)
            predicted = outputs.predicted_depth
            predicted = predicted[None] if predicted.ndim == 3 else predicted
            # Stretched back over the whole picture: the processors resize, and do not crop.
            full = self._torch.nn.functional.interpolate(predicted.float(), (height, width), mode="bilinear", align_corners=False)
        values = np.ascontiguousarray(full[0, 0].numpy(), np.float32)
        fov = getattr(outputs, "field_of_view", None)
        if fov is not None and camera is None:
            camera = Camera.from_fov(width, height, float(np.radians(np.clip(float(fov.reshape(-1)[0]), 5.0, 170.0))))
        return Estimate(np.where(np.isfinite(values), np.maximum(values, 0.0), 0.0).astype(np.float32), self.kind, camera)
