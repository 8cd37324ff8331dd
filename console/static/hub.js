// The Model Hub: the address follows what is typed, and the tray of models to compare is kept while one searches.
(() => {
  "use strict";
  const found = document.getElementById("found");
  const tray = document.querySelector("[data-tray]");

  // The state of the search is its address, so that it can be sent to somebody.
  const told = () => found?.querySelector("[data-address]")?.dataset.address;
  let searched = told();
  document.addEventListener("htmx:after:swap", () => {
    if (document.querySelector("[data-live]") && told() && told() !== searched) {
      searched = told();
      history.replaceState(history.state, "", searched);
    }
    marks();
  });

  // The model that is chosen is part of it, so that a link that is copied shows what one sees.
  document.addEventListener("htmx:after:swap", (event) => {
    const link = event.detail?.ctx?.sourceElement?.closest?.("[data-row]");
    if (link) history.replaceState(history.state, "", link.pathname + link.search);
  });

  const KEY = "novix-hub-tray";
  const most = tray ? Number(tray.dataset.tray) : 0;
  const kept = () => {
    try { return new Set(JSON.parse(sessionStorage.getItem(KEY) || "[]").filter((one) => typeof one === "string").slice(0, most)); } catch { return new Set(); }
  };
  let marked = kept();
  const say = (text) => { const place = tray.querySelector("[data-tray-say]"); if (place) place.textContent = text; };
  const show = () => {
    const list = tray.querySelector("[data-tray-list]");
    list.replaceChildren(...[...marked].map((name) => {
      const chip = document.createElement("span"), input = document.createElement("input"), label = document.createElement("bdi"), button = document.createElement("button");
      chip.className = "chip";
      Object.assign(input, { type: "hidden", name: "m", value: name });
      label.textContent = name.length > 40 ? `${name.slice(0, 39)}…` : name;
      Object.assign(button, { type: "button", className: "plain", textContent: "×" });
      button.setAttribute("aria-label", `Do not compare ${name}`);
      button.addEventListener("click", () => { marked.delete(name); keep(); });
      chip.append(input, label, button);
      return chip;
    }));
    tray.querySelector("[data-tray-count]").textContent = marked.size ? ` (${marked.size})` : "";
  };
  const marks = () => {
    for (const box of document.querySelectorAll("[data-mark]")) {
      box.removeAttribute("name");  // the tray sends them, those of other pages too
      box.checked = marked.has(box.value);
    }
  };
  const keep = () => {
    try { sessionStorage.setItem(KEY, JSON.stringify([...marked])); } catch { /* nothing is kept; it holds for this page */ }
    show();
    marks();
  };
  if (tray) {
    for (const input of tray.querySelectorAll("input[name=m]")) { if (marked.size < most) marked.add(input.value); input.remove(); }
    keep();
    document.addEventListener("change", (event) => {
      const box = event.target.closest("[data-mark]");
      if (!box) return;
      if (!box.checked) marked.delete(box.value);
      else if (marked.size < most) marked.add(box.value);
      else say(`There may be ${most}: take one out first`);
      keep();
    });
    tray.addEventListener("submit", (event) => {
      if (marked.size) return;
      event.preventDefault();
      say("Mark a model first");
    });
  }
})();
