"""Metrics of generated against real images, in the features of networks that no generator was trained with.

A judge is a classifier of `resgen train-features`, which knows the data's own classes, or an EfficientNet-lite2, which knows the
world's. A classifier trained on the data alone flatters a generator that was trained in the eyes of its like, so both are asked.
"""

import hashlib
import os
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from resgen.card import read_card
from resgen.checkpoint import save_card
from resgen.data import ImageSet, bytes_of, difference, named
from resgen.efficientnet import PretrainedEyes
from resgen.errors import FileError, ResGenError
from resgen.features import FeatureResNet, load_features, to_float
from resgen.files import cache_folder, whole_file
from resgen.latents import join, locate
from resgen.precision import quick_dtype
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from resgen.statistics import fit_ridge
from resgen.work import Progress

MANIFOLD_SAMPLES = 2000  # images a side for precision and recall
KERNEL_SUBSETS = 20  # of up to 1000 images, that the kernel distance is averaged over
NEAR_QUANTILE = 0.01  # of the test images' distances to their nearest training image: nearer is a near copy
PART = 250  # images that are judged, or summed, at once
JUDGED_KEPT = 12  # sets of judged images in the cache, those last used

Judge = FeatureResNet | PretrainedEyes
Seen = Callable[[int], object]  # told how many images were judged
JUDGES = ("lite2",)  # judges that are no file; what they say is told with their name before it
JUDGE_SIDE = 112  # pixels that EfficientNet-lite2 sees


def ignore(_: int) -> None:
    """What is told where nobody watches."""


def load_judges(names: Sequence[str], device: str) -> dict[str, Judge]:
    """Prefix of its figures -> judge, for each file or name; the first file's figures have no prefix. Raises ResGenError."""
    judges: dict[str, Judge] = {}
    for name in names:
        prefix = f"{name}_" if name in JUDGES else f"{Path(name).stem}_" if "" in judges else ""
        if prefix in judges:
            raise ResGenError(f"Two judges are called {prefix.removesuffix('_')}, and so would be their figures: rename a file, or leave one out.")
        network = PretrainedEyes(name, JUDGE_SIDE) if name in JUDGES else load_features(Path(name))
        judges[prefix] = network.freeze().to(device)
    return judges


def check_library() -> None:
    """Raise ResGenError, before the work, where what measures is not installed."""
    if find_spec("torch_fidelity") is None:
        raise ResGenError("Measuring needs torch-fidelity: pip install -e '.[evaluate]' in ResGen's folder.")


def check_samples(samples: int, classes: tuple[str, ...]) -> None:
    """Raise ResGenError, before the work, for fewer samples than there are classes."""
    if samples < len(classes):
        raise ResGenError(f"--samples {samples} is less than one for each of the {len(classes)} classes.")


def check_classes(generator: tuple[str, ...], train: ImageSet, test: ImageSet, judges: Iterable[Judge]) -> None:
    """Raise ResGenError, before the work, where a judge, the test images or a generator that knows classes know others than the images."""
    for judge in judges:
        if isinstance(judge, FeatureResNet) and judge.classes and (how := difference(judge.classes, train.classes)):
            raise ResGenError(f"The judge knows other classes than the images ({how}): train one on them, or use lite2.")
    for who, classes in (("The test images have", test.classes), ("The generator has", generator or train.classes)):
        if how := difference(classes, train.classes):
            raise ResGenError(f"{who} other classes than the images: {how}.")


class Tally:
    """How many of all images have been drawn or seen, told to a ``progress`` by parts that know nothing of each other."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.done, self.total, self._progress = 0, total, progress

    def __call__(self, count: int) -> None:
        self.done += count
        self._progress(self.done, self.total)


def evaluate(
    sampler: Sampler,
    train: ImageSet,
    test: ImageSet,
    judges: Mapping[str, Judge],
    samples: int,
    inception: bool,
    progress: Progress,
) -> dict[str, Any]:
    """`compare` by each judge for `draw_samples` of ``samples``: figures by name.

    ``inception`` adds the published metrics, whose network is downloaded. Raises ResGenError where it cannot be, torch-fidelity is not installed,
    or the classes are not the same everywhere.
    """
    check_library()
    check_samples(samples, sampler.card.classes)
    check_classes(sampler.card.classes, train, test, judges.values())
    network = load_inception(sampler.device) if inception else None
    samples -= samples % max(1, len(sampler.card.classes))
    seen = len(train.labels) + 2 * len(test.labels) + 2 * samples  # by a judge, most of them mirrored too
    tally = Tally(samples + len(judges) * seen, progress)
    fake = draw_samples(sampler, samples, lambda done, _: tally(done - tally.done))
    figures: dict[str, Any] = {}
    for prefix, judge in judges.items():
        figures |= compare(fake, train, test, judge, prefix, tally)
    return figures | compare_inception(fake, train, test, network) if network else figures


def draw_samples(sampler: Sampler, samples: int, progress: Progress | None = None) -> ImageSet:
    """``samples`` images [N, 3, H, W] of a checkpoint at truncation 1, seeds 0.., classes in equal shares. Raises ResGenError.

    No two classes have a seed in common: what a seed draws is alike in all of them, and images that are alike are no fair sample.
    """
    classes = sampler.card.classes
    groups = max(1, len(classes))
    each = samples // groups
    recipes = [Recipe(seeds=tuple(range(place * each, (place + 1) * each)), classes=classes[place : place + 1]) for place in range(groups)]
    points = join([locate(recipe, sampler.checkpoint) for recipe in recipes])
    side = sampler.card.arch.resolution
    images, done = np.empty((len(points), 3, side, side), np.uint8), 0
    for batch in sampler.batches(points):
        images[done : done + len(batch)] = batch.transpose(0, 3, 1, 2)
        done += len(batch)
        if progress:
            progress(done, len(points))
    return ImageSet(images, points.labels.numpy(), classes)


def put_on_card(path: Path, figures: dict[str, Any]) -> None:
    """Write a checkpoint's file anew with these figures beside those that its card has. Raises CheckpointError or FileError."""
    card = read_card(path)
    save_card(replace(card, metrics={**card.metrics, **figures}), path)


def compare(fake: ImageSet, train: ImageSet, test: ImageSet, judge: Judge, prefix: str = "", seen: Seen = ignore) -> dict[str, Any]:
    """One judge's figures of generated images, and the same of the test set, each name beginning with ``prefix``; ``seen`` is told of images judged.

    `accuracy`: share whose intended class the judge names; `deviation`: pixel standard deviation within a class
    over the real one, of a generator without classes that of all images; `near_copies`: share nearer to a training image, or to its mirror image,
    than all but the nearest 1 % of the test images; `judge_test_accuracy`: share of the test images whose class the judge names; and `likeness`
    of `samples` images of either: distances shrink as sets grow, so both are as large.
    Of images without classes there is no accuracy. Raises ResGenError where the judge, the test images or the generator know other classes.
    """
    check_classes(fake.classes, train, test, [judge])
    judge.freeze()
    generated = judge_all(judge, fake.images, seen=seen)
    reference, held_out = (judge_real(judge, data.images, seen=seen) for data in (train, test))
    count, fair = min(len(generated), len(held_out)), shuffled(reference)
    name_classes = (
        (lambda features: judge.classify(features.to(judge.classify.weight.device)))
        if isinstance(judge, FeatureResNet)
        else fit_classifier(reference, train)
    )
    figures = {f"{prefix}judge_test_accuracy": round(_accuracy(name_classes, held_out, test), 4)} if named(test.classes) else {}
    within = bool(fake.classes)  # a generator without classes varies as all of the data do
    from_train = _apart(generated, judge_all(judge, fake.images, True, seen), reference)
    held_out_from_train = _apart(held_out, judge_real(judge, test.images, True, seen), reference)
    limit = held_out_from_train.quantile(NEAR_QUANTILE)
    sources = (prefix, fake, generated, from_train), (f"real_test_{prefix}", test, held_out, held_out_from_train)
    for source, data, features, distances in sources:
        found = {
            "samples": count,
            **({"accuracy": _accuracy(name_classes, features, data)} if named(data.classes) else {}),
            "deviation": pixel_deviation(data, within) / pixel_deviation(train, within),
            **likeness(fair, shuffled(features)[:count]),
            "near_copies": float((distances < limit).float().mean()),
        }
        figures |= {source + name: round(value, 4) for name, value in found.items()}
    return figures


def fit_classifier(features: Tensor, data: ImageSet) -> Callable[[Tensor], Tensor]:
    """A ridge regression from features [N, D] of ``data`` to its classes: features -> a score for each."""
    return fit_ridge(features, nn.functional.one_hot(torch.from_numpy(data.labels), len(data.classes)))


def likeness(real: Tensor, fake: Tensor) -> dict[str, float]:
    """How alike two sets of features [N, D] and [M, D] are, as torch-fidelity measures it.

    `frechet`: Frechet distance (Heusel et al. 2017); `kernel`: kernel distance (Binkowski et al. 2018); `precision` and
    `recall`: k = 3 nearest-neighbour manifolds of the first `MANIFOLD_SAMPLES` of each, or as many as both have (Kynkaanniemi et al. 2019).
    """
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    statistics = (fid_features_to_statistics(features) for features in (fake, real))
    frechet = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    subset = min(1000, len(real), len(fake))
    kernel = kid_features_to_metric(fake, real, kid_subsets=KERNEL_SUBSETS, kid_subset_size=subset, verbose=False)[KEY_METRIC_KID_MEAN]
    equal = min(MANIFOLD_SAMPLES, len(real), len(fake))
    manifolds = prc_features_to_metric(fake[:equal], real[:equal], verbose=False)
    return {"frechet": frechet, "kernel": kernel, "precision": manifolds["precision"], "recall": manifolds["recall"]}


def load_inception(device: str) -> nn.Module:
    """The network of published FID figures, uint8 [N, 3, H, W] -> ([N, 2048],). Raises ResGenError where it cannot be downloaded."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

    try:
        # torch-fidelity unpickles the file without restriction; read first as weights only, one that holds more is refused.
        torch.hub.load_state_dict_from_url(URL_INCEPTION_V3, check_hash=True, weights_only=True)
        return FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], verbose=False).to(device)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise ResGenError("The Inception network could not be downloaded: check the network, or leave --inception out.") from error


def compare_inception(fake: ImageSet, train: ImageSet, test: ImageSet, network: nn.Module) -> dict[str, float]:
    """`likeness` in Inception features: `inception_frechet` is the FID of the papers."""

    @torch.inference_mode()
    def look(data: ImageSet) -> Tensor:
        device = next(network.parameters()).device
        return shuffled(torch.cat([network(part.to(device))[0].cpu() for part in torch.from_numpy(data.images).split(64)]))

    reference = look(train)
    sets = {"inception_": fake, "real_test_inception_": test}
    return {prefix + name: round(value, 4) for prefix, data in sets.items() for name, value in likeness(reference, look(data)).items()}


def _apart(features: Tensor, mirrored: Tensor, among: Tensor) -> Tensor:
    """Distance [N] of each image to the nearest of ``among``, as it is or ``mirrored``: training may have mirrored what it learned from."""
    return torch.minimum(*(nearest(seen, among)[0][:, 0] for seen in (features, mirrored)))


def shuffled(features: Tensor) -> Tensor:
    """Rows [N, D] in a random order, so that the first of them are a fair sample: sets come class by class."""
    return features[torch.from_numpy(np.random.default_rng(0).permutation(len(features)))]


def neighbour_rows(sampler: Sampler, train: ImageSet, judge: Judge, seeds: tuple[int, ...], count: int) -> np.ndarray:
    """For each seed the generated image and its ``count`` nearest training images by the judge's features, uint8 [seeds x (1 + count), R, R, 3]."""
    images = sampler.render(Recipe(seeds=seeds))
    _, places = nearest(judge_all(judge, images.transpose(0, 3, 1, 2)), judge_real(judge, train.images), count)
    found = train.images[places.numpy()].transpose(0, 1, 3, 4, 2)
    return np.concatenate([images[:, None], found], axis=1).reshape(-1, *images.shape[1:])


def nearest(points: Tensor, among: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Distances and places [N, count] of the nearest rows of ``among`` [M, D] to each of ``points`` [N, D]."""
    found = [torch.cdist(part, among).topk(count, dim=1, largest=False) for part in points.split(500)]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


@torch.inference_mode()
def judge_all(judge: Judge, images: np.ndarray, mirrored: bool = False, seen: Seen = ignore) -> Tensor:
    """Pooled features [N, D], on the CPU, of uint8 images [N, 3, H, W], or of these ``mirrored``; ``seen`` is told of each part of them."""
    device, found = _device_of(judge), list[Tensor]()
    for start in range(0, len(images), PART):
        part = np.ascontiguousarray(images[start : start + PART, :, :, :: -1 if mirrored else 1])
        found.append(judge.pooled(to_float(torch.from_numpy(part).to(device))).cpu())
        seen(len(part))
    return torch.cat(found)


def judge_real(judge: Judge, images: np.ndarray, mirrored: bool = False, seen: Seen = ignore) -> Tensor:
    """`judge_all`, kept in the cache: the same real images are the measure of every checkpoint.

    A file of the cache may be mapped: it is put in its place whole, and never written to again.
    """
    told = hashlib.sha256(bytes_of(images))
    for value in judge.state_dict().values():
        told.update(value.cpu().flatten().float().numpy().tobytes())
    precision = str(quick_dtype(_device_of(judge).type)).removeprefix("torch.")  # the processor's, which moves figures a little
    how = f"{getattr(judge, 'side', 0)}-{precision}{'-mirrored' * mirrored}"
    path = cache_folder() / "judged" / f"{told.hexdigest()[:32]}-{how}.safetensors"
    try:
        features = load_file(path)["features"]
        seen(len(images))
    except (OSError, SafetensorError, KeyError):
        features = judge_all(judge, images, mirrored, seen)
        with suppress(FileError, SafetensorError), whole_file(path) as partial:  # a cache that cannot be written is no reason to stop
            save_file({"features": features.contiguous()}, partial)
    _keep_last_used(path)
    return features


def _keep_last_used(path: Path) -> None:
    """Of the files beside ``path``, which is used now, only the `JUDGED_KEPT` last used stay."""
    with suppress(OSError):
        os.utime(path)
        for file in sorted(path.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)[:-JUDGED_KEPT]:
            file.unlink()


def _device_of(judge: Judge) -> torch.device:
    return next(iter(judge.state_dict().values())).device


def _accuracy(name_classes: Callable[[Tensor], Tensor], features: Tensor, data: ImageSet) -> float:
    with torch.inference_mode():
        scores = name_classes(features)
    return float((scores.argmax(1).cpu().numpy() == data.labels).mean())


def pixel_deviation(data: ImageSet, within: bool = True) -> float:
    """Standard deviation of each pixel ``within`` its class, or of all images, averaged over pixels and classes, in 0..255."""
    labels = data.labels if within else np.zeros_like(data.labels)
    return float(np.mean([_deviation(data.images, np.flatnonzero(labels == c)) for c in np.unique(labels)]))


def _deviation(images: np.ndarray, chosen: np.ndarray) -> float:
    """Standard deviation of each pixel over the ``chosen`` images, by their places, averaged over pixels; of a single image 0."""
    total, squares = np.zeros((2, *images.shape[1:]), np.int64)
    for start in range(0, len(chosen), PART):
        part = images[chosen[start : start + PART]].astype(np.int64)
        total += part.sum(axis=0)
        squares += (part**2).sum(axis=0)
    count = len(chosen)
    return float(np.sqrt((count * squares - total**2) / (count * max(1, count - 1))).mean())
