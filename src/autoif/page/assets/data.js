// The data of the page: packed JSON in script elements that no browser executes, or in files beside the page.
"use strict";
var autoif = (() => {
  const pieces = new Map(); // name -> promise of the parsed piece
  const opening = new Map(); // name -> the same, while it is opened
  const waiting = new Map(); // name -> what takes the packed text of a file beside the page

  async function unpack(packed) {
    const letters = atob(packed);
    const bytes = new Uint8Array(letters.length);
    for (let place = 0; place < letters.length; place++) bytes[place] = letters.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // A file beside the page calls this.
  function give(name, packed) {
    waiting.get(name)?.(packed);
    waiting.delete(name);
  }

  function fetchBeside(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${encodeURIComponent(autoif.index.beside)}/${name}.js`;
      script.onload = () => script.remove();
      script.onerror = () => reject(new Error(
        `${autoif.index.beside}/${name}.js is missing: keep that folder beside this page`));
      waiting.set(name, resolve);
      document.head.append(script);
    });
  }

  // Opens a piece, of several who ask at the same time once.
  function read(name) {
    if (!opening.has(name)) {
      const inside = document.getElementById(`data-${name}`);
      const piece = (inside ? Promise.resolve(inside.textContent) : fetchBeside(name)).then(unpack);
      const done = () => opening.delete(name);
      piece.then(done, done);
      opening.set(name, piece);
    }
    return opening.get(name);
  }

  // Returns a promise of a piece of data by its name.
  function load(name) {
    if (!pieces.has(name)) {
      pieces.set(name, read(name));
      pieces.get(name).catch(() => pieces.delete(name));
    }
    return pieces.get(name);
  }

  // Returns a promise of a piece that is looked through once: of a large run not all of them fit into memory.
  function look(name) {
    return pieces.get(name) ?? (autoif.index.beside ? read(name) : load(name));
  }

  // Returns a promise of the record at a place among instructions, responses or pairs.
  async function record(kind, place) {
    const size = autoif.index.sizes[kind];
    return (await load(`${kind}-${Math.floor(place / size)}`))[place % size];
  }

  // Returns the place of the record with an id: where it is said to be, or wherever else it is, as places change while a
  // run goes on; -1 where there is none. Without an id the place counts. `ids` gives the ids that a record is found by.
  async function find(kind, place, id, ids = (each) => [each.id]) {
    const {sizes, counts} = autoif.index;
    const there = Number.isInteger(place) && place >= 0 && place < counts[kind];
    if (there && (!id || ids(await record(kind, place)).includes(id))) return place;
    for (let piece = 0; id && piece * sizes[kind] < counts[kind]; piece++) {
      const within = (await look(`${kind}-${piece}`)).findIndex((each) => ids(each).includes(id));
      if (within >= 0) return piece * sizes[kind] + within;
    }
    return -1;
  }

  // Puts the pieces of a run that went on in the place of all that was loaded, at once.
  async function renew(fresh) {
    await Promise.allSettled(opening.values());
    pieces.clear();
    for (const [name, value] of fresh) pieces.set(name, Promise.resolve(value));
    autoif.index = fresh.get("index");
  }

  return {load, look, record, find, renew, give, unpack, index: null};
})();
