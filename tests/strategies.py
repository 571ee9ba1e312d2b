"""Every kind of recipe, for property tests: all its fields, names as a checkpoint or a stranger may give them, numbers at their limits."""

from hypothesis import strategies as st

from resgen.budget import MAX_BLOCKS
from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk
from resgen.recipe import MAX_SEED, PLANE_HEIGHT, PLANE_WIDTH, Recipe, pack_vector

SEPARATORS = ";:=%,@&+ #/'\"\\\n\u00a0\u3000"
letters = st.one_of(st.sampled_from(SEPARATORS), st.characters(codec="utf-8"))
names = st.one_of(st.sampled_from(["pc1", "cat", "a;b", " x", "x ", "%2C", "1=2,3", "7@cat", "é", "🙂"]), st.text(letters, min_size=1, max_size=8))
own_names = st.one_of(st.sampled_from(["own", " a-b_c ", "été", "x" * 40]), st.text("ab9_- ß", min_size=1, max_size=8))
seeds = st.one_of(st.integers(0, 20), st.integers(0, MAX_SEED), st.just(MAX_SEED))
packed = st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1, max_size=4).map(pack_vector)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high)  # which likes its limits


def several(values: st.SearchStrategy, most: int = 3, least: int = 0, unique: bool = False) -> st.SearchStrategy[tuple]:
    return st.lists(values, min_size=least, max_size=most, unique=unique).map(tuple)


def pairs(names: st.SearchStrategy[str], low: float, high: float, least: int = 0) -> st.SearchStrategy[tuple]:
    """(name, number), each name once."""
    return st.dictionaries(names, numbers(low, high), min_size=least, max_size=3).map(lambda chosen: tuple(chosen.items()))


@st.composite
def recipes(draw: st.DrawFn, single: bool = False, checkpoint: str | None = None) -> Recipe:
    """A recipe with any of its fields; ``single``: of one image."""
    values: dict = {"checkpoint": draw(names) if checkpoint is None else checkpoint}
    few = 1 if single else 3
    values["columns"] = 1 if single else draw(st.one_of(st.integers(2, 9), st.just(100)))
    if draw(st.booleans()):
        values["seeds"] = draw(several(seeds, few, 1))
    elif single:
        values["seeds"] = (3,)
    points = draw(st.sampled_from(["seeds", "latents", "plane", "variations"]))
    if points == "latents":
        values["latents"] = draw(several(packed, few, 1))
    elif points == "plane":
        values["plane"] = (draw(numbers(0, PLANE_WIDTH)), draw(numbers(0, PLANE_HEIGHT)), draw(numbers(0, 10)))
        values["columns"] = min(values["columns"], 9)
        values["plane_rows"] = draw(st.integers(0, 1 if single else 9))
    elif points == "variations":
        values |= {"variation_of": draw(seeds), "variation_strength": draw(numbers(0, 1))}
        values["variation_path"] = draw(several(st.tuples(seeds, numbers(0, 1))))
    if points != "latents":
        classes = draw(st.sampled_from(["", "classes", "class_mix"]))
        if classes == "classes":
            values["classes"] = draw(several(names, few))
        elif classes:
            values["class_mix"] = draw(pairs(names, 0, 1000))
    values["truncation"] = draw(numbers(0, 1.5))
    values["directions"] = draw(pairs(names | own_names, -10, 10))
    values["own_directions"] = tuple(draw(st.dictionaries(own_names, packed, max_size=3)).items())
    if draw(st.booleans()):
        places = st.integers(0, 5) | st.just(99_999)
        values["edits"] = tuple(draw(st.dictionaries(places, pairs(names, -27, 27, 1), max_size=3)).items())
    if not single:
        values["sweep"] = draw(st.just("") | names)
    values["residual_gains"] = draw(several(numbers(0, 2), 4))
    values["scale"] = draw(st.integers(1, 16))
    return Recipe(**values)


simple = st.builds(lambda seed, label: Recipe(checkpoint="a;b", seeds=(seed,), classes=label, columns=1), seeds, several(names, 1))


def images(most: int = 3, least: int = 1) -> st.SearchStrategy[tuple[Recipe, ...]]:
    """Recipes of one image each, of one checkpoint; all but the first are simple, since others take long to make up."""
    return st.builds(lambda first, rest: (first, *rest), recipes(single=True, checkpoint="a;b"), several(simple, most - 1, least - 1))


def walks(stops: st.SearchStrategy[tuple[Recipe, ...]] | None = None) -> st.SearchStrategy[Walk]:
    times = st.one_of(st.tuples(numbers(0.2, 30), st.integers(1, 60)), st.tuples(numbers(0.2, 60), st.integers(1, 30)))
    rest = {"loop": st.booleans(), "path": st.sampled_from("zw"), "pace": st.sampled_from(["even", "eased"]), "scale": st.integers(1, 16)}
    return st.builds(
        lambda stops, time, **rest: Walk(stops=stops, seconds=time[0], fps=time[1], **rest), images(3, 2) if stops is None else stops, times, **rest
    )


def mixes() -> st.SearchStrategy[StyleMix]:
    blocks = several(st.integers(0, MAX_BLOCKS - 1), 4, unique=True)
    return st.builds(StyleMix, rows=images(2), columns=several(simple, 2, 1), blocks=blocks, scale=st.integers(1, 16))


def comparisons() -> st.SearchStrategy[Comparison]:
    return st.builds(Comparison, recipe=recipes(), checkpoints=several(names, 3, 1))


def anatomies() -> st.SearchStrategy[AnatomyOf]:
    return st.builds(AnatomyOf, recipe=recipes(single=True))


KINDS: dict[str, st.SearchStrategy] = {
    "recipe": recipes(),
    "walk": walks(),
    "mix": mixes(),
    "compare": comparisons(),
    "anatomy": anatomies(),
}
any_recipe: st.SearchStrategy[AnyRecipe] = st.one_of(*KINDS.values())

# What a stranger may send in a recipe's place.
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.integers(10**300, 10**310), st.floats(), names, st.sampled_from(["1-3", "pc1=2", "0:a=1"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
