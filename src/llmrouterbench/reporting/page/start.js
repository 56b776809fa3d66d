// What a report does once it is read.

function start() {
  for (const element of findAll("[data-needs-script]")) element.hidden = false;
  for (const form of findAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
  startTheme();
  startBoard();
  startGrids();
  startVerdict(startPlot());
  startExplorer();
}

document.addEventListener("DOMContentLoaded", start);
