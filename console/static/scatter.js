// Each job of the result set as a point: when it was published, how long it took (log scale), how it ended. A click opens
// the job. The same in words is the table beside it; without a script there is only that.
(() => {
  "use strict";
  const MOST_OFTEN_MS = 5000, NEAR_PX = 12, HEIGHT = 200;
  const HINT = "How long each job took, by when it was published (UTC); a click opens it";
  const ENDS = ["succeeded", "failed", "rejected", "expired", "cancelled"];
  const figure = document.querySelector("[data-scatter]");
  if (!figure || !window.uPlot) return;
  const CLOCK = [[86400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD} UTC", null, "\n{YYYY}-{MM}-{DD} UTC", null, null, null, 1], [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD} UTC", null, "\n{YYYY}-{MM}-{DD} UTC", null, null, null, 1], [0.001, ":{ss}.{fff}", "\n{YYYY}-{MM}-{DD} {HH}:{mm} UTC", null, "\n{YYYY}-{MM}-{DD} UTC", null, "\n{HH}:{mm}", null, 1]];
  let plot = null, points = [], last = 0, waiting = null;

  const colour = (name) => {
    const probe = document.createElement("i");
    probe.className = `key ${name}`;
    figure.append(probe);
    const value = getComputedStyle(probe).backgroundColor;
    probe.remove();
    return value;
  };
  const took = (ms) => ms < 1000 ? `${Math.round(ms)} ms` : ms < 120000 ? `${+(ms / 1000).toPrecision(3)} s` : ms < 7200000 ? `${+(ms / 60000).toPrecision(3)} min` : `${+(ms / 3600000).toPrecision(3)} h`;
  // Powers of ten; with 2 and 5 between them where there are few.
  const round = (u, _axis, low, high) => {
    const factors = high / low > 300 ? [1] : [1, 2, 5], ticks = [];
    for (let power = 1; power <= high; power *= 10) for (const factor of factors) if (power * factor >= low && power * factor <= high) ticks.push(power * factor);
    return ticks;
  };
  const dots = (u, series) => {
    const context = u.ctx, size = 2.5 * devicePixelRatio;
    context.save();
    context.fillStyle = u.series[series].stroke(u, series);
    for (let at = 0; at < u.data[0].length; at++) {
      const value = u.data[series][at];
      if (value == null) continue;
      const x = u.valToPos(u.data[0][at], "x", true), y = u.valToPos(value, "y", true);
      context.beginPath();
      context.arc(x, y, size, 0, 2 * Math.PI);
      context.fill();
    }
    context.restore();
    return null;
  };
  const nearest = (u) => {
    let best = -1, distance = NEAR_PX ** 2;
    points.forEach((point, at) => {
      const x = u.valToPos(point[0] / 1000, "x") - u.cursor.left, y = u.valToPos(Math.max(1, point[1]), "y") - u.cursor.top;
      const squared = x * x + y * y;
      if (squared < distance) { distance = squared; best = at; }
    });
    return best;
  };
  const draw = () => {
    if (plot) { plot.destroy(); plot = null; }
    figure.replaceChildren();
    figure.hidden = points.length === 0;
    if (!points.length) return;
    const data = [points.map((point) => point[0] / 1000), ...ENDS.map((end) => points.map((point) => point[3] === end ? Math.max(1, point[1]) : null))];
    const ink = getComputedStyle(figure).color, grid = getComputedStyle(figure).borderTopColor;
    const tip = document.createElement("figcaption");
    tip.textContent = HINT;
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px system-ui" };
    plot = new uPlot({
      width: figure.clientWidth, height: HEIGHT, legend: { show: false }, padding: [8, 8, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { y: true, drag: { x: true, y: false }, points: { show: false } },
      scales: { x: { time: true }, y: { distr: 3, range: (u, low, high) => [Math.max(1, low / 1.5), high * 1.5] } },
      axes: [{ ...axis, values: CLOCK }, { ...axis, size: 64, splits: round, filter: (u, ticks) => ticks, values: (u, ticks) => ticks.map(took) }],
      series: [{}, ...ENDS.map((end) => ({ label: end, stroke: () => colour(end), paths: dots, points: { show: false } }))],
      hooks: { setCursor: [(u) => {
        const at = nearest(u);
        u.over.classList.toggle("on-point", at >= 0);
        tip.textContent = at < 0 ? HINT : `${points[at][5].slice(0, 60)}: ${points[at][3]}, ${took(points[at][1])}`;
      }] },
    }, data, figure);
    plot.over.addEventListener("click", () => {
      const at = nearest(plot);
      if (at >= 0) location.assign(points[at][4]);
    });
    figure.append(tip);
  };
  const load = async () => {
    last = Date.now();
    try {
      const answer = await fetch(figure.dataset.scatter, { headers: { accept: "application/json" } });
      if (!answer.ok) return;
      points = (await answer.json()).points.filter((point) => point[1] != null);
      draw();
    } catch { /* the page stays as it is; the next change tries again */ }
  };
  const soon = () => {
    if (waiting) return;
    waiting = setTimeout(() => { waiting = null; load(); }, Math.max(0, last + MOST_OFTEN_MS - Date.now()));
  };
  load();
  document.getElementById("stream")?.addEventListener("changed", soon);
  document.addEventListener("novix:theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = 0;
  new ResizeObserver(() => { if (plot && figure.clientWidth !== width) { width = figure.clientWidth; plot.setSize({ width, height: HEIGHT }); } }).observe(figure);
})();
