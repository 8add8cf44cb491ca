// Another budget without the server: rank-one terms are added to the errors, or taken from them.

// Milliseconds of one frame that may go to the terms; what is left over waits for the next frame.
const TERM_TIME = 7;
// Equivalent ranks that are taken together: a block's entries are then read once for several.
const STRIDE = 4;

// Whether what is shown can follow: block errors need every cell, and windows have only means.
function canScrub(state) {
  const { factors, header } = state;
  if (!factors || !header.budget) return false;
  const fine = factors.rowEdges.length > state.rows && factors.colEdges.length > state.cols;
  return fine || (header.view !== "blocks" && !header.showBlockErrors);
}

function atRank(state, rank) {
  return Math.min(rank, state.factors.highest);
}

// The arrays that move: those of the pictures, or means of theirs over the windows.
function startMoving(state) {
  const { factors, rows, cols, channels } = state;
  const { rowEdges, colEdges } = factors;
  const fine = rowEdges.length > rows && colEdges.length > cols;
  const means = (values) =>
    (fine ? values : windowMeans(values, cols, channels, rowEdges, colEdges));
  state.live = {
    target: means(state.target),
    rows: rowEdges.length - 1,
    cols: colEdges.length - 1,
    rowOf: fine ? null : indexOfEdges(rowEdges),
    colOf: fine ? null : indexOfEdges(colEdges),
  };
  for (const panel of state.panels) {
    panel.live = panel.error && factors.families[panel.name] ? means(panel.error) : null;
  }
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

// Move all families towards the rank that is wanted, as far as the time allows.
function advance(state, time) {
  const wanted = atRank(state, state.wanted);
  if (wanted === state.shown) return false;
  if (!state.live) startMoving(state);
  const end = performance.now() + time;
  do {
    const next = state.shown + clamp(wanted - state.shown, -STRIDE, STRIDE);
    for (const panel of state.panels) {
      if (!panel.live) continue;
      const family = state.factors.families[panel.name];
      for (let c = 0; c < state.channels; c++) {
        moveChannel(panel.live, state.live.cols, state.channels, c, family, state.shown, next);
      }
    }
    state.shown = next;
  } while (state.shown !== wanted && performance.now() < end);
  return true;
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

// ‖block of W − Ŵ‖ / ‖W‖ of what is shown now.
function measureBlocks(state, panel) {
  const { header, cols, channels, target } = state;
  const { rowEdges, colEdges } = header;
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
