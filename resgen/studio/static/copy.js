// The address, once it says what the last turn of a dial is left at.
() => {
  const button = document.querySelector("#copy-link");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(window.location.href);
      button.textContent = "Link copied";
    } catch {
      window.prompt("Copy this link:", window.location.href);
    }
    setTimeout(() => {
      button.textContent = "Copy link";
    }, 1500);
  };
  window.dispatchEvent(new CustomEvent("resgen-once-said", { detail: copy }));
}
