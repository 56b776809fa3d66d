// The live page: asks for its numbers every ten seconds while it is looked at, and sends a query where one is typed.

const EVERY = 10_000;
const HIGH = 70;
let key = "";
let keyWanted = false; // by a query that was refused without one
const shown = new Map();

const asAdmin = () => (key ? { authorization: `Bearer ${key}` } : {});
const isFigure = (text) => /^[-+<]?[\d$]/.test(text) || text === UNKNOWN;

async function refresh() {
  if (document.hidden) return;
  let answer;
  try {
    answer = await fetch("/dashboard/data", { headers: asAdmin() });
  } catch {
    find("#state").textContent = "The server cannot be reached; these are its last numbers.";
    return;
  }
  const refused = answer.status === 401 || answer.status === 403;
  find("#admit").hidden = !refused && !keyWanted;
  if (!answer.ok) {
    const said = (await answer.json().catch(() => ({}))).error?.message ?? `the server answered ${answer.status}`;
    find("#state").textContent = refused && !key ? "This page shows its numbers to admins." : said;
    return;
  }
  show(await answer.json());
}

function show(data) {
  find("#simulated").hidden = !data.simulated;
  find("#try").hidden = false;
  const made = data.log ? new Date(1000 * data.log.made).toLocaleTimeString() : null;
  const parts = [made ? `The log as of ${made}` : data.log_kept ? "" : "No log is kept: start the server with --log DIR to see what was saved"];
  if (data.reading) parts.push(made ? "it is being read again" : "The log is being read for the first time");
  if (data.trouble) parts.push(data.trouble);
  find("#state").textContent = `${parts.filter(Boolean).join("; ")}.`;
  put("log", data.log && { ...data.log, made: 0, took: 0 }, logOf);
  put("now", data.now, (sections) => [make("h2", {}, "Now"), ...sections.flatMap(sectionOf)]);
}

// Puts what is made from data into an element, where the data are others than before; the focus stays where it was.
function put(id, data, making) {
  const text = JSON.stringify(data);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  const active = document.activeElement?.getAttribute("aria-label");
  const opened = new Set(findAll(`#${id} details[open]`).map((element) => element.textContent.slice(0, 20)));
  find(`#${id}`).replaceChildren(...(data ? making(data) : []));
  for (const element of findAll(`#${id} details`)) element.open = opened.has(element.textContent.slice(0, 20));
  findAll(`#${id} .scroll`).find((element) => active && element.getAttribute("aria-label") === active)?.focus();
}

function logOf(log) {
  const [first, ...others] = log.headline;
  return [
    make("h2", {}, "In short"),
    first ? make("p.headline", {}, sentence(first)) : make("p", {}, "No request counts yet."),
    ...others.map((line) => make("p", {}, sentence(line))),
    make("p.quiet", {}, sentence(log.window)),
    ...log.sections.flatMap((section) => [...sectionOf(section), ...(section.title === "Traffic" ? hoursOf(log.hours) : [])]),
  ];
}

const sentence = (line) => `${line[0].toUpperCase()}${line.slice(1)}.`;

function sectionOf(section) {
  return [
    make("h3", {}, section.title),
    ...section.lines.map((line) => make("p", {}, sentence(line))),
    ...(section.rows.length ? [tableOf(section.title, section.rows)] : []),
  ];
}

function tableOf(title, rows) {
  const columns = Object.keys(rows[0]);
  const text = (value) => value?.text ?? value;
  const figures = columns.map((column) => rows.some((row) => isFigure(text(row[column]))) && rows.every((row) => isFigure(text(row[column])) || text(row[column]) === "none"));
  const kind = (i, name) => (figures[i] ? `${name}.figure` : name);
  const cell = (value) => (value?.text === undefined ? [make("bdi", {}, value)] : [value.text, barOf(value.share)]);
  const head = make("tr", {}, ...columns.map((column, i) => make(kind(i, "th"), { scope: "col" }, column)));
  const lines = rows.map((row) => make("tr", {}, ...columns.map((column, i) => (i ? make(kind(i, "td"), {}, ...cell(row[column])) : make("th", { scope: "row" }, ...cell(row[column]))))));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines));
  return make("div.scroll", { tabindex: "0", role: "region", "aria-label": `${title}, scrolls sideways` }, table);
}

function barOf(share) {
  const bar = draw("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true", class: "bar" });
  bar.append(draw("rect", { class: "room", width: 100, height: 8 }), draw("rect", { class: "part", width: 100 * share, height: 8 }));
  return bar;
}

function hoursOf(hours) {
  const most = Math.max(1, ...hours.map((hour) => hour.requests));
  const said = `Requests an hour in the last ${hours.length} hours: ${number(Math.max(...hours.map((hour) => hour.requests)), 0)} at most`;
  const chart = draw("svg", { id: "hours", viewBox: `0 0 ${10 * hours.length} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": said });
  for (const [i, hour] of hours.entries()) {
    const all = (HIGH * hour.requests) / most;
    const ok = (HIGH * hour.ok) / most;
    const title = draw("title", {}, `${hour.at}: ${number(hour.requests, 0)} requests, ${number(hour.requests - hour.ok, 0)} not served in full`);
    chart.append(draw("g", {}, title, draw("rect", { class: "failed", x: 10 * i + 1, width: 8, y: HIGH - all, height: all - ok }), draw("rect", { class: "part", x: 10 * i + 1, width: 8, y: HIGH - ok, height: ok })));
  }
  const ends = make("div.ends", {}, make("span", {}, `${hours[0].at} UTC`), make("span", {}, said), make("span", {}, "now"));
  const rows = hours.map((hour) => ({ "hour (UTC)": hour.at, requests: number(hour.requests, 0), "served in full": number(hour.ok, 0) }));
  return [chart, ends, make("details", {}, make("summary", {}, "These hours as a table"), tableOf("Requests an hour", rows))];
}

// One query by the path of all others; what was believed of each model comes in a header of the reply.
async function ask() {
  const body = { model: find("#model").value, messages: [{ role: "user", content: find("#query").value }] };
  const headers = { "content-type": "application/json", "x-router-explain": "yes", ...asAdmin() };
  find("#send").disabled = true;
  find("#said").textContent = "Waiting for the reply.";
  find("#answer").replaceChildren();
  try {
    const answer = await fetch("/v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body) });
    const reply = await answer.json();
    keyWanted = answer.status === 401;
    find("#admit").hidden = !keyWanted;
    told(answer.headers, answer.ok ? null : (reply.error?.message ?? `the server answered ${answer.status}`));
    if (answer.ok) find("#answer").append(make("h3", {}, "The reply"), make("pre", { tabindex: "0", dir: "auto" }, reply.choices?.[0]?.message?.content ?? ""));
  } catch {
    find("#said").textContent = "The server cannot be reached.";
  }
  find("#send").disabled = false;
  find("#query").focus();
}

function told(headers, refused) {
  const [model, reason] = [headers.get("x-router-model"), headers.get("x-router-reason")];
  const because = headers.get("x-router-because");
  const served = model ? `${isolated(model)} served, for ${usd(Number(headers.get("x-router-cost") ?? NaN))} USD. Why: ${reason}${because ? `; ${headers.get("x-router-stood-in-for")} did not: ${because}` : ""}.` : "";
  find("#said").textContent = refused ? `${sentence(refused)}` : served;
  const estimates = JSON.parse(headers.get("x-router-estimates") ?? "null");
  const known = Object.entries(estimates?.models ?? {});
  if (!estimates?.policy || !known.length) return;
  const rows = known.map(([name, one]) => ({ model: name, "expected score": number(one.score ?? NaN, 3), "expected USD": usd(one.cost ?? NaN), "chance to be chosen": `${number(100 * one.chance, 1)} %` }));
  const table = tableOf("What was expected", rows);
  findAll("tbody tr", table).forEach((row, i) => row.classList.toggle("chosen", known[i][0] === model));
  find("#answer").append(make("h3", {}, "What was expected of each model"), make("p.quiet", {}, `Policy: ${estimates.policy}. The others would have cost about what is expected of them.`), table);
}

function start() {
  startTheme();
  find("#admit").addEventListener("submit", (event) => {
    event.preventDefault();
    key = find("#key").value.trim();
    keyWanted = false;
    refresh();
  });
  find("#ask").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, EVERY);
  refresh();
}

document.addEventListener("DOMContentLoaded", start);
