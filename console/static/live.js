// Parts of a page that are asked for again and again: not while nobody looks, and not while the reader has paused them.
(() => {
  "use strict";
  const button = document.querySelector("[data-poll-pause]");
  const state = document.querySelector("[data-poll-state]");
  let paused = false;
  document.addEventListener("htmx:before:request", (event) => {
    if ((document.hidden || paused) && event.target.closest("[data-poll]")) event.preventDefault();
  });
  document.addEventListener("htmx:after:swap", () => {
    if (!state || paused) return;
    state.textContent = `as of ${new Date().toLocaleTimeString()}`;
    state.parentElement.classList.add("is-live");
  });
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
    if (!state || !paused) return;
    state.textContent = "paused";
    state.parentElement.classList.remove("is-live");
  });
})();
