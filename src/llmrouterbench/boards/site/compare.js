// Any two routers side by side; who is compared stands in the address.

function startPairs() {
  const data = JSON.parse(find("#pairs").textContent);
  const selects = [find("#one"), find("#other")];
  const view = readView();
  selects.forEach((select, i) => {
    select.append(...data.names.map((name) => make("option", { value: name }, name)));
    const asked = view.get(select.id);
    select.value = data.names.includes(asked) ? asked : data.names[Math.min(i, data.names.length - 1)];
    select.addEventListener("change", () => {
      keepView(select.id, select.value);
      show();
    });
  });

  // Points by which the first is above the second, with both ends.
  function lead(one, other) {
    if (one === other) return [0, 0, 0];
    const at = Math.max(one, other);
    const from = 3 * ((at * (at - 1)) / 2 + Math.min(one, other));
    const [value, low, high] = data.leads.slice(from, from + 3).map((end) => (end === null ? NaN : end / 100));
    return one > other ? [value, low, high] : [-value, -high, -low];
  }

  function show() {
    const [one, other] = selects.map((select) => data.names.indexOf(select.value));
    const [value, low, high] = lead(one, other);
    const names = [one, other].map((i) => isolated(data.names[i]));
    const said = low > 0 ? "is better than" : high < 0 ? "is worse than" : "cannot be told from";
    const ends = Number.isFinite(low) ? `, between ${signed(low)} and ${signed(high)}` : "";
    find("#verdict").textContent = one === other ? "Choose two." : `${names[0]} ${said} ${names[1]}: ${signed(value)} points${ends}.`;
    const ranks = (i) => data.rank[i].filter((rank, at, all) => at === 0 || rank !== all[0]).join(" to ");
    const rows = [
      ["rank", ranks(one), ranks(other), ""],
      ["USD per 1,000 queries", usd(data.usd[one] ?? NaN), usd(data.usd[other] ?? NaN), ""],
      ...["AvgAcc, %", ...data.datasets].map((name, i) => {
        const [mine, theirs] = [data.acc[one][i], data.acc[other][i]].map((acc) => (acc === null ? NaN : 100 * acc));
        return [name, number(mine, 2), number(theirs, 2), signed(mine - theirs)];
      }),
    ];
    const head = make("tr", {}, make("td"), make("th", { scope: "col" }, named(data.names[one])), make("th", { scope: "col" }, named(data.names[other])), make("th", { scope: "col" }, "difference"));
    const body = rows.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, named(name)), ...cells.map((cell) => make("td", {}, cell))));
    find("#pair").replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  }
  show();
}

const signed = (value) => `${value > 0 ? "+" : ""}${number(value, 2)}`;

document.addEventListener("DOMContentLoaded", () => {
  for (const element of findAll("[data-needs-script]")) element.hidden = false;
  startTheme();
  startPairs();
});
