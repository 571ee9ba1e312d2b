"""Does memory stay as it is, however many pictures are drawn?

    python benchmarks/memory.py --pictures 5000

One visitor asks a studio for different grids of 24, of each checkpoint by turns: as a page does whose dial is held, and every tenth one as a PNG of
its own. Out come the studio's resident memory, once it has had the time to give back what is free, and its temporary files, after 100 of them and
after more. Ends with status 1 where memory at the end is over 1.05 times that after the first 100, or a picture did not come.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from served import Studio, Visitor, studio

from resgen.cli.studio import TIDY_SECONDS
from resgen.library import Library
from resgen.recipe import Recipe

FLAT = 1.05
TOLD = (100, 300, 1000, 2000, 3000, 4000)  # pictures after which it is measured
IMAGES = 24
AS_PNG = 10  # every so manieth


def recipe(number: int, names: list[str]) -> Recipe:
    seeds = tuple(range(number * IMAGES, (number + 1) * IMAGES))
    return Recipe(checkpoint=names[number % len(names)], seeds=seeds, truncation=0.5 + number % 50 / 100)


def ask(visitor: Visitor, asked: Recipe, as_png: bool) -> None:
    """Raises ValueError or httpx.HTTPError where no picture comes."""
    if as_png:
        visitor.picture(asked.to_json())
    else:
        body = json.dumps({"query": asked.to_query(), "turned": {}})
        visitor.web.post("/drawing/picture", content=body).raise_for_status()


def tell(pictures: int, served: Studio) -> float:
    """One line of the table; returns the megabytes."""
    time.sleep(TIDY_SECONDS + 2)
    files = [path for path in served.folder.rglob("*") if path.is_file()]
    size = served.megabytes()
    print(f"| {pictures:,} | {size:.0f} | {served.peak():.0f} | {len(files)} | {sum(path.stat().st_size for path in files) / 1e6:.1f} |", flush=True)
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5000)
    pictures = parser.parse_args().pictures
    names = [card.name for card in Library(device="cpu").cards()]
    print("| pictures drawn | resident MB | most so far | temporary files | of MB |\n| --- | --- | --- | --- | --- |")
    sizes = list[float]()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "place")
        place.mkdir()
        with studio(place, Path(folder, "log")) as served:
            visitor = Visitor(served.url, "only")
            for number in range(pictures):
                ask(visitor, recipe(number, names), number % AS_PNG == 0)
                if number + 1 in (*TOLD, pictures):
                    sizes.append(tell(number + 1, served))
    print(f"At the end x {sizes[-1] / sizes[0]:.3f} of what it was after the first {TOLD[0]}.")
    sys.exit(sizes[-1] > FLAT * sizes[0])


if __name__ == "__main__":
    main()
