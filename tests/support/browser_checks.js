// What `browser_checks.py` asks of a page: each function answers with what is wrong, as sentences.
({
semantics: () => {
  const wrong = [];
  const shown = one => one.checkVisibility({visibilityProperty: true}) && !one.closest("[aria-hidden=true]");
  const all = query => [...document.querySelectorAll(query)].filter(shown);
  const told = one => one.outerHTML.slice(0, 120);
  const text = id => (document.getElementById(id) || {}).textContent || "";
  const named = one => (one.getAttribute("aria-label") || "").trim()
    || (one.getAttribute("aria-labelledby") || "").split(/\s+/).map(text).join(" ").trim()
    || (one.getAttribute("title") || "").trim()
    || one.textContent.trim()
    || [...one.querySelectorAll("img[alt],svg[aria-label]")].map(i => i.getAttribute("alt")
       || i.getAttribute("aria-label")).join(" ").trim();
  if (!document.documentElement.lang) wrong.push("the page names no language");
  if (!document.title.trim()) wrong.push("the page has no title");
  if (all("h1").length !== 1) wrong.push(`the page has ${all("h1").length} h1; it has one`);
  if (all("main").length !== 1) wrong.push(`the page has ${all("main").length} main; it has one`);
  if (!document.querySelector("a[href^='#']")) wrong.push("no link skips to the content");
  for (const one of all("input:not([type=hidden]), select, textarea"))
    if (!(one.labels && one.labels.length && one.labels[0].textContent.trim()) && !one.getAttribute("aria-label")
        && !one.getAttribute("aria-labelledby")) wrong.push(`an input without a label: ${told(one)}`);
  for (const one of all("button, summary, a[href], [role=button], input[type=submit]"))
    if (!named(one) && !one.value) wrong.push(`nameless: ${told(one)}`);
  for (const one of all("img")) if (!one.hasAttribute("alt")) wrong.push(`an image without alt: ${told(one)}`);
  for (const one of all("svg")) if (one.getAttribute("aria-hidden") !== "true" && !named(one)
      && !one.querySelector("title")) wrong.push(`a picture without a name: ${told(one)}`);
  for (const one of all("table"))
    if (!one.querySelector("th")) wrong.push(`a table without headings: ${told(one)}`);
  for (const one of all("a")) if (!one.hasAttribute("href")) wrong.push(`a link that leads nowhere: ${told(one)}`);
  let last = 0;
  for (const one of all("h1,h2,h3,h4,h5,h6")) {
    const level = Number(one.tagName[1]);
    if (level > last + 1) wrong.push(`h${last} is followed by h${level}: ${told(one)}`);
    last = level;
  }
  const ids = new Map();
  for (const one of document.querySelectorAll("[id]")) ids.set(one.id, (ids.get(one.id) || 0) + 1);
  for (const [id, count] of ids) if (count > 1) wrong.push(`the id ${id.slice(0, 60)} is there ${count} times`);
  for (const one of document.querySelectorAll("[aria-labelledby],[aria-controls],[aria-describedby],[for]"))
    for (const name of ["aria-labelledby", "aria-controls", "aria-describedby", "for"])
      for (const id of (one.getAttribute(name) || "").split(/\s+/).filter(Boolean))
        if (!document.getElementById(id)) wrong.push(`${name} names ${id.slice(0, 60)}, which is not there`);
  for (const one of document.querySelectorAll("[tabindex]"))
    if (Number(one.getAttribute("tabindex")) > 0) wrong.push(`a tabindex over 0 breaks the order: ${told(one)}`);
  return wrong;
},

foreign: () => {
  const wrong = [];
  for (const one of document.querySelectorAll("script,img,link[rel=stylesheet],iframe,object,embed,source,video,audio")) {
    const at = one.src || one.href || one.data;
    if (one.tagName === "SCRIPT" && !one.src) wrong.push("an inline script");
    if (at && !at.startsWith("data:") && new URL(at, location).origin !== location.origin)
      wrong.push(`from elsewhere: ${at.slice(0, 120)}`);
    if (one.tagName === "IFRAME" || one.tagName === "OBJECT" || one.tagName === "EMBED") wrong.push("a frame");
  }
  for (const one of document.querySelectorAll("*")) for (const each of one.attributes)
    if (/^on/i.test(each.name)) wrong.push(`a handler in the markup: ${each.name} of ${one.tagName}`);
  for (const one of document.querySelectorAll("a[href]"))
    if (!["http:", "https:"].includes(one.protocol)) wrong.push(`a link of ${one.protocol}`);
    else if (one.origin !== location.origin && !(one.rel || "").includes("noreferrer"))
      wrong.push(`a link off the machine: ${one.href.slice(0, 120)}`);
  return wrong;
},

contrast: () => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const known = new Map();
  const rgba = colour => known.get(colour) || known.set(colour, read(colour)).get(colour);
  const read = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255];
  };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = one => {
    const stack = [];
    for (let at = one; at; at = at.parentElement) {
      const c = rgba(getComputedStyle(at).backgroundColor);
      if (c[3] > 0) stack.push(c);
      if (c[3] === 1) break;
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return stack.reduceRight((under, top) => over(top, under), dark ? [0, 0, 0, 1] : [255, 255, 255, 1]);
  };
  const wrong = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(), seen = 0; node && seen < 3000; node = walker.nextNode(), seen++) {
    const one = node.parentElement;
    if (!node.textContent.trim() || one.closest("svg,canvas,script,style,option,[disabled],.u-legend")) continue;
    if (!one.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const style = getComputedStyle(one), under = ground(one), colour = over(rgba(style.color), under);
    const [a, b] = [light(colour), light(under)], ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const px = parseFloat(style.fontSize), large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.05)
      wrong.set(`${one.tagName.toLowerCase()}.${one.className}`,
        `contrast ${ratio.toFixed(2)} of "${node.textContent.trim().slice(0, 30)}" in ${one.tagName.toLowerCase()}.${one.className} (${style.color})`);
  }
  return [...wrong.values()];
},

wide: () => {
  const wide = document.documentElement.scrollWidth, width = document.documentElement.clientWidth;
  if (wide <= width) return [];
  const past = [...document.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right > width + 1
    && one.checkVisibility());
  return [`the page is ${wide} px wide in ${width}: ` + past.slice(0, 4).map(one => one.outerHTML.slice(0, 90)).join(" | ")];
},

focused: () => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  return {
    tag: one.tagName.toLowerCase(), text: (one.textContent || one.value || "").trim().slice(0, 60),
    name: one.getAttribute("aria-label") || "", href: one.getAttribute("href") || "", id: one.id,
    marked: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none",
    inside: box.width > 0 && box.height > 0,
  };
},
})
