"""Half precision where the hardware has it; elsewhere it is imitated, ten times slower than single precision."""

from functools import cache

import torch


@cache
def quick_dtype(kind: str) -> torch.dtype:
    """What a kind of device ('cpu', 'cuda', ...) multiplies fastest and learning can stand: bfloat16, or float32."""
    if kind != "cpu":
        return torch.bfloat16
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Matrices and convolutions in `quick_dtype`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=quick_dtype(device.type) == torch.bfloat16)
