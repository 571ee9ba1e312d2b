// Which images are marked as having more or less of what one's own direction shall mean.
function makeMarks() {
  const marks = new Map(); // an image's key -> { kind: "more" or "less", query }

  // What stays of an image while dials are turned. Along a strip it is another image at each step; the one at 0 is that of a plain grid.
  function keyOf(view, index) {
    const step = view.columnLabels[index % view.columns] || "0";
    return step === "0" ? view.keys[index] : JSON.stringify([view.keys[index], new URLSearchParams(view.query).get("sweep"), step]);
  }

  const kindOf = (view, index) => marks.get(keyOf(view, index))?.kind;

  // Marked so a second time it is not marked any more.
  function mark(view, index, kind) {
    const key = keyOf(view, index);
    if (marks.get(key)?.kind === kind) marks.delete(key);
    else marks.set(key, { kind, query: view.tiles[index] });
  }

  const queries = (wanted) => [...marks.values()].filter(({ kind }) => kind === wanted).map(({ query }) => query);

  return { kindOf, mark, clear: () => marks.clear(), isEmpty: () => !marks.size, told: () => ({ more: queries("more"), less: queries("less") }) };
}
