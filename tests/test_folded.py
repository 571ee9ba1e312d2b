"""A folded generator draws what the one it was made of draws, and only what has changed is drawn anew."""

import pytest
import torch
from torch import nn

from resgen.folded import Depth, FoldedGenerator, Memory, Remembering
from resgen.generator import GeneratorConfig, ResNetGenerator

CONFIGS = (
    GeneratorConfig(num_classes=3, widths=(16, 24, 8), z_dim=8, w_dim=12),
    GeneratorConfig(image_channels=1, base_resolution=7, widths=(16, 8), z_dim=8, w_dim=12),
    GeneratorConfig(widths=(8, 8), z_dim=8, w_dim=12, attention=(4, 8)),
    GeneratorConfig(widths=(8,), z_dim=8, w_dim=12),
    GeneratorConfig(widths=(8, 8, 8), z_dim=8, w_dim=12, mean_shift=120),
    GeneratorConfig(widths=(16, 8, 8), z_dim=8, w_dim=12, steady=1),
)


def trained(config: GeneratorConfig) -> ResNetGenerator:
    """A generator with norms that have seen something."""
    torch.manual_seed(1)
    generator = ResNetGenerator(config)
    for part in generator.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.normal_(part.bias, std=0.3)  # type: ignore[arg-type]
    for attention in generator.attention.values():
        nn.init.normal_(attention.out.weight, std=0.1)  # type: ignore[arg-type, union-attr]
    return generator.eval().requires_grad_(False)


@pytest.fixture(params=CONFIGS, ids=lambda config: f"{config.widths}-{config.base_resolution}-{config.attention}")
def generator(request: pytest.FixtureRequest) -> ResNetGenerator:
    return trained(request.param)


def points(generator: ResNetGenerator, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A w of its own for each block, and gains."""
    blocks = len(generator.config.widths)
    return torch.randn(count, blocks, generator.config.w_dim), torch.rand(count, blocks) * 3 - 1


@torch.inference_mode()
def test_it_draws_the_same_at_every_depth(generator: ResNetGenerator) -> None:
    w, gains = points(generator)
    folded = list(FoldedGenerator(generator).depths(w, gains))
    for (features, image), depth in zip(generator.depths(w, gains), folded, strict=True):
        assert torch.allclose(depth.features, features, atol=1e-4) and torch.allclose(depth.image, image, atol=1e-4)
        assert image.std() > 0.05, "of an even picture nothing can be told"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The blocks that are drawn, in order."""
    numbers: list[int] = []
    depths = FoldedGenerator.depths

    def counted(self: FoldedGenerator, w: torch.Tensor, gains: torch.Tensor, after: Depth | None = None):
        for depth in depths(self, w, gains, after):
            numbers.append(depth.block)
            yield depth

    monkeypatch.setattr(FoldedGenerator, "depths", counted)
    return numbers


@torch.inference_mode()
def test_only_what_lies_behind_a_change_is_drawn_anew_and_to_the_same_bits(drawn: list[int]) -> None:
    generator = trained(CONFIGS[0])
    folded = FoldedGenerator(generator)
    drawing = Remembering(folded, "name", Memory())
    w, gains = points(generator)
    drawing.synthesise(w, gains)
    for block in (2, 1, 0):
        for changed in (w, gains):
            changed[:, block] += 0.5
            drawn.clear()
            found = drawing.synthesise(w, gains)
            assert drawn == list(range(block, 3))
            assert torch.equal(found, Remembering(folded, "name", Memory()).synthesise(w, gains))


@torch.inference_mode()
def test_generators_that_share_a_memory_are_told_apart_and_it_has_an_end(drawn: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = trained(CONFIGS[0])
    w, gains = points(generator)
    kept = sum(depth.features.nbytes + depth.image.nbytes for depth in list(FoldedGenerator(generator).depths(w, gains))[:-1])
    monkeypatch.setattr("resgen.folded.MEMORY", 2 * kept)
    memory = Memory()
    one, other = (Remembering(FoldedGenerator(generator), name, memory) for name in ("one", "other"))
    one.synthesise(w, gains)
    other.synthesise(w, gains)
    drawn.clear()
    one.synthesise(w, gains)
    assert drawn == [2]
    other.synthesise(w + 1, gains)
    drawn.clear()
    other.synthesise(w, gains)
    assert drawn == [0, 1, 2], "what was not asked for longest is forgotten"
