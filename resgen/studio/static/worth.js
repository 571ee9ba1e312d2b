// Whether what draws in the page is worth fetching unasked: plain functions, so that they can be tried without a page.

const QUICK = 150; // milliseconds of the server that no hand minds, whatever GPU a page could draw on
const SLOW = 600; // from which what draws on a processor is worth fetching: it takes as long

// Whether the server takes so long that this device may be the sooner one.
function isSlow(milliseconds, hasGpu) {
  return milliseconds > (hasGpu ? QUICK : SLOW);
}

// Whether each megabyte may be paid for, or takes long: `connection` is what Chromium tells of it; where nothing is told, a phone's may be such a one.
function isMetered(connection, isPhone) {
  if (!connection) return isPhone;
  return Boolean(connection.saveData) || connection.type === "cellular" || ["slow-2g", "2g", "3g"].includes(connection.effectiveType);
}
