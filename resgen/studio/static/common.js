// What the browser keeps for the next visit; storage may be full or forbidden, and the page then forgets it.
function recall(name) {
  try {
    return window.localStorage.getItem(name) || "";
  } catch {
    return "";
  }
}

function keep(name, value) {
  try {
    window.localStorage.setItem(name, value);
  } catch {
    // See above.
  }
}

// Act on a part of the page once it is there.
function when(selector, act) {
  const found = document.querySelector(selector);
  if (found) act(found);
  else setTimeout(when, 100, selector, act);
}
