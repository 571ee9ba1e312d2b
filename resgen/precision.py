"""Which type of number a device multiplies fastest, and how TF32 is switched off."""

from functools import cache

import torch


@cache
def quick_dtype(kind: str) -> torch.dtype:
    """What a kind of device ('cpu', 'cuda', ...) multiplies fastest and learning can stand: bfloat16, or where that is only imitated float32."""
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if kind != "cpu":
        return torch.bfloat16
    has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # PyTorch before 2.11 does not tell
    return torch.bfloat16 if any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Matrices and convolutions in `quick_dtype`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=quick_dtype(device.type) == torch.bfloat16)


def draw_exactly() -> None:
    """Multiply in all of single precision from now on: recent GPUs leave out half of its digits (TF32), and draw pictures that are seen to differ."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
