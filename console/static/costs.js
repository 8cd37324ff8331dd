// Spend by day as bars: what was paid, and on top of it what may have been. The table beside it says the same.
(() => {
  "use strict";
  const figure = document.querySelector("[data-bars]");
  if (!figure || typeof uPlot === "undefined") return;
  const colour = (name) => {
    // A canvas knows neither variables nor light-dark(): an element does.
    figure.style.color = `var(${name})`;
    const found = getComputedStyle(figure).color;
    figure.style.color = "";
    return found;
  };
  const dollars = (value) => (value === null || value === undefined ? "-" : `$${value.toLocaleString("en-US", { maximumSignificantDigits: 4 })}`);
  const day = (stamp) => new Date(stamp * 1000).toISOString().slice(0, 10);
  const draw = (rows) => {
    const days = rows.filter((row) => /^\d{4}-\d{2}-\d{2}$/.test(row.name));
    if (days.length < 2) return;
    const at = days.map((row) => Date.parse(`${row.name}T00:00:00Z`) / 1000);
    const all = days.map((row) => row.nanousd / 1e9);
    const sure = days.map((row) => (row.nanousd - row.ambiguous_nanousd) / 1e9);
    const text = colour("--muted");
    const lines = { stroke: colour("--line"), width: 1 };
    const bars = uPlot.paths.bars({ size: [0.7, 48] });
    figure.hidden = false;
    const plot = new uPlot({
      width: figure.clientWidth || 600, height: 200, tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1000), "UTC"),
      scales: { x: { range: (_, first, last) => [first - 43200, last + 43200] }, y: { range: (_, __, most) => [0, (most || 1) * 1.05] } },
      axes: [
        { stroke: text, grid: { show: false }, ticks: lines, incrs: [1, 2, 7, 14, 28, 91].map((days) => days * 86400), space: 90, values: (_, stamps) => stamps.map(day) },
        { stroke: text, grid: lines, ticks: lines, size: 90, values: (_, values) => values.map(dollars) },
      ],
      series: [
        { label: "day, UTC", value: (_, stamp) => (stamp ? day(stamp) : "-") },
        { label: "with what may have been paid", fill: colour("--wait"), stroke: "transparent", paths: bars, points: { show: false }, value: (_, value) => dollars(value) },
        { label: "paid for certain", fill: colour("--attempt"), stroke: "transparent", paths: bars, points: { show: false }, value: (_, value) => dollars(value) },
      ],
    }, [at, all, sure], figure);
    new ResizeObserver(() => plot.setSize({ width: figure.clientWidth, height: 200 })).observe(figure);
  };
  fetch(figure.dataset.bars).then((answer) => (answer.ok ? answer.json() : { rows: [] })).then((told) => draw(told.rows)).catch(() => {});
})();
