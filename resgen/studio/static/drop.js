// A picture made by ResGen may be dropped anywhere on the page: it is handed to the "Open a picture" button; a generator too, where the host takes it.
() => {
  const upload = () => document.querySelector("#head input[type=file]");
  const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const elsewhere = (event) => event.target.closest?.("#invert-photo, #invert-paste");
  window.addEventListener("dragover", (event) => carriesFiles(event) && !elsewhere(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    const input = upload();
    if (!carriesFiles(event) || elsewhere(event) || !input) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
