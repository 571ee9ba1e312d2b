// What the browser keeps for the next visit; storage may be full or forbidden, and it then lasts as long as the page.
const unkept = new Map();

function recall(name) {
  if (unkept.has(name)) return unkept.get(name);
  try {
    return window.localStorage.getItem(name) || "";
  } catch {
    return "";
  }
}

function keep(name, value) {
  try {
    window.localStorage.setItem(name, value);
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
