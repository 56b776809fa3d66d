// What every part of the page shares: reading what the page holds, making elements, the theme.
// User text enters the page only as text nodes (`textContent`), never as HTML.

const find = (selector, within = document) => within.querySelector(selector);
const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

// make("p.quiet", {title: "x"}, "text", child): an element with attributes and children.
function make(kind, attributes = {}, ...children) {
  const [name, ...classes] = kind.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// The same for SVG.
function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A name that must not turn the text around it, whatever script it is written in.
const named = (name) => make("bdi", {}, name);
const isolated = (name) => `\u2068${name}\u2069`;

// Numbers as `numerals.py` writes them: no exponent, commas in thousands, "unknown" where there is none.
const UNKNOWN = "unknown";

function number(value, digits) {
  if (!Number.isFinite(value)) return UNKNOWN;
  return (Number(value.toFixed(digits)) + 0).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function usd(value) {
  if (!Number.isFinite(value) || value === 0 || Math.abs(value) >= 0.9995) return number(value, 2);
  const power = Number(value.toExponential(2).split("e")[1]);
  return number(value, 2 - power);
}

// Packed bytes of a script element: base64, then gzip.
async function unpacked(id) {
  const text = find(`#${id}`)?.textContent ?? "";
  if (!text) return null;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// What the reader chose stands in the address, so that a link shows the same.
const readView = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

function keepView(name, value) {
  const view = readView();
  if (value === "" || value === null) view.delete(name);
  else view.set(name, value);
  history.replaceState(null, "", view.size ? `#${view}` : location.pathname + location.search);
}

function startTheme() {
  const root = document.documentElement;
  const button = find("#theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const say = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Show the page in ${isDark() ? "light" : "dark"} colours`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    say();
  });
  system.addEventListener("change", say);
  button.hidden = false;
  say();
}
