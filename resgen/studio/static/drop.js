// A picture made by ResGen may be dropped anywhere on the page: it is handed to the "Open a picture" button; a generator too, where the host takes it.
// On the screen Invert a photo is handed to its box. What a part of the page takes itself is left to it; no file takes the place of the page.
() => {
  const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");

  // The box of a photo has no input while it holds one.
  const give = (box, files) => {
    const input = box.querySelector("input[type=file]");
    if (!input) {
      box.querySelector("[aria-label=Clear]")?.click();
      return setTimeout(give, 50, box, files);
    }
    input.files = files;
    return input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  window.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!carriesFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    const { files } = event.dataTransfer;
    const photo = document.querySelector("#invert-photo");
    if (photo?.offsetParent && files[0]?.type.startsWith("image/")) give(photo, files);
    else if (document.querySelector("#head input[type=file]")) give(document.querySelector("#head"), files);
  });
}
