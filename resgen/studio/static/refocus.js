// Focus a part of the page where what had the keyboard's focus is gone, once all that was written is in the page.
(selector) => {
  const PIECES = 30; // milliseconds in which it is
  setTimeout(() => document.activeElement?.offsetParent || document.querySelector(selector)?.focus(), PIECES);
}
