"""Training from a table that tells what each picture is made of."""

import copy
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from resgen.blocks import PartsMapping, pixel_norm
from resgen.checkpoint import Checkpoint, load_checkpoint
from resgen.data import ImageSet
from resgen.errors import CheckpointError, DataError
from resgen.features import FeatureConfig, FeatureResNet, save_features
from resgen.generator import GeneratorConfig
from resgen.tensors import open_tensors
from resgen.train.command import train_generator
from resgen.train.config import TrainConfig
from resgen.train.eyes_trainer import EyesTrainer
from resgen.train.finish import to_checkpoint
from resgen.train.parallel import Team
from resgen.train.parts import FEWEST_NUMBERS, MAX_VALUES, Column, Parts, read_parts
from resgen.train.parts_trainer import PartsTrainer

CLASSES = ("narrow", "wide")  # how wide the bar is
COLOURS = {"narrow": ("#ff0000", "#400000", "#0000ff"), "wide": ("#ffffff", "#ff0000")}
BARS = ("", "", "", "above", "below")  # most have none


def drawn(label: int, colour: str, bar: str) -> np.ndarray:
    """uint8 [3, 8, 8]: a ground of the colour, and a green bar."""
    image = np.empty((3, 8, 8), np.uint8)
    image[:] = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)[:, None, None]
    if bar:
        rows = slice(0, 3) if bar == "above" else slice(5, 8)
        columns = slice(0, 8) if label else slice(2, 6)
        image[:, rows, columns] = np.array([0, 255, 0])[:, None, None]
    return image


@pytest.fixture(scope="module")
def told() -> list[tuple[int, str, str]]:
    """Label, colour and bar of 300 images."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 150)
    return [(label, str(rng.choice(COLOURS[CLASSES[label]])), str(rng.choice(BARS))) for label in labels.tolist()]


@pytest.fixture(scope="module")
def data(told: list[tuple[int, str, str]]) -> ImageSet:
    return ImageSet(np.stack([drawn(*row) for row in told]), np.array([label for label, *_ in told]), CLASSES)


def file_of(place: int) -> str:
    """Of the 300 images, where each is in the folder of all."""
    return f"{CLASSES[place // 150]}/{place:03}.png"


def write_table(path: Path, columns: dict[str, list[str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *columns])
        writer.writerows([file_of(place), *cells] for place, cells in enumerate(zip(*columns.values(), strict=True)))
    return path


@pytest.fixture(scope="module")
def table(told: list[tuple[int, str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    columns = {"colour": [colour for _, colour, _ in told], "bar": [bar for *_, bar in told], "medium": ["paint"] * len(told)}
    return write_table(tmp_path_factory.mktemp("table") / "parts.csv", columns)


@pytest.fixture(scope="module")
def parts(table: Path, data: ImageSet) -> Parts:
    return read_parts(table, data)


def meant(parts: Parts, z: Tensor, labels: Tensor) -> list[tuple[int, str, str]]:
    """Label, colour and bar that rows of noise stand for."""
    colour, bar = parts.columns
    blocks = pixel_norm(z).split([colour.size, bar.size], dim=1)

    def value(column: Column, block: Tensor, label: int) -> str:
        cells = column.cells[label]
        return cells.values[int((cells.anchors @ block + cells.offsets).argmax())]

    rows = zip(labels.tolist(), *blocks, strict=True)
    return [(label, value(colour, one, label), value(bar, other, label)) for label, one, other in rows]


def test_noise_stands_for_parts_as_often_as_they_occur(parts: Parts, told: list[tuple[int, str, str]]) -> None:
    assert [column.name for column in parts.columns] == ["colour", "bar"], "what is the same in all images is no part"
    assert parts.shape == (3, 3, parts.columns[1].size, 3) and parts.z_dim == sum(parts.shape[::2])
    rows = meant(parts, torch.randn(6000, parts.z_dim), torch.arange(6000) % 2)
    for label, colour, bar in set(told):
        own = [row for row in told if row[0] == label]
        expected = sum(row[1] == colour for row in own) * sum(row[2] == bar for row in own) / len(own) ** 2 / 2
        assert rows.count((label, colour, bar)) / len(rows) == pytest.approx(expected, abs=0.02)


def test_a_single_part_of_two_occurs_as_often_as_in_the_table(data: ImageSet, tmp_path: Path) -> None:
    """Normed noise of one number would be either 1 or -1: each part half of the time."""
    (column,) = read_parts(write_table(tmp_path / "hat.csv", {"hat": ["on" if place % 5 == 0 else "off" for place in range(300)]}), data).columns
    z = pixel_norm(torch.randn(6000, column.size))
    for cells in column.cells:
        drawn = (z @ cells.anchors.T + cells.offsets).argmax(dim=1)
        assert (drawn == cells.values.index("on")).float().mean() == pytest.approx(0.2, abs=0.02)


def test_the_rarest_part_of_an_image_says_how_often_it_is_learned(data: ImageSet, parts: Parts, told: list[tuple[int, str, str]]) -> None:
    def share(label: int, part: int, value: str) -> float:
        own = [row for row in told if row[0] == label]
        return sum(row[part] == value for row in own) / len(own)

    rarity = parts.rarity(torch.from_numpy(data.labels))
    wanted = [1 / min(share(row[0], part, str(row[part])) for part in (1, 2)) for row in told]
    assert torch.allclose(rarity, torch.tensor(wanted))


def test_like_colours_are_like_noise_and_nothing_is_far_from_something(parts: Parts) -> None:
    colour, bar = parts.columns
    z = torch.zeros(3, parts.z_dim)
    z[:, 0] = torch.tensor([-2.0, 0.0, 2.0])
    assert [found for _, found, _ in meant(parts, z, torch.ones(3, dtype=torch.long))][::2] == ["#ff0000", "#ffffff"], "from dark to light"
    z[:, colour.size] = torch.tensor([-3.0, 3.0, 3.0])
    assert [bool(found) for *_, found in meant(parts, z, torch.zeros(3, dtype=torch.long))] == [False, True, True]
    assert bar.size == FEWEST_NUMBERS - 3


CONFIG = TrainConfig((), "bars", images=4000, batch=16, group=1, widths=(24, 16), lr=3e-3, loss="parts", table="parts.csv")


@pytest.fixture(scope="module")
def trained(data: ImageSet, parts: Parts) -> Checkpoint:
    trainer = PartsTrainer(CONFIG, data, parts, None, "cpu", "", Team())
    while trainer.images_seen < CONFIG.images:
        trainer.step()
    return to_checkpoint(trainer, {}, 0.0)


def test_what_begins_with_a_checkpoint_knows_its_parts(data: ImageSet, parts: Parts, trained: Checkpoint) -> None:
    first, more = (PartsTrainer(CONFIG, data, parts, None, "cpu", "", Team(), begun).step()["pixels"] for begun in (None, trained))
    assert more < first / 3


def test_what_begins_with_a_smaller_checkpoint_draws_its_pictures_first(data: ImageSet, parts: Parts, trained: Checkpoint) -> None:
    """Norms of the finer block are held, like all others, at statistics of its own: what comes out of it is neither huge nor nothing."""
    large = replace(data, images=data.images.repeat(2, axis=2).repeat(2, axis=3))
    config = replace(CONFIG, widths=(24, 16, 12))
    trainer = PartsTrainer(config, large, parts, None, "cpu", "", Team(), trained)
    first, own = (PartsTrainer(CONFIG, data, parts, None, "cpu", "", Team(), trained).step()["pixels"], trainer.step()["pixels"])
    assert own < 2 * first + 0.05
    variance = trainer.average.state_dict()["blocks.2.norm1.norm.running_var"]
    assert variance.min() > 0 and (variance - 1).abs().max() > 0.05


def test_what_is_larger_than_one_with_steady_blocks_has_norms_of_its_own(data: ImageSet, parts: Parts, trained: Checkpoint) -> None:
    """Steady blocks have no place in it, and their norms' statistics would not fit the finer ones."""
    refined = PartsTrainer(replace(CONFIG, widths=(24, 16, 12, 12)), data, parts, None, "cpu", "", Team(), trained)
    large = replace(data, images=data.images.repeat(2, axis=2).repeat(2, axis=3))
    begun = to_checkpoint(refined, {}, 0.0)
    trainer = PartsTrainer(replace(CONFIG, widths=(24, 16, 12)), large, parts, None, "cpu", "", Team(), begun)
    norms = [value for name, value in trainer.average.state_dict().items() if name.startswith("blocks.2") and name.endswith("running_var")]
    assert all(variance.min() > 0 and (variance - 1).abs().max() > 0.02 for variance in norms) and len(norms) == 2


def test_a_seed_is_drawn_as_what_it_stands_for(parts: Parts, trained: Checkpoint) -> None:
    generator = trained.build()
    z, labels = torch.randn(200, parts.z_dim), torch.arange(200) % 2
    known = torch.from_numpy(np.stack([drawn(*row) for row in meant(parts, pixel_norm(z), labels)])) / 127.5 - 1
    with torch.no_grad():
        images = generator(z, torch.eye(2)[labels])
    right, wrong = ((images - goal).abs().mean() for goal in (known, known.roll(2, dims=0)))
    assert right < wrong / 4
    assert images.std(dim=0).mean() > 0.8 * known.std(dim=0).mean(), "seeds differ as the data do"


def test_between_two_parts_pictures_change_smoothly(trained: Checkpoint) -> None:
    generator = trained.build()
    z = torch.randn(20, generator.config.z_dim, generator=torch.Generator().manual_seed(3))
    walk = torch.linspace(0, 1, 8000)[:, None]
    with torch.no_grad():
        of_z = generator.map(z, torch.eye(2)[:1].expand(20, -1))[:, 0]
        ends = z[0], z[int((of_z - of_z[0]).norm(dim=1).argmax())]  # of other parts
        w = generator.map(ends[0] * (1 - walk) + ends[1] * walk, torch.eye(2)[:1].expand(8000, -1))[:, 0]
    assert (w[1:] - w[:-1]).norm(dim=1).max() < 0.1 * (w[-1] - w[0]).norm()


@pytest.fixture(scope="module")
def folder(data: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images as files."""
    folder = tmp_path_factory.mktemp("bars")
    for name in CLASSES:
        (folder / name).mkdir()
    for place, image in enumerate(data.images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / file_of(place))
    return folder


def train(config: TrainConfig, out: Path, resume: bool = False, features: Path | None = None) -> dict[str, Tensor]:
    """The state that a run ends with."""
    train_generator(config, out, resume, features, "cpu", {}, "", lambda *_: None, lambda _: None)
    with open_tensors(out / "state.safetensors") as file:
        return file.read()


@pytest.mark.parametrize("loss", ["parts", "parts+adversary"])
def test_a_run_that_was_stopped_resumes_to_the_same_weights(
    loss: str, folder: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resgen.train.parts_trainer.FROZEN_STEPS", 2)
    config = TrainConfig((str(folder),), "bars", images=120, batch=12, widths=(12, 8), save_every=60, loss=loss, table=str(table))
    features = None
    if config.fights:
        features = tmp_path / "features.safetensors"
        save_features(FeatureResNet(FeatureConfig(3, (8, 12))), features, {})
    straight, step = train(config, tmp_path / "straight", features=features), PartsTrainer.step

    def stopped(self: PartsTrainer) -> dict[str, float]:
        if self.steps_done == 8:
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PartsTrainer, "step", stopped)
        train(config, tmp_path / "stopped", features=features)
    resumed = train(config, tmp_path / "stopped", True, features)
    assert straight.keys() == resumed.keys() and "generator.mapping.parts.0.values" in straight
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    with pytest.raises(CheckpointError, match="another table"):
        other = write_table(tmp_path / "other.csv", {"colour": ["a", "b"] * 150})
        train(replace(config, table=str(other)), tmp_path / "stopped", True, features)


def test_another_loss_goes_on_from_parts(folder: Path, table: Path, tmp_path: Path) -> None:
    config = TrainConfig((str(folder),), "bars", images=24, batch=12, widths=(12, 8), mean_shift=30, loss="parts", table=str(table))
    train(config, tmp_path / "parts")
    train(replace(config, loss="drift", table="", mean_shift=None, init=str(tmp_path / "parts" / "bars.safetensors"), group=4), tmp_path / "drift")
    began, went_on = (load_checkpoint(tmp_path / out / "bars.safetensors") for out in ("parts", "drift"))
    assert went_on.card.arch == began.card.arch, "what begins with a checkpoint has its latents, and ends as it did"
    train(replace(config, resolution=16, mean_shift=None, widths=None, init=str(tmp_path / "parts" / "bars.safetensors")), tmp_path / "larger")
    larger, before = load_checkpoint(tmp_path / "larger" / "bars.safetensors").card.arch, began.card.arch
    assert isinstance(before, GeneratorConfig) and larger == replace(before, widths=(12, 8, 8)) and larger.resolution == 16


@pytest.mark.parametrize("classes", [("narrow",), ("a", "b", "c")])
def test_other_classes_begin_with_the_blocks_of_parts_and_have_a_picture_for_each_seed(
    data: ImageSet, trained: Checkpoint, classes: tuple[str, ...]
) -> None:
    """Cells of other classes were never cut: all seeds of a class would lie in one."""
    others = replace(data, labels=np.arange(300) % len(classes), classes=classes)
    config = TrainConfig((), "others", images=48, batch=12, group=4, widths=(24, 16))
    trainer = EyesTrainer(config, others, FeatureResNet(FeatureConfig(3, (8, 12))), "cpu", "", Team(), trained)
    assert torch.equal(trainer.generator.blocks[1].conv1.weight, trained.weights["blocks.1.conv1.weight"])  # type: ignore[union-attr]
    z = torch.randn(8, trainer.generator.config.z_dim)
    w = trainer.generator.map(z, torch.eye(len(classes))[:1].expand(8, -1) if len(classes) > 1 else None)
    assert w.std(dim=0).max() > 0.1
    trainer.step()


def test_few_seeds_lie_between_parts_whatever_a_run_begins_with(data: ImageSet, parts: Parts, trained: Checkpoint) -> None:
    """Cells of wider edges, as a checkpoint may have, are cut anew: what lies between two parts is drawn as no picture is."""
    wider = replace(
        trained, weights={name: value / 100 if name.endswith(("anchors", "offsets")) else value for name, value in trained.weights.items()}
    )
    ours = to_checkpoint(PartsTrainer(CONFIG, data, parts, None, "cpu", "", Team(), wider), {}, 0.0)

    def between(checkpoint: Checkpoint) -> float:
        """Share of noise that is less than nine tenths of one bar."""
        mapping, blocks = checkpoint.build().mapping, torch.randn(4000, parts.z_dim).split([column.size for column in parts.columns], dim=1)
        cells = F.linear(blocks[1], mapping.parts[1].anchors, mapping.parts[1].offsets).unflatten(1, (2, -1)).softmax(dim=2)  # type: ignore[index, union-attr]
        return float((cells.amax(dim=2) < 0.9).float().mean())

    assert between(ours) == pytest.approx(between(trained), abs=0.005) and between(ours) < 0.01 and between(wider) > 0.05


def test_a_value_that_a_class_does_not_have_is_never_drawn(data: ImageSet, parts: Parts) -> None:
    """However far noise lies from all values that it has."""
    mapping = PartsTrainer(CONFIG, data, parts, None, "cpu", "", Team()).generator.mapping
    assert isinstance(mapping, PartsMapping)
    absent = 0
    for column, part in parts.beside(mapping):
        cells = F.linear(20 * torch.randn(4000, column.size), part.anchors, part.offsets).unflatten(1, (2, -1)).softmax(dim=2)
        for label, own in enumerate(column.cells):
            absent += cells.shape[2] - len(own.values)
            assert not cells[:, label, len(own.values) :].any()
    assert absent == 1, "there are two colours for wide bars, and three for narrow ones"


def test_what_is_missing_counts_more_than_what_is_a_little_off_everywhere(data: ImageSet, parts: Parts) -> None:
    trainer = PartsTrainer(CONFIG, data, parts, None, "cpu", "", Team())
    real = torch.zeros(1, 3, 8, 8)
    fake = torch.full_like(real, 0.02)
    fake[:, :, 3, 5] = 1
    gradient, _ = trainer._compare(fake.requires_grad_(), real)
    assert gradient[:, :, 3, 5].norm() > 0.7 * gradient.norm(), "one pixel of 64"


def test_an_adversary_comes_beside_the_pixels(data: ImageSet, parts: Parts, trained: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """It and what its eyes see are told; while it is new, the generator waits."""
    torch.manual_seed(0)
    monkeypatch.setattr("resgen.train.parts_trainer.FROZEN_STEPS", 3)
    config = replace(CONFIG, loss="parts+adversary")
    trainer = PartsTrainer(config, data, parts, FeatureResNet(FeatureConfig(3, (8, 12))), "cpu", "", Team(), trained)
    before, told = copy.deepcopy(trainer.generator), [trainer.step() for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), trainer.generator.parameters(), strict=True))
    assert told[0].keys() == {"pixels", "seen", "heads", "named"}
    trainer.step()
    moved = [not torch.equal(a, b) for a, b in zip(before.parameters(), trainer.generator.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
    assert all(torch.equal(a, b) for a, b in zip(before.buffers(), trainer.generator.buffers(), strict=True)), "norms stay what drawing has"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"colour": ["red"] * 300}, "no part that differs"),
        ({"number": [str(place) for place in range(300)]}, r"150 values|at most"),
        ({"colour": ["red"] * 7}, "tells of 7 images, and there are 300"),
    ],
)
def test_a_table_that_tells_no_parts_is_refused(columns: dict[str, list[str]], said: str, data: ImageSet, tmp_path: Path) -> None:
    if "number" in columns:
        data = replace(data, labels=np.zeros(300, np.int64), classes=("all",))
        assert MAX_VALUES < 300
    with pytest.raises(DataError, match=said):
        read_parts(write_table(tmp_path / "parts.csv", columns), data)


def test_parts_are_of_the_image_that_a_row_names(data: ImageSet, table: Path, parts: Parts) -> None:
    """Whatever the images' order; and a table of others, as many, is refused."""
    turned = replace(
        data, images=data.images[::-1], labels=data.labels[::-1].copy(), names=tuple(f"bars/{file_of(place)}" for place in range(299, -1, -1))
    )
    for column, before in zip(read_parts(table, turned).columns, parts.columns, strict=True):
        assert torch.equal(column.numbers, before.numbers.flip(0))
    with pytest.raises(DataError, match="no row of its own"):
        read_parts(table, replace(data, names=tuple(f"bars/{place}.png" for place in range(300))))


def test_parts_need_a_table_and_nothing_else_does() -> None:
    for settings in ({"loss": "parts"}, {"loss": "parts+adversary"}, {"table": "parts.csv"}):
        with pytest.raises(DataError, match="--loss parts needs --table"):
            TrainConfig((), "bars", **settings)  # type: ignore[arg-type]


def test_pixels_alone_need_no_eyes(folder: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave out --features"):
        train(TrainConfig((str(folder),), "bars", batch=12, loss="parts", table=str(table)), tmp_path / "out", features=Path("lite0"))


def test_parts_are_described_and_what_has_none_as_ever() -> None:
    arch = GeneratorConfig(num_classes=2, widths=(8, 8), z_dim=5, w_dim=6, parts=(3, 4, 2, 7))
    assert GeneratorConfig.from_dict(arch.to_dict()) == arch and "parts" not in GeneratorConfig().to_dict()
    w = arch.build().map(torch.randn(3, 5), torch.eye(2)[[0, 1, 1]])
    assert w.shape == (3, 2, 6) and replace(arch, num_classes=0).build().map(torch.randn(3, 5)).shape == (3, 2, 6)


@pytest.mark.parametrize("wrong", [(3, 4, 2), (3, 4, 3, 7), (0, 4, 5, 7), (3, 4, 2, 5000), (3, 4096, 2, 4096), (3, -1, 2, 7)])
def test_parts_that_cannot_be_are_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match="out of range"):
        GeneratorConfig(num_classes=20_000, z_dim=5, w_dim=64, parts=wrong)
