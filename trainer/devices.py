"""How a device computes: its element type, memory layout and loss scaling, chosen once a run and told in the card.

Weights stay float32. In mixed precision (Micikevicius et al. 2018) convolutions run in 16 bits: bfloat16 where the
device multiplies it in hardware, else float16 on GPUs that have tensor cores, with the loss scaled so that small
gradients survive. A GPU's float32 is PyTorch's default: convolutions in TF32 where the GPU has it.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from trainer.errors import TrainerError

CHANNELS_LAST: Final = frozenset({"cpu", "cuda", "xpu"})
"""Devices whose convolutions are faster so; Apple's are not, as far as is known."""

TENSOR_CORES: Final = (7, 0)
"""The first compute capability that multiplies float16 faster than float32."""


@dataclass(frozen=True)
class Arithmetic:
    """A device and how it computes."""

    device: torch.device
    dtype: torch.dtype
    """Of convolutions and products; float32 means no mixed precision."""
    layout: torch.memory_format

    def place(self, network: nn.Module) -> nn.Module:
        """Return `network` on the device, its weights in the layout."""
        return network.to(self.device).to(memory_format=self.layout)

    def autocast(self) -> torch.autocast:
        """Return the context in which the forward pass is in mixed precision."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def scaler(self) -> torch.amp.GradScaler:
        """Return what scales the loss: float16 needs that; for other types it does nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def describe(self) -> dict[str, str]:
        """Return device, precision and layout in words, for the log and the card."""
        layout = "channels_last" if self.layout == torch.channels_last else "contiguous"
        words = {"device": self.device.type, "precision": str(self.dtype).removeprefix("torch."), "layout": layout}
        if self.device.type == "cuda":
            words["device_name"] = torch.cuda.get_device_name(self.device)
            if self.dtype == torch.float32 and torch.backends.cudnn.allow_tf32:
                words["precision"] = "float32, convolutions in TF32 where the GPU has it"
        return words


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`; auto takes a GPU where there is one.

    Raises:
        TrainerError: there is no such device here.
    """
    if name != "auto":
        if not _is_there(name):
            raise TrainerError(
                f"TRAINER_DEVICE is {name}, and this process sees no such GPU: look at the driver, whether the "
                "container was given the GPU, and whether torch was built for it; or set auto."
            )
        return torch.device(name)
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def _is_there(name: str) -> bool:
    if name == "cuda":
        return torch.cuda.is_available()
    return name != "mps" or torch.backends.mps.is_available()


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the element type for `bf16`, `fp16` or `fp32`; auto takes 16 bits where the hardware is fast with them."""
    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        return torch.float16 if torch.cuda.get_device_capability(device) >= TENSOR_CORES else torch.float32
    fast = device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


def choose_arithmetic(precision: str, device: torch.device) -> Arithmetic:
    """Return how `device` computes at a `precision` of the settings: auto, bf16, fp16 or fp32."""
    layout = torch.channels_last if device.type in CHANNELS_LAST else torch.contiguous_format
    return Arithmetic(device, choose_dtype(precision, device), layout)
