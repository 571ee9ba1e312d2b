// Have the grids and players of these names draw what their controls say; one that is not in the page yet does so once it is.
(names) => {
  window.resgenAsked ??= new Set();
  for (const name of names ?? []) window.resgenAsked.add(name);
  window.dispatchEvent(new Event("resgen-asked"));
}
