// What the browser keeps for the next visit, or in "sessionStorage" for this tab; storage may be full or forbidden, and it then lasts as long as
// the page.
const unkept = new Map();

function recall(name, storage = "localStorage") {
  if (unkept.has(name)) return unkept.get(name);
  try {
    return window[storage].getItem(name) || "";
  } catch {
    return "";
  }
}

function keep(name, value, storage = "localStorage") {
  try {
    window[storage].setItem(name, value);
    unkept.delete(name);
  } catch {
    unkept.set(name, value);
  }
}

// Act on a part of the page once it is there.
function when(selector, act) {
  const found = document.querySelector(selector);
  if (found) act(found);
  else setTimeout(when, 100, selector, act);
}
