// Loads the page again in a quiet moment: not while somebody reads on, types or is on a link.
setInterval(() => {
  const idle = !document.activeElement || document.activeElement === document.body;
  const reading = document.querySelector("details[open]") || String(getSelection());
  if (!document.hidden && idle && !reading) location.reload();
}, 1000 * document.documentElement.dataset.refresh);
