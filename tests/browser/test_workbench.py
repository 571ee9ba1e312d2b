"""The workbench: the picture stays in sight of its controls, nothing moves that was not asked to, and it follows the hand."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from resgen.recipe import Recipe, pack_vector
from tests.browser.conftest import (
    OPENING,
    PATIENCE,
    Visit,
    await_request,
    choose_generator,
    colours,
    enter,
    explored,
    functions,
    href,
    library,
    number,
    open_tab,
    painted,
    pixels,
    redrawn,
    repainted,
    routed,
    said,
    settled,
    show_group,
    shown,
    strip,
)  # fmt: skip

WINDOWS = {"laptop": (1280, 800), "large": (1920, 1080), "phone": (390, 844)}
PLACES = """() => Object.fromEntries(["#grid .rg-stage", "#grid .rg-pane", "#actions", "#controls", "#blocks", "#pinned", "#head"].map((where) => {
  const box = document.querySelector(where).getBoundingClientRect();
  return [where, [box.x, box.y, box.width, box.height]];
}))"""


@pytest.fixture(params=list(WINDOWS))
def window(request: pytest.FixtureRequest, visit: Visit) -> Page:
    """The app in a window of one of the sizes."""
    width, height = WINDOWS[request.param]
    return visit(width="phone" if width < 768 else "desktop", size=(width, height))


def in_sight(page: Page) -> bool:
    """Whether the whole grid lies inside the window, and nothing of the bars over it."""
    box, size = page.locator("#grid .rg-stage").bounding_box(), page.viewport_size
    assert box and size
    return box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= size["width"] and box["y"] + box["height"] <= size["height"]


CONTROLS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "seeds": ("Seeds", lambda page: page.locator("#seeds textarea, #seeds input").first.focus()),
    "next": ("Seeds", lambda page: page.click("#next")),
    "plane": ("Seeds", lambda page: page.locator(".rg-pad").press("ArrowRight")),
    "columns": ("Seeds", lambda page: page.get_by_role("button", name="Layout").click()),
    "class": ("Class", lambda page: page.get_by_label("One class").check()),
    "truncation": ("Change", lambda page: enter(number(page, "truncation"), "0.5")),
    "the last direction": ("Change", lambda page: enter(number(page, "direction-8"), "2")),
    "a block": ("Blocks", lambda page: enter(number(page, "block-5"), "0.5")),
}


def test_the_grid_stays_in_sight_while_any_control_is_moved(window: Page) -> None:
    for group, move in CONTROLS.values():
        show_group(window, group)
        move(window)
        assert in_sight(window)
    assert window.evaluate("document.documentElement.scrollHeight <= window.innerHeight + 1"), "the page itself scrolls"
    if (window.viewport_size or {})["width"] < 768:
        redrawn(window, lambda: window.click("#reset"))
        box = window.locator("#grid .rg-tiles button").first.bounding_box()
        assert box and box["width"] >= 80, "images are large enough for a thumb"


def test_choosing_pinning_and_switching_screens_moves_nothing_else(window: Page) -> None:
    before = window.evaluate(PLACES)
    window.evaluate("document.querySelector('#grid .rg-here').toggleAttribute('hidden')")  # it comes where the page may draw
    assert window.evaluate(PLACES) == before
    window.locator("#grid .rg-tiles button").nth(3).click()
    assert window.evaluate(PLACES) == before
    window.keyboard.press("p")
    expect(window.locator("#tray .rg-pin")).to_have_count(1)
    assert window.evaluate(PLACES) == before
    window.locator("#grid .rg-tiles button").nth(3).press("Escape")
    open_tab(window, "About")
    open_tab(window, "Explore")
    assert window.evaluate(PLACES) == before


def drag(page: Page, right: float, down: float, hold: bool = False) -> None:
    """Drag the grid by so many images, from the middle of its second image in the second row."""
    box = page.locator("#grid .rg-tiles button").nth(explored(page).columns + 1).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right * (box["width"] + 2), y + down * (box["height"] + 2), steps=8)
    if not hold:
        page.mouse.up()


def test_dragging_the_grid_wanders_the_seed_plane(visit: Visit) -> None:
    page = visit()
    drag(page, 1, 0)
    # Under the hand was seed 7, the point (7, 0), in the second column of six and the second row of four; it has gone to the third column.
    painted(page, "plane=7.125%2C0.125%2C0.25&plane_rows=4")
    drag(page, -2, 0.5)
    painted(page, "plane=7.625%2C0%2C0.25")
    redrawn(page, lambda: page.get_by_role("button", name="Back to seeds").click())
    assert explored(page).seeds == tuple(range(24)) and explored(page).plane is None


def test_a_press_that_ends_outside_the_grid_drags_nothing(visit: Visit) -> None:
    page = visit()
    box = page.locator("#grid .rg-stage").bounding_box()
    assert box
    page.mouse.move(box["x"] + 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] - 2, box["y"] + 50)
    page.mouse.up()
    page.mouse.move(box["x"] + 100, box["y"] + 50, steps=3)
    assert page.evaluate(FOLLOWED)
    redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))
    assert explored(page).plane is None


def touch(page: Page, where: str = "#grid .rg-stage") -> Callable[..., object]:
    """A hand on the grid: `touch("Start", (x, y), ...)`, "Move" and "End" with the fingers that are down, in shares of the grid as it lies there now."""
    box = page.locator(where).bounding_box()
    assert box
    client = page.context.new_cdp_session(page)

    def act(kind: str, *fingers: tuple[float, float]) -> object:
        points = [{"id": i, "x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for i, (x, y) in enumerate(fingers)]
        return client.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    return act


WIDE = "() => getComputedStyle(document.querySelector('#grid .rg-tiles')).gridTemplateColumns.split(' ').length"
FOLLOWED = "document.querySelector('#grid .rg-canvas').style.transform === ''"  # what is painted is what is wanted


def test_a_phone_shows_a_window_under_the_hand_as_it_comes_once_all_fingers_are_lifted(visit: Visit) -> None:
    page = visit("?" + Recipe(checkpoint="fruits", seeds=tuple(range(24)), columns=6).to_query(), width="phone")
    settled(page, 0)
    assert page.evaluate(WIDE) == 5  # in which the images are largest
    hand = touch(page)
    hand("Start", (0.6, 0.3))
    repainted(page, lambda: hand("Move", (0.5, 0.2)))
    page.wait_for_function(FOLLOWED)
    held = colours(pixels(page))
    assert page.evaluate(WIDE) == 6
    assert np.array_equal(colours(redrawn(page, lambda: hand("End"))), held)
    plane = explored(page).plane
    assert plane and plane[2] == 0.25
    hand = touch(page)
    hand("Start", (0.4, 0.5))
    hand("Start", (0.4, 0.5), (0.6, 0.5))
    hand("Move", (0.3, 0.5), (0.7, 0.5))
    hand("End", (0.3, 0.5))
    assert explored(page).plane == plane, "one finger is down still"
    redrawn(page, lambda: hand("End"))
    zoomed = explored(page).plane
    assert zoomed and zoomed[2] == pytest.approx(0.125)


def test_what_is_drawn_follows_the_hand_before_the_next_picture_comes(visit: Visit) -> None:
    page = visit()
    for where in ("**/gradio_api/queue/**", "**/drawing/picture"):
        routed(page, where, lambda route: None)  # no picture will come
    drag(page, 0.5, 0.25, hold=True)
    moved = page.eval_on_selector("#grid .rg-canvas", "canvas => new DOMMatrix(getComputedStyle(canvas).transform).m41")
    tile = page.locator("#grid .rg-tiles button").first.bounding_box()
    assert tile and moved == pytest.approx(0.5 * (tile["width"] + 2), abs=2)
    page.mouse.up()
    page.wait_for_function(FOLLOWED)  # what does not come is not waited for for ever


def test_what_the_pad_asks_for_is_not_shown_where_the_hand_on_the_picture_left_it(visit: Visit) -> None:
    page = visit("?" + Recipe(checkpoint="fruits", seeds=(0,), plane=(40.0, 30.0, 0.2), plane_rows=4, columns=6).to_query())
    held, is_slow = list[Route](), True
    for where in ("**/gradio_api/queue/join*", "**/drawing/picture"):
        routed(page, where, lambda route: held.append(route) if is_slow else route.continue_())
    drag(page, 1, 0)
    assert not page.evaluate(FOLLOWED)
    page.locator(".rg-pad").press("ArrowRight")
    is_slow = False
    for route in held:
        route.continue_()
    painted(page, "plane=39[.]9%2C30%2C")
    assert page.evaluate(FOLLOWED)
    page.unroute("**/gradio_api/queue/join*")
    page.unroute("**/drawing/picture")


def test_a_finger_scrolls_what_it_cannot_drag(visit: Visit) -> None:
    touched = "() => getComputedStyle(document.querySelector('#grid .rg-tiles')).touchAction"
    page = visit(
        "?" + Recipe(checkpoint="fashion-mnist", seeds=(0, 1), classes=tuple(library.card("fashion-mnist").classes[:2]), columns=2).to_query(),
        width="phone",
    )
    assert page.evaluate(touched) == "auto"
    choose_generator(page, "fruits")
    redrawn(page, lambda: page.click("#random"))
    page.wait_for_function(f"({touched})() === 'none'")


def test_the_wheel_zooms_about_the_pointer(visit: Visit) -> None:
    recipe = Recipe(checkpoint="fruits", seeds=tuple(range(24)), plane=(40.0, 30.0, 0.2), plane_rows=4, columns=6)
    page = visit("?" + recipe.to_query())
    box = page.locator("#grid .rg-tiles button").nth(9).bounding_box()  # the fourth of the second row
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    swipe = "tiles => tiles.dispatchEvent(new WheelEvent('wheel', { deltaX: 100, bubbles: true, cancelable: true }))"
    assert page.eval_on_selector("#grid .rg-tiles", swipe), "a swipe sideways is the browser's"
    redrawn(page, lambda: page.mouse.wheel(0, -400))
    painted(page, "plane=40[.]0")
    zoomed = explored(page).plane
    assert zoomed and zoomed[2] < 0.15
    assert zoomed[0] + 0.5 * zoomed[2] == pytest.approx(40 + 0.5 * 0.2, abs=0.02), "what is under the pointer stays there"


def test_before_is_shown_while_the_key_is_held(visit: Visit) -> None:
    page = visit()
    start = pixels(page)
    turned = redrawn(page, lambda: enter(number(page, "direction-1"), "4"))
    page.locator("#grid .rg-tiles button").first.focus()
    page.keyboard.down("b")
    expect(page.locator("#grid .rg-before")).to_be_visible()
    page.wait_for_function("start => document.querySelector('#grid .rg-canvas').toDataURL() === start", arg=start)
    page.keyboard.up("b")
    expect(page.locator("#grid .rg-before")).to_have_count(0)
    assert pixels(page) == turned
    page.keyboard.down("b")
    link = href(page)
    enter(number(page, "direction-2"), "-3")
    page.wait_for_function("link => location.href !== link", arg=link, timeout=PATIENCE)
    assert pixels(page) == start, "what comes meanwhile is not shown yet"
    page.evaluate("window.dispatchEvent(new Event('blur'))")  # the key is let go in another window
    expect(page.locator("#grid .rg-before")).to_have_count(0)
    assert pixels(page) not in (start, turned)


def test_before_a_strip_is_that_strip(visit: Visit) -> None:
    page = visit()
    for name in OPENING.direction_names[:2]:
        start = redrawn(page, lambda name=name: strip(page, name))
        page.locator("#grid .rg-tiles button").first.focus()
        page.keyboard.down("b")
        expect(page.locator("#grid .rg-before")).to_be_visible()
        assert pixels(page) == start, f"nothing was turned along {name}"
        page.keyboard.up("b")


def test_nothing_is_called_before_until_it_is_there(visit: Visit) -> None:
    """While the server has not answered, what is on screen is what was turned."""
    page = visit()
    redrawn(page, lambda: enter(number(page, "direction-1"), "4"))
    page.locator("#grid .rg-tiles button").first.focus()
    held, is_slow = list[Route](), True
    routed(page, "**/gradio_api/queue/join*", lambda route: held.append(route) if is_slow else route.continue_())
    page.keyboard.down("b")
    await_request(page, held, functions(page, "grid", "undo"))
    expect(page.locator("#grid .rg-before")).to_have_count(0)
    is_slow = False
    for route in held:
        route.continue_()
    expect(page.locator("#grid .rg-before")).to_be_visible()
    page.keyboard.up("b")
    page.unroute("**/gradio_api/queue/join*")


def test_on_a_phone_what_was_tapped_large_is_closed_again(visit: Visit) -> None:
    page = visit(width="phone")
    show_group(page, "Blocks")
    look = page.locator("#blocks .rg-look:visible").first
    expect(look).to_be_visible()
    look.dispatch_event("pointerenter", {"pointerType": "touch"})
    look.dispatch_event("pointerleave", {"pointerType": "touch"})
    look.dispatch_event("click")  # as Safari taps: what is tapped gets no focus
    sheet = page.locator("#grid .rg-close-up")
    expect(sheet).to_be_visible()
    sheet.get_by_role("button", name="Close").click()
    expect(sheet).to_be_hidden()


def test_on_a_phone_the_image_that_was_chosen_last_is_edited_once_its_sheet_is_closed(visit: Visit) -> None:
    page = visit(width="phone")
    page.locator("#grid .rg-tiles button").nth(2).click()
    page.locator("#grid .rg-close-up").get_by_role("button", name="Close").click()
    show_group(page, "Change")
    page.get_by_role("radio", name="The chosen image").click()
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    ((place, _),) = explored(page).edits
    assert place == 2


def test_a_phone_does_not_zoom_into_a_field_and_a_finger_finds_the_sliders(visit: Visit) -> None:
    page = visit(width="phone")
    for group in ("Seeds", "Change"):
        show_group(page, group)
        sizes = page.eval_on_selector_all(
            "textarea, input[type=text], input[type=number]", "fields => fields.map((field) => parseFloat(getComputedStyle(field).fontSize))"
        )
        assert sizes and min(sizes) >= 16
    heights = page.eval_on_selector_all("#controls input[type=range]", "dials => dials.map((dial) => dial.offsetHeight).filter(Boolean)")
    assert heights and min(heights) >= 24


def test_on_a_phone_images_without_a_class_say_so(visit: Visit) -> None:
    arch = library.card("fruits").arch
    found = Recipe(checkpoint="fruits", latents=(pack_vector([0.1] * arch.w_dim * len(arch.block_resolutions)),), columns=1)
    page = visit("?" + found.to_query(), width="phone")
    show_group(page, "Class")
    expect(page.get_by_text("no class to choose")).to_be_visible()


def test_keys_with_alt_are_the_browsers(visit: Visit) -> None:
    page = visit()
    page.locator("#grid .rg-tiles button").nth(3).click()
    taken = """() => new Promise((told) => {
      document.activeElement.dispatchEvent(Object.assign(new KeyboardEvent("keydown", { key: "ArrowLeft", altKey: true, bubbles: true, cancelable: true })));
      told(document.querySelector("#grid .rg-tiles [aria-pressed=true]").ariaLabel);
    })"""
    chosen = page.locator("#grid .rg-tiles [aria-pressed=true]").get_attribute("aria-label")
    assert page.evaluate(taken) == chosen
    page.keyboard.press("ArrowLeft")
    assert page.locator("#grid .rg-tiles [aria-pressed=true]").get_attribute("aria-label") != chosen


def test_a_number_that_was_emptied_is_as_it_was(visit: Visit) -> None:
    page = visit()
    settled(page, 0)
    box = number(page, "direction-1")
    redrawn(page, lambda: enter(box, "2"))
    box.fill("")
    box.press("Tab")
    expect(box).to_have_value("2")
    settled(page, 1)
    assert explored(page).directions == ((OPENING.direction_names[0], 2.0),)


def test_all_directions_go_to_zero_and_the_seeds_stay(visit: Visit) -> None:
    page = visit()
    redrawn(page, lambda: page.click("#next"))
    redrawn(page, lambda: enter(number(page, "direction-1"), "4"))
    redrawn(page, lambda: enter(number(page, "direction-2"), "-1"))
    redrawn(page, lambda: page.get_by_role("button", name="Set all to zero").click())
    assert explored(page).directions == () and explored(page).seeds == tuple(range(24, 48))
    expect(page.get_by_role("button", name="Set all to zero")).to_be_disabled()


def test_the_ends_of_a_direction_are_shown_and_go_there(visit: Visit) -> None:
    page = visit()
    ends = page.locator("#direction-1 .rg-end canvas")
    page.wait_for_function("document.querySelector('#direction-1 .rg-end canvas').width === 88")
    low, high = (ends.nth(side).evaluate("canvas => canvas.toDataURL()") for side in (0, 1))
    assert low != high
    redrawn(page, lambda: page.locator("#direction-1 .rg-end").last.click())
    assert explored(page).directions == ((OPENING.direction_names[0], 3.0),)


def test_the_theme_is_kept_and_the_sheet_of_keys_opens(visit: Visit) -> None:
    page = visit()
    page.locator(".rg-theme").click()
    assert page.evaluate("document.body.classList.contains('dark')")
    later = page.context.new_page()
    later.goto(href(page))
    later.wait_for_function("document.body.classList.contains('dark')")
    shown(later)
    later.keyboard.press("?")
    expect(later.locator(".rg-keys")).to_contain_text("Alt")
    later.keyboard.press("Escape")
    expect(later.locator(".rg-keys")).to_be_hidden()


def test_who_strikes_letters_unawares_switches_them_off(visit: Visit) -> None:
    page = visit()
    page.keyboard.press("?")
    page.get_by_label("Letter keys and ? are on").uncheck()
    page.keyboard.press("Escape")
    later = page.context.new_page()
    later.goto(href(page))
    before = shown(later)
    for key in "?r":
        later.keyboard.press(key)
    expect(later.locator(".rg-keys")).to_be_hidden()
    later.set_viewport_size({"width": 640, "height": 450})  # enlarged to be read
    later.get_by_role("button", name="Keys").click()
    later.get_by_label("Letter keys and ? are on").check()
    later.keyboard.press("Escape")
    assert shown(later) == before
    asked = later.evaluate(
        """() => new Promise((done) => {
          let asked = 0;
          document.querySelector("#random").addEventListener("click", () => asked++);
          for (const repeat of [false, true, true]) document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "r", repeat, bubbles: true }));
          done(asked);
        })"""
    )
    assert asked == 1, "once while it is held"


def test_who_has_chosen_light_keeps_it_at_dusk(visit: Visit) -> None:
    page = visit()
    page.emulate_media(color_scheme="light")
    page.locator(".rg-theme").click()
    page.locator(".rg-theme").click()
    expect(page.locator(".rg-theme")).to_have_text("Dark")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("matchMedia('(prefers-color-scheme: dark)').matches")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")  # by then the page has heard of it
    assert not page.evaluate("document.body.classList.contains('dark')")


def test_a_hint_is_gone_once_it_was_followed_and_does_not_come_back(visit: Visit) -> None:
    page = visit()
    hint = page.locator(".rg-hint")
    expect(hint).to_contain_text("Choose one to see it large")
    page.locator("#grid .rg-tiles button").nth(2).click()
    expect(hint).to_contain_text("Turn a direction")
    redrawn(page, lambda: enter(number(page, "direction-1"), "1"))
    expect(hint).to_contain_text("Drag the picture")
    drag(page, 1, 0)
    expect(hint).to_be_hidden()
    later = page.context.new_page()
    later.goto(href(page))
    shown(later)
    expect(later.locator(".rg-hint")).to_be_hidden()


def test_the_keyboard_stays_beside_what_goes_under_it(visit: Visit) -> None:
    page = visit()
    settled(page, 0)
    page.get_by_role("button", name="No more hints").press("Enter")
    expect(page.locator("#grid .rg-tiles button").first).to_be_focused()
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    page.keyboard.press("p")
    page.get_by_role("button", name="Clear", exact=True).press("Enter")
    expect(page.locator("#tray .rg-pins-title")).to_be_focused()
    redrawn(page, lambda: page.click("#next"))
    settled(page, 1)
    redrawn(page, lambda: page.locator("#undo").press("Enter"))
    expect(page.locator("#redo")).to_be_focused()
    redrawn(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#undo")).to_be_focused()
    page.set_viewport_size({"width": 640, "height": 900})  # where there is no Redo
    redrawn(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#before")).to_be_focused()


def test_the_keyboard_stays_where_its_image_or_screen_goes(visit: Visit) -> None:
    page = visit("?checkpoint=fashion-mnist&seeds=0-39&columns=8")
    tiles = page.locator("#grid .rg-tiles button")
    tiles.nth(36).click()
    redrawn(page, lambda: page.get_by_role("button", name="Make variations").press("Enter"))
    expect(tiles.first).to_be_focused()
    redrawn(page, lambda: page.get_by_role("button", name="Back to all seeds").press("Enter"))
    expect(page.locator("#random")).to_be_focused()
    open_tab(page, "Compare")
    shown(page, "#compare-grid")
    page.locator("#compare-grid .rg-tiles button").nth(1).click()
    page.locator("#compare-grid").get_by_role("button", name="Open in Explore").press("Enter")
    expect(page.get_by_role("tab", name="Explore")).to_be_focused()


def test_of_pictures_that_follow_each_other_the_last_is_said(visit: Visit) -> None:
    page = visit()
    assert said(page, "#grid .rg-status", lambda: redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))) == ["off", "polite"]


def test_where_the_pad_rests_is_said(visit: Visit) -> None:
    page = visit()
    for x in ("0.10", "0.20"):
        redrawn(page, lambda: page.locator(".rg-pad").press("ArrowRight"))
        expect(page.locator(".rg-plane [role=status]")).to_have_text(f"x {x}, y 0.00")
    hand = touch(page, ".rg-pad")
    hand("Start", (0.5, 0.5))
    hand("Start", (0.5, 0.5), (0.9, 0.9))
    redrawn(page, lambda: (hand("Move", (0.3, 0.5), (0.9, 0.9)), hand("End", (0.3, 0.5)), hand("End")))
    plane = explored(page).plane
    assert plane and plane[0] > 1 and plane[1] == 0, "a second finger moves nothing"


def test_what_is_looked_at_large_is_of_the_images_on_screen(visit: Visit) -> None:
    page = visit()
    look = page.locator("#blocks .rg-look:visible").first
    page.wait_for_function("document.querySelector('.rg-blocks').dataset.painted", timeout=PATIENCE)
    look.focus()
    large = "() => document.querySelector('#grid .rg-close-up canvas').toDataURL()"
    before = page.evaluate(large)
    redrawn(page, lambda: page.keyboard.press("r"))
    page.wait_for_function(f"before => ({large})() !== before", arg=before, timeout=PATIENCE)
    expect(page.locator("#grid .rg-close-up figcaption")).to_contain_text("The image so far")


def test_who_wants_no_hints_gets_none(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="No more hints").click()
    expect(page.locator(".rg-hint")).to_be_hidden()
    page.locator("#grid .rg-tiles button").nth(2).click()
    expect(page.locator(".rg-hint")).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(1366, 620), (1280, 580), (844, 390), (683, 325)])
def test_in_a_low_window_nothing_lies_over_the_buttons_of_the_chosen_image(visit: Visit, width: int, height: int) -> None:
    page = visit(size=(width, height))
    page.locator("#grid .rg-tiles button").nth(2).click()
    for button in page.locator("#grid .rg-actions button").all():
        button.scroll_into_view_if_needed()
        button.click(trial=True, timeout=5_000)
    page.keyboard.press("Escape")
    for control in ("#reset", "#next", ".rg-pad"):
        page.locator(control).click(trial=True, timeout=5_000)


def test_many_images_are_all_in_sight_in_as_many_columns_as_it_takes(visit: Visit) -> None:
    page = visit("?checkpoint=fashion-mnist&seeds=0-299&columns=6")
    fits = "() => { const pane = document.querySelector('#grid .rg-pane'); return pane.scrollHeight <= pane.clientHeight + 1; }"
    page.wait_for_function(fits)
    assert page.locator("#grid .rg-tiles button").count() == 300


# The three paths, each with the number of actions it may take.


def test_a_stranger_finds_changes_and_shares_in_three_actions(visit: Visit) -> None:
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#grid .rg-tiles button").nth(4).click()  # 1: what they like
    redrawn(page, lambda: page.locator("#direction-1 .rg-end").last.click())  # 2: changed
    expect(page.locator(".rg-hint")).to_contain_text("Drag the picture")
    page.click("#copy-link")  # 3: shared
    expect(page.locator("#copy-link")).to_have_text("Link copied")
    assert page.evaluate("navigator.clipboard.readText()") == href(page)


def test_a_teacher_shows_what_a_block_does_in_three_actions(visit: Visit) -> None:
    page = visit()  # 1: open
    page.locator("#grid .rg-tiles button").nth(4).click()  # 2: an image
    redrawn(page, lambda: page.locator("#blocks .rg-switch").nth(1).click())  # 3: block 2 off
    expect(page.locator(".rg-hint")).to_contain_text("Drag the picture")
    page.wait_for_function("document.querySelector('.rg-blocks').dataset.painted.includes('residual_gains')")  # and see why
    expect(page.locator("#blocks .rg-look:visible")).to_have_count(3 * len(OPENING.block_names))


def test_a_researcher_saves_a_film_along_a_direction_in_six_actions(visit: Visit) -> None:
    page = visit()
    redrawn(page, lambda: choose_generator(page, "cifar10"))  # 1: their checkpoint, in the folder
    name = library.card("cifar10").direction_names[0]
    redrawn(page, lambda: strip(page, name))  # 2: a direction by its name
    for place in (0, 6):  # 3 and 4: its two ends
        page.locator("#grid .rg-tiles button").nth(place).click()
        page.keyboard.press("p")
    page.click("#film-pins")  # 5
    page.locator("#walk-player canvas[data-painted]").wait_for()
    with page.expect_download(timeout=120_000) as download:
        page.click("#make-film")  # 6
    assert download.value.suggested_filename == "walk.mp4"


DRAG = """async (pictures) => {
  const range = document.querySelector("#truncation input[type=range]");
  const grids = new Set([document.querySelector("#grid canvas").dataset.painted]);
  const blocks = new Set([document.querySelector(".rg-blocks").dataset.painted]);
  for (let move = 0; grids.size < pictures && move < 3000; move++) {
    range.value = (0.2 + (move % 70) / 100).toFixed(2); // never where it was
    range.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((resolve) => setTimeout(resolve, 16));
    grids.add(document.querySelector("#grid canvas").dataset.painted);
    blocks.add(document.querySelector(".rg-blocks").dataset.painted);
  }
  return blocks.size;
}"""


def test_what_hangs_on_a_picture_keeps_none_waiting_and_comes_at_rest(page: Page) -> None:
    painted_blocks = "document.querySelector('.rg-blocks').dataset.painted"
    page.wait_for_function(f"() => {painted_blocks}", timeout=PATIENCE)
    before = page.evaluate(painted_blocks)
    assert page.evaluate(DRAG, 4) == 1
    page.wait_for_function(f"before => {painted_blocks} !== before", arg=before, timeout=PATIENCE)
