// Elements from data. Text of others only ever becomes a text node; nothing here reads markup.
"use strict";
autoif.make = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => child instanceof Node ? child : String(child)));
  // A long text scrolls (page.css), and what scrolls must be reached by keyboard; a short one would be one more stop.
  if (tag === "pre" && element.textContent.length > 400) element.setAttribute("tabindex", "0");
  return element;
};

autoif.words = (name) => String(name).replaceAll("_", " ");
autoif.percent = (share) => share === null || share === undefined ? "–" : `${Math.round(100 * share)}%`;
autoif.number = (value) => value === null || value === undefined ? "–" : Number(value).toLocaleString("en", {maximumFractionDigits: 2});

// The beginning of a text in one line.
autoif.beginning = (text, most = 160) => {
  const line = text.slice(0, 4 * most).replace(/\s+/g, " ").trim();
  return line.length > most || text.length > 4 * most ? `${line.slice(0, most)}…` : line;
};

// A function's source. The vocabulary's helpers, which stand before it, are folded (vocabulary/carrying.py).
autoif.source = (text) => {
  const end = "# (end of the helpers)\n";
  const place = text.startsWith("# Helpers that evaluate() calls") ? text.lastIndexOf(end) + end.length : 0;
  const show = (part) => autoif.make("pre", {class: "source"}, part);
  if (place < end.length) return [show(text)];
  const helpers = autoif.make("details", {}, autoif.make("summary", {}, "Helpers that it calls"), show(text.slice(0, place)));
  return [show(text.slice(place)), helpers];
};

// A verdict as a coloured sign that reads without its colour.
autoif.verdict = (verdict, right) => {
  const sign = {pass: "T", fail: "F", error: "E", timeout: "t", memory: "M", crash: "C"}[verdict] ?? "?";
  const kind = right === undefined ? {pass: "yes", fail: "no"}[verdict] ?? "odd" : right ? "yes" : "no";
  return autoif.make("span", {class: `verdict ${kind}`, title: verdict},
    sign, autoif.make("span", {class: "unseen"}, ` ${verdict}${right === false ? ", not as expected" : ""}`));
};

autoif.table = (caption, heads, rows) => autoif.make("div", {class: "wide", tabindex: "0", role: "region", "aria-label": caption},
  autoif.make("table", {},
    autoif.make("caption", {}, caption),
    autoif.make("thead", {}, autoif.make("tr", {}, heads.map((head) => autoif.make("th", {scope: "col"}, head)))),
    autoif.make("tbody", {}, rows.map(([first, ...rest]) => autoif.make("tr", {},
      autoif.make("th", {scope: "row"}, first), rest.map((cell) => autoif.make("td", {}, cell)))))));
