"""Choices on the Explore screen that change several controls at once: a generator, variations, classes."""

from playwright.sync_api import Page, expect

from resgen.recipe import Recipe
from tests.browser.conftest import OPENING, Visit, choose_generator, enter, explored, number, painted, pixels, redrawn, settled


def pick(page: Page, label: str, option: str) -> None:
    page.get_by_label(label).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_another_generator_takes_over_what_belongs_to_any_without_a_word(page: Page) -> None:
    redrawn(page, lambda: page.get_by_label("One class").check())
    redrawn(page, lambda: pick(page, "Class to show", OPENING.classes[2]))
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    redrawn(page, lambda: enter(number(page, "truncation"), "0.7"))
    redrawn(page, lambda: page.click("#next"))
    redrawn(page, lambda: choose_generator(page, "cifar10"))  # a message would fail this test
    assert explored(page) == Recipe(checkpoint="cifar10", seeds=tuple(range(24, 48)), truncation=0.7, columns=6, scale=4)  # saved images are as large
    expect(page.get_by_label("From the seed")).to_be_checked()
    expect(number(page, "direction-1")).to_have_value("0")
    redrawn(page, lambda: page.get_by_label("One class").check())
    redrawn(page, lambda: pick(page, "Class to show", "ship"))
    redrawn(page, lambda: choose_generator(page, "fashion-mnist"))
    redrawn(page, lambda: choose_generator(page, "fruits"))
    assert explored(page).classes == ()


def test_variations_of_a_variation_are_of_that_image(page: Page) -> None:
    start, tiles = pixels(page), page.locator("#grid .rg-tiles button")
    close_up = page.locator("#grid .rg-close-up canvas")
    tiles.nth(7).click()
    redrawn(page, lambda: page.get_by_role("button", name="Make variations").click())
    first = explored(page)
    tiles.nth(5).click()
    seen = close_up.evaluate("canvas => canvas.toDataURL()")
    redrawn(page, lambda: page.get_by_role("button", name="Make variations").click())
    second = explored(page)
    assert second.variation_of == 7 and second.variation_path == ((5, first.variation_strength),)
    redrawn(page, lambda: enter(number(page, "variation-strength"), "0"))
    tiles.nth(11).click()
    assert close_up.evaluate("canvas => canvas.toDataURL()") == seen, "of no strength, a variation is the image itself"
    redrawn(page, lambda: page.get_by_role("button", name="Back to all seeds").click())
    assert pixels(page) == start and explored(page).classes == ()


def test_back_from_variations_of_a_link_leaves_no_class_fixed(visit: Visit) -> None:
    recipe = Recipe(checkpoint="fruits", seeds=tuple(range(6)), classes=("banana",), variation_of=3, columns=6)
    page = visit("?" + recipe.to_query())
    redrawn(page, lambda: page.get_by_role("button", name="Back to all seeds").click())
    assert explored(page).variation_of is None and explored(page).classes == ()


def test_rows_taken_away_all_at_once_are_drawn_from_the_seed(visit: Visit) -> None:
    page = visit("?checkpoint=fruits")  # more classes than rows are begun with
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    settled(page, 1)
    assert len(explored(page).classes) == 10
    page.locator("#controls .token-remove.remove-all:visible").click()
    painted(page, "^(?!.*classes=)")
    assert explored(page).classes == ()
    assert page.locator("#grid .rg-tiles button").count() == 10, "rows were of ten seeds"


def test_a_row_taken_away_is_gone_from_the_picture(visit: Visit) -> None:
    page = visit("?checkpoint=fruits")  # more classes than rows are begun with
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    redrawn(page, lambda: page.locator("#controls .token-remove:visible").first.click())
    assert len(explored(page).classes) == 9
    expect(page.locator("#grid .rg-rows span")).to_have_count(9)


def test_a_mix_emptied_or_without_weight_is_drawn_in_equal_shares(page: Page) -> None:
    redrawn(page, lambda: page.get_by_label("A mix").check())
    names = [name for name, _ in explored(page).class_mix]
    even = pixels(page)
    redrawn(page, lambda: enter(number(page, "share-1"), "0"))
    assert explored(page).class_mix == ((names[0], 0), (names[1], 1))
    redrawn(page, lambda: enter(number(page, "share-2"), "0"))
    assert pixels(page) == even, "no weight at all is as much for each"
    redrawn(page, lambda: pick(page, "Classes to mix", OPENING.classes[2]))
    assert [name for name, _ in explored(page).class_mix] == [*names, OPENING.classes[2]]
    redrawn(page, lambda: page.locator("#controls .token-remove.remove-all:visible").click())
    assert [name for name, _ in explored(page).class_mix] == names
