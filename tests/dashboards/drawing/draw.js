// Draws `BOARD` (Grafana's panels with the results of their queries) with uPlot. For pictures in docs/pictures alone.
const COLOURS = ["#3b78c3", "#d9822b", "#3f9c5a", "#8e5bb5", "#c7443b", "#2a9d9d", "#b5891d", "#6b7785", "#d4679a", "#5c6bc0"];
const LIMITS = { green: "#2f8f4e", orange: "#c26a12", red: "#c2362c" };

function text(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const short = (number) => (Math.abs(number) >= 1e6 ? (number / 1e6).toFixed(1) + " M" : Math.abs(number) >= 1e4 ? (number / 1e3).toFixed(1) + " k"
    : number === 0 ? "0" : Math.abs(number) >= 100 ? number.toFixed(0) : String(+number.toPrecision(3)));
  if (unit === "percentunit") return +(value * 100).toPrecision(4) + " %";
  if (unit === "bytes") return +(value / 1048576).toPrecision(3) + " MiB";
  if (unit === "s") {
    if (value === 0) return "0 s";
    if (Math.abs(value) < 1) return +(value * 1000).toPrecision(3) + " ms";
    return Math.abs(value) < 120 ? +value.toPrecision(3) + " s" : Math.abs(value) < 7200 ? (value / 60).toFixed(1) + " min" : (value / 3600).toFixed(1) + " h";
  }
  return short(value) + (unit === "cps" ? " /s" : "");
}

function last(values) {
  for (let at = values.length - 1; at >= 0; at--) if (Number.isFinite(values[at])) return values[at];
  return null;
}

function make(tag, name, parent, content = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = content;
  parent.append(made);
  return made;
}

function colourOf(value, steps) {
  let found = LIMITS.green;
  for (const step of steps) if (step.value === null || value >= step.value) found = LIMITS[step.color] || found;
  return found;
}

function drawNumber(panel, box) {
  const value = panel.series.length ? last(panel.series[0].values) : null;
  const shown = make("div", "number", box, text(value, panel.unit));
  if (panel.steps.length && value !== null) shown.style.color = colourOf(value, panel.steps);
}

function drawTable(panel, box) {
  if (!panel.series.length) return drawNothing(panel, box);
  const names = [...new Set(panel.series.flatMap((each) => Object.keys(each.labels)))].filter((name) => name !== "__name__");
  const table = make("table", "", box);
  const head = make("tr", "", table);
  for (const name of [...names, "value"]) make("th", "", head, name);
  const rows = [...panel.series].sort((a, b) => last(b.values) - last(a.values)).slice(0, Math.floor((panel.place.h * 38 - 60) / 21));
  for (const each of rows) {
    const row = make("tr", "", table);
    for (const name of names) make("td", "", row, each.labels[name] || "");
    make("td", "right", row, text(last(each.values), panel.unit));
  }
}

function drawNothing(panel, box) {
  make("div", "nothing", box, "No data. " + (panel.empty || ""));
}

function drawHeatMap(panel, box, times) {
  const rows = panel.series.filter((each) => each.labels.le !== "+Inf").sort((a, b) => a.labels.le - b.labels.le);
  const canvas = make("canvas", "", box);
  const width = box.clientWidth - 64, height = box.clientHeight - 26;
  canvas.width = (width + 64) * 2; canvas.height = (height + 20) * 2;
  canvas.style.width = width + 64 + "px"; canvas.style.height = height + 20 + "px";
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  const counts = rows.map((row, at) => row.values.map((value, when) => Math.max(0, (value || 0) - (at ? rows[at - 1].values[when] || 0 : 0))));
  const used = counts.map((row, at) => (row.some((value) => value > 0.01) ? at : -1)).filter((at) => at >= 0);
  const from = Math.max(0, Math.min(...used) - 1), to = Math.min(rows.length - 1, Math.max(...used) + 1);
  const most = Math.max(1e-9, ...counts.flat()), tall = height / (to - from + 1), wide = width / times.length;
  pen.font = "11px sans-serif"; pen.fillStyle = "#5b6570"; pen.textAlign = "right";
  for (let at = from; at <= to; at++) {
    const top = height - (at - from + 1) * tall;
    pen.fillStyle = "#5b6570"; pen.fillText(text(+rows[at].labels.le, "s"), 58, top + tall / 2 + 4);
    counts[at].forEach((count, when) => {
      if (count <= 0.01) return;
      pen.fillStyle = `rgba(199, 92, 20, ${0.12 + 0.88 * Math.sqrt(count / most)})`;
      pen.fillRect(64 + when * wide, top + 0.5, wide + 0.3, tall - 1);
    });
  }
}

function drawLines(panel, box, times, marks) {
  if (!panel.series.length) return drawNothing(panel, box);
  const all = [...panel.series].sort((a, b) => (last(b.values) || 0) - (last(a.values) || 0));
  const most = Math.max(2, Math.floor((panel.place.h * 38 - 40) * 0.4 / 17) - 1), series = all.slice(0, most);
  const below = new Array(times.length).fill(0);
  const drawn = series.map((each) => (panel.stacked ? each.values.map((value, at) => (below[at] += value || 0)) : each.values));
  const legend = 17 * (series.length + (all.length > most ? 1 : 0)) + 4;
  const top = Math.max(panel.least || 0, ...drawn.flat().filter(Number.isFinite)) * 1.05 || 1;
  const fill = (colour) => (panel.stacked ? colour + "b0" : colour + "18");
  const order = series.map((_, at) => at); if (panel.stacked) order.reverse();
  const options = {
    width: box.clientWidth, height: Math.max(70, box.clientHeight - legend), legend: { show: false }, cursor: { show: false },
    scales: { x: { time: true }, y: { range: [0, top] } },
    axes: [{ size: 24, values: (_, instants) => instants.map((each) => new Date(each * 1000).toISOString().slice(11, times[times.length - 1] - times[0] < 300 ? 19 : 16)), font: "11px sans-serif", stroke: "#5b6570", grid: { stroke: "#e8ebee" }, ticks: { show: false } },
      { size: 64, font: "11px sans-serif", stroke: "#5b6570", grid: { stroke: "#e8ebee" }, ticks: { show: false }, values: (_, values) => values.map((value) => text(value, panel.unit)) }],
    series: [{}, ...order.map((at) => ({ stroke: COLOURS[at % 10], width: panel.stacked ? 0.5 : 1.4, fill: fill(COLOURS[at % 10]), points: { show: false }, spanGaps: false }))],
    hooks: { draw: [(plot) => {
      const pen = plot.ctx;
      pen.save(); pen.lineWidth = 2; pen.setLineDash([8, 6]);
      for (const step of panel.steps.filter((each) => each.value !== null && each.value <= top)) {
        pen.strokeStyle = LIMITS[step.color]; const y = plot.valToPos(step.value, "y", true);
        pen.beginPath(); pen.moveTo(plot.bbox.left, y); pen.lineTo(plot.bbox.left + plot.bbox.width, y); pen.stroke();
      }
      for (const mark of marks) {
        const left = plot.valToPos(mark.from, "x", true), right = plot.valToPos(mark.to, "x", true);
        pen.fillStyle = mark.colour + "22"; pen.fillRect(left, plot.bbox.top, Math.max(2, right - left), plot.bbox.height);
        pen.strokeStyle = mark.colour; pen.beginPath(); pen.moveTo(left, plot.bbox.top); pen.lineTo(left, plot.bbox.top + plot.bbox.height); pen.stroke();
      }
      pen.restore();
    }] },
  };
  new uPlot(options, [times, ...order.map((at) => drawn[at])], box);
  const words = make("div", "legend", box);
  series.forEach((each, at) => {
    const line = make("div", "", words);
    make("i", "", line).style.background = COLOURS[at % 10];
    make("span", "", line, each.name || panel.title);
    make("b", "", line, text(last(each.values), panel.unit));
  });
  if (all.length > most) make("div", "", words, `and ${all.length - most} more`);
}

function drawBoard(board) {
  const page = document.getElementById("board");
  for (const mark of board.legend) {
    const item = make("span", "mark", document.getElementById("marks"));
    make("i", "", item).style.background = mark.colour;
    make("span", "", item, mark.name);
  }
  for (const panel of board.panels) {
    const box = make("section", panel.type, page);
    const place = panel.place;
    box.style.gridColumn = `${place.x + 1} / span ${place.w}`;
    box.style.gridRow = `${place.y + 1} / span ${place.h}`;
    make("h2", "", box, panel.title);
    if (panel.type === "row") continue;
    const body = make("div", "body", box);
    if (panel.type === "stat") drawNumber(panel, body);
    else if (panel.type === "table") drawTable(panel, body);
    else if (panel.type === "heatmap" && panel.series.length) drawHeatMap(panel, body, board.times);
    else drawLines(panel, body, board.times, board.marks);
  }
}
