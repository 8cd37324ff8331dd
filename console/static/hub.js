// The Model Hub: the address follows what is typed, and the tray of models to compare is kept while one searches.
(() => {
  "use strict";
  const found = document.getElementById("found");
  const tray = document.querySelector("[data-tray]");

  const panels = document.getElementById("panels");
  const form = document.getElementById("hub-form");
  const refusal = (text) => {
    const line = document.createElement("p");
    line.className = "bad";
    line.setAttribute("role", "alert");
    line.textContent = text;
    return line;
  };

  // The state of the page is its address: search, facets, order, page, the chosen model, the tray. Typing in one field
  // makes one step of the history; whatever else is chosen makes a step of its own.
  const address = () => location.pathname + location.search;
  const told = () => found?.querySelector("[data-address]")?.dataset.address;
  let searched = told(), here = address(), series = 0, stepped = 0, field = null, closed = false;
  const write = (to, push) => {
    to = withTray(to);
    if (to === address()) { here = to; return; }
    history[push ? "pushState" : "replaceState"]({ hub: true }, "", to);
    here = to;
  };
  form?.addEventListener("input", (event) => {
    const text = event.target.matches("input:not([type=checkbox])");
    if (event.target !== field || closed || !text) series += 1;
    field = event.target;
    closed = false;
  });
  form?.addEventListener("change", () => { closed = true; });
  document.addEventListener("htmx:after:swap", (event) => {
    const source = event.detail?.ctx?.sourceElement;
    const link = source?.closest?.("[data-row]");
    if (link) {
      write(link.pathname + link.search, true);
      arrived();
    } else if (form && told() && told() !== searched) {
      searched = told();
      if (source !== form) series += 1;
      write(searched, series !== stepped);
      stepped = series;
    }
    marks();
    chosen();
  });

  // Which model of the list stands in the panels; and where these are below the list, the way to them.
  const chosen = () => {
    const name = panels?.querySelector("[data-shown]")?.dataset.shown;
    for (const link of document.querySelectorAll("#found [data-row]")) {
      if (link.dataset.model === name) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  const below = () => panels && panels.getBoundingClientRect().top >= found.getBoundingClientRect().bottom - 1;
  const arrived = () => {
    const name = panels?.querySelector("[data-shown]")?.dataset.shown;
    const place = document.querySelector("[data-chosen-say]");
    if (place && name) place.textContent = below() ? `${name}` : `${name} is shown beside the list`;
    if (below()) {
      panels.scrollIntoView({ block: "start" });
      panels.querySelector("h2")?.focus({ preventScroll: true });
    } else panels?.scrollTo({ top: 0 });
  };

  // Back and forward: another model of the same search comes into the panels, another search with the whole page.
  const search = (to) => {
    const url = new URL(to, location.origin), rest = [...url.searchParams].filter(([name]) => name !== "model" && name !== "m");
    return `${url.pathname}?${new URLSearchParams(rest)}`;
  };
  window.addEventListener("popstate", () => {
    const now = address();
    if (now === here) return;  // a place within the page
    const first = found?.querySelector("[data-row]")?.dataset.model;
    const model = new URLSearchParams(location.search).get("model") || first;
    if (!panels || !model || search(now) !== search(here)) { location.reload(); return; }
    here = now;
    const asked = new URLSearchParams({ model, tenant: new URLSearchParams(location.search).get("tenant") || "" });
    htmx.ajax("GET", `/fragments/hub/panels?${asked}`, { target: "#panels", swap: "innerHTML" });
    write(now, false);  // with the tray as it is now
  });

  // What is refused is told where the answer would stand, whoever refused it: htmx puts in whatever comes.
  document.addEventListener("htmx:response:error", (event) => {
    const ctx = event.detail.ctx, type = ctx.response.headers.get("content-type") || "";
    let why = "";
    if (type.includes("html")) {
      const sent = new DOMParser().parseFromString(ctx.text, "text/html"), main = sent.querySelector("main");
      if (!main && ctx.text.trim()) return;  // a part of a page says it already
      why = main?.querySelector("p")?.textContent || "";
    } else if (type.includes("json")) {
      try { why = JSON.parse(ctx.text).error || ""; } catch { /* told by its status */ }
    } else why = ctx.text;
    ctx.text = refusal(`${why.trim().slice(0, 400) || "That could not be done"} (status ${ctx.response.status})`).outerHTML;
  });
  document.addEventListener("htmx:error", (event) => {
    const ctx = event.detail.ctx, place = ctx?.target;
    if (!place?.isConnected || place.id === "stream") return;
    const line = refusal("This page's server does not answer. "), again = document.createElement("a");
    Object.assign(again, { href: address(), textContent: "Try again" });
    line.append(again);
    place.replaceChildren(line);
  });

  // What somebody has opened stays open when the list is renewed.
  let opened = new Set();
  document.addEventListener("htmx:before:swap", () => {
    opened = new Set([...document.querySelectorAll("[data-stays][open]")].map((one) => one.id));
  });
  document.addEventListener("htmx:after:swap", () => {
    for (const name of opened) document.getElementById(name)?.setAttribute("open", "");
  });

  // A file that is too large is not sent at all.
  document.addEventListener("change", (event) => {
    const input = event.target.closest?.("input[type=file][data-most]");
    if (!input) return;
    const most = Number(input.dataset.most), file = input.files[0];
    input.setCustomValidity(file && file.size > most ? `The file has ${file.size.toLocaleString("en")} bytes; it may have ${most.toLocaleString("en")}` : "");
    input.reportValidity();
  });

  const KEY = "novix-hub-tray";
  const most = tray ? Number(tray.dataset.tray) : 0;
  const kept = () => {
    try { return new Set(JSON.parse(sessionStorage.getItem(KEY) || "[]").filter((one) => typeof one === "string").slice(0, most)); } catch { return new Set(); }
  };
  let marked = kept();
  // The tray of this tab, as part of an address.
  const withTray = (to) => {
    if (!tray) return to;
    const url = new URL(to, location.origin);
    url.searchParams.delete("m");
    for (const name of marked) url.searchParams.append("m", name);
    return url.pathname + url.search;
  };
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
    if (form) write(address(), false);
  };
  chosen();
  if (tray) {
    // An address that somebody sent brings its models along; one that this tab has written has been kept already.
    for (const input of tray.querySelectorAll("input[name=m]")) { if (marked.size < most && !history.state?.hub) marked.add(input.value); input.remove(); }
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
