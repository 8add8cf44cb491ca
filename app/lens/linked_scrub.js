// Another budget without the server: rank-one terms are added to the errors, or taken from them.

// Milliseconds of one frame that may go to the terms; what is left over waits for the next frame.
const TERM_TIME = 7;
// Equivalent ranks that are taken together: a block's entries are then read once for several.
const STRIDE = 4;
// Grids whose arrays are kept.
const MOST_LIVES = 8;

// Whether what is shown can follow.
function canScrub(state) {
  return Boolean(state.factors && state.header.budget);
}

function atRank(state, rank) {
  return Math.min(rank, state.factors.highest);
}

// The arrays that move: W − Ŵ of every family, from W itself at rank 0, cell by cell or as means
// over windows. The server's residuals are in float16: one of a small budget would be too coarse
// for the small errors of a large one.
function newLive(state, factors, last = null) {
  const { rows, cols, channels } = state;
  const { rowEdges, colEdges } = factors;
  const fine = rowEdges.length > rows && colEdges.length > cols;
  const target = fine
    ? state.target : windowMeans(state.target, cols, channels, rowEdges, colEdges);
  const live = {
    factors, target, rank: 0,
    rows: rowEdges.length - 1,
    cols: colEdges.length - 1,
    rowOf: fine ? null : indexOfEdges(rowEdges),
    colOf: fine ? null : indexOfEdges(colEdges),
    errors: {},
    ranks: {},
  };
  // A fit of the whole matrix is the same on every grid, and takes longest to build.
  const whole = last && sameWindows(last.factors, factors)
    && Object.keys(last.errors).find((name) => spansWhole(last.factors.families[name]));
  for (const [name, family] of Object.entries(factors.families)) {
    const rank = whole && last.ranks[whole];
    const same = whole && spansWhole(family) && family.maps.every(
      (map, c) => map[rank] === last.factors.families[whole].maps[c][rank]);
    live.errors[name] = (same ? last.errors[whole] : target).slice();
    live.ranks[name] = same ? rank : 0;
  }
  return live;
}

// Those of other grids are kept, for the way back.
function startMoving(state) {
  const { factors, lives } = state;
  if (!lives.has(factors)) {
    lives.set(factors, newLive(state, factors, state.live));
    if (lives.size > MOST_LIVES) lives.delete(lives.keys().next().value);
  }
  state.live = lives.get(factors);
}

const spansWhole = ({ grid }) => grid.rowEdges.length === 2 && grid.colEdges.length === 2;

function sameWindows(one, other) {
  const same = (a, b) => a.length === b.length && a.every((edge, k) => edge === b[k]);
  return same(one.rowEdges, other.rowEdges) && same(one.colEdges, other.colEdges);
}

function windowMeans(values, cols, channels, rowEdges, colEdges) {
  const across = colEdges.length - 1;
  const means = new Float32Array((rowEdges.length - 1) * across * channels);
  for (let i = 0; i + 1 < rowEdges.length; i++) {
    for (let j = 0; j < across; j++) {
      const cells = (rowEdges[i + 1] - rowEdges[i]) * (colEdges[j + 1] - colEdges[j]);
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let row = rowEdges[i]; row < rowEdges[i + 1]; row++) {
          for (let col = colEdges[j]; col < colEdges[j + 1]; col++) {
            sum += values[(row * cols + col) * channels + c];
          }
        }
        means[(i * across + j) * channels + c] = sum / cells;
      }
    }
  }
  return means;
}

// Move all families towards a rank, as far as the time allows; returns whether they moved.
function advance(state, wanted, time) {
  if (!state.live || state.live.factors !== state.factors) startMoving(state);
  return moveTo(state.live, state.channels, wanted, time);
}

function moveTo(live, channels, wanted, time) {
  const { families } = live.factors;
  const late = Object.keys(live.errors).filter((name) => live.ranks[name] !== wanted);
  if (!late.length) {
    live.rank = wanted;
    return false;
  }
  const end = performance.now() + time;
  do {
    for (const name of late) {
      const from = live.ranks[name];
      const next = from + clamp(wanted - from, -STRIDE, STRIDE);
      for (let c = 0; c < channels; c++) {
        moveChannel(live.errors[name], live.cols, channels, c, families[name], from, next);
      }
      live.ranks[name] = next;
    }
    live.rank = live.ranks[late.find((name) => live.ranks[name] !== wanted) || late[0]];
  } while (live.rank !== wanted && performance.now() < end);
  return true;
}

// What the server left to the browser: its residuals at the rank of its answer.
function rebuild(state) {
  if (!state.owed) return;
  state.owed = false;
  const factors = shelf().held.get(state.header.rebuild.factors);
  const rank = Math.min(state.header.rebuild.rank, factors.highest);
  const panels = state.panels.filter((panel) => panel.rebuilt);
  if (factors === state.factors) {
    advance(state, rank, Infinity);
    for (const panel of panels) panel.error.set(state.live.errors[panel.name]);
    return;
  }
  // What moves in means is shown cell by cell.
  if (!state.sharp || state.sharp.factors !== factors) state.sharp = newLive(state, factors);
  moveTo(state.sharp, state.channels, rank, Infinity);
  for (const panel of panels) panel.error = state.sharp.errors[panel.name];
}

function moveChannel(error, cols, channels, channel, { grid, maps }, from, to) {
  const { rowEdges, colEdges } = grid;
  const { values, starts } = grid.channels[channel];
  const map = maps[channel];
  const blocks = starts.length;
  for (let i = 0, b = 0; i + 1 < rowEdges.length; i++) {
    for (let j = 0; j + 1 < colEdges.length; j++, b++) {
      const before = map[from * blocks + b];
      const after = map[to * blocks + b];
      if (before === after) continue;
      const height = rowEdges[i + 1] - rowEdges[i];
      const width = colEdges[j + 1] - colEdges[j];
      const sign = after > before ? -1 : 1;
      const step = height + width;
      const first = starts[b] + Math.min(before, after) * step;
      const last = starts[b] + Math.max(before, after) * step;
      for (let row = 0; row < height; row++) {
        const start = ((rowEdges[i] + row) * cols + colEdges[j]) * channels + channel;
        for (let term = first; term < last; term += step) {
          const left = sign * values[term + row];
          const right = term + height;
          for (let col = 0, p = start; col < width; col++, p += channels) {
            error[p] += left * values[right + col];
          }
        }
      }
    }
  }
}

// Whether the error of every block is known while a family moves.
function canMeasure(state, name) {
  const { factors } = state;
  const fine = factors.rowEdges.length > state.rows && factors.colEdges.length > state.cols;
  return fine || factors.families[name].onCut || factors.whole.length > 0;
}

// ‖block of W − Ŵ‖ / ‖W‖ of what is shown now: from singular values where the family uses these
// blocks, else from its cells, and where windows have only their means, from a table.
function measureBlocks(state, panel) {
  const { factors, live, cut, channels } = state;
  const blocks = (cut.rowEdges.length - 1) * (cut.colEdges.length - 1);
  // The server's own values are needed again when the budget is back.
  if (panel.blocks === panel.served || panel.blocks.length !== blocks) {
    panel.blocks = new Float32Array(blocks);
  }
  const { onCut, maps } = factors.families[panel.name];
  if (!onCut && !factors.whole.length) {
    measureCells(state, panel);
    return;
  }
  for (let b = 0; b < blocks; b++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) {
      if (onCut) {
        const { left, starts } = factors.own[c];
        sum += left[starts[b] + maps[c][live.rank * blocks + b]];
      } else sum += factors.whole[c][maps[c][live.rank] * blocks + b] ** 2;
    }
    panel.blocks[b] = Math.sqrt(sum);
  }
}

function measureCells(state, panel) {
  const { cut: { rowEdges, colEdges }, cols, channels, target } = state;
  const across = colEdges.length - 1;
  state.norm = state.norm || Math.sqrt(target.reduce((sum, x) => sum + x * x, 0)) || 1;
  for (let i = 0; i + 1 < rowEdges.length; i++) {
    for (let j = 0; j < across; j++) {
      let sum = 0;
      for (let row = rowEdges[i]; row < rowEdges[i + 1]; row++) {
        const end = (row * cols + colEdges[j + 1]) * channels;
        for (let p = (row * cols + colEdges[j]) * channels; p < end; p++) {
          sum += panel.live[p] * panel.live[p];
        }
      }
      panel.blocks[i * across + j] = Math.sqrt(sum) / state.norm;
    }
  }
}
