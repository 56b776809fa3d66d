// The front page: the report's leaderboard and plot, with filters by what a card says and by price.

function startFilters() {
  const code = find("#code");
  const trained = find("#trained");
  const budget = find("#budget");
  const boxes = { code, trained, budget };
  for (const [name, box] of Object.entries(boxes)) box.value = readView().get(name) ?? "";
  const keep = ({ dataset }) => {
    const most = budget.value === "" ? Infinity : Number(budget.value);
    if (Number.isFinite(most) && !(Number(dataset.usd ?? NaN) <= most)) return false;
    if (dataset.kind !== "router") return true;
    return (!code.value || dataset.code === code.value) && (!trained.value || dataset.trained.split("|").includes(trained.value));
  };
  const filter = startBoard(keep);
  for (const [name, box] of Object.entries(boxes)) {
    box.addEventListener("input", () => {
      keepView(name, box.value);
      filter();
    });
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const element of findAll("[data-needs-script]")) element.hidden = false;
  for (const form of findAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
  startTheme();
  startFilters();
  startPlot();
});
