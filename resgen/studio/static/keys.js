// Keys belong to a text field only while one is typed in: a slider is no text. With Ctrl, Alt or the like they are the browser's, and a sheet that
// lies over the page keeps them from it.
function isCommand(event) {
  const typed = event.target.closest?.("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
  return !typed && !document.querySelector("dialog[open]") && !event.ctrlKey && !event.metaKey && !event.altKey;
}

// A letter that does something wherever the keyboard is, once while it is held; who speaks to the computer, or strikes keys unawares, can switch them off.
const isShortcut = (event) => isCommand(event) && !event.repeat && !document.body.classList.contains("rg-no-letters");
