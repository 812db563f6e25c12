// Tables of many rows: search and filters of our own above a Tabulator that draws one page of rows at a time.
"use strict";
(() => {
  const {make} = autoif;

  function control(name, id, input) {
    return make("span", {class: "control"}, make("label", {for: id}, name), input);
  }

  // Makes a table in a section and returns {update(wanted), query(), remember(), refresh(), progress(last)}.
  //   name      of the section
  //   columns   [{title, field, formatter(value, row) -> Node or text, numeric, width}]
  //   filters   [{name, title, options() -> [value, text][]}]
  //   find      (wanted, order) -> places of the rows that fit, in order
  //   row       place -> a row's values by field; may be a promise
  autoif.makeTable = ({name, columns, filters, find, row}) => {
    const section = document.getElementById(name);
    // On paper the section has what stood there before, unless it is the one that is looked at.
    section.querySelectorAll(".static, p:not(.note)").forEach((element) => element.classList.add("paper"));
    const wanted = {search: ""};
    let found = null;
    let asked = 0;
    let drawn = 0;
    let loading = null;
    let next = null; // what is to be loaded after that
    const status = make("p", {class: "note", role: "status"});
    const search = make("input", {type: "search", id: `${name}-search`, autocomplete: "off", dir: "auto",
      oninput: () => { wanted.search = search.value; load(true); }});
    const selects = new Map(filters.map((filter) => [filter.name, make("select", {id: `${name}-${filter.name}`,
      onchange: (event) => { wanted[filter.name] = event.target.value; load(true); }})]));
    const place = make("div", {});
    const others = make("div", {});
    const pages = make("div", {class: "pages", role: "group", "aria-label": `Pages of ${name}`});
    section.append(
      make("div", {class: "controls", role: "search", "aria-label": `Rows of ${name}`},
        control("Search", search.id, search),
        filters.map((filter) => control(filter.title, `${name}-${filter.name}`, selects.get(filter.name)))),
      status, place, pages, others);

    // What was dropped without a record of its own, such as a prompt that was never asked, if the filters ask for it.
    function showOthers() {
      const fitting = wanted.search || !wanted.stage || wanted.outcome === "kept" ? []
        : autoif.index.others.filter((other) => autoif.fitsStage(wanted, other.stage, other.reason));
      const shown = fitting.slice(0, 200);
      others.replaceChildren(...(shown.length ? [
        make("p", {}, `Beside them ${fitting.length.toLocaleString("en")} were dropped without a record`
          + (fitting.length > shown.length ? `, the first ${shown.length}:` : ":")),
        autoif.table("Dropped without a record", ["id", "why", "more"],
          shown.map((other) => [other.id, autoif.words(other.reason), other.detail || "–"])),
      ] : []));
    }

    function describe(places) {
      const rows = `${places.length.toLocaleString("en")} rows`;
      return places.searched === undefined ? rows
        : `${rows} so far: ${places.searched.toLocaleString("en")} of ${autoif.index.counts[name].toLocaleString("en")} texts are searched`;
    }

    function fill() {
      for (const filter of filters) {
        const select = selects.get(filter.name);
        const options = filter.options();
        select.replaceChildren(make("option", {value: ""}, "all"), ...options.map(([value, text]) => make("option", {value}, text)));
        if (wanted[filter.name] && !options.some(([value]) => value === wanted[filter.name])) {
          select.append(make("option", {value: wanted[filter.name]}, autoif.words(wanted[filter.name])));
        }
        select.value = wanted[filter.name] ?? "";
      }
    }

    const table = new Tabulator(place, {
      layout: "fitColumns",
      placeholder: "No row fits.",
      pagination: true,
      paginationMode: "remote",
      sortMode: "remote",
      paginationElement: pages,
      paginationSize: 25,
      paginationSizeSelector: [25, 100, 500],
      ajaxURL: "rows",
      dataLoader: false,
      columnDefaults: {resizable: false, headerSortTristate: true},
      columns: columns.map((column) => ({
        title: column.title, field: column.field, headerSort: column.sorts !== false,
        width: column.width, widthGrow: column.grow ?? 1, minWidth: column.least ?? 70,
        hozAlign: column.numeric ? "right" : "left", headerHozAlign: column.numeric ? "right" : "left",
        // A button, so that keys sort, too.
        titleFormatter: () => column.sorts === false ? make("span", {}, column.title)
          : make("button", {type: "button", class: "sort"}, column.title),
        formatter: (cell) => {
          const shown = column.formatter ? column.formatter(cell.getValue(), cell.getData()) : cell.getValue();
          return shown instanceof Node ? shown : document.createTextNode(shown ?? "–");
        },
      })),
      ajaxRequestFunc: async (url, config, params) => {
        const mine = ++asked;
        const [order] = params.sort ?? [];
        const key = JSON.stringify([wanted, order?.field, order?.dir]);
        if (found?.key !== key) {
          const places = find(wanted, order ? {field: order.field, down: order.dir === "desc"} : null);
          if (mine === asked) found = {key, places};
        }
        const {places} = found;
        const start = (params.page - 1) * params.size;
        const data = await Promise.all(Array.from(places.slice(start, start + params.size), row));
        if (mine === asked) {
          status.textContent = describe(places);
          showOthers();
          remember();
        }
        return {data, last_page: Math.max(1, Math.ceil(places.length / params.size)), last_row: places.length};
      },
    });
    table.on("dataLoadError", (error) => { status.textContent = String(error?.message ?? error); });
    const built = new Promise((resolve) => table.on("tableBuilt", () => {
      // A grid may hold rows only; its links and buttons take the keyboard.
      place.querySelector(".tabulator-tableholder").removeAttribute("tabindex");
      resolve();
    }));

    // Another order begins with its first page.
    place.addEventListener("click", (event) => {
      if (event.target.closest(".tabulator-sortable")) table.modules.page.reset(true);
    }, true);

    // Loads the rows that fit now, of the first page or of the one that is shown. What is asked for while rows come is
    // loaded after them.
    function load(first) {
      next = {first: first || next?.first};
      loading ??= (async () => {
        try {
          await built;
          while (next) {
            const page = next.first ? 1 : table.getPage();
            next = null;
            await (page === table.getPage() ? table.setData() : table.setPage(page));
          }
        } finally {
          loading = null;
        }
      })();
      return loading;
    }

    // Returns what is looked for, as addresses have it.
    function query() {
      const [order] = table.getSorters();
      const sort = order ? `${order.dir === "desc" ? "-" : ""}${order.field}` : "";
      return String(new URLSearchParams(Object.entries({...wanted, sort}).filter(([, value]) => value)));
    }

    // Puts it into the address, to be copied, kept and gone back to.
    function remember() {
      const said = query();
      const address = `#${name}${said && `?${said}`}`;
      if (section.hidden || location.hash === address) return;
      try {
        history.replaceState(null, "", address);
      } catch {
        // Browsers bound how often: the next change has it.
      }
    }

    // Takes an order from an address, as "-pass_rate"; one that the table hasn't got is none.
    async function sortBy(sort) {
      await built;
      const [, down, field] = /^(-?)(.*)$/s.exec(sort);
      const known = columns.some((column) => column.field === field && column.sorts !== false);
      table.modules.sort.setSort(known ? [{column: field, dir: down ? "desc" : "asc"}] : []);
    }

    fill();
    return {
      // Shows the rows that fit: {search, sort, filter name: value, …}.
      update: async ({sort = "", ...given}) => {
        for (const key of Object.keys(wanted)) delete wanted[key];
        Object.assign(wanted, {search: ""}, given);
        search.value = wanted.search;
        fill();
        await sortBy(sort);
        await load(true);
      },
      query,
      remember,
      refresh: () => { found = null; fill(); return load(false); },
      // Is called as texts are read for a search that has not seen all of them.
      progress: (last) => {
        if (found?.places.searched === undefined || (!last && performance.now() - drawn < 400)) return;
        drawn = performance.now();
        found = null;
        load(false);
      },
    };
  };

  // Returns places in the order of a value; what has none comes last.
  autoif.sortPlaces = (places, value, down) => {
    const sign = down ? -1 : 1;
    return places.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === y) return a - b;
      if (x === null || x === undefined || x === "") return 1;
      if (y === null || y === undefined || y === "") return -1;
      return (x < y ? -1 : 1) * sign;
    });
  };

  // Tells whether a record that ended in a stage (kept there if it has no reason) is what a bar of the funnel stands for.
  autoif.fitsStage = (wanted, stage, reason) => {
    if (wanted.stage) {
      const asked = autoif.index.stages.indexOf(wanted.stage);
      const kept = stage > asked || (stage === asked && !reason);
      if (wanted.outcome === "kept") { if (!kept) return false; }
      else if (wanted.outcome === "dropped") { if (kept || stage !== asked) return false; }
      else if (stage < asked) return false;
    } else if (wanted.outcome === "kept") { if (reason) return false; }
    else if (wanted.outcome === "dropped" && !reason) return false;
    return !wanted.reason || reason === wanted.reason;
  };

  autoif.stageFilters = (reasons, stages = autoif.index.stages) => [
    {name: "stage", title: "Stage", options: () => stages.map((stage) => [stage, stage])},
    {name: "outcome", title: "Outcome", options: () => [["kept", "kept"], ["dropped", "dropped"], ["all", "seen"]]},
    {name: "reason", title: "Reason", options: () => reasons().map((reason) => [reason, autoif.words(reason)])},
  ];
})();
