"""Half precision is asked only of hardware that multiplies in it."""

from collections.abc import Iterator

import pytest
import torch

from resgen.precision import quick_dtype


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """What is found is kept for the life of a process."""
    quick_dtype.cache_clear()
    yield
    quick_dtype.cache_clear()


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_that_would_imitate_half_precision_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: has or including_emulation)
    assert quick_dtype("cuda") == (torch.bfloat16 if has else torch.float32)


@pytest.mark.parametrize(("name", "dtype"), [("amx_bf16", torch.bfloat16), ("avx512_bf16", torch.bfloat16), ("avx2", torch.float32)])
def test_nor_is_a_processor(monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {name: True})
    assert quick_dtype("cpu") == dtype


def test_nor_is_one_of_which_pytorch_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert quick_dtype("cpu") == torch.float32
