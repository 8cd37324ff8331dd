// Pictures of one model: how long its jobs took and what they cost, by when they were published; a click opens the job.
// And of several: what a job costs against quality, those of the front in another colour. The same stands beside it in words.
(() => {
  "use strict";
  const HEIGHT = 140, MOST_OFTEN_MS = 3000, NEAR_PX = 14;
  const known = new Map();  // a figure's plot, its points, when it was loaded
  const took = (ms) => ms < 1000 ? `${Math.round(ms)} ms` : ms < 120000 ? `${+(ms / 1000).toPrecision(3)} s` : `${+(ms / 60000).toPrecision(3)} min`;
  const dollars = (value) => value === 0 ? "$0" : `$${+value.toPrecision(3)}`;
  const KINDS = {
    latency: { hint: "How long each job took, publication to result, by when it was published (UTC); a click opens it", x: (p) => p[0] / 1000, y: (p) => p[1] == null ? null : Math.max(1, p[1]), say: took, time: true, log: true },
    cost: { hint: "What each job cost, by when it was published (UTC); a click opens it", x: (p) => p[0] / 1000, y: (p) => p[2] == null ? null : p[2] / 1e9, say: dollars, time: true },
    pareto: { hint: "What a job costs (right: dearer) against quality; green: on the front", x: (p) => p[1], y: (p) => p[2], say: (value) => String(+value.toPrecision(4)), time: false },
  };
  const colour = (figure, name) => {
    const probe = document.createElement("i");
    probe.className = name;
    figure.append(probe);
    const value = getComputedStyle(probe).backgroundColor;
    probe.remove();
    return value;
  };
  const draw = (figure) => {
    const state = known.get(figure), kind = KINDS[figure.dataset.plot];
    state.plot?.destroy();
    state.plot = null;
    figure.replaceChildren();
    const points = state.points.filter((point) => kind.y(point) != null && Number.isFinite(kind.x(point))).sort((a, b) => kind.x(a) - kind.x(b));
    figure.hidden = points.length === 0;
    if (!points.length) return;
    const ink = getComputedStyle(figure).color, grid = getComputedStyle(figure).borderTopColor, dot = colour(figure, ""), front = colour(figure, "front");
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "10px system-ui" };
    const hint = figure.dataset.plot === "pareto" && state.axis ? kind.hint.replace("quality", state.axis) : kind.hint;
    const tip = document.createElement("figcaption");
    tip.textContent = hint;
    const nearest = (u) => {
      let best = -1, distance = NEAR_PX ** 2;
      points.forEach((point, at) => {
        const dx = u.valToPos(kind.x(point), "x") - u.cursor.left, dy = u.valToPos(kind.y(point), "y") - u.cursor.top;
        if (dx * dx + dy * dy < distance) { distance = dx * dx + dy * dy; best = at; }
      });
      return best;
    };
    const dots = (u) => {
      u.ctx.save();
      for (const point of points) {
        u.ctx.fillStyle = point[3] === true ? front : dot;
        u.ctx.beginPath();
        u.ctx.arc(u.valToPos(kind.x(point), "x", true), u.valToPos(kind.y(point), "y", true), (kind.time ? 2.2 : 4) * devicePixelRatio, 0, 2 * Math.PI);
        u.ctx.fill();
      }
      u.ctx.restore();
      return null;
    };
    const wide = (u, low, high) => { const room = (high - low) * 0.1 || Math.abs(high) * 0.1 || 1; return [low - room, high + room]; };
    const name = (point) => kind.time ? `${String(point[5]).slice(0, 40)}: ${kind.say(kind.y(point))}` : `${String(point[0]).slice(0, 60)}: ${dollars(point[1])} a job, ${state.axis} ${kind.say(point[2])}`;
    state.plot = new uPlot({
      width: figure.clientWidth, height: HEIGHT, legend: { show: false }, padding: [8, 8, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: kind.time ? { time: true, range: (u, low, high) => high > low ? [low, high] : [low - 30, high + 30] } : { time: false, range: wide }, y: kind.log ? { distr: 3, range: (u, low, high) => [Math.max(1, low / 1.5), high * 1.5] } : { range: kind.time ? (u, low, high) => [0, high * 1.1 || 1] : wide } },
      axes: [kind.time ? axis : { ...axis, values: (u, ticks) => ticks.map(dollars) }, { ...axis, size: 76, values: (u, ticks) => ticks.map((tick) => tick == null ? "" : kind.say(tick)) }],
      series: [{}, { stroke: dot, paths: dots, points: { show: false } }],
      hooks: { setCursor: [(u) => {
        const at = nearest(u);
        u.over.classList.toggle("on-point", at >= 0 && kind.time);
        tip.textContent = at < 0 ? hint : name(points[at]);
      }] },
    }, [points.map(kind.x), points.map(kind.y)], figure);
    state.plot.over.addEventListener("click", () => {
      const at = nearest(state.plot);
      if (at >= 0 && kind.time) location.assign(points[at][4]);
    });
    figure.append(tip);
  };
  const load = async (figure) => {
    const state = known.get(figure);
    state.at = Date.now();
    try {
      if (figure.dataset.points) {
        const told = JSON.parse(figure.dataset.points);
        state.axis = told.axis;
        state.points = told.points;
      } else {
        const answer = await fetch(figure.dataset.source, { headers: { accept: "application/json" } });
        if (!answer.ok) return;
        state.points = (await answer.json()).points;
      }
      if (figure.isConnected) draw(figure);
    } catch { /* the page stays as it is; the next change tries again */ }
  };
  const look = () => {
    for (const figure of known.keys()) if (!figure.isConnected) { known.get(figure).plot?.destroy(); known.delete(figure); }
    for (const figure of document.querySelectorAll("[data-plot]")) {
      if (!KINDS[figure.dataset.plot] || !window.uPlot) continue;
      if (!known.has(figure)) { known.set(figure, { plot: null, points: [], at: 0, axis: "" }); load(figure); }
    }
  };
  let waiting = null;
  const again = () => {
    if (waiting) return;
    waiting = setTimeout(() => { waiting = null; for (const figure of known.keys()) if (!figure.dataset.points) load(figure); }, MOST_OFTEN_MS);
  };
  const redraw = () => { for (const figure of known.keys()) if (known.get(figure).points.length) draw(figure); };
  look();
  document.addEventListener("htmx:after:swap", look);
  document.getElementById("stream")?.addEventListener("changed", again);
  document.addEventListener("novix:theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = 0;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
})();
