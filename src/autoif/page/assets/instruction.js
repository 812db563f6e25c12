// The table of instructions, and one instruction opened.
"use strict";
(() => {
  const {make, words, percent, verdict} = autoif;
  let table;

  autoif.startInstructions = () => {
    const lines = () => autoif.index.instructions;
    const unique = (values) => [...new Set(values)].filter(Boolean).sort();
    const texts = new WeakMap();
    const lowered = (line) => {
      if (!texts.has(line)) texts.set(line, `${line.text}\n${line.id}`.toLowerCase());
      return texts.get(line);
    };
    table = autoif.makeTable({
      name: "instructions",
      columns: [
        {title: "Instruction", field: "text", grow: 5, least: 220, formatter: (text, line) =>
          make("a", {href: `#instruction/${line.place}/${encodeURIComponent(line.id)}`}, autoif.beginning(text) || "(empty)")},
        {title: "Outcome", field: "outcome", grow: 2, least: 125, formatter: (outcome) => words(outcome)},
        {title: "Kind", field: "kind", grow: 2, least: 100},
        {title: "Functions", field: "functions", numeric: true, least: 100, formatter: (kept, line) => `${kept} of ${line.written}`},
        {title: "Agreement", field: "agreement", numeric: true, least: 110, formatter: percent},
        {title: "Audit", field: "findings", grow: 2, least: 90, formatter: (found) => found.map(words).join(", ") || "–"},
        {title: "Pass rate", field: "pass_rate", numeric: true, formatter: percent},
        {title: "Rows", field: "passed", numeric: true},
      ],
      filters: [
        ...autoif.stageFilters(() => unique([...lines(), ...autoif.index.others.filter((other) => other.stage < 4)].map((line) => line.reason))),
        {name: "kind", title: "Kind", options: () => unique(lines().map((line) => line.kind)).map((kind) => [kind, kind])},
        {name: "finding", title: "Audit", options: () => unique(lines().flatMap((line) => line.findings)).map((found) => [found, words(found)])},
      ],
      find: (wanted, order) => {
        const search = wanted.search.toLowerCase();
        const places = [];
        lines().forEach((line, place) => {
          if (autoif.fitsStage(wanted, line.stage, line.reason) && (!wanted.kind || line.kind === wanted.kind)
            && (!wanted.finding || line.findings.includes(wanted.finding)) && (!search || lowered(line).includes(search))) places.push(place);
        });
        const value = order?.field === "outcome" ? (place) => outcome(lines()[place])
          : order?.field === "findings" ? (place) => lines()[place].findings.length : (place) => lines()[place][order.field];
        return order ? autoif.sortPlaces(places, value, order.down) : places;
      },
      row: (place) => ({...lines()[place], place, outcome: outcome(lines()[place])}),
    });
    return table;
  };

  function outcome(line) {
    const stage = autoif.index.stages[line.stage];
    return line.reason ? line.reason : line.stage >= 3 ? "kept" : `waits after ${stage}`;
  }

  const functionsOf = ({record}) => (record.matrix?.functions ?? []).map((each) => each.id);

  // Shows an instruction by its place, if it is this one's, by its id, or by the id of a function of it.
  autoif.showInstruction = async (place, id) => {
    const lines = autoif.index.instructions;
    let found = lines[place]?.id === id ? place : lines.findIndex((line) => line.id === id);
    if (found < 0) found = await autoif.find("instructions", -1, id, functionsOf);
    if (found < 0) return {parts: [make("p", {}, `There is no instruction ${id ?? place} in this run, and no such function.`)]};
    const line = lines[found];
    const {record, draft, audit} = await autoif.record("instructions", found);
    const stage = autoif.index.stages[line.stage];
    const parts = [
      make("blockquote", {class: "text"}, line.text),
      autoif.table("What became of it", ["what", "is"], [
        ["id", line.id], ["origin", words(line.origin)], ["kind, by its words", line.kind],
        ["outcome", line.reason ? `dropped by ${stage}: ${words(line.reason)}${line.detail ? ` (${line.detail})` : ""}` : `kept by ${stage}`],
        ["responses", `${line.responses}, of which ${line.passed} were kept; mean pass rate ${percent(line.pass_rate)}`],
      ]),
      ...(record.matrix ? showFunctions(record, audit) : []),
      ...(audit?.findings?.length ? [make("h3", {}, "Audit of the instruction"), showFindings(audit.findings)] : []),
      ...showDraft(draft ?? record),
      ...autoif.showResponsesOf(found, record.kept_functions ?? []),
    ];
    const asked = line.id === id ? -1 : functionsOf({record}).indexOf(id);
    return {id: line.id, parts, at: asked < 0 ? "" : `function-${asked}`};
  };

  function showFunctions(record, audit) {
    const {functions, cases, verdicts, details} = record.matrix;
    const kept = new Set(record.kept_functions ?? []);
    const keptCases = new Set(record.kept_cases ?? []);
    const judged = new Map((audit?.functions ?? []).map((each) => [each.function_id, each]));
    const back = new Map((record.back_translations ?? []).map((each) => [each.function_id, each]));
    const name = (number) => make("a", {href: `#function-${number}`, onclick: (event) => jump(event, number)}, `f${number}`);
    const expected = cases.map((each) => each.expected ? "pass" : "fail");
    const agreed = (row) => row.filter((said, place) => said === expected[place]).length;
    const matrix = verdicts.length ? [autoif.table(
      "Functions × cases: T returned True, F returned False, E raised; green is as expected, red is not",
      ["function", ...cases.map((each, number) => `c${number}`), "agrees", "kept"],
      verdicts.map((row, number) => [name(number), ...row.map((said, place) => verdict(said, said === expected[place])),
        `${agreed(row)} of ${row.length}`, kept.has(number) ? "kept" : "–"]))] : [make("p", {class: "note"}, "Its functions have not run yet.")];
    return [
      make("h3", {}, "Functions and cases"), ...matrix,
      autoif.table("Cases", ["case", "wanted", "kept", "whose", "text"], cases.map((each, number) =>
        [`c${number}`, each.expected ? "True" : "False", keptCases.has(number) ? "kept" : "–", each.origin ?? "writer", make("pre", {}, each.input)])),
      ...functions.map((each, number) => showFunction(each, number, {
        kept: kept.has(number), detail: details?.[number], back: back.get(each.id), audit: judged.get(each.id),
        lift: record.contrast?.lifts?.[number], chosen: record.contrast?.chosen_by,
      })),
    ];
  }

  function jump(event, number) {
    event.preventDefault();
    const target = document.getElementById(`function-${number}`);
    target.scrollIntoView();
    target.focus();
  }

  function showFunction(each, number, {kept, detail, back, audit, lift, chosen}) {
    return make("article", {class: "function"},
      make("h4", {id: `function-${number}`, tabindex: "-1"}, `f${number} `, make("code", {}, each.id), kept ? " kept" : " not kept"),
      autoif.source(each.source),
      detail ? make("p", {class: "warning"}, detail) : "",
      lift === undefined ? "" : make("p", {}, `Lift over answers ${lift >= 0 ? "+" : ""}${lift.toFixed(2)}; functions were chosen by ${chosen}.`),
      back ? make("p", {}, "Says in words: ", make("q", {}, back.text), ` (${back.label}, ${autoif.number(back.score)}, by ${back.source})`) : "",
      audit ? make("p", {}, `Accepts ${percent(audit.accepted_probes)} of the probes, ${percent(audit.accepted_own)} of the answers to its `
        + `instruction, ${percent(audit.accepted_others)} of others; cases notice ${audit.killed} of ${audit.mutants} changed versions.`) : "",
      audit?.findings.length ? showFindings(audit.findings) : "");
  }

  function showFindings(findings) {
    return make("ul", {class: "findings"}, findings.map((found) => make("li", {},
      make("strong", {}, words(found.reason)), found.detail ? `: ${found.detail}` : "",
      found.texts.length ? make("details", {}, make("summary", {}, `${found.texts.length} texts that show it`),
        found.texts.map((text) => make("pre", {}, text))) : "")));
  }

  // What happened before cross-validation: answers that were mended or lost, functions put back, rulings.
  function showDraft(draft) {
    const answers = draft.answers ?? [];
    const odd = answers.filter((answer) => answer.loss || answer.repairs.length || answer.cases_lost);
    const parts = [];
    if (answers.length) {
      parts.push(make("h3", {}, "The writer's answers"),
        make("p", {}, `${answers.length} answers, ${answers.filter((answer) => !answer.loss).length} of them read`
          + (draft.settled === undefined ? "." : draft.settled ? "; most functions behave alike." : "; the functions did not settle.")));
    }
    if (odd.length) {
      parts.push(autoif.table("Answers that were mended or lost", ["answer", "lost to", "mended", "cases lost"], odd.map((answer) =>
        [answer.index, words(answer.loss ?? "–"), answer.repairs.map(words).join(", ") || "–", answer.cases_lost])));
    }
    for (const repair of draft.repairs ?? []) {
      parts.push(make("details", {}, make("summary", {}, `Round ${repair.round}: ${repair.function.id} ${words(repair.fault)}, ${words(repair.outcome)}`),
        make("pre", {}, repair.feedback), repair.explanation ? make("blockquote", {class: "text"}, repair.explanation) : "",
        make("pre", {class: "source"}, repair.function.source), repair.made ? make("pre", {class: "source"}, repair.made.source) : ""));
    }
    if (draft.rulings?.length) {
      const says = (answer) => answer === null ? "unreadable" : answer ? "yes" : "no";
      parts.push(autoif.table("Does the text follow the instruction?", ["text", "of a", "asked", "said", "because"], draft.rulings.map((ruling) =>
        [make("pre", {}, ruling.text), ruling.source, ruling.by, ruling.answers.map(says).join(", "), ruling.explanations.filter(Boolean).join(" / ") || "–"])));
    }
    return parts;
  }
})();
