(file) => {
  if (!file) return;
  const link = Object.assign(document.createElement("a"), { href: file.uri, download: file.name });
  link.click();
}
