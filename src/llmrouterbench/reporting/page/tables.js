// The leaderboard sorts and filters; the heat map and the matrix are read cell by cell.

// `keep` is what else decides whether a row is shown; gives the function that applies all filters.
function startBoard(keep = () => true) {
  const table = find("#board");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.forEach((row, i) => (row.dataset.place = i));
  const heads = [...table.tHead.rows[1].cells];
  heads.forEach((head, i) => find("button", head).addEventListener("click", () => sortBy(i)));

  function sortBy(column) {
    const head = heads[column];
    const numeric = rows.some((row) => isNumber(keyOf(row, column)));
    const before = head.getAttribute("aria-sort");
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const now = before === first ? second : before === second ? null : first;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    if (now) head.setAttribute("aria-sort", now);
    const sign = now === "ascending" ? 1 : -1;
    const place = (row) => Number(row.dataset.place);
    keepView("sort", now ? `${column}${now === "ascending" ? "up" : "down"}` : "");
    rows.sort((a, b) => (now ? compared(keyOf(a, column), keyOf(b, column), sign) : 0) || place(a) - place(b));
    body.append(...rows);
  }

  function filter() {
    const words = find("#filter").value.trim().toLowerCase();
    const kinds = new Set(findAll("input[name=kind]:checked").map((box) => box.value));
    let shown = 0;
    for (const row of rows) {
      const name = row.cells[0].dataset.sort.toLowerCase();
      row.hidden = !kinds.has(row.dataset.kind) || !name.includes(words) || !keep(row);
      shown += !row.hidden;
    }
    find("#count").textContent = `${shown} of ${rows.length} rows`;
  }

  function choose() {
    for (const box of findAll("input[name=group]")) table.classList.toggle(`show-${box.value}`, box.checked);
    for (const group of findAll("thead th[scope=colgroup]", table)) {
      const shown = heads.filter((one) => one.classList.contains(group.className) && getComputedStyle(one).display !== "none");
      group.hidden = !shown.length;
      group.colSpan = shown.length || 1;
    }
  }

  find("#filter").value = readView().get("find") ?? "";
  find("#filter").addEventListener("input", () => {
    filter();
    keepView("find", find("#filter").value);
  });
  for (const box of findAll("input[name=kind]")) box.addEventListener("change", filter);
  for (const box of findAll("input[name=group]")) box.addEventListener("change", choose);
  choose();
  filter();
  const [, column, way] = (readView().get("sort") ?? "").match(/^(\d+)(up|down)$/) ?? [];
  for (let i = 0; heads[column] && i < 2 && heads[column].ariaSort !== `${way === "up" ? "a" : "de"}scending`; i += 1) sortBy(Number(column));
  return filter;
}

const keyOf = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));

// Numbers by size, words by alphabet; a cell without a number comes last either way.
function compared(a, b, sign) {
  const one = isNumber(a);
  const other = isNumber(b);
  if (one && other) return sign * (Number(a) - Number(b));
  if (one !== other) return one ? -1 : 1;
  return sign * a.localeCompare(b);
}

function startGrids() {
  for (const table of findAll("table.grid")) startGrid(table);
  const heat = find("#heat");
  const shade = () => {
    const chosen = find("input[name=shade]:checked").value;
    heat.classList.toggle("by-accuracy", chosen === "by-accuracy");
    heat.classList.toggle("by-difference", chosen === "by-difference");
  };
  for (const button of findAll("input[name=shade]")) button.addEventListener("change", shade);
  shade();
  find("#differences")?.classList.add("by-difference");
}

// One cell is in the tab order; arrow keys move it. What a cell means in full stands below the table.
function startGrid(table) {
  const said = find(`#${table.id}-said`);
  const cells = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1));
  const heads = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
  let at = [0, 0];
  const move = (i, j) => {
    cells[at[0]][at[1]].tabIndex = -1;
    at = [Math.max(0, Math.min(cells.length - 1, i)), Math.max(0, Math.min(heads.length - 1, j))];
    cells[at[0]][at[1]].tabIndex = 0;
  };
  const tell = (cell) => {
    const row = cell.parentElement.cells[0].textContent;
    const where = table.id === "heat" ? `${isolated(row)} on ${isolated(heads[cell.cellIndex - 1])}: ` : "";
    said.textContent = where + cell.dataset.said;
  };
  if (!cells.length || !heads.length) return;
  cells.flat().forEach((cell) => (cell.tabIndex = -1));
  move(0, 0);
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -1e9], End: [0, 1e9] };
  table.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || event.target.tagName !== "TD") return;
    event.preventDefault();
    move(at[0] + step[0], at[1] + step[1]);
    cells[at[0]][at[1]].focus();
  });
  const seen = (event) => {
    const cell = event.target.closest("tbody td");
    if (cell) tell(cell);
  };
  table.addEventListener("focusin", seen);
  table.addEventListener("pointerover", seen);
  table.addEventListener("click", (event) => {
    const cell = event.target.closest("tbody td");
    if (!cell) return;
    move(cell.parentElement.sectionRowIndex, cell.cellIndex - 1);
    cell.focus({ preventScroll: true });
  });
}
