"""Data sets as one uint8 array: torchvision names (downloaded), folders or zips of class folders."""

import hashlib
import io
import logging
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from resgen.budget import MAX_PICTURE_BYTES, MAX_PICTURE_PIXELS, MAX_RESOLUTION
from resgen.errors import DataError
from resgen.files import cache_folder, locked, open_plain

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
UNREAD = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd", ".svg", ".ppm", ".pgm", ".tga")  # pictures too
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
NAMED = 5  # files that could not be read

log = logging.getLogger(__name__)


def describe_source(name: str, author: str = "", licence: str = "") -> dict[str, str]:
    """What a checkpoint's card says of its data set: name, author, licence; of a known set also what is not given."""
    told = SOURCES.get(name, {"name": name, "author": "not stated", "licence": "not stated"})
    return {**told, **({"author": author} if author else {}), **({"licence": licence} if licence else {})}


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 [N, 3, H, W] with labels int64 [N]: indices into ``classes``, in the set's own label order."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()  # files that could not be read as pictures
    unread: tuple[str, ...] = ()  # how many pictures of which other endings were passed over: '312 .heic'
    names: tuple[str, ...] = ()  # where each image lies, its source first and '/' between; none where they were no files

    @property
    def is_grey(self) -> bool:
        """True where no pixel of a thousand images, from all classes, has a colour."""
        sample = self.images[:: len(self.images) // 1000 + 1]
        return bool((sample == sample[:, :1]).all())

    @cached_property
    def sha256(self) -> str:
        """What identifies the images, their labels and their order."""
        told = hashlib.sha256(bytes_of(self.images))
        told.update(bytes_of(self.labels.astype(np.int64)))
        return told.hexdigest()


def bytes_of(array: np.ndarray) -> memoryview:
    """An array's bytes, where they lie one after another without a copy."""
    return np.ascontiguousarray(array).reshape(-1).data


def named(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that tell images apart: a single one tells nothing, and is but the name of the folder that all lie in."""
    return classes if len(classes) > 1 else ()


def difference(classes: tuple[str, ...], others: tuple[str, ...]) -> str:
    """In which classes two sets differ, in words; "" where they have the same."""
    if named(classes) == named(others):
        return ""
    lone = sorted({*named(classes)} ^ {*named(others)}, key=natural)
    return f"only one of them has {', '.join(lone[:3])}{' and more' * (len(lone) > 3)}" if lone else "they come in another order"


def load_and_tell(sources: Sequence[str], resolution: int | None = None, train: bool = True) -> ImageSet:
    """`load_images`, and a line on stderr of the files that are left out. Raises DataError."""
    data = load_images(sources, resolution, train)
    if data.unread:
        log.warning("resgen: %s are left out: convert them to PNG or JPEG to have them too.", ", ".join(data.unread))
    if data.skipped:
        more = f" and {len(data.skipped) - NAMED} more" if len(data.skipped) > NAMED else ""
        log.warning("resgen: %s%s cannot be read as pictures, and are left out.", ", ".join(map(repr, data.skipped[:NAMED])), more)
    return data


def load_images(sources: Sequence[str], resolution: int | None = None, train: bool = True) -> ImageSet:
    """Read ``sources`` into one set: a torchvision name ('cifar10', 'fashion-mnist'), or folders and zips of class folders.

    Images are cropped to their middle square, and resized to ``resolution`` (default: the first one's shorter side); transparency is laid on
    white. ``train`` picks the split of a torchvision set. Files that cannot be read are left out, and named; pictures of endings that nothing here reads
    are counted. Raises DataError.
    """
    if len(sources) == 1 and sources[0] in DOWNLOADED:
        return _load_torchvision(sources[0], resolution, train)
    if both := [source for source in sources if source in DOWNLOADED]:
        raise DataError(f"{both[0]} is a set by itself: give --data once, or its images as folders or zips.")
    with ExitStack() as archives:
        pictures = [file for source in sources for file in _list_files(Path(source), archives)]
        found = [file for file in pictures if _ending(file.name) in SUFFIXES]
        counts = Counter(_ending(file.name) for file in pictures if _ending(file.name) in UNREAD)
        unread = tuple(f"{count:,} {ending}" for ending, count in counts.most_common())
        if not found:
            instead = f"it holds {', '.join(unread)}: convert them first" if unread else "give a folder or zip of pictures, one folder per class"
            raise DataError(f"No image was found in {', '.join(sources)}: {instead}. What is read ends with {', '.join(SUFFIXES)}.")
        images, read, skipped = _decode_all(found, resolution)
    folders = sorted({file.folder for file in read}, key=natural)
    classes = tuple(map(_class_name, folders))
    if twice := [folder for folder in folders if classes.count(_class_name(folder)) > 1]:
        raise DataError(f"The folders {' and '.join(map(repr, twice[:2]))} are one class by name: rename one of them.")
    places = {folder: index for index, folder in enumerate(folders)}
    labels = np.array([places[file.folder] for file in read])
    return ImageSet(images, labels, classes, tuple(skipped), unread, tuple(f"{file.source}/{file.name}" for file in read))


@dataclass(frozen=True)
class ImageFile:
    """A picture of a data set, in a folder or a zip."""

    source: str
    name: str  # in its source
    folder: str  # of its class
    read: Callable[[], bytes]  # raises DataError


def _decode_all(files: Sequence[ImageFile], resolution: int | None) -> tuple[np.ndarray, list[ImageFile], list[str]]:
    """The images [N, 3, R, R], the file of each, and the names of files that are none. Raises DataError where all are none."""
    images = np.empty((0, 3, 0, 0), np.uint8)
    read: list[ImageFile] = []
    skipped: list[str] = []
    why = ""
    for file in files:
        try:
            image = _square(open_picture(file.read()), resolution)
        except DataError as error:
            skipped.append(file.name)
            why = why or str(error)
            continue
        if not read:
            resolution = side = int(image.shape[-1])
            if side > MAX_RESOLUTION:
                raise DataError(f"{file.name} has {side:,} pixels a side; give --resolution, {MAX_RESOLUTION} at most.")
            images = np.empty((len(files), *image.shape), np.uint8)  # at once: a list that is stacked in the end takes twice the memory
        images[len(read)] = image
        read.append(file)
    if not read:
        raise DataError(f"None of the {len(files):,} images can be read; {skipped[0]}: {why}")
    return images[: len(read)], read, skipped


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts names as a person would: 2 before 10."""
    return tuple((int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name[:1000]) if part)


def _class_name(folder: str) -> str:
    """A folder's class: '3-dress', numbered to keep the label order, is the class 'dress'."""
    return re.sub(r"^\d+-", "", folder)


def _list_files(source: Path, archives: ExitStack) -> Iterator[ImageFile]:
    """The pictures in a folder or zip, by their endings, in a stable order; a zip stays open as long as ``archives``. Raises DataError."""
    if source.is_dir():
        for path in sorted(source.rglob("*"), key=lambda path: natural(str(path))):
            if _is_picture(PurePosixPath(*path.relative_to(source).parts)):
                yield ImageFile(source.as_posix(), path.relative_to(source).as_posix(), path.parent.name, lambda path=path: _read_file(path))
    elif source.is_file() and zipfile.is_zipfile(source):
        archive = archives.enter_context(_open_zip(source))
        for name in sorted(archive.namelist(), key=natural):
            path = PurePosixPath(name)
            if _is_picture(path):
                yield ImageFile(source.as_posix(), name, path.parent.name, lambda name=name: _read_entry(archive, name))
    else:
        raise DataError(f"{source} is neither a folder, a zip nor one of {', '.join(DOWNLOADED)}.")


def _read_file(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return _bounded(file.read(MAX_PICTURE_BYTES + 1))
    except OSError as error:
        raise DataError(f"It cannot be read: {error.strerror or error}.") from error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is a damaged zip: make it again.") from error


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """What a zip holds under a name, whatever size it says that has: an entry may unpack to much more than it is."""
    try:
        with archive.open(name) as file:
            return _bounded(file.read(MAX_PICTURE_BYTES + 1))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise DataError(f"It cannot be unpacked: {error}.") from error


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_PICTURE_BYTES:
        raise DataError(f"It has more than {MAX_PICTURE_BYTES // 1_000_000} million bytes.")
    return data


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_picture(path: PurePosixPath) -> bool:
    """By its ending; what macOS lays beside files (`__MACOSX/`, `._name`) is none."""
    return _ending(path.name) in SUFFIXES + UNREAD and not any(part == "__MACOSX" or part.startswith("._") for part in path.parts)


def open_picture(source: Path | bytes, most: int = MAX_PICTURE_PIXELS) -> Image.Image:
    """A picture in a file of one of `PICTURE_FORMATS`: upright, RGB or RGBA, at most ``most`` pixels. Raises DataError. All strangers' pictures pass here."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open_plain(source) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders' own, of a size that the limit here is stricter with and of bad notes beside the pixels
            return _decode(file, most)
    except (DataError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"There is no file {error.filename or source}.") from error
    except Exception as error:  # decoders fail in many ways on a file that only looks like a picture
        raise DataError("This file cannot be read as a picture; use a PNG, JPEG, WebP, GIF, BMP or TIFF.") from error


def _decode(file: BinaryIO, most: int) -> Image.Image:
    picture = Image.open(file, formats=PICTURE_FORMATS)
    if picture.width * picture.height > most:
        raise DataError(f"This picture has {picture.width:,} x {picture.height:,} pixels, more than {most:,}; make it smaller first.")
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)  # a copy of what needs no turning would be another few hundred megabytes
    return _eight_bits(picture).convert("RGBA" if picture.has_transparency_data else "RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Sixteen-bit and floating-point greys, which Pillow would cut off at 255, brought to 0..255."""
    if picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture))
        values *= 255 / max(1.0, float(values.max()))
    elif picture.mode == "I" or picture.mode.startswith("I;16"):
        values = np.asarray(picture).clip(0, 65535).astype(np.uint32)
        values *= 255
        values //= 65535
    else:
        return picture
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def on_white(picture: Image.Image) -> Image.Image:
    """What is transparent of an RGB or RGBA picture laid on white, as RGB."""
    if picture.mode == "RGB":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _square(picture: Image.Image, resolution: int | None) -> np.ndarray:
    """A picture -> uint8 [3, R, R]: on white, cropped to a square, resized."""
    image = on_white(picture)
    side = resolution or min(image.size)
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    return np.asarray(image).transpose(2, 0, 1)


def _load_torchvision(name: str, resolution: int | None, train: bool) -> ImageSet:
    from torchvision import datasets

    kind: Any = datasets.CIFAR10 if name == "cifar10" else datasets.FashionMNIST
    try:
        with locked(cache_folder() / f"{name}.lock"):  # of the processes of a training one downloads, and the others find it
            data = kind(cache_folder(), train=train, download=True)
    except Exception as error:  # torchvision passes on whatever the network raised
        raise DataError(f"{name} could not be downloaded; check the network, or give --data a folder or zip of class folders.") from error
    labels = np.asarray(data.targets)
    images = np.asarray(data.data)
    if images.ndim == 3:  # of greys
        images = np.repeat(images[..., None], 3, axis=3)
    if resolution and images.shape[1] != resolution:
        images = np.stack([np.asarray(Image.fromarray(image).resize((resolution, resolution), Image.Resampling.LANCZOS)) for image in images])
    classes = tuple(label.lower().replace("/top", "").replace(" ", "-") for label in data.classes)
    return ImageSet(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels.astype(np.int64), classes)
