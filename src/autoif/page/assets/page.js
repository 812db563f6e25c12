// What is shown follows the address: #SECTION?filter=value for a table, #instruction/PLACE/ID, #response/N, #pair/N.
"use strict";
(() => {
  const {make} = autoif;
  const starts = {instructions: "startInstructions", prompts: "startPrompts", responses: "startResponses", pairs: "startPairs"};
  const opened = {
    instruction: ["Instruction", "instructions", (place, id) => autoif.showInstruction(Number(place), id)],
    response: ["Response", "responses", (place) => autoif.showResponse(Number(place))],
    pair: ["Pair", "pairs", (place) => autoif.showPair(Number(place))],
  };
  const tables = new Map();
  let detail;

  function decode(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part; // an address that somebody typed
    }
  }

  async function show() {
    const [path, query] = location.hash.slice(1).split("?");
    const [name, ...rest] = path.split("/").map(decode);
    const one = opened[name];
    const section = one ? detail : document.getElementById(name)?.closest("main > section") ?? document.querySelector("main > section");
    document.querySelectorAll("main > section").forEach((each) => { each.hidden = each !== section; });
    const current = one ? one[1] : section.id;
    document.querySelectorAll("#links a").forEach((link) => {
      if (link.getAttribute("href") === `#${current}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    try {
      if (one) await showOne(one, rest);
      else if (starts[section.id]) await showTable(section.id, query);
    } catch (error) {
      say(section, error);
    }
    if (location.hash) section.querySelector("h2")?.focus({preventScroll: true});
    const target = one ? null : document.getElementById(name);
    if (target && target !== section) target.scrollIntoView();
    else window.scrollTo(0, 0);
    document.body.dataset.shown = location.hash || "#";
  }

  async function showOne([title, section, draw], given) {
    const parts = await draw(...given);
    detail.replaceChildren(make("h2", {id: "opened-title", tabindex: "-1"}, title), ...parts,
      make("p", {}, make("a", {href: `#${section}`}, `Back to all ${section}`)));
    document.dispatchEvent(new CustomEvent("autoif-opened", {detail: {kind: title.toLowerCase(), place: Number(given[0]), element: detail}}));
  }

  function showTable(name, query) {
    const fresh = !tables.has(name);
    if (fresh) tables.set(name, autoif[starts[name]]());
    return fresh || query !== undefined ? tables.get(name).update(Object.fromEntries(new URLSearchParams(query ?? ""))) : null;
  }

  function say(section, error) {
    section.querySelector(".failed")?.remove();
    section.append(make("p", {class: "warning failed", role: "alert"}, String(error.message ?? error)));
  }

  // Draws again after `autoif.replace`: for a page that is kept up to date.
  autoif.refresh = async () => {
    await Promise.all([...tables.values()].map((table) => table.refresh()));
    if (opened[location.hash.slice(1).split("/")[0]]) await show();
  };

  async function start() {
    detail = make("section", {id: "opened", "aria-labelledby": "opened-title"});
    document.getElementById("main").append(detail);
    document.querySelectorAll("main > section").forEach((each, number) => { each.hidden = number > 0; });
    try {
      autoif.index = await autoif.load("index");
    } catch (error) {
      say(document.querySelector("main > section"), new Error(`The data of this page can't be read: ${error.message}`));
      return;
    }
    window.addEventListener("hashchange", show);
    await show();
    document.body.dataset.ready = "yes";
    setTimeout(autoif.readAhead);
  }

  start();
})();
