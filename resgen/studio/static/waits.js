// What is done with an image whose dials are being turned is done once the view says what it is by then, or after `latest` milliseconds without another
// picture under the hand: one that is refused brings no view.
function makeWaits(latest) {
  let deeds = null; // what was asked for meanwhile; null where the view says what is on screen
  let lateness = 0;

  function end() {
    clearTimeout(lateness);
    const asked = deeds ?? [];
    deeds = null;
    for (const deed of asked) deed();
  }

  function waitOn() {
    clearTimeout(lateness);
    lateness = setTimeout(end, latest);
  }

  function begin() {
    deeds ??= [];
    if (deeds.length) waitOn();
  }

  function once(deed) {
    if (!deeds) return deed();
    deeds.push(deed);
    return waitOn();
  }

  return { begin, once, end };
}
