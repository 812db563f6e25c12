// The tables of prompts, responses and pairs, and one of them opened.
"use strict";
(() => {
  const {make, words, percent} = autoif;
  const columns = () => autoif.index.responses;
  const reasonOf = (place) => autoif.index.reasons[columns().reason[place]] ?? "";
  const promptOf = (place) => autoif.index.prompts[columns().prompt[place]];
  const outcomeOf = (place) => reasonOf(place) || (columns().stage[place] === autoif.index.stages.length - 1 ? "kept" : "waits for its score");

  // Returns a function that gives what a search compares of each record, as far as it is read. Records are read one piece
  // after another, and the page draws in between: a search finds what is read so far, and more as it goes on. `read.tell`
  // is called after each piece.
  function makeReader(kind, take) {
    let state = null;
    const read = () => {
      if (state?.index === autoif.index) return state;
      const {sizes, counts} = autoif.index;
      const mine = state = {index: autoif.index, found: [], failed: null};
      mine.ended = (async () => {
        const last = Math.ceil(counts[kind] / sizes[kind]) - 1;
        const coming = []; // some pieces ahead: to open a file takes longer than to read it
        for (let piece = 0, asked = 0; piece <= last; piece++) {
          while (asked <= Math.min(last, piece + 3)) {
            const next = autoif.look(`${kind}-${asked++}`);
            next.catch(() => {}); // whoever awaits it is told
            coming.push(next);
          }
          const records = await coming.shift();
          if (state !== mine) return; // the run went on, and is read anew
          for (const record of records) mine.found.push(take(record));
          read.tell(piece === last);
        }
      })().catch((error) => {
        mine.failed = error;
        read.tell(true);
      });
      return mine;
    };
    read.tell = () => {};
    return read;
  }

  // Returns the places, of those that are read if `wants` a text, that fit.
  function findRead(kind, {found, failed}, wants, fits) {
    if (wants && failed) throw failed;
    const places = [];
    const end = wants ? found.length : autoif.index.counts[kind];
    if (end < autoif.index.counts[kind]) places.searched = end;
    for (let place = 0; place < end; place++) if (fits(place)) places.push(place);
    return places;
  }

  const textOf = (turns) => turns.map((each) => each.content).join("\n\n");
  const readResponses = makeReader("responses", (record) => record.text.toLowerCase());
  const readPairs = makeReader("pairs", ({level, prompt, chosen, rejected}) =>
    ({level, text: [prompt, chosen, rejected].map(textOf).join("\n").toLowerCase()}));

  // Reads the texts before anybody searches in them. Those of a run that goes on would be read anew at every change.
  autoif.readAhead = async () => {
    if (autoif.index.status === "running") return;
    await readResponses().ended;
    readPairs();
  };

  autoif.startResponses = () => {
    const reasons = () => autoif.index.reasons.filter(Boolean);
    const table = autoif.makeTable({
      name: "responses",
      columns: [
        {title: "Response", field: "text", sorts: false, grow: 5, least: 220, formatter: (text, row) =>
          make("a", {href: `#response/${row.place}/${row.id}`}, autoif.beginning(text) || "(empty)")},
        {title: "Instruction", field: "instruction", sorts: false, grow: 3, least: 140},
        {title: "Outcome", field: "outcome", grow: 2, least: 125, formatter: words},
        {title: "Pass rate", field: "pass_rate", numeric: true, formatter: percent},
        {title: "Quality", field: "quality", numeric: true, formatter: autoif.number},
        {title: "Characters", field: "characters", numeric: true, formatter: autoif.number},
      ],
      filters: [
        ...autoif.stageFilters(reasons),
        {name: "prompt", title: "Prompt", options: () => []},
        {name: "instruction", title: "Instruction", options: () => []},
      ],
      find: (wanted, order) => {
        const search = wanted.search.toLowerCase();
        const read = search || autoif.index.status !== "running" ? readResponses() : {found: []};
        const {stage, prompt} = columns();
        const places = findRead("responses", read, search, (place) => autoif.fitsStage(wanted, stage[place], reasonOf(place))
          && (!wanted.prompt || promptOf(place)?.id === wanted.prompt)
          && (!wanted.instruction || promptOf(place)?.instructions.some((each) => autoif.index.instructions[each].id === wanted.instruction))
          && (!search || read.found[place].includes(search)));
        const value = order?.field === "outcome" ? outcomeOf : (place) => columns()[order.field][place];
        return order ? autoif.sortPlaces(places, value, order.down) : places;
      },
      row: async (place) => {
        const {id, text} = await autoif.record("responses", place);
        return {
          place, id, text, outcome: outcomeOf(place),
          instruction: promptOf(place)?.instructions.map((each) => autoif.index.instructions[each].text).join(" ") ?? "–",
          pass_rate: columns().pass_rate[place], quality: columns().quality[place], characters: columns().characters[place],
        };
      },
    });
    readResponses.tell = table.progress;
    return table;
  };

  // Shows a response: what was asked, its text, what each function says of it, its quality, why it was dropped.
  autoif.showResponse = async (wanted, id) => {
    const place = await autoif.find("responses", wanted, id);
    if (place < 0) return {parts: [make("p", {}, "There is no such response in this run.")]};
    const record = await autoif.record("responses", place);
    const prompt = promptOf(place);
    const constraints = await Promise.all((prompt?.instructions ?? []).map(async (each) =>
      ({line: autoif.index.instructions[each], number: each, ...await autoif.record("instructions", each)})));
    const functions = constraints.flatMap(({number, line, record: {matrix, kept_functions: kept}}) =>
      (kept ?? []).map((each) => ({number, line, source: matrix.functions[each].source, name: `f${each}`})));
    const parts = [
      make("h3", {}, "Asked"), make("pre", {class: "text"}, prompt ? prompt.query : "not known"),
      ...constraints.map(({line, number}) => make("p", {}, make("a", {href: `#instruction/${number}/${encodeURIComponent(line.id)}`}, line.text))),
      make("h3", {}, "Answered"), make("pre", {class: "text"}, record.text),
      make("p", {}, `${words(outcomeOf(place))}${record.detail ? ` (${record.detail})` : ""}; pass rate ${percent(columns().pass_rate[place])}`
        + `, quality ${autoif.number(columns().quality[place])}, ${autoif.number(columns().characters[place])} characters, id ${record.id}`),
      record.verdicts.length ? autoif.table("What each function says", ["function", "says", "source"], record.verdicts.map((said, number) =>
        [functions[number]?.name ?? `f${number}`, autoif.verdict(said), make("pre", {class: "source"}, functions[number]?.source ?? "")])) : "",
      ...(record.quality?.analyses ?? []).map((analysis, number) => make("details", {},
        make("summary", {}, `The judge's ${autoif.number(record.quality.scores[number])}`), make("pre", {}, analysis))),
    ];
    return {id: record.id, parts};
  };

  // Lists the responses to an instruction, the first of them with their texts.
  autoif.showResponsesOf = (instruction, functions) => {
    const shown = 50;
    const line = autoif.index.instructions[instruction];
    if (!line.responses) return [];
    const prompts = new Set();
    autoif.index.prompts.forEach((prompt, number) => { if (prompt.instructions.includes(instruction)) prompts.add(number); });
    const places = [];
    columns().prompt.forEach((prompt, place) => { if (prompts.has(prompt)) places.push(place); });
    const body = make("div", {}, make("p", {class: "note"}, "Responses are being loaded."));
    Promise.all(places.slice(0, shown).map(async (place) => [place, await autoif.record("responses", place)])).then((records) => {
      body.replaceChildren(autoif.table("Responses, with each function's verdict", ["response", `verdicts of ${functions.map((each) => `f${each}`).join(", ") || "no function"}`, "quality", "outcome"],
        records.map(([place, record]) => [make("a", {href: `#response/${place}/${record.id}`}, autoif.beginning(record.text, 240) || "(empty)"),
          record.verdicts.map((said) => autoif.verdict(said)), autoif.number(columns().quality[place]), words(outcomeOf(place))])));
    }).catch((error) => body.replaceChildren(make("p", {class: "warning"}, error.message)));
    return [make("h3", {}, "Responses"), body,
      make("p", {}, make("a", {href: `#responses?instruction=${encodeURIComponent(line.id)}`}, `All ${places.length} responses in a table`))];
  };

  autoif.startPrompts = () => {
    const prompts = () => autoif.index.prompts;
    const stage = () => autoif.index.stages[4];
    const isOfPrompt = (other) => other.stage === 4;
    return autoif.makeTable({
      name: "prompts",
      columns: [
        {title: "Query", field: "query", grow: 4, least: 220, formatter: (text, row) => make("a", {href: `#responses?prompt=${encodeURIComponent(row.id)}`}, autoif.beginning(text) || "(empty)")},
        {title: "Instruction", field: "instruction", sorts: false, grow: 4, least: 180},
      ],
      filters: autoif.stageFilters(() => [...new Set(autoif.index.others.filter(isOfPrompt).map((other) => other.reason))].sort(), [stage()]),
      find: (wanted, order) => {
        const search = wanted.search.toLowerCase();
        const places = [];
        if (!autoif.fitsStage({...wanted, stage: ""}, 0, "")) return places; // what was dropped was no prompt yet
        prompts().forEach((prompt, place) => { if (!search || prompt.query.toLowerCase().includes(search)) places.push(place); });
        return order ? autoif.sortPlaces(places, (place) => prompts()[place].query, order.down) : places;
      },
      row: (place) => ({...prompts()[place], instruction: prompts()[place].instructions.map((each) => autoif.index.instructions[each].text).join(" ")}),
    });
  };

  autoif.startPairs = () => {
    const table = autoif.makeTable({
      name: "pairs",
      columns: [
        {title: "Prompt", field: "prompt", sorts: false, grow: 3, least: 200, formatter: (text, row) => make("a", {href: `#pair/${row.place}/${row.id}`}, autoif.beginning(text) || "(empty)")},
        {title: "Chosen", field: "chosen", sorts: false, grow: 3, least: 160, formatter: (text) => autoif.beginning(text, 100)},
        {title: "Rejected", field: "rejected", sorts: false, grow: 3, least: 160, formatter: (text) => autoif.beginning(text, 100)},
        {title: "Level", field: "level", sorts: false, width: 110},
      ],
      filters: [{name: "level", title: "Level", options: () => [["query", "query"], ["instruction", "instruction"]]}],
      find: (wanted) => {
        const search = wanted.search.toLowerCase();
        const wants = search || wanted.level;
        const read = wants ? readPairs() : {found: []};
        return findRead("pairs", read, wants, (place) => !wants || ((!wanted.level || read.found[place].level === wanted.level)
          && (!search || read.found[place].text.includes(search))));
      },
      row: async (place) => {
        const pair = await autoif.record("pairs", place);
        return {place, id: pair.id, prompt: textOf(pair.prompt), chosen: textOf(pair.chosen), rejected: textOf(pair.rejected), level: pair.level};
      },
    });
    readPairs.tell = table.progress;
    return table;
  };

  // Shows both sides of a pair, with what only one of them has marked.
  autoif.showPair = async (wanted, id) => {
    const place = await autoif.find("pairs", wanted, id);
    if (place < 0) return {parts: [make("p", {}, "There is no such pair in this run.")]};
    const pair = await autoif.record("pairs", place);
    const [chosen, rejected] = [pair.chosen, pair.rejected].map(textOf);
    const [left, right] = autoif.markDifference(chosen, rejected);
    const side = (title, parts, tag, verdicts) => make("div", {},
      make("h3", {}, title),
      make("pre", {class: "text"}, parts.map(([text, only]) => only ? make(tag, {}, text) : text)),
      make("p", {}, verdicts.map((said) => autoif.verdict(said))));
    const all = (name) => pair.constraints.flatMap((constraint) => constraint[name] ?? []);
    const parts = [
      make("h3", {}, "Asked"), make("pre", {class: "text"}, textOf(pair.prompt)),
      make("div", {class: "sides"}, side("Chosen", left, "ins", all("chosen_verdicts")), side("Rejected", right, "del", all("rejected_verdicts"))),
      make("p", {class: "note"}, `Level ${pair.level ?? "unknown"}; pass rates ${percent(pair.chosen_pass_rate)} and ${percent(pair.rejected_pass_rate)}.`),
      ...pair.constraints.map((constraint) => make("p", {}, make("a", {href: `#instruction/0/${encodeURIComponent(constraint.instruction_id ?? "")}`}, constraint.instruction || constraint.instruction_id))),
    ];
    return {id: pair.id, parts};
  };

  // Space, a letter of what is written without spaces, or a word.
  const oneWord = /\s+|[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]|[^\s\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]+/gu;

  // Returns two lists of [text, whether only this side has it]: by words, of long texts by lines.
  autoif.markDifference = (first, second) => {
    const compareBy = (cut) => compare(...[first, second].map((text) => text.match(cut) ?? []));
    return compareBy(oneWord) ?? compareBy(/[^\n]*\n|[^\n]+/g) ?? [[[first, true]], [[second, true]]];
  };

  // Marks what is in the longest common run of neither side's parts; null where finding that would take too long.
  function compare(a, b) {
    let head = 0;
    while (head < a.length && head < b.length && a[head] === b[head]) head++;
    let tail = 0;
    while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
    const [x, y] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
    if (x.length * y.length > 2.5e7) return null;
    const same = findCommon(x, y);
    const keep = [new Set(same.map(([i]) => i)), new Set(same.map(([, j]) => j))];
    return [[x, keep[0]], [y, keep[1]]].map(([words, kept]) => {
      const parts = [[a.slice(0, head).join(""), false]];
      words.forEach((word, place) => {
        const only = !kept.has(place);
        if (parts.at(-1)[1] === only) parts.at(-1)[0] += word;
        else parts.push([word, only]);
      });
      parts.push([a.slice(a.length - tail).join(""), false]);
      return parts.filter(([text]) => text);
    });
  }

  function findCommon(x, y) {
    const width = y.length + 1;
    const lengths = new Uint16Array((x.length + 1) * width);
    for (let i = x.length - 1; i >= 0; i--) {
      for (let j = y.length - 1; j >= 0; j--) {
        lengths[i * width + j] = x[i] === y[j] ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    const common = [];
    for (let i = 0, j = 0; i < x.length && j < y.length;) {
      if (x[i] === y[j]) common.push([i++, j++]);
      else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
      else j++;
    }
    return common;
  }
})();
