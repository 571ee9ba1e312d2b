async () => {
  const button = document.querySelector("#copy-link");
  try {
    await navigator.clipboard.writeText(window.location.href);
    button.textContent = "Link copied";
  } catch {
    window.prompt("Copy this link:", window.location.href);
  }
  setTimeout(() => {
    button.textContent = "Copy link";
  }, 1500);
}
