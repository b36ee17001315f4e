/* Keys of the divergence desk: a, b and i open the dialogs of the row on which j and k stand. */
"use strict";

document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, textarea, select, [contenteditable], dialog") !== null;
  if (busy || event.ctrlKey || event.metaKey || event.altKey || !"abi".includes(event.key)) return;
  const button = document.querySelector(`tr.is-current .recon-do [data-key="${event.key}"]`);
  if (button === null) return;
  button.click();
  event.preventDefault();
});
