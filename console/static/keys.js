// Keys: `/` to the search, j and k through a list, Enter opens (a link does so by itself), Escape closes a span.
// Also: buttons that copy.
(() => {
  "use strict";
  const typing = (target) => target.closest("input, select, textarea, [contenteditable]");
  const step = (by) => {
    const links = [...document.querySelectorAll("[data-list] a[data-row]")];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && location.hash.startsWith("#span-")) { location.hash = "#waterfall"; return; }
    if (typing(event.target)) return;
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
  });
  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const text = button.dataset.copyText ?? (source ? source.textContent : "");
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      if (source) getSelection().selectAllChildren(source);
      button.textContent = source ? "Selected" : "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy], button[data-copy-text]");
    if (button) copy(button);
  });
  // Copying needs a script, so its buttons show only with one.
  document.documentElement.classList.add("scripted");
})();
