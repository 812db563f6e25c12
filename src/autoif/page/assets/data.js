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

  // Puts a piece in the place of what was loaded: a page that is kept up to date uses it.
  function replace(name, value) {
    pieces.set(name, Promise.resolve(value));
    if (name === "index") autoif.index = value;
  }

  return {load, look, record, replace, give, unpack, index: null};
})();
