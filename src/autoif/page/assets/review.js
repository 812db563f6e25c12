// A reviewer's hand, on a page that `autoif view` serves: decisions on what is opened, the queue, and news of the run.
"use strict";
(() => {
  const {make, words, percent} = autoif;
  const keys = {a: "accept", r: "reject", c: "comment", u: "revoke"};
  const names = {accept: "Accept", reject: "Reject", comment: "Comment", revoke: "Take back"};
  const mostListed = 200;
  const standings = new Map(); // "target/id" -> what counts
  const bars = new Map(); // "target/id" -> the bar that shows it
  const status = make("p", {class: "note", role: "status", id: "review-status"});
  const single = make("input", {type: "checkbox", id: "review-keys"});
  const within = make("select", {id: "review-within", onchange: () => showQueue(true).catch(fail)},
    [2, 5, 10].map((points) => make("option", {value: points / 100, selected: points === 5}, `± ${points} points`)));
  const precision = make("p", {id: "review-precision"});
  const shown = make("div", {}); // the function of the queue
  const decided = make("div", {id: "review-decided"});
  let author = "";
  let current = null; // what single keys decide on: always something that is shown
  const skipped = new Set();
  let seen = {};
  let renewing = Promise.resolve();
  let waits = false; // whether the page is to be renewed once more

  async function ask(path, options) {
    const answer = await fetch(path, {cache: "no-store", ...options});
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error?.message ?? answer.statusText);
    return said;
  }

  const tell = (text) => { status.textContent = text; };
  const fail = (error) => tell(`Not done: ${error.message ?? error}`);
  const nameOf = ({target, id}) => `${target}/${id}`;
  const inQueue = () => location.hash === "#review";
  const isWriting = () => document.querySelector(".review textarea") !== null;

  // Tells whether the server has taken it.
  async function decide(item, decision, comment = "") {
    try {
      const said = await ask("decisions", {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({target: item.target, id: item.id, decision, comment, queued: Boolean(item.queued)})});
      standings.set(nameOf(item), said);
      draw(item);
      tell(`${names[decision]}: ${item.target} ${item.id}`);
      document.body.dataset.decided = `${decision} ${nameOf(item)}`;
      if (inQueue()) await showQueue(!item.queued || decision === "comment");
      return true;
    } catch (error) {
      fail(error);
      return false;
    }
  }

  // The bar of an item: what counts, and what can be said.
  function bar(item) {
    const [standing, said] = [make("strong", {class: "standing"}), make("span", {})];
    const buttons = Object.entries(keys).map(([key, decision]) => make("button", {type: "button", "data-decision": decision,
      "aria-keyshortcuts": key, onclick: () => decision === "comment" ? comment(item) : decide(item, decision)}, `${names[decision]} (${key})`));
    const place = make("div", {class: "controls review", role: "group", "aria-label": `Decision on ${item.target} ${item.id}`,
      onfocusin: () => choose(item), onclick: () => choose(item)}, standing, buttons, said);
    bars.set(nameOf(item), {item, place, standing, said});
    draw(item);
    return place;
  }

  function draw(item) {
    const found = bars.get(nameOf(item));
    if (!found) return;
    const counts = standings.get(nameOf(item));
    found.standing.textContent = `${item.target} ${counts?.verdict ? `${counts.verdict}ed` : "undecided"}`;
    found.said.replaceChildren(...listSaid(counts).map((text) => make("span", {class: "reason"}, text)));
  }

  function listSaid(counts) {
    const list = (name, what) => (counts?.[name] ?? []).map((each) => `${what} by ${each.author}${each.comment ? `: ${each.comment}` : ""}`);
    return [...list("accepted", "accepted"), ...list("rejected", "rejected"), ...list("comments", "comment")];
  }

  function comment(item) {
    const place = bars.get(nameOf(item))?.place;
    if (!place || place.querySelector("textarea")) return;
    const close = () => {
      form.remove();
      place.querySelector("[data-decision=comment]").focus();
    };
    const save = async () => { if (!text.value.trim() || await decide(item, "comment", text.value.trim())) close(); };
    const text = make("textarea", {rows: "3", cols: "50", maxlength: "4000", dir: "auto", "aria-label": `Comment on ${item.target} ${item.id}`,
      onkeydown: (event) => {
        if (event.key === "Escape") close();
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
      }});
    const form = make("div", {}, text, make("button", {type: "button", onclick: save}, "Save comment"));
    place.append(form);
    text.focus();
  }

  function setCurrent(item) {
    current = item;
    for (const [name, {place}] of bars) place.toggleAttribute("data-chosen", item !== null && name === nameOf(item));
  }

  function choose(item) {
    if (current && nameOf(current) === nameOf(item)) return;
    setCurrent(item);
    tell(`Keys now decide on ${item.target} ${item.id}.`);
  }

  // Puts bars onto what the page has just opened. Drawn again, keys decide on what they did before.
  function opened({target, id, element}) {
    const before = current;
    bars.clear();
    setCurrent(null);
    if (!id) return;
    const add = (item, after) => { after.after(bar(item)); return item; };
    const items = [add({target, id}, element.querySelector("h2"))];
    for (const article of element.querySelectorAll("article.function")) {
      const item = add({target: "function", id: article.querySelector("h4 code").textContent}, article.querySelector("h4"));
      article.addEventListener("focusin", () => choose(item));
      article.addEventListener("click", () => choose(item));
      items.push(item);
    }
    setCurrent(items.find((item) => before && nameOf(item) === nameOf(before)) ?? items[0]);
  }

  // Shows the first of the queue, and how far the precision is settled. With `stay` what is shown stays, whatever others
  // decide meanwhile: a key must not decide on what has just come in its place.
  async function showQueue(stay) {
    const {functions, by, precision: known} = await ask(`queue?within=${within.value}`);
    if (!inQueue()) return;
    precision.textContent = describePrecision(known);
    listDecided();
    if (stay && current?.queued) return;
    const found = functions.find((each) => !skipped.has(each.function_id));
    bars.clear();
    current = found ? {target: "function", id: found.function_id, queued: true} : null;
    shown.replaceChildren(make("p", {class: "note"}, `First comes what we are least sure of. That goes by ${by}.`),
      ...(found ? showQueued(found) : [make("p", {}, skipped.size ? "All others are skipped." : "Nothing waits for a decision.")]));
    setCurrent(current);
    document.body.dataset.queued = found?.function_id ?? "";
  }

  function showQueued(found) {
    return [
      make("h3", {}, "Is this function right for its instruction?"),
      make("blockquote", {class: "text"}, found.instruction),
      ...autoif.source(found.source),
      make("p", {}, ...sayWhy(found), make("a", {href: `#instruction/0/${found.instruction_id}`}, "All of this instruction")),
      bar(current),
      make("button", {type: "button", id: "review-skip", "aria-keyshortcuts": "s", onclick: skip}, "Skip (s)"),
    ];
  }

  // What speaks for a function, each in words of its own.
  function sayWhy(found) {
    const says = {score: (share) => `The audit's score is ${share.toFixed(2)}. `, votes: (share) => `${percent(share)} of the writer's answers gave functions that behave like it. `,
      lift: (share) => `It accepts ${percent(share)} more of the answers to its instruction than of others. `, cases: (share) => `It gets ${percent(share)} of its cases as expected. `,
      unanimity: (share) => `Of ${percent(share)} of the responses it says what most of its instruction's functions say. `};
    return Object.entries(says).filter(([name]) => found[name] !== null).map(([name, say]) => say(found[name]));
  }

  function skip() {
    if (current?.queued) skipped.add(current.id);
    showQueue(false).catch(fail);
  }

  function describePrecision(found) {
    if (!found) return "No function was kept.";
    const share = (value) => `${(100 * value).toFixed(1)} %`;
    const known = found.decided ? `About ${share(found.value)} [${share(found.low)}, ${share(found.high)}] of ${found.functions} kept functions are right, by ${found.decided} decisions${found.queued < found.decided ? `, ${found.decided - found.queued} of them outside the queue, which say nothing of the other functions` : ""}.`
      : `Nobody has decided on any of ${found.functions} kept functions.`;
    const needed = found.needed.reduce((sum, each) => sum + each, 0);
    const points = (100 * found.half_width).toFixed(0);
    const of = ["least sure", "in between", "most sure"].map((name, band) => `${found.needed[band]} ${name}`).join(", ");
    return `${known} ${needed ? `About ${needed} more decisions (${of}) would settle how many are right, to ± ${points} points.` : `That settles it to ± ${points} points.`}`;
  }

  // Lists what was decided or said, the latest first: each leads to what it is about, and can be taken back.
  function listDecided() {
    const all = [...standings.values()].map((item) => ({item, said: [...item.accepted, ...item.rejected, ...item.comments]}))
      .filter(({said}) => said.length).map((each) => ({...each, time: each.said.map(({time}) => time).sort().at(-1)}))
      .sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
    const rows = all.slice(0, mostListed).map(({item, said}) => [
      make("a", {href: `#${item.target === "function" ? "instruction" : item.target}/0/${item.id}`}, `${item.target} ${item.id}`),
      item.verdict ? `${item.verdict}ed` : "undecided", listSaid(item).join("; "),
      said.some((each) => each.author === author)
        ? make("button", {type: "button", "aria-label": `Take back ${item.target} ${item.id}`, onclick: () => decide(item, "revoke")}, "Take back") : "–",
    ]);
    const cut = all.length > mostListed ? `, the last ${mostListed} of ${all.length}` : "";
    decided.replaceChildren(...(rows.length ? [make("h3", {}, "Decided"),
      autoif.table(`What was decided or said${cut}`, ["what", "stands as", "who said so", "yours"], rows)] : []));
  }

  async function readDecisions() {
    const said = await ask("decisions");
    author = said.author;
    standings.clear();
    said.items.forEach((item) => standings.set(nameOf(item), item));
    [...bars.values()].forEach(({item}) => draw(item));
    tell(said.damage || `${said.items.length} items are decided or commented on; you are ${author}.`);
    if (inQueue()) await showQueue(true);
  }

  // Takes everything from the page as the server makes it now. A parsed document runs nothing.
  async function renew() {
    const answer = await fetch("./", {cache: "no-store"});
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const packed = [...fresh.querySelectorAll('script[id^="data-"]')];
    const pieces = new Map(await Promise.all(packed.map(async (each) => [each.id.slice(5), await autoif.unpack(each.textContent)])));
    // Once data lies beside the page, another page has to be loaded, which may load it.
    if (pieces.get("index").beside !== autoif.index.beside) {
      if (!isWriting()) location.reload();
      return;
    }
    for (const name of ["funnel", "distributions", "thresholds", "settings", "subtitle"]) {
      document.getElementById(name).replaceChildren(...fresh.getElementById(name).childNodes);
    }
    await autoif.renew(pieces);
    await autoif.refresh();
    document.body.dataset.renewed = String(Number(document.body.dataset.renewed ?? 0) + 1);
  }

  function listen() {
    const events = new EventSource("events");
    events.addEventListener("state", (event) => {
      const now = JSON.parse(event.data);
      const before = seen;
      seen = now;
      if (before.page !== undefined && before.page !== now.page && !waits) {
        waits = true; // what changes until the page is renewed is renewed with it
        renewing = renewing.then(() => { waits = false; return renew(); }).catch(fail);
      }
      if (before.decisions !== now.decisions) readDecisions().catch(fail);
      document.body.dataset.status = now.status;
    });
    events.addEventListener("error", () => {
      seen = {...seen, decisions: undefined}; // once the server is back, what counts is read anew
      tell(events.readyState === EventSource.CLOSED ? "This page is not kept up to date: load it again." : "The server does not answer; this page tries again.");
    });
  }

  document.addEventListener("keydown", (event) => {
    if (!single.checked || !current || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest?.("input, select, textarea, [contenteditable]")) return;
    const decision = keys[event.key];
    if (!decision && !(event.key === "s" && current.queued)) return;
    event.preventDefault();
    if (event.key === "s") skip();
    else if (decision === "comment") comment(current);
    else decide(current, decision);
  });

  single.checked = true;
  document.getElementById("main").before(make("section", {class: "controls", "aria-label": "Your review"}, status,
    make("span", {}, single, make("label", {for: single.id}, " single keys decide: a, r, c, u; s skips"))));
  document.getElementById("review-queue").append(precision,
    make("p", {}, make("label", {for: within.id}, "Settled is an interval of "), within), shown, decided);
  document.addEventListener("autoif-opened", (event) => opened(event.detail));
  // What is no longer shown is not decided on.
  const look = () => {
    setCurrent(null);
    if (inQueue()) showQueue(false).catch(fail);
  };
  window.addEventListener("hashchange", look);
  look();
  listen();
})();
