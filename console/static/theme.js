// Light, dark, or as the system says; kept in this browser. Runs before the first paint, so that nothing flashes.
(() => {
  "use strict";
  const root = document.documentElement, key = "novix-theme", order = ["system", "light", "dark"];
  const kept = () => {
    try { return order.includes(localStorage.getItem(key)) ? localStorage.getItem(key) : "system"; } catch { return "system"; }
  };
  const show = (theme) => {
    if (theme === "system") root.removeAttribute("data-theme"); else root.setAttribute("data-theme", theme);
    document.dispatchEvent(new CustomEvent("novix:theme"));
  };
  show(kept());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-switch]");
    if (!button) return;
    const name = () => { button.textContent = { system: "Auto", light: "Light", dark: "Dark" }[kept()]; button.setAttribute("aria-label", `Colours: ${kept()}. Change`); };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      const next = order[(order.indexOf(kept()) + 1) % order.length];
      try { localStorage.setItem(key, next); } catch { /* nothing is kept; it holds for this page */ }
      show(next);
      name();
    });
  });
})();
