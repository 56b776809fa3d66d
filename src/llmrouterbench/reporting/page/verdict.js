// The slider: what is run where so many points may be lost, and where that lies in the plot.

function startVerdict(plot) {
  const stops = JSON.parse(find("#stops").textContent);
  const slider = find("#lose");
  if (!slider) return;
  const asked = stops.findIndex((stop) => stop.lose === readView().get("lose"));
  if (asked >= 0) slider.value = asked;
  const say = () => tellOffer(stops[Number(slider.value)], plot);
  slider.addEventListener("input", () => {
    say();
    keepView("lose", stops[Number(slider.value)].lose);
  });
  find("#offer-copy").addEventListener("click", () => copyCommand());
  say();
}

function tellOffer(stop, plot) {
  find("#lose").setAttribute("aria-valuetext", stop.words);
  find("#lose-said").textContent = stop.words;
  for (const what of ["run", "difference", "saves", "usd", "command"]) find(`#offer-${what}`).textContent = stop[what];
  find("#offer-how").hidden = !stop.command;
  find("#offer-served").replaceChildren(...stop.served.map(servedBar));
  plot?.mark(stop.at);
}

// A model with a bar as long as its share.
function servedBar([name, share, part]) {
  const bar = draw("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
  bar.append(draw("rect", { width: 100, height: 8, class: "room" }), draw("rect", { width: 100 * part, height: 8, class: "part" }));
  return make("div", {}, make("span", {}, name), bar, make("span", {}, share));
}

function copyCommand() {
  const button = find("#offer-copy");
  const range = document.createRange();
  range.selectNodeContents(find("#offer-command"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}
