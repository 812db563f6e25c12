// What is shown follows the address: #SECTION?filter=value for a table, #instruction/PLACE/ID, #response/PLACE/ID,
// #pair/PLACE/ID. The id counts, and the place says where to look first; the id of a function leads to its instruction.
"use strict";
(() => {
  const {make} = autoif;
  const starts = {instructions: "startInstructions", prompts: "startPrompts", responses: "startResponses", pairs: "startPairs"};
  const opened = {
    instruction: ["Instruction", "instructions", "showInstruction"],
    response: ["Response", "responses", "showResponse"],
    pair: ["Pair", "pairs", "showPair"],
  };
  const tables = new Map();
  let detail;
  let latest = 0; // counts what is shown: what comes too late is left out
  let drawn = ""; // what is opened, as it was drawn

  function decode(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part; // an address that somebody typed
    }
  }

  // Shows what the address names; `again` if the run went on, and whoever reads is to stay where they are.
  async function show(again) {
    const mine = ++latest;
    const asked = location.hash;
    const [path, query] = asked.slice(1).split("?");
    const [name, ...rest] = path.split("/").map(decode);
    const one = opened[name];
    const section = one ? detail : document.getElementById(name)?.closest("main > section") ?? document.querySelector("main > section");
    document.querySelectorAll("main > section").forEach((each) => { each.hidden = each !== section; });
    const current = one ? one[1] : section.id;
    document.querySelectorAll("#links a").forEach((link) => {
      if (link.getAttribute("href") === `#${current}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    section.querySelector(".failed")?.remove();
    let at = one ? "" : name;
    try {
      if (one) {
        const found = await autoif[one[2]](Number(rest[0]), rest[1]);
        if (mine !== latest) return;
        draw(one, found, again);
        at = found.at;
      } else if (starts[section.id]) await showTable(section.id, query);
    } catch (error) {
      say(section, error);
    }
    if (mine !== latest) return;
    if (!again) goTo(section, document.getElementById(at ?? ""), asked);
    document.body.dataset.shown = asked || "#";
  }

  function goTo(section, target, asked) {
    if (asked) section.querySelector("h2")?.focus({preventScroll: true});
    if (!target || target === section) window.scrollTo(0, 0);
    else {
      target.scrollIntoView();
      target.focus({preventScroll: true});
    }
  }

  // Draws what is opened: {parts, id, at: the id of the element to go to}. What hasn't changed is left as it is, and so is
  // what somebody is writing into.
  function draw([title, section], {parts, id}, again) {
    const whole = make("div", {}, make("h2", {id: "opened-title", tabindex: "-1"}, title), parts,
      make("p", {}, make("a", {href: `#${section}`}, `Back to all ${section}`)));
    if (again && (whole.innerHTML === drawn || detail.querySelector("textarea"))) return;
    drawn = whole.innerHTML;
    const {scrollX, scrollY} = window;
    detail.replaceChildren(...whole.childNodes);
    if (again) window.scrollTo(scrollX, scrollY);
    document.dispatchEvent(new CustomEvent("autoif-opened", {detail: {target: title.toLowerCase(), id, element: detail}}));
  }

  function showTable(name, query) {
    const fresh = !tables.has(name);
    if (fresh) tables.set(name, autoif[starts[name]]());
    const table = tables.get(name);
    // Who comes back finds the table as it was left.
    if (fresh || (query !== undefined && query !== table.query())) return table.update(Object.fromEntries(new URLSearchParams(query ?? "")));
    return table.remember();
  }

  function say(section, error) {
    section.append(make("p", {class: "warning failed", role: "alert"}, String(error.message ?? error)));
  }

  // Draws again after `autoif.renew`: for a page that is kept up to date.
  autoif.refresh = async () => {
    await Promise.all([...tables.values()].map((table) => table.refresh()));
    if (opened[location.hash.slice(1).split("/")[0]]) await show(true);
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
    window.addEventListener("hashchange", () => show(false));
    // Its address would show another part.
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector("main > section:not([hidden]) h2").focus();
    });
    await show(false);
    document.body.dataset.ready = "yes";
    setTimeout(autoif.readAhead);
  }

  start();
})();
