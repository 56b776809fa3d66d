// Single queries: which models were right, which one each router chose, and what that cost.

const A_PAGE = 20;

async function startExplorer() {
  const list = find("#list");
  if (!find("#numbers")) return;
  if (typeof DecompressionStream === "undefined") {
    list.append(make("p", {}, "This browser is too old to unpack the queries; every other part of the page works."));
    find("#ask").hidden = true;
    return;
  }
  const table = readTable(await unpacked("numbers"));
  fill(find("#dataset"), [["", "all datasets"], ...table.datasets.map((name, i) => [String(i), name])]);
  fill(find("#router"), table.routers.map((name, i) => [String(i), name]));
  if (!table.routers.length) {
    find("#router").parentElement.hidden = true;
    for (const value of ["lost", "wrong", "right"]) find(`#which option[value=${value}]`).remove();
    find("#order option[value=dear]").remove();
  }
  const state = { table, list, texts: null, rows: [], page: 0 };
  const again = () => search(state);
  for (const id of ["dataset", "router", "which", "order"]) find(`#${id}`).addEventListener("change", again);
  find("#search").addEventListener("input", again);
  find("#back").addEventListener("click", () => turn(state, -1));
  find("#next").addEventListener("click", () => turn(state, 1));
  const packed = await unpacked("texts");
  state.texts = packed ? JSON.parse(new TextDecoder().decode(packed)) : null;
  search(state);
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
}

// The packed table of `packing.py`: a header and columns behind it.
function readTable(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const table = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  table.columns = Object.fromEntries(
    Object.entries(table.columns).map(([name, column]) => {
      const kind = column.bytes === 1 ? Uint8Array : Uint16Array;
      return [name, new kind(buffer, 4 + length + column.at, column.length)];
    }),
  );
  table.count = table.ids.length;
  table.hidden = new Set(table.masked);
  table.solved = Array.from({ length: table.count }, (_, row) => {
    let [right, known] = [0, 0];
    table.models.forEach((model, m) => {
      const score = scoreAt(table, m, row);
      if (!Number.isFinite(score) || table.outside.includes(model)) return;
      known += 1;
      right += score >= table.codes.solved;
    });
    return [right, known];
  });
  return table;
}

// Codes of a byte or two as numbers; what they mean stands in the table's header.
function scoreOf({ codes }, code) {
  return code === codes.unknown_score ? NaN : code / codes.scores;
}

function costOf({ codes }, code) {
  if (code === codes.unknown_cost) return NaN;
  return code === 0 ? 0 : 10 ** (((code - 1) * codes.decades) / codes.steps + codes.cheapest);
}

const scoreAt = (table, model, row) => scoreOf(table, table.columns.score[model * table.count + row]);
const costAt = (table, model, row) => costOf(table, table.columns.cost[model * table.count + row]);
const nobodyOf = (codes) => 2 ** (8 * codes.BYTES_PER_ELEMENT) - 1; // the largest number of the type

// What a router did with a query under every seed that tests it.
function servings(table, router, row) {
  const choice = table.columns[`choice${router}`];
  const nobody = nobodyOf(choice);
  const found = [];
  table.seeds.forEach((seed, s) => {
    const at = s * table.count + row;
    if (!table.columns.tested[at]) return;
    const model = choice[at];
    const mixed = table.columns[`cost${router}`];
    const score = mixed ? scoreOf(table, table.columns[`score${router}`][at]) : model === nobody ? NaN : scoreAt(table, model, row);
    const cost = mixed ? costOf(table, mixed[at]) : model === nobody ? NaN : costAt(table, model, row);
    found.push({ seed, model: model === nobody ? null : table.models[model], score, cost, mixed: Boolean(mixed) });
  });
  return found;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function search(state) {
  const { table, texts } = state;
  const [dataset, router, which, order] = ["dataset", "router", "which", "order"].map((id) => find(`#${id}`).value);
  const words = find("#search").value.trim().toLowerCase();
  const { solved } = table.codes;
  const tests = {
    all: () => true,
    lost: (row, score) => score < solved && table.solved[row][0] > 0,
    wrong: (row, score) => score < solved,
    right: (row, score) => score >= solved,
    none: (row) => table.solved[row][1] > 0 && table.solved[row][0] === 0,
    few: (row) => table.solved[row][0] >= 1 && table.solved[row][0] <= 3,
    every: (row) => table.solved[row][1] > 0 && table.solved[row][0] === table.solved[row][1],
  };
  state.rows = [];
  const costs = new Map();
  for (let row = 0; row < table.count; row += 1) {
    if (dataset !== "" && table.columns.dataset[row] !== Number(dataset)) continue;
    if (words && !table.ids[row].toLowerCase().includes(words) && !(texts && texts[row].toLowerCase().includes(words))) continue;
    const served = router === "" ? [] : servings(table, Number(router), row);
    if (!tests[which](row, mean(served.map((one) => one.score)))) continue;
    if (order === "dear") costs.set(row, mean(served.map((one) => one.cost)));
    state.rows.push(row);
  }
  if (order === "hard") state.rows.sort((a, b) => table.solved[a][0] - table.solved[b][0] || a - b);
  if (order === "dear") state.rows.sort((a, b) => (costs.get(b) || 0) - (costs.get(a) || 0) || a - b);
  state.page = 0;
  show(state);
}

function turn(state, step) {
  state.page += step;
  show(state);
  find("#queries").scrollIntoView();
}

function show(state) {
  const { table, list, rows } = state;
  const pages = Math.max(1, Math.ceil(rows.length / A_PAGE));
  find("#found").textContent = `${number(rows.length, 0)} of ${number(table.count, 0)} queries`;
  find("#page-number").textContent = `page ${state.page + 1} of ${pages}`;
  find("#back").disabled = state.page === 0;
  find("#next").disabled = state.page >= pages - 1;
  list.replaceChildren(...rows.slice(state.page * A_PAGE, (state.page + 1) * A_PAGE).map((row) => entry(state, row)));
}

// A query as one line; it opens below itself.
function entry(state, row) {
  const { table } = state;
  const router = find("#router").value;
  const [right, known] = table.solved[row];
  const served = router === "" ? [] : servings(table, Number(router), row);
  const button = make(
    "button",
    { type: "button", "aria-expanded": "false" },
    excerpt(state, row),
    make("span.fact", {}, named(table.datasets[table.columns.dataset[row]])),
    make("span.fact", {}, `${right} of ${known} models right`),
    served.length ? make("span.fact", {}, ...outcome(table, served)) : null,
  );
  const item = make("article.query", { "data-row": row }, button);
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) item.lastElementChild.remove();
    else item.append(opened(state, row));
  });
  return item;
}

const isMasked = (table, row) => table.hidden.has(table.datasets[table.columns.dataset[row]]);

function excerpt({ table, texts }, row) {
  if (texts && isMasked(table, row)) return make("span.excerpt.masked", {}, `${table.ids[row]}: may not be shown`);
  const text = texts ? texts[row].trim() : "";
  return make("span.excerpt", { dir: "auto" }, text ? text.slice(0, 300) : table.ids[row]);
}

function outcome(table, served) {
  const score = mean(served.map((one) => one.score));
  const models = [...new Set(served.map((one) => one.model ?? "nobody"))];
  return [named(models.join(", ")), " ", mark(table, score), `, ${usd(mean(served.map((one) => one.cost)))} USD`];
}

// Right or wrong, in words and colour; a score between is shown as a number.
function mark(table, score) {
  if (!Number.isFinite(score)) return make("span", {}, UNKNOWN);
  const part = score > 0 && score < 1 ? ` (${number(score, 2)})` : "";
  return score >= table.codes.solved ? make("span.yes", {}, `right${part}`) : make("span.no", {}, `wrong${part}`);
}

function opened(state, row) {
  const { table, texts } = state;
  const seeds = table.seeds.filter((_, s) => table.columns.tested[s * table.count + row]);
  const box = make("div.opened", {}, make("p", {}, "Query ", named(table.ids[row]), `, tested under seed ${seeds.join(", ")}.`));
  if (isMasked(table, row)) {
    box.append(make("p.masked", {}, "The authors of this dataset ask that its items are not shown. The text is not in this file."));
  } else if (texts) {
    box.append(make("pre", { dir: "auto", tabindex: "0" }, texts[row] || "(empty)"));
  } else {
    box.append(make("p.masked", {}, "This page holds no query texts."));
  }
  box.append(make("div.tables", {}, modelTable(table, row), routerTable(table, row)));
  return box;
}

function modelTable(table, row) {
  const chosen = new Map();
  table.routers.forEach((name, router) => {
    for (const { model } of servings(table, router, row)) chosen.set(model, (chosen.get(model) ?? new Set()).add(name));
  });
  const found = table.models.map((name, m) => ({ name, score: scoreAt(table, m, row), cost: costAt(table, m, row) }));
  found.sort((a, b) => (b.score || 0) - (a.score || 0) || (a.cost || 0) - (b.cost || 0));
  return rowsTable(["Model", "Reply", "USD", "Chosen by"], found.map(({ name, score, cost }) => {
    const by = chosen.get(name)?.size ?? 0;
    return [named(name), mark(table, score), whole(usd(cost)), by ? `${by} of ${table.routers.length} routers` : "nobody"];
  }));
}

function routerTable(table, row) {
  if (!table.routers.length) return null;
  return rowsTable(["Router", "Chose", "Reply", "USD"], table.routers.map((name, router) => {
    const served = servings(table, router, row);
    const models = [...new Set(served.map((one) => one.model ?? "nobody"))];
    const split = models.length > 1 ? served.map((one) => `${one.model ?? "nobody"} (seed ${one.seed})`) : models;
    const mixed = served.some((one) => one.mixed) ? " (with every call it paid for)" : "";
    return [named(name), named(split.join(", ")), mark(table, mean(served.map((one) => one.score))), make("span", {}, whole(usd(mean(served.map((one) => one.cost)))), mixed)];
  }));
}

// A number that stays on one line.
const whole = (text) => make("span.whole", {}, text);

function rowsTable(heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((cell) => make("td.left", {}, cell))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
