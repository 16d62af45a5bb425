"""How fast known devices are at best: what MFU and MBU divide by. No torch.

MFU (model FLOP utilisation; Chowdhery et al. 2204.02311, appendix B) is the arithmetic that the model needs over what the
device could do in that time; MBU (memory bandwidth utilisation) the bytes that decoding has to read over what the memory
could deliver. Peaks are the vendor's, dense: where a data sheet counts 2:4 sparsity, half of its number stands here.
A device that is not in the table has no peak, and its runs have neither number.
"""

from __future__ import annotations

from typing import NamedTuple

TERA = 1e12
GIGA = 1e9


class Peak(NamedTuple):
    """FLOP/s of multiplying bfloat16 matrices (summed in float32) and float32 ones (no TF32), and bytes/s of memory."""

    bfloat16: float
    float32: float
    bandwidth: float
    source: str


_HOPPER = "NVIDIA H100 Tensor Core GPU data sheet"
_AMPERE = "NVIDIA A100 Tensor Core GPU data sheet"

PEAKS: dict[str, Peak] = {
    "NVIDIA H100 80GB HBM3": Peak(989 * TERA, 67 * TERA, 3350 * GIGA, f"{_HOPPER}, SXM"),
    "NVIDIA H100 PCIe": Peak(756 * TERA, 51 * TERA, 2000 * GIGA, f"{_HOPPER}, PCIe"),
    "NVIDIA H100 NVL": Peak(835 * TERA, 60 * TERA, 3900 * GIGA, f"{_HOPPER}, NVL"),
    "NVIDIA H200": Peak(989 * TERA, 67 * TERA, 4800 * GIGA, "NVIDIA H200 Tensor Core GPU data sheet, SXM"),
    "NVIDIA B200": Peak(2250 * TERA, 75 * TERA, 8000 * GIGA, "NVIDIA Blackwell architecture brief, B200"),
    "NVIDIA A100-SXM4-80GB": Peak(312 * TERA, 19.5 * TERA, 2039 * GIGA, f"{_AMPERE}, 80GB SXM"),
    "NVIDIA A100-SXM4-40GB": Peak(312 * TERA, 19.5 * TERA, 1555 * GIGA, f"{_AMPERE}, 40GB SXM"),
    "NVIDIA A100 80GB PCIe": Peak(312 * TERA, 19.5 * TERA, 1935 * GIGA, f"{_AMPERE}, 80GB PCIe"),
    "NVIDIA A100-PCIE-40GB": Peak(312 * TERA, 19.5 * TERA, 1555 * GIGA, f"{_AMPERE}, 40GB PCIe"),
    "NVIDIA L40S": Peak(362 * TERA, 91.6 * TERA, 864 * GIGA, "NVIDIA L40S data sheet"),
    "NVIDIA L4": Peak(121 * TERA, 30.3 * TERA, 300 * GIGA, "NVIDIA L4 data sheet"),
    "NVIDIA A10": Peak(125 * TERA, 31.2 * TERA, 600 * GIGA, "NVIDIA A10 data sheet"),
}
"""By the name that torch.cuda.get_device_name() gives."""


def peak_of(device_name: str) -> Peak | None:
    """What a device can do at best; None where nobody has looked it up."""
    return PEAKS.get(device_name)
