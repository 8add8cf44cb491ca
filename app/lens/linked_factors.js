// The factors of all budgets: decoded once, held by their token, shared by what is on the page.

// Two components hand them on, and each may be a module of its own.
const SHELF = Symbol.for("linked factors");
// Bytes as they came; the oldest go first.
const MOST_HELD = 64e6;

function shelf() {
  window[SHELF] = window[SHELF]
    || { held: new Map(), waiting: new Set(), ask: null, target: { token: "", values: null } };
  return window[SHELF];
}

function shelve(bytes) {
  const { held, waiting } = shelf();
  const { header, read } = parsePayload(bytes);
  const found = held.get(header.token) || decodeFactors(header, read, bytes.byteLength);
  held.delete(header.token);
  held.set(header.token, found);
  let size = 0;
  for (const factors of held.values()) size += factors.size;
  for (const [token, factors] of held) {
    if (size <= MOST_HELD) break;
    held.delete(token);
    size -= factors.size;
  }
  for (const tell of waiting) tell(header.token);
}

function decodeFactors(header, read, size) {
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
      onCut: family.grid === header.cut.grid,
      drawn: family.drawn,
      errors: read(family.errors),
      best: read(family.best),
      subtitles: family.subtitles,
    };
  }
  const { token, highest, rowEdges, colEdges, cut } = header;
  return {
    token, size, highest, rowEdges, colEdges, families,
    cut: { rowEdges: cut.rowEdges, colEdges: cut.colEdges },
    own: cut.own.map((left, c) => ({
      left: read(left), starts: startsOf(read(header.grids[cut.grid].channels[c].depths)),
    })),
    whole: cut.whole.map((entry) => decodeHalf(read(entry), entry.exponent)),
  };
}

// Where the energies of each block begin: of depth + 1 ranks.
function startsOf(depths) {
  const starts = new Uint32Array(depths.length);
  for (let b = 1; b < depths.length; b++) starts[b] = starts[b - 1] + depths[b - 1] + 1;
  return starts;
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
