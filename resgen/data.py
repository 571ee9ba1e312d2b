"""Data sets as one uint8 array: torchvision names (downloaded), folders or zips of class folders."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from resgen.errors import DataError

CACHE = Path.home() / ".cache" / "resgen"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
SOURCES = {
    "cifar10": {"name": "CIFAR-10", "author": "Alex Krizhevsky, 2009", "licence": "none stated; a usual research set"},
    "fashion-mnist": {"name": "Fashion-MNIST", "author": "Zalando Research, 2017", "licence": "MIT"},
    "faces": {
        "name": "Drawn faces",
        "author": "DiceBear's Adventurer and Lorelei (Lisa Wischofsky), Big Smile (Ashley Seo), Micah (Micah Lanier), "
        "Open Peeps (Pablo Stanley), Personas (Draftbit), Pixel Art (DiceBear) and Toon Head (Johan Melin), drawn by data/faces",
        "licence": "Adventurer, Big Smile, Micah, Personas, Toon Head: CC BY 4.0; Lorelei, Open Peeps, Pixel Art: CC0 1.0",
    },
    "fruits": {"name": "Fruits-360", "author": "Mihai Oltean and Horea Muresan, 2017", "licence": "MIT"},
}
DOWNLOADED = ("cifar10", "fashion-mnist")  # by torchvision, into the cache


def describe_source(name: str) -> dict[str, str]:
    """What a checkpoint's card says of its data set: name, author, licence."""
    return SOURCES.get(name, {"name": name, "author": "not stated", "licence": "not stated"})


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 [N, 3, H, W] with labels int64 [N]: indices into ``classes``, in the set's own label order."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @property
    def is_grey(self) -> bool:
        """True where no pixel of the first thousand images has a colour."""
        sample = self.images[:1000]
        return bool((sample == sample[:, :1]).all())


def load_images(sources: Sequence[str], resolution: int | None = None, train: bool = True) -> ImageSet:
    """Read ``sources`` into one set: a torchvision name ('cifar10', 'fashion-mnist'), or folders and zips of class folders.

    Images whose size is not ``resolution`` (default: that of the first) are resized; transparency is laid on
    white. ``train`` picks the split of a torchvision set. Raises DataError.
    """
    if len(sources) == 1 and sources[0] in DOWNLOADED:
        return _load_torchvision(sources[0], resolution, train)
    found: list[tuple[str, Callable[[], bytes]]] = []
    for source in sources:
        found += list(_list_files(Path(source)))
    if not found:
        raise DataError(f"No image was found in {', '.join(sources)}: give a folder or zip that holds one folder per class.")
    folders = sorted({folder for folder, _ in found}, key=natural)
    classes = tuple(_class_name(folder) for folder in folders)
    if twice := [folder for folder in folders if classes.count(_class_name(folder)) > 1]:
        raise DataError(f"The folders {' and '.join(map(repr, twice[:2]))} are one class by name: rename one of them.")
    images = []
    for folder, read in found:
        image = _decode(read(), folder, resolution)
        resolution = resolution or image.shape[-1]
        images.append(image)
    labels = np.array([folders.index(folder) for folder, _ in found])
    return ImageSet(np.stack(images), labels, classes)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts names as a person would: 2 before 10."""
    return tuple((int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name[:1000]) if part)


def _class_name(folder: str) -> str:
    """A folder's class: '3-dress', numbered to keep the label order, is the class 'dress'."""
    return re.sub(r"^\d+-", "", folder)


def _list_files(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The class folder and a reader of each image in a folder or zip, in a stable order."""
    if source.is_dir():
        for path in sorted(source.rglob("*"), key=lambda path: natural(str(path))):
            if _is_image(PurePosixPath(*path.relative_to(source).parts)):
                yield path.parent.name, path.read_bytes
    elif zipfile.is_zipfile(source):
        archive = zipfile.ZipFile(source)
        for name in sorted(archive.namelist(), key=natural):
            path = PurePosixPath(name)
            if _is_image(path):
                yield path.parent.name, lambda name=name: archive.read(name)
    else:
        raise DataError(f"{source} is neither a folder, a zip nor one of {', '.join(DOWNLOADED)}.")


def _is_image(path: PurePosixPath) -> bool:
    """By its name; what macOS lays beside files (`__MACOSX/`, `._name`) is none."""
    return path.suffix.lower() in SUFFIXES and not any(part == "__MACOSX" or part.startswith("._") for part in path.parts)


def _decode(data: bytes, folder: str, resolution: int | None) -> np.ndarray:
    """File bytes -> uint8 [3, R, R]: upright, on white, cropped to a square, resized."""
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if image.mode not in ("RGB", "L"):
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"An image of class {folder!r} cannot be read: {error}.") from error
    side = resolution or min(image.size)
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    return np.asarray(image).transpose(2, 0, 1)


def _load_torchvision(name: str, resolution: int | None, train: bool) -> ImageSet:
    from torchvision import datasets

    try:
        if name == "cifar10":
            data = datasets.CIFAR10(CACHE, train=train, download=True)
            images, labels = data.data, np.array(data.targets)
        else:
            data = datasets.FashionMNIST(CACHE, train=train, download=True)
            images, labels = np.repeat(data.data.numpy()[..., None], 3, axis=3), data.targets.numpy()
    except Exception as error:  # torchvision passes on whatever the network raised
        raise DataError(f"{name} could not be downloaded; check the network, or give --data a folder or zip of class folders.") from error
    if resolution and images.shape[1] != resolution:
        images = np.stack([np.asarray(Image.fromarray(image).resize((resolution, resolution), Image.Resampling.LANCZOS)) for image in images])
    classes = tuple(label.lower().replace("/top", "").replace(" ", "-") for label in data.classes)
    return ImageSet(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels.astype(np.int64), classes)
