from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from resgen.checkpoint import Checkpoint, load_checkpoint
from resgen.data import ImageSet
from resgen.errors import DataError
from resgen.features import FeatureConfig, FeatureResNet
from resgen.generator import ResNetGenerator
from resgen.sampler import MICRO_BATCH
from resgen.train import directions
from resgen.train.directions import (
    MEASURES,
    draw,
    learn_attributes,
    measure_all,
    name_directions,
    rank_correlation,
    read_table,
    sample_latents,
)
from tests.conftest import untrained


@pytest.fixture
def tiny(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setattr(directions, "SAMPLES", 384)
    return load_checkpoint(tiny_folder / "tiny.safetensors")


def test_a_named_direction_does_what_its_name_says(tiny: Checkpoint) -> None:
    named, faith = name_directions(tiny, MEASURES)
    assert named.card.direction_names[-2:] == ("pc1", "pc2") and faith["brightness"] >= 0.8
    generator, z = tiny.build(), torch.randn(20, tiny.card.arch.z_dim, generator=torch.Generator().manual_seed(5))
    w = generator.map(z, torch.eye(3)[torch.arange(20) % 3])[:, 0]
    assert "warmth" in named.card.direction_names
    for name in named.card.direction_names[:-2]:
        offset = named.directions[named.card.direction_names.index(name)]
        less, more = (measure_all(generator, w + step * offset, MEASURES)[name] for step in (-1, 1))
        assert (more > less).float().mean() > 0.8, name
    assert torch.equal(named.directions[-2:], tiny.directions)


def test_images_are_measured_as_they_are_drawn(tiny: Checkpoint) -> None:
    """As many at once as a sampler draws: thousands of large images have no room beside each other. Each has the measure it has in company."""
    generator, seen = tiny.build(), list[int]()

    def brightness(images: Tensor) -> Tensor:
        seen.append(len(images))
        return MEASURES["brightness"](images)

    _, faith = name_directions(tiny, {"brightness": brightness})
    assert max(seen) == MICRO_BATCH and "brightness" in faith
    w = sample_latents(generator)[0][:20]
    told = measure_all(generator, w, {"brightness": brightness})["brightness"]
    assert torch.allclose(told, MEASURES["brightness"](generator.synthesise(w).clamp(-1, 1)), atol=1e-5)
    assert sum(map(len, draw(generator, w))) == len(told) == 20


def test_naming_again_changes_nothing(tiny: Checkpoint) -> None:
    once, _ = name_directions(tiny, MEASURES)
    twice, _ = name_directions(once, MEASURES)
    assert once.card.direction_names == twice.card.direction_names and torch.equal(once.directions, twice.directions)


def test_a_direction_of_earlier_weights_is_kept_where_it_does_more(tiny: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming is given lengths that reach nowhere; the one it had is as long as it should be."""
    once, _ = name_directions(tiny, {"warmth": MEASURES["warmth"]})
    monkeypatch.setattr(directions, "LENGTHS", (1e-7,))
    twice, _ = name_directions(once, {"warmth": MEASURES["warmth"]})
    assert once.card.direction_names[0] == twice.card.direction_names[0] == "warmth" and torch.equal(once.directions, twice.directions)


def test_what_no_direction_moves_gets_no_name(tiny: Checkpoint) -> None:
    named, faith = name_directions(tiny, {"noise": lambda images: torch.rand(len(images))})
    assert named.card.direction_names == ("pc1", "pc2") and abs(faith["noise"]) < 0.5
    bare = replace(tiny, card=replace(tiny.card, direction_names=()), directions=tiny.directions[:0])
    named, _ = name_directions(bare, {"noise": lambda images: torch.rand(len(images))})
    assert named.card.direction_names == () and named.directions.shape == (0, tiny.card.arch.w_dim)


def test_what_some_classes_have_is_looked_for_in_those(tiny: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    w = sample_latents(tiny.build())[0]
    tried = list[Tensor]()

    def correlate(generator: ResNetGenerator, some: Tensor, *more: Any) -> float:
        tried.append(some)
        return rank_correlation(generator, some, *more)

    monkeypatch.setattr(directions, "rank_correlation", correlate)
    warmth = {"warmth": MEASURES["warmth"]}
    _, faith = name_directions(tiny, warmth, classes={"warmth": torch.tensor([1])})
    own = {tuple(row) for row in w[1::3].tolist()}
    assert "warmth" in faith and all(tuple(row) in own for some in tried for row in some.tolist())
    assert name_directions(tiny, warmth, classes={"warmth": torch.tensor([], dtype=torch.long)})[1] == {}


def test_what_stays_the_same_is_not_called_faithful(tiny: Checkpoint) -> None:
    generator, w = tiny.build(), sample_latents(tiny.build())[0][:6]
    direction = torch.randn(w.shape[1])
    assert rank_correlation(generator, w, direction, lambda images: torch.ones(len(images))) == 0
    steps = iter(range(100))
    rising = rank_correlation(generator, w, direction, lambda images: torch.full((len(images),), float(next(steps))))
    assert rising == pytest.approx(1)
    halves = iter([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0])  # a step in the middle: 1 if ties kept their order
    assert 0.8 < rank_correlation(generator, w, direction, lambda images: torch.full((len(images),), next(halves))) < 0.95


def test_the_mean_of_each_class_is_known_however_many_there_are(tiny: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "SAMPLES", 2)
    _, spread = sample_latents(tiny.build())
    assert len(spread) == 3 * directions.LEAST_OF_CLASS and spread.isfinite().all()


def test_directions_of_very_many_classes_are_tried_on_as_many_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer latents, there was none left for some of them."""
    monkeypatch.setattr(directions, "SAMPLES", 256)
    many = untrained("many", 0, tuple(f"c{i}" for i in range(160)))
    told = list[tuple[int, int]]()
    _, faith = name_directions(many, {"warmth": MEASURES["warmth"]}, lambda *how_far: told.append(how_far))
    assert faith.keys() == {"warmth"}
    done, totals = zip(*told, strict=True)
    assert sorted(done) == list(done) and done[0] <= 8 < done[-1] == totals[0] and len(set(totals)) == 1  # told from the first batch on


def test_measures_of_drawn_shapes() -> None:
    images = torch.ones(4, 3, 32, 32)
    images[0, :, 12:20, 12:20] = -1  # a small square in the middle
    images[1, :, 4:28, 4:28] = -1  # a large one
    images[2, :, 12:20, 22:30] = -1  # to the right
    images[3, :, 22:30, 12:20] = torch.tensor([1.0, -1.0, -1.0])[:, None, None]  # red and lower
    assert MEASURES["size"](images)[1] > 4 * MEASURES["size"](images)[0]
    assert MEASURES["to the right"](images).argmax() == 2 and MEASURES["downwards"](images).argmax() == 3
    assert MEASURES["warmth"](images).argmax() == 3 and MEASURES["brightness"](images).argmax() == 3
    assert torch.allclose(MEASURES["brightness"](images)[0], MEASURES["brightness"](images)[1])  # of what is drawn, however large
    assert (MEASURES["backdrop"](images) == 1).all()


def test_a_table_tells_what_images_have(tmp_path: Path) -> None:
    """Numbers and colours become measures, words do not; rows are in the natural order of the files."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    shade = np.where(np.arange(60) < 45, rng.integers(0, 256, 60), 100)  # those of the second class are all alike
    images = np.broadcast_to(shade[:, None, None, None], (60, 3, 16, 16)).astype(np.uint8)
    rows = [f"a/{i}.png,#{shade[i]:02x}{shade[i]:02x}{shade[i]:02x},{shade[i] / 10},word" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["file,hair,number,mouth", *reversed(rows)]))
    table = read_table(tmp_path / "t.csv", 60)
    assert table.keys() == {"light hair", "number"} and table["number"].tolist() == pytest.approx((shade / 10).tolist())
    data = ImageSet(images, (np.arange(60) >= 45).astype(int), ("a", "b"))
    measures, classes = learn_attributes(data, tmp_path / "t.csv", FeatureResNet(FeatureConfig(3, (8, 12, 16))))
    seen = measures["light hair"](torch.from_numpy(images).float() / 127.5 - 1)
    assert np.corrcoef(seen.numpy(), shade)[0, 1] > 0.9
    assert {name: found.tolist() for name, found in classes.items()} == {"light hair": [0], "number": [0]}
    others = replace(data, names=tuple(f"b/{i}.png" for i in range(60)))
    with pytest.raises(DataError, match="no row of its own"):
        learn_attributes(others, tmp_path / "t.csv", FeatureResNet(FeatureConfig(3, (8, 12, 16))))
    with pytest.raises(DataError, match="60 images, and there are 3"):
        read_table(tmp_path / "t.csv", 3)
    for header in ("file,age=years", "file,a&b", "file", f"file,{'x' * 65}"):
        (tmp_path / "t.csv").write_text(f"{header}\na.png,1,2\n")
        with pytest.raises(DataError, match="column"):
            read_table(tmp_path / "t.csv", 1)
    (tmp_path / "t.csv").write_text("name\n1\n")
    with pytest.raises(DataError, match="'file'"):
        read_table(tmp_path / "t.csv", 1)
