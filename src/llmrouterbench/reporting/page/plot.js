// Accuracy against cost: drawn to the width of the screen, read by pointer, finger or arrow keys.

const SHAPES = [
  "M0-6a6 6 0 1 0 .01 0z", // circle
  "M-5-5H5V5H-5z", // square
  "M0-7L6 5H-6z", // triangle
  "M0-7L6 0 0 7-6 0z", // diamond
  "M0 7L6-5H-6z", // triangle downwards
  "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2z", // plus
  "M-6-4L-4-6 0-2 4-6 6-4 2 0 6 4 4 6 0 2-4 6-6 4-2 0z", // cross
];
const FIRST_SHOWN = 7;

function startPlot() {
  const data = JSON.parse(find("#plot-data").textContent);
  const box = find("#plot");
  if (!data || !box) return null;
  const routers = data.main.filter((point) => point.kind === "router").sort((a, b) => b.acc[0] - a.acc[0]);
  routers.forEach((point, i) => {
    point.look = `s${i % 7}`;
    point.shape = SHAPES[(i + Math.floor(i / 7)) % SHAPES.length];
    point.swept = i < FIRST_SHOWN;
  });
  const models = data.main.filter((point) => point.kind === "model");
  let width = 0;
  const plot = { data, box, routers, models, at: -1, points: [], offer: null };
  plot.mark = (place) => {
    plot.offer = place;
    if (width) drawPlot(plot, width);
  };
  drawLegend(plot);
  const fit = () => {
    if (box.clientWidth === width || !box.clientWidth) return;
    width = box.clientWidth;
    drawPlot(plot, width);
  };
  new ResizeObserver(fit).observe(box);
  find("#zoom").addEventListener("change", () => drawPlot(plot, box.clientWidth));
  find("#zoom").parentElement.hidden = !routers.length;
  fit();
  listen(plot);
  return plot;
}

function drawLegend(plot) {
  const legend = find("#legend");
  for (const router of plot.routers) {
    const tick = make("input", { type: "checkbox" });
    tick.checked = router.swept;
    tick.disabled = !plot.data.sweeps[router.name];
    tick.addEventListener("change", () => {
      router.swept = tick.checked;
      drawPlot(plot, plot.box.clientWidth);
    });
    const swatch = draw("svg", { viewBox: "-8 -8 16 16", class: router.look, "aria-hidden": "true" });
    swatch.append(draw("path", { d: router.shape, class: "mark-shape" }));
    legend.append(make("label", {}, tick, swatch, named(router.name)));
  }
  legend.hidden = !plot.routers.length;
}

// A scale from values to pixels, with round ticks; logarithmic where all values are positive and span more than 10x.
function scale(values, from, to, mayBeLog) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const log = mayBeLog && low > 0 && high > 10 * low;
  const onto = log ? Math.log10 : (value) => value;
  [low, high] = [onto(low), onto(high)];
  const apart = high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)) ? high - low : 0; // rounding is no spread
  const room = apart * 0.06 || Math.abs(high) * 0.05 || 0.5;
  [low, high] = [low - room, high + room];
  const place = (value) => from + ((onto(value) - low) / (high - low)) * (to - from);
  const most = Math.max(2, Math.floor(Math.abs(to - from) / 70));
  return { place, ticks: log ? logTicks(low, high, most) : linearTicks(low, high, most), log };
}

function linearTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high, most) {
  for (const parts of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = Math.floor(low); power <= high; power += 1) ticks.push(...parts.map((part) => part * 10 ** power));
    const inside = ticks.filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high);
    if (inside.length <= most || parts.length === 1) return inside.map((tick) => Number(tick.toPrecision(3)));
  }
  return [];
}

function drawPlot(plot, width) {
  const height = Math.max(300, Math.min(560, width * 0.58));
  const edge = { left: 52, right: 14, top: 14, bottom: 46 };
  const swept = plot.routers.filter((router) => router.swept && plot.data.sweeps[router.name]);
  const [x, y] = scales(plot, swept, width, height, edge);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  drawAxes(svg, x, y, width, height, edge);
  const [wide, high] = [width - edge.left - edge.right, height - edge.top - edge.bottom];
  const inside = draw("svg", { x: edge.left, y: edge.top, width: wide, height: high });
  inside.setAttribute("viewBox", `${edge.left} ${edge.top} ${wide} ${high}`);
  svg.append(inside);
  plot.points = [];
  const put = (point, px, py) => {
    const seen = px >= edge.left && px <= edge.left + wide && py >= edge.top && py <= edge.top + high;
    if (seen) plot.points.push({ ...point, px, py });
  };
  const steps = plot.data.frontier.filter(([cost]) => !x.log || cost > 0);
  const line = steps.map(([cost, acc], i) => (i ? `H${x.place(cost)}V${y.place(acc)}` : `M${x.place(cost)} ${y.place(acc)}`));
  inside.append(draw("path", { d: line.join(""), class: "front" }));
  for (const model of plot.models) {
    const [px, py] = [x.place(model.cost[0]), y.place(model.acc[0])];
    inside.append(draw("circle", { cx: px, cy: py, r: 4, class: "model" }));
    put(model, px, py);
  }
  for (const router of swept) inside.append(drawSweep(router, plot.data.sweeps[router.name], x, y, put));
  for (const router of plot.routers) inside.append(drawRouter(router, x, y, put));
  if (plot.offer?.every(Number.isFinite) && (plot.offer[0] > 0 || !x.log)) {
    inside.append(draw("circle", { cx: x.place(plot.offer[0]), cy: y.place(plot.offer[1]), r: 11, class: "offered" }));
  }
  label(svg, plot, width, edge);
  plot.ring = draw("circle", { r: 10, class: "chosen", visibility: "hidden" });
  svg.append(plot.ring);
  plot.box.replaceChildren(svg);
  plot.width = width;
  choose(plot, -1);
}

// Both axes: around everything that is drawn, or around what validation chose and its intervals.
function scales(plot, swept, width, height, edge) {
  const zoomed = find("#zoom").checked && plot.routers.length;
  const main = zoomed ? plot.routers : plot.data.main;
  const ends = (key) => main.flatMap((point) => point[key]).filter(Number.isFinite);
  const sweep = zoomed ? [] : swept.flatMap((router) => plot.data.sweeps[router.name]);
  const free = main.some((point) => point.cost[0] === 0) || sweep.some((p) => p[0] === 0);
  const costs = [...ends("cost"), ...sweep.map((p) => p[0])].filter((cost) => free || cost > 0);
  const x = scale(costs, edge.left, width - edge.right, true);
  const y = scale([...ends("acc"), ...sweep.map((p) => p[1])], height - edge.bottom, edge.top, false);
  return [x, y];
}

// The operating points of a router as small marks on a line.
function drawSweep(router, points, x, y, put) {
  const places = points.filter((p) => !x.log || p[0] > 0).map((p) => [x.place(p[0]), y.place(p[1]), p]);
  const group = draw("g", { class: router.look });
  group.append(draw("path", { class: "swept", d: places.map(([px, py], i) => `${i ? "L" : "M"}${px} ${py}`).join("") }));
  for (const [px, py, p] of places) {
    group.append(draw("path", { d: router.shape, class: "mark-shape", transform: `translate(${px} ${py}) scale(0.55)` }));
    put({ name: router.name, kind: "sweep", cost: [p[0]], acc: [p[1]], weight: p[2] }, px, py);
  }
  return group;
}

function drawAxes(svg, x, y, width, height, edge) {
  for (const tick of y.ticks) {
    const at = y.place(tick);
    svg.append(draw("line", { x1: edge.left, x2: width - edge.right, y1: at, y2: at, class: "rule" }));
    svg.append(draw("text", { x: edge.left - 8, y: at + 4, "text-anchor": "end" }, String(tick)));
  }
  for (const tick of x.ticks) {
    const at = x.place(tick);
    svg.append(draw("line", { x1: at, x2: at, y1: edge.top, y2: height - edge.bottom, class: "rule" }));
    svg.append(draw("text", { x: at, y: height - edge.bottom + 18, "text-anchor": "middle" }, String(tick)));
  }
  const middle = (edge.left + width - edge.right) / 2;
  svg.append(draw("text", { x: middle, y: height - 8, "text-anchor": "middle" }, `cost of all test queries, USD${x.log ? " (logarithmic)" : ""}`));
  const turned = `translate(14 ${(edge.top + height - edge.bottom) / 2}) rotate(-90)`;
  svg.append(draw("text", { transform: turned, "text-anchor": "middle" }, "AvgAcc, %"));
}

// The large mark of a router with its intervals as a cross.
function drawRouter(router, x, y, put) {
  const [px, py] = [x.place(router.cost[0]), y.place(router.acc[0])];
  const group = draw("g", { class: router.look });
  const [, left, right] = router.cost;
  const [, low, high] = router.acc;
  if (Number.isFinite(low) && low !== null) group.append(draw("path", { class: "whisker", d: `M${px} ${y.place(low)}V${y.place(high)}` }));
  if (Number.isFinite(left) && left > 0) group.append(draw("path", { class: "whisker", d: `M${x.place(left)} ${py}H${x.place(right)}` }));
  group.append(draw("path", { d: router.shape, class: "mark-shape", transform: `translate(${px} ${py}) scale(1.15)` }));
  put(router, px, py);
  return group;
}

// Names beside single models, where there is room: the base first, then the most accurate.
function label(svg, plot, width, edge) {
  const taken = plot.points.filter((p) => p.kind !== "sweep").map((p) => [p.px - 7, p.py - 7, p.px + 7, p.py + 7]);
  const models = plot.points.filter((p) => p.kind === "model");
  models.sort((a, b) => (b.name === plot.data.base) - (a.name === plot.data.base) || b.acc[0] - a.acc[0]);
  for (const model of models) {
    const text = model.name.length > 24 ? `${model.name.slice(0, 12)}…${model.name.slice(-11)}` : model.name;
    const wide = 6.6 * text.length;
    for (const [left, anchor] of [[model.px + 8, "start"], [model.px - 8 - wide, "end"]]) {
      const spot = [left, model.py - 7, left + wide, model.py + 7];
      if (spot[0] < edge.left || spot[2] > width || taken.some((other) => overlaps(spot, other))) continue;
      const at = anchor === "start" ? left : left + wide;
      svg.append(draw("text", { x: at, y: model.py + 4, "text-anchor": anchor, class: "label" }, isolated(text)));
      taken.push(spot);
      break;
    }
  }
}

const overlaps = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

function listen(plot) {
  const { box } = plot;
  const near = (event) => {
    const frame = box.getBoundingClientRect();
    const [px, py] = [event.clientX - frame.left, event.clientY - frame.top];
    let best = -1;
    let least = 26;
    plot.points.forEach((point, i) => {
      const away = Math.hypot(point.px - px, point.py - py) - (point.kind === "sweep" ? 0 : 3);
      if (away < least) [best, least] = [i, away];
    });
    choose(plot, best);
  };
  box.addEventListener("pointermove", near);
  box.addEventListener("pointerdown", near);
  box.addEventListener("pointerleave", () => choose(plot, -1));
  box.addEventListener("blur", () => choose(plot, -1));
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const main = plot.points.map((p, i) => [p, i]).filter(([p]) => p.kind !== "sweep").sort((a, b) => a[0].px - b[0].px);
    const now = main.findIndex(([, i]) => i === plot.at);
    choose(plot, main[(now + step + main.length) % main.length][1]);
  });
}

function choose(plot, at) {
  const tip = find("#tip");
  plot.at = at;
  tip.hidden = at < 0;
  plot.ring.setAttribute("visibility", at < 0 ? "hidden" : "visible");
  if (at < 0) return;
  const point = plot.points[at];
  plot.ring.setAttribute("cx", point.px);
  plot.ring.setAttribute("cy", point.py);
  const lines = described(point, plot);
  tip.replaceChildren(make("strong", {}, named(point.name)), ...lines.map((line) => make("div", {}, line)));
  const right = point.px > plot.width / 2;
  tip.style.left = right ? "auto" : `${point.px + 14}px`;
  tip.style.right = right ? `${plot.width - point.px + 14}px` : "auto";
  tip.style.top = `${Math.max(4, point.py - 20)}px`;
  find("#plot-said").textContent = `${isolated(point.name)}: ${lines.join("; ")}`;
}

function described(point, plot) {
  const span = ([, low, high], show) => (Number.isFinite(low) ? ` [${show(low)}, ${show(high)}]` : "");
  const short = (value) => number(value, 1);
  const what = { model: point.name === plot.data.base ? "single model, Best Single" : "single model", router: "router, chosen on unseen training queries", sweep: "operating point of the router, on test (hindsight)" };
  const lines = [what[point.kind], `AvgAcc ${number(point.acc[0], 2)} %${span(point.acc, short)}`, `cost ${usd(point.cost[0])} USD${span(point.cost, usd)}`];
  if (point.kind === "sweep" && point.weight !== null) lines.push(`dial at ${Number(point.weight.toPrecision(3))}`);
  return lines;
}
