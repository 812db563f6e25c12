// A reviewer's hand, on a page that `autoif view` serves: decisions on what is opened, the queue, and news of the run.
"use strict";
(() => {
  const {make, words, percent} = autoif;
  const keys = {a: "accept", r: "reject", c: "comment", u: "revoke"};
  const names = {accept: "Accept", reject: "Reject", comment: "Comment", revoke: "Take back"};
  const standings = new Map(); // "target/id" -> what counts
  const bars = new Map(); // "target/id" -> the bar that shows it
  const status = make("p", {class: "note", role: "status", id: "review-status"});
  const single = make("input", {type: "checkbox", id: "review-keys"});
  let author = "";
  let current = null; // what single keys decide on
  let queue = null;
  let skipped = new Set();
  let pairs = null;
  let seen = {};
  let renewing = Promise.resolve();

  async function ask(path, options) {
    const answer = await fetch(path, {cache: "no-store", ...options});
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error?.message ?? answer.statusText);
    return said;
  }

  const tell = (text) => { status.textContent = text; };
  const fail = (error) => tell(`Not done: ${error.message ?? error}`);
  const nameOf = ({target, id}) => `${target}/${id}`;

  async function decide(item, decision, comment = "") {
    try {
      const said = await ask("decisions", {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({target: item.target, id: item.id, decision, comment, queued: Boolean(item.queued)})});
      standings.set(nameOf(item), said);
      draw(item);
      tell(`${names[decision]}: ${item.target} ${item.id}`);
      document.body.dataset.decided = `${decision} ${nameOf(item)}`;
      if (item.queued && decision !== "comment") await showQueue();
    } catch (error) { fail(error); }
  }

  // The bar of an item: what counts, and what can be said.
  function bar(item) {
    const place = make("div", {class: "controls review", role: "group", "aria-label": `Decision on ${item.target} ${item.id}`});
    bars.set(nameOf(item), {item, place});
    draw(item);
    return place;
  }

  function draw(item) {
    const place = bars.get(nameOf(item))?.place;
    if (!place) return;
    const standing = standings.get(nameOf(item));
    const said = (list, what) => (list ?? []).map((each) => make("span", {class: "reason"}, `${what} by ${each.author}${each.comment ? `: ${each.comment}` : ""}`));
    const verdict = standing?.verdict;
    place.replaceChildren(
      make("strong", {class: "standing"}, verdict ? `${item.target} ${verdict}ed` : `${item.target} undecided`),
      ...Object.entries(keys).map(([key, decision]) => make("button", {type: "button", "data-decision": decision,
        "aria-keyshortcuts": key, onclick: () => decision === "comment" ? comment(item) : decide(item, decision)}, `${names[decision]} (${key})`)),
      ...said(standing?.accepted, "accepted"), ...said(standing?.rejected, "rejected"), ...said(standing?.comments, "comment"));
  }

  function comment(item) {
    const place = bars.get(nameOf(item))?.place;
    if (!place || place.querySelector("textarea")) return;
    const text = make("textarea", {rows: "3", cols: "50", maxlength: "4000", "aria-label": `Comment on ${item.target} ${item.id}`,
      onkeydown: (event) => { if (event.key === "Escape") draw(item); }});
    place.append(text, make("button", {type: "button", onclick: () => text.value.trim() ? decide(item, "comment", text.value.trim()) : draw(item)}, "Save comment"));
    text.focus();
  }

  // Puts bars onto what the page has just opened.
  async function opened({kind, place, element}) {
    bars.clear();
    current = null;
    const heading = element.querySelector("h2");
    const add = (item, after) => { after.after(bar(item)); return item; };
    if (kind === "instruction") {
      const id = location.hash.split("/")[2] || autoif.index.instructions[place]?.id;
      if (!id) return;
      current = add({target: "instruction", id}, heading);
      for (const article of element.querySelectorAll("article.function")) {
        const code = article.querySelector("h4 code");
        if (!code) continue;
        const item = add({target: "function", id: code.textContent}, article.querySelector("h4"));
        article.addEventListener("focusin", () => choose(item));
        article.addEventListener("click", () => choose(item));
      }
    } else if (kind === "response" && place < autoif.index.counts.responses) {
      current = add({target: "response", id: (await autoif.record("responses", place)).id}, heading);
    } else if (kind === "pair" && place < autoif.index.counts.pairs) {
      pairs ??= (await ask("pairs")).ids;
      if (pairs[place]) current = add({target: "pair", id: pairs[place]}, heading);
    }
  }

  function choose(item) {
    current = item;
    tell(`Keys now decide on ${item.target} ${item.id}.`);
  }

  // Shows the first of the queue, and how far the precision is settled.
  async function showQueue() {
    const section = document.getElementById("review-queue");
    queue = await ask("queue");
    const found = queue.functions.find((each) => !skipped.has(each.function_id));
    bars.clear();
    current = found ? {target: "function", id: found.function_id, queued: true} : null;
    section.replaceChildren(
      make("p", {id: "review-precision"}, describePrecision(queue.precision)),
      make("p", {class: "note"}, `First comes what we are least sure of. That goes by ${queue.by}.`),
      ...(found ? showQueued(found) : [make("p", {}, skipped.size ? "All others are skipped." : "Nothing waits for a decision.")]));
    document.body.dataset.queued = found?.function_id ?? "";
  }

  function showQueued(found) {
    const place = autoif.index?.instructions.findIndex((line) => line.id === found.instruction_id) ?? -1;
    return [
      make("h3", {}, "Is this function right for its instruction?"),
      make("blockquote", {class: "text"}, found.instruction),
      ...autoif.source(found.source),
      make("p", {}, ...sayWhy(found),
        place >= 0 ? make("a", {href: `#instruction/${place}/${found.instruction_id}`}, "All of this instruction") : ""),
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
    showQueue().catch(fail);
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

  async function readDecisions() {
    const said = await ask("decisions");
    author = said.author;
    standings.clear();
    said.items.forEach((item) => standings.set(nameOf(item), item));
    [...bars.values()].forEach(({item}) => draw(item));
    tell(said.damage || `${said.items.length} items are decided or commented on; you are ${author}.`);
  }

  // Takes everything from the page as the server makes it now. A parsed document runs nothing.
  async function renew() {
    const text = await (await fetch("./", {cache: "no-store"})).text();
    const fresh = new DOMParser().parseFromString(text, "text/html");
    if (!fresh.getElementById("main")) return;
    for (const name of ["funnel", "distributions", "settings", "subtitle"]) {
      const [old, now] = [document.getElementById(name), fresh.getElementById(name)];
      if (old && now) old.replaceChildren(...now.childNodes);
    }
    pairs = null;
    for (const data of fresh.querySelectorAll('script[id^="data-"]')) autoif.replace(data.id.slice(5), await autoif.unpack(data.textContent));
    await autoif.refresh();
    document.body.dataset.renewed = String(Number(document.body.dataset.renewed ?? 0) + 1);
  }

  function listen() {
    const events = new EventSource("events");
    events.addEventListener("state", (event) => {
      const now = JSON.parse(event.data);
      const before = seen;
      seen = now;
      if (before.page !== undefined && before.page !== now.page) renewing = renewing.then(renew).catch(fail);
      if (before.decisions !== now.decisions) readDecisions().then(() => location.hash === "#review" ? showQueue() : null).catch(fail);
      document.body.dataset.status = now.status;
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
  document.getElementById("main").before(make("div", {class: "controls"}, status,
    make("span", {}, single, make("label", {for: single.id}, " single keys decide: a, r, c, u; s skips"))));
  document.addEventListener("autoif-opened", (event) => opened(event.detail).catch(fail));
  const look = () => { if (location.hash === "#review") showQueue().catch(fail); };
  window.addEventListener("hashchange", look);
  look();
  listen();
})();
