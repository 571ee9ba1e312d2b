import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from resgen.card import read_card
from resgen.data import ImageSet
from resgen.efficientnet import PretrainedEyes
from resgen.errors import ResGenError
from resgen.evaluate import (
    compare,
    compare_inception,
    draw_samples,
    evaluate,
    fit_classifier,
    judge_all,
    judge_real,
    likeness,
    load_inception,
    load_judges,
    neighbour_rows,
    pixel_deviation,
    put_on_card,
)
from resgen.features import FeatureConfig, FeatureResNet, save_features
from resgen.library import Library
from resgen.recipe import Recipe


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("resgen.evaluate.cache_folder", lambda: tmp_path / "cache")


def test_frechet_and_kernel_distance_of_known_gaussians() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(20_000, 4, generator=generator), torch.randn(20_000, 4, generator=generator)
    same, other = likeness(a, b), likeness(a, 2 * b + 3)
    assert same["frechet"] < 0.01 and abs(same["kernel"]) < 0.01
    assert abs(other["frechet"] - 4 * (9 + 1)) < 1  # means 3 apart, deviations 1 and 2, in each of 4 dimensions
    assert other["kernel"] > 1


def test_recall_sees_what_is_missing_and_precision_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resgen.evaluate.KERNEL_SUBSETS", 1)  # of what is not looked at
    generator = torch.Generator().manual_seed(0)
    real = torch.cat([torch.randn(500, 4, generator=generator), torch.randn(500, 4, generator=generator) + 20])
    half = torch.randn(1000, 4, generator=generator)
    found = likeness(real[torch.randperm(1000, generator=generator)], half)
    assert found["precision"] > 0.9 and 0.3 < found["recall"] < 0.6
    far = likeness(real, half + 100)
    assert far["precision"] == far["recall"] == 0


def test_a_few_repeated_pictures_have_no_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resgen.evaluate.KERNEL_SUBSETS", 1)
    real = torch.randn(1000, 16, generator=torch.Generator().manual_seed(0))
    repeated = real[:4].repeat(250, 1) + 1e-6 * torch.randn(1000, 16)
    assert likeness(real, repeated)["recall"] < 0.1


def test_deviation_is_within_classes() -> None:
    images = np.zeros((4, 3, 2, 2), np.uint8)
    images[2:] = 200
    assert pixel_deviation(ImageSet(images, np.array([0, 0, 1, 1]), ("a", "b"))) == 0
    assert pixel_deviation(ImageSet(images, np.array([0, 1, 0, 1]), ("a", "b"))) == pytest.approx(100 * 2**0.5), "of two, with Bessel's correction"
    assert pixel_deviation(ImageSet(images[:1], np.array([0]), ("a",))) == 0


def test_no_two_classes_have_a_seed_in_common(tiny_folder: Path) -> None:
    sampler = Library(tiny_folder, device="cpu").sampler("tiny")
    told: list[tuple[int, int]] = []
    drawn = draw_samples(sampler, 6, lambda *how_far: told.append(how_far))
    expected = [sampler.render(Recipe(seeds=(seed,), classes=(sampler.card.classes[seed // 2],)))[0] for seed in range(6)]
    assert np.array_equal(drawn.images, np.stack(expected).transpose(0, 3, 1, 2))
    assert drawn.labels.tolist() == [0, 0, 1, 1, 2, 2] and told[-1] == (6, 6) and told == sorted(told)


def test_sets_are_compared_that_are_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else more images would be nearer, whatever they show."""
    seen: list[int] = []
    monkeypatch.setattr("resgen.evaluate.likeness", lambda real, fake: seen.append(len(fake)) or {})
    generator = np.random.default_rng(0)
    train, test, fake = (ImageSet(generator.integers(0, 256, (n, 3, 8, 8), np.uint8), np.arange(n) % 2, ("a", "b")) for n in (60, 40, 50))
    figures = compare(fake, train, test, FeatureResNet(FeatureConfig(2, (4, 8))))
    assert seen == [40, 40] and figures["samples"] == 40


def test_of_a_generator_without_classes_all_that_varies_counts() -> None:
    """It draws the very images, so it varies as they do, whatever their classes."""
    images = np.random.default_rng(0).integers(0, 60, (40, 3, 8, 8), dtype=np.uint8)
    images[20:] += 180
    real, free = (ImageSet(images, labels, classes) for labels, classes in ((np.arange(40) // 20, ("a", "b")), (np.full(40, -1), ())))
    figures = compare(free, real, real, FeatureResNet(FeatureConfig(2, (4, 8))))
    assert figures["deviation"] == figures["real_test_deviation"] == 1 and "accuracy" not in figures


def test_part_of_an_ordered_set_stands_for_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets come class by class; the manifolds are made of some of their images, which must not be of one class."""
    monkeypatch.setattr("resgen.evaluate.MANIFOLD_SAMPLES", 60)
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 60)
    train, test, fake = (
        ImageSet((80 * labels[:, None, None, None] + generator.integers(0, 60, (180, 3, 8, 8))).astype(np.uint8), labels, ("a", "b", "c"))
        for _ in range(3)
    )
    torch.manual_seed(0)
    figures = compare(fake, train, test, FeatureResNet(FeatureConfig(3, (8, 12, 16))))
    assert figures["real_test_recall"] > 0.7 and figures["recall"] > 0.7


def test_other_classes_are_not_measured_and_none_have_no_accuracy() -> None:
    torch.manual_seed(0)
    images, labels = np.random.default_rng(0).integers(0, 256, (60, 3, 8, 8), np.uint8), np.repeat(np.arange(2), 30)
    ab, ba, none = (ImageSet(images, given, classes) for given, classes in ((labels, ("a", "b")), (labels, ("b", "a")), (labels - 5, ())))
    judge = FeatureResNet(FeatureConfig(2, (8, 12, 16)))
    for fake, test in ((ba, ab), (ab, ba)):
        with pytest.raises(ResGenError, match="other classes"):
            compare(fake, ab, test, judge)
    figures = compare(none, ab, ab, judge)
    assert "accuracy" not in figures and {"frechet", "real_test_accuracy"} < figures.keys()


def test_a_generator_without_classes_is_compared_with_folders_of_any_name() -> None:
    """A folder of pictures alone is a class by its name, which tells nothing: neither is it asked for, nor has it an accuracy."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (60, 3, 8, 8), np.uint8)
    photos, held, none = (ImageSet(images, np.zeros(60, int), classes) for classes in (("photos",), ("held",), ()))
    figures = compare(none, photos, held, PretrainedEyes("lite2", 112))
    assert figures["deviation"] == 1 and not [name for name in figures if "accuracy" in name]
    with pytest.raises(ResGenError, match="only one of them has a, b"):
        compare(none, photos, replace(held, labels=np.arange(60) % 2, classes=("a", "b")), PretrainedEyes("lite2", 112))


def test_copies_are_told_from_what_is_far_and_names_from_other_names() -> None:
    """The judge's classes are dark, grey and light."""
    torch.manual_seed(0)
    generator, labels = np.random.default_rng(0), np.repeat(np.arange(3), 40)
    train, test = (
        ImageSet((80 * labels[:, None, None, None] + generator.integers(0, 60, (120, 3, 8, 8))).astype(np.uint8), labels, ("a", "b", "c"))
        for _ in range(2)
    )
    far = ImageSet(255 - train.images, labels, train.classes)
    judge = PretrainedEyes("lite0", 64)
    mirrored = ImageSet(train.images[..., ::-1], labels, train.classes)
    copied, turned, other = (compare(fake, train, test, judge) for fake in (train, mirrored, far))
    assert copied["near_copies"] == turned["near_copies"] == 1 and other["near_copies"] < 0.2
    assert copied["accuracy"] > 0.9 > 0.5 > other["accuracy"], "light is named dark, and dark light"


class Colours(nn.Module):
    """In the place of the Inception network: takes and gives what that does."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * 8 * 8, 6)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.mix(images.flatten(1).float() / 255),)


def test_inception_figures_are_added() -> None:
    generator = np.random.default_rng(0)
    real, same, dark = (ImageSet(generator.integers(0, top, (64, 3, 8, 8), np.uint8), np.zeros(64, int), ("",)) for top in (256, 256, 20))
    figures = compare_inception(dark, real, same, Colours())
    assert figures["inception_frechet"] > 2 * figures["real_test_inception_frechet"] > 0
    assert {"inception_kernel", "inception_precision", "real_test_inception_recall"} < figures.keys()


def test_inception_takes_small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but its weights, which no test downloads."""
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
    (features,) = load_inception("cpu")(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert features.shape == (1, 2048)


def test_no_network_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    with pytest.raises(ResGenError, match="--inception"):
        load_inception("cpu")


def test_a_missing_library_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resgen.evaluate.find_spec", lambda _: None)
    nothing: Any = None
    with pytest.raises(ResGenError, match=r"\[evaluate\]"):
        evaluate(nothing, nothing, nothing, {}, 100, False, lambda *_: None)


def test_a_judge_that_does_not_know_the_classes_learns_them_from_real_images() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = np.arange(300) % 3
    features = torch.randn(300, 8, generator=generator) + 4 * torch.eye(3, 8)[torch.from_numpy(labels)]
    name_classes = fit_classifier(features, ImageSet(np.zeros((300, 3, 1, 1), np.uint8), labels, ("a", "b", "c")))
    fresh = torch.randn(300, 8, generator=generator) + 4 * torch.eye(3, 8)[torch.from_numpy(labels)]
    assert (name_classes(fresh).argmax(1).numpy() == labels).mean() > 0.95


def test_each_judge_has_its_own_figures(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, tmp_path: Path) -> None:
    """A file's stand plain, those of a judge by name behind its name; the card keeps what it had beside them."""
    monkeypatch.setattr("resgen.evaluate.PretrainedEyes", lambda *_: FeatureResNet(FeatureConfig(3, (8, 12))))
    save_features(FeatureResNet(FeatureConfig(3, (8, 12))), tmp_path / "own.safetensors", {})
    judges = load_judges([str(tmp_path / "own.safetensors"), "lite2"], "cpu")
    assert list(judges) == ["", "lite2_"]
    generator = np.random.default_rng(0)
    data = ImageSet(generator.integers(0, 256, (60, 3, 8, 8), np.uint8), np.arange(60) % 3, ("a", "b", "c"))
    figures = compare(data, data, data, judges[""]) | compare(data, data, data, judges["lite2_"], "lite2_")
    assert {"frechet", "real_test_frechet", "lite2_frechet", "real_test_lite2_recall", "lite2_judge_test_accuracy"} < figures.keys()
    shutil.copy(tiny_folder / "tiny.safetensors", tmp_path)
    put_on_card(tmp_path / "tiny.safetensors", {"frechet": 1.0})
    put_on_card(tmp_path / "tiny.safetensors", {"lite2_frechet": 2.0})
    assert read_card(tmp_path / "tiny.safetensors").metrics == {"frechet": 1.0, "lite2_frechet": 2.0}


def test_real_images_are_judged_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By their pixels and the judge's weights: another judge, or other images, are judged anew; a damaged cache is no trouble."""
    monkeypatch.setattr("resgen.evaluate.cache_folder", lambda: tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8)
    torch.manual_seed(0)
    judge, other = (FeatureResNet(FeatureConfig(2, (8, 12))).freeze() for _ in range(2))
    first = judge_real(judge, images)
    monkeypatch.setattr("resgen.evaluate.judge_all", lambda network, images, *_: torch.zeros(len(images), 12))
    assert torch.equal(judge_real(judge, images), first) and first.abs().max() > 0
    assert judge_real(other, images).abs().max() == judge_real(judge, images[:5]).abs().max() == 0
    for path in (tmp_path / "judged").iterdir():
        path.write_text("damaged")
    assert judge_real(judge, images).abs().max() == 0


def test_mirrored_images_are_judged_as_such_and_kept_beside(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8)
    judge = FeatureResNet(FeatureConfig(2, (8, 12))).freeze()
    turned = judge_all(judge, images[..., ::-1].copy())
    for _ in range(2):
        assert torch.allclose(judge_real(judge, images, mirrored=True), turned, atol=1e-5)
        assert not torch.allclose(judge_real(judge, images), turned, atol=1e-3)


def test_neighbours_are_found_in_what_was_judged_for_the_figures(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> None:
    seen = list[int]()
    monkeypatch.setattr(
        "resgen.evaluate.judge_all", lambda judge, images, *how, **told: seen.append(len(images)) or judge_all(judge, images, *how, **told)
    )
    generator = np.random.default_rng(0)
    train, test, fake = (
        ImageSet(generator.integers(0, 256, (n, 3, 16, 16), np.uint8), np.arange(n) % 3, ("disc", "square", "stripes")) for n in (60, 30, 24)
    )
    judge = FeatureResNet(FeatureConfig(3, (4, 8)))
    compare(fake, train, test, judge)
    rows = neighbour_rows(Library(tiny_folder, "cpu").sampler("tiny"), train, judge, (0, 1), 2)
    assert sorted(seen) == [2, 24, 24, 30, 30, 60] and rows.shape == (6, 16, 16, 3)


def test_the_cache_keeps_what_was_used_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("resgen.evaluate.JUDGED_KEPT", 2)
    judge = FeatureResNet(FeatureConfig(2, (4, 8))).freeze()
    sets = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 8, 8), np.uint8)

    def kept() -> set[Path]:
        return {*(tmp_path / "cache").rglob("*.safetensors")}

    made = dict[int, Path]()
    for moment, number in enumerate((0, 1, 0, 2)):
        before = kept()
        judge_real(judge, sets[number])
        if number not in made:
            (made[number],) = kept() - before
        os.utime(made[number], (moment, moment))
    assert kept() == {made[0], made[2]}


def test_what_is_measured_takes_little_more_memory_than_it_has() -> None:
    """A deviation in floating point of a whole class at once would take several times as much."""
    images = np.random.default_rng(0).integers(0, 256, (4000, 3, 32, 32), np.uint8)
    data = ImageSet(images, np.zeros(4000, int), ("a",))
    tracemalloc.start()
    found = pixel_deviation(data)
    told, (_, most) = data.sha256, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * images.nbytes and len(told) == 64
    assert found == pytest.approx(images.astype(np.float64).std(axis=0, ddof=1).mean())


def test_what_cannot_be_measured_is_refused_before_anything_is_drawn(tiny_folder: Path) -> None:
    sampler = Library(tiny_folder, "cpu").sampler("tiny")
    data = ImageSet(np.zeros((4, 3, 16, 16), np.uint8), np.array([0, 0, 1, 1]), ("cat", "dog"))
    same = replace(data, classes=("disc", "square", "stripes"))
    other = FeatureResNet(FeatureConfig(2, (8, 12)))
    other.classes = ("shirt", "shoe")
    for train, judges, samples, message in (
        (data, {}, 100, "The generator has other classes"),
        (replace(data, classes=("disc", "square")), {}, 100, "only one of them has stripes"),
        (same, {"": other}, 100, "The judge knows other classes"),
        (same, {}, 2, "--samples 2 is less than one for each of the 3 classes"),
    ):
        with pytest.raises(ResGenError, match=message):
            evaluate(sampler, train, train, judges, samples, False, lambda *_: pytest.fail("images were drawn"))


def test_drawing_and_judging_are_watched_to_their_end(tiny_folder: Path) -> None:
    sampler, told = Library(tiny_folder, "cpu").sampler("tiny"), list[tuple[int, int]]()
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 16, 16), np.uint8)
    data = ImageSet(images, np.arange(30) % 3, ("disc", "square", "stripes"))
    judges = {prefix: FeatureResNet(FeatureConfig(3, (4, 8))) for prefix in ("", "other_")}
    for _ in range(2):  # what is in the cache counts too
        told.clear()
        evaluate(sampler, data, data, judges, 32, False, lambda *how_far: told.append(how_far))
        assert told == sorted(told) and told[-1][0] == told[-1][1] == 30 + 2 * 5 * 30 and {total for _, total in told} == {330}


def test_judges_of_one_name_are_refused(tmp_path: Path) -> None:
    """The figures of one would replace those of the other."""
    for folder in ("a", "b", "c"):
        save_features(FeatureResNet(FeatureConfig(3, (8, 12))), tmp_path / folder / "own.safetensors", {})
    names = [str(tmp_path / folder / "own.safetensors") for folder in ("a", "b", "c")]
    assert list(load_judges(names[:2], "cpu")) == ["", "own_"]
    with pytest.raises(ResGenError, match="Two judges are called own"):
        load_judges(names, "cpu")


def test_a_judge_of_other_classes_is_refused() -> None:
    judge = FeatureResNet(FeatureConfig(2, (8, 12)))
    judge.classes = ("shirt", "shoe")
    data = ImageSet(np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 0, 1, 1]), ("cat", "dog"))
    with pytest.raises(ResGenError, match="cat, dog, shirt and more"):
        compare(data, data, data, judge)
