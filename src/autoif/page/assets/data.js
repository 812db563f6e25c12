// The data of the page: packed JSON in script elements that no browser executes, or in files beside the page.
"use strict";
var autoif = (() => {
  const pieces = new Map(); // name -> promise of the parsed piece
  const waiting = new Map(); // name -> what takes the packed text of a file beside the page

  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
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

  // Returns a promise of a piece of data by its name.
  function load(name) {
    if (!pieces.has(name)) {
      const inside = document.getElementById(`data-${name}`);
      pieces.set(name, (inside ? Promise.resolve(inside.textContent) : fetchBeside(name)).then(unpack));
      pieces.get(name).catch(() => pieces.delete(name));
    }
    return pieces.get(name);
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

  return {load, record, replace, give, unpack, index: null};
})();
