"""What a few GPUs can do by their data sheets, for plans made where they are not at hand."""

from __future__ import annotations

from typing import NamedTuple

from spatia_ros.types import SpatiaError

AMPERE_FMA = 1024
"""Dense float16 multiply-adds a clock of one Orin multiprocessor (4 tensor cores of 256). Jetson data sheets count int8
with sparsity, which is four times the float16 figure: AGX Orin's 171 TOPS are 43 dense float16 TFLOP/s."""


class Device(NamedTuple):
    """A GPU by its data sheet.

    Args:
        title: its name. memory_gb: of the GPU, or shared with the CPU. bandwidth_gbps: of that memory.
        fp16_tflops: dense, through the tensor cores. arithmetic: where that figure comes from.
        shared: whether memory is the CPU's too.
    """

    title: str
    memory_gb: float
    bandwidth_gbps: float
    fp16_tflops: float
    arithmetic: str
    shared: bool = True

    @property
    def int8_tops(self) -> float:
        """Dense int8: twice float16."""
        return 2.0 * self.fp16_tflops


def _orin(title: str, memory_gb: float, bandwidth_gbps: float, multiprocessors: int, clock_ghz: float) -> Device:
    """A Jetson of the Orin family, its float16 rate computed of its clock."""
    tflops = multiprocessors * AMPERE_FMA * 2 * clock_ghz / 1e3
    arithmetic = f"{multiprocessors} multiprocessors x {AMPERE_FMA} multiply-adds x 2 x {clock_ghz} GHz"
    return Device(title, memory_gb, bandwidth_gbps, tflops, arithmetic)


DEVICES = {
    "orin": _orin("Jetson AGX Orin 64 GB", 64, 204.8, 16, 1.3),
    "orin-32gb": _orin("Jetson AGX Orin 32 GB", 32, 204.8, 14, 0.93),
    "orin-nx": _orin("Jetson Orin NX 16 GB", 16, 102.4, 8, 0.918),
    "orin-nx-8gb": _orin("Jetson Orin NX 8 GB", 8, 102.4, 8, 0.765),
    "orin-nano": _orin("Jetson Orin Nano 8 GB", 8, 68.0, 8, 0.625),
    "orin-nano-super": _orin("Jetson Orin Nano 8 GB, Super mode", 8, 102.4, 8, 1.02),
    "h200": Device("H200", 141, 4800.0, 989.0, "its data sheet, dense", shared=False),
}


def device(name: str) -> Device:
    """A device by name.

    Raises:
        SpatiaError: when it is not in the table.
    """
    if name not in DEVICES:
        raise SpatiaError(f"device: expected one of {sorted(DEVICES)}, got {name!r}")
    return DEVICES[name]
