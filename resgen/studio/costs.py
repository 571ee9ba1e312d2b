"""What a request would take, refused where it is more than the studio's budget gives: by the recipe and the cards alone, before anything is drawn."""

from collections.abc import Callable, Sequence

from resgen.budget import Budget
from resgen.composite import AnatomyOf, AnyRecipe, Comparison, Walk, painters
from resgen.errors import ResGenError
from resgen.invert import STARTS
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.sampler import micro_batch

COPIES, BATCH_COPIES = 3, 5  # of a request's pixels while they are brought into a file, and of a batch's features while it is drawn
SEARCH_COPIES = 20  # of the features of all starts of an inversion, which are kept to go back through


class Costs:
    """Holds requests against a budget; each check raises RecipeError where one would be too much, and ResGenError where a checkpoint cannot be read."""

    def __init__(self, library: Library, budget: Budget) -> None:
        self.library, self.budget = library, budget

    def check(self, recipe: AnyRecipe) -> None:
        """A recipe, and its images."""
        self.check_recipe(recipe)
        self.check_pictures(recipe, self._pictures(recipe))

    def allows(self, recipe: AnyRecipe) -> bool:
        try:
            self.check(recipe)
        except ResGenError:
            return False
        return True

    def fitted(self, recipe: Recipe) -> Recipe:
        """A recipe with fewer of its seeds, and at last one, where so many images would be too much."""
        if len(recipe.seeds) == 1 or self.allows(recipe):
            return recipe
        few = recipe.seeds[: len(recipe.seeds) // 2]
        return self.fitted(recipe.changed(seeds=few, columns=min(recipe.columns, len(few))))

    def opening(self, first: Callable[[str], Recipe]) -> Recipe:
        """What is shown where nobody has said what: the ``first`` images of the best checkpoint of which any may be drawn, as many as may be.

        Raises CheckpointError where there is no checkpoint.
        """
        fitted = (self.fitted(first(name)) for name in self.library.drawable())
        return next(filter(self.allows, fitted), None) or first(self.library.first())

    def check_recipe(self, recipe: AnyRecipe) -> None:
        """How long a recipe is, and what is answered to it."""
        check = self.budget.check
        for part in (recipe,) if isinstance(recipe, Recipe) else recipe.parts():
            check("directions", len(part.directions) + max((len(pairs) for _, pairs in part.edits), default=0))
            check("edits", len(part.edits))
            check("vector", max((len(packed) * 3 // 8 for packed in (*part.latents, *(own for _, own in part.own_directions))), default=0))
        length = len(recipe.to_query())
        check("characters", length)
        check("reply_characters", length * recipe.count)

    def check_pictures(self, like: AnyRecipe, count: int) -> None:
        """``count`` pictures as those of a recipe."""
        pixels = count * self._area(like)
        self.budget.check("images", count)
        self.budget.check("pixels", pixels)
        self._check_memory(painters(like), pixels)

    def check_saved(self, recipe: AnyRecipe) -> None:
        """The picture that a recipe is saved as, beside the recipe itself."""
        scale = getattr(recipe.recipe if isinstance(recipe, Comparison | AnatomyOf) else recipe, "scale", 1)
        places = -(-recipe.count // recipe.across) * recipe.across if isinstance(recipe, Recipe) else self._pictures(recipe)
        self.budget.check("saved_pixels", places * self._area(recipe) * scale**2)

    def check_film(self, walk: Walk) -> None:
        """A walk, whose frames are not kept together."""
        self.check_recipe(walk)
        self._check_memory(painters(walk))
        self.budget.check("frames", walk.frames)
        self.budget.check("film_pixels", walk.frames * self._area(walk) * walk.scale**2)

    def check_looking(self, name: str, count: int) -> None:
        """So many images of a checkpoint to look at, none of which is kept."""
        self.budget.check("candidates", count)
        self._check_memory((name,))

    def check_search(self, name: str, steps: int) -> None:
        """So many steps of looking for a picture's latent, and what one of them takes."""
        self.check_looking(name, steps)
        self.budget.check("megabytes", SEARCH_COPIES * 4 * STARTS * self.library.card(name).arch.features / 1e6, "look for it with `resgen invert`")

    def at_once(self, recipe: AnyRecipe) -> int:
        """How many of a recipe's images may be drawn at once, at least one."""
        return max(1, self.budget.pixels // self._area(recipe))

    def _check_memory(self, names: Sequence[str], pixels: int = 0) -> None:
        """Drawing by some checkpoints; ``pixels`` of images are kept together."""
        archs = [self.library.card(name).arch for name in names]
        batch = max(micro_batch(arch) * arch.features for arch in archs)
        self.budget.check("megabytes", (COPIES * 3 * pixels + BATCH_COPIES * 4 * batch) / 1e6)

    def _pictures(self, recipe: AnyRecipe) -> int:
        """How many pictures a recipe's plate holds: an anatomy has three of each block that can be dialled."""
        if not isinstance(recipe, AnatomyOf):
            return recipe.count
        card = self.library.card(recipe.checkpoint)
        return len(card.block_names) * (3 if card.arch.dials else 1)

    def _area(self, recipe: AnyRecipe) -> int:
        """Pixels of each of a recipe's images: beside larger ones smaller ones are brought to their size."""
        return max(self.library.card(name).arch.resolution for name in painters(recipe)) ** 2
