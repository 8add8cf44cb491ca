// The factors of all budgets: decoded once, held by their token, shared by what is on the page.

// Two components hand them on, and each may be a module of its own.
const SHELF = Symbol.for("linked factors");
const MOST_HELD = 3;

function shelf() {
  window[SHELF] = window[SHELF] || { held: new Map(), waiting: new Set() };
  return window[SHELF];
}

function shelve(bytes) {
  const { held, waiting } = shelf();
  const { header, read } = parsePayload(bytes);
  if (held.has(header.token)) return;
  held.set(header.token, decodeFactors(header, read));
  if (held.size > MOST_HELD) held.delete(held.keys().next().value);
  for (const tell of waiting) tell(header.token);
}

function decodeFactors(header, read) {
  const grids = header.grids.map((grid) => ({
    rowEdges: grid.rowEdges,
    colEdges: grid.colEdges,
    channels: grid.channels.map((channel) => decodeTerms(grid, channel, read)),
  }));
  const families = {};
  for (const [name, family] of Object.entries(header.families)) {
    const grid = grids[family.grid];
    const blocks = (grid.rowEdges.length - 1) * (grid.colEdges.length - 1);
    const maps = family.channels.map(
      (changes) => decodeMaps(changes, blocks, header.highest, read));
    families[name] = {
      grid,
      maps,
      drawn: family.drawn,
      best: read(family.best),
      subtitles: family.subtitles,
    };
  }
  return { highest: header.highest, rowEdges: header.rowEdges, colEdges: header.colEdges, families };
}

// Each term as floats, its left vector times its scale, and where the terms of each block begin.
function decodeTerms(grid, { codes, scales, depths }, read) {
  const [whole, scale, depth] = [read(codes), read(scales), read(depths)];
  const values = Float32Array.from(whole);
  const starts = new Uint32Array(depth.length);
  let at = 0;
  let term = 0;
  for (let i = 0, b = 0; i + 1 < grid.rowEdges.length; i++) {
    const height = grid.rowEdges[i + 1] - grid.rowEdges[i];
    for (let j = 0; j + 1 < grid.colEdges.length; j++, b++) {
      const width = grid.colEdges[j + 1] - grid.colEdges[j];
      starts[b] = at;
      for (let k = 0; k < depth[b]; k++) {
        for (let p = at; p < at + height; p++) values[p] *= scale[term];
        at += height + width;
        term++;
      }
    }
  }
  return { values, starts };
}

// The rank of every block at r = 0…highest, one map after the other.
function decodeMaps(changes, blocks, highest, read) {
  const [starts, places, ranks] = [read(changes.starts), read(changes.blocks), read(changes.ranks)];
  const maps = new Uint16Array((highest + 1) * blocks);
  for (let r = 1; r <= highest; r++) {
    maps.copyWithin(r * blocks, (r - 1) * blocks, r * blocks);
    for (let p = starts[r - 1]; p < starts[r]; p++) maps[r * blocks + places[p]] = ranks[p];
  }
  return maps;
}
