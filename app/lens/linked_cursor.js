// Cells by keyboard: a cursor in the pictures, and what it reads, said aloud.

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
// Held keys move on meanwhile: only where the cursor rests is said.
const REST_MS = 300;

// From the picked block's first cell, where the cursor is not shown yet.
function startOf({ selected, cut }) {
  const at = (edges, k) => edges[Math.min(k, edges.length - 2)];
  const [row, col] = selected || [0, 0];
  return { row: at(cut.rowEdges, row), col: at(cut.colEdges, col) };
}

function putCursor(state, row, col) {
  const { rows, cols, view } = state;
  const cell = { row: clamp(row, 0, rows - 1), col: clamp(col, 0, cols - 1) };
  const [fx, fy] = [(cell.col + 0.5) / cols, (cell.row + 0.5) / rows];
  const visible = (f, start) => f >= start && f <= start + 1 / view.zoom;
  if (!visible(fx, view.u) || !visible(fy, view.v)) {
    setView(state, { zoom: view.zoom, u: fx - 0.5 / view.zoom, v: fy - 0.5 / view.zoom });
  }
  state.byKeys = true;
  setHover(state, cell);
  clearTimeout(state.sayTimer);
  state.sayTimer = setTimeout(() => setText(state.parts.announce, readAloud(state)), REST_MS);
}

function moveCursor(state, down, right, byBlock) {
  const { hover, cut } = state;
  if (!hover) {
    const start = startOf(state);
    return putCursor(state, start.row, start.col);
  }
  if (!byBlock) return putCursor(state, hover.row + down, hover.col + right);
  // To the first cell of the next block; at the last one it stays where it is.
  const next = (edges, index, step) => {
    const k = blockOf(edges, index) + step;
    return step === 0 || k < 0 || k > edges.length - 2 ? index : edges[k];
  };
  return putCursor(
    state, next(cut.rowEdges, hover.row, down), next(cut.colEdges, hover.col, right));
}

function leaveCursor(state) {
  clearTimeout(state.sayTimer);
  state.byKeys = false;
  setHover(state, null);
}

function readAloud(state) {
  const { hover, cut } = state;
  if (!hover) return "";
  const block = `block ${blockOf(cut.rowEdges, hover.row)}, ${blockOf(cut.colEdges, hover.col)}`;
  const words = [`Row ${hover.row}, column ${hover.col}, ${block}`];
  const said = (values, plus) => values.map((x) => formatNumber(x, plus)).join(" ");
  for (const panel of state.panels) {
    const found = valuesAt(state, panel, hover.row, hover.col);
    if (!found) continue;
    words.push(found.errors
      ? `${panel.words.title} error ${said(found.errors, true)}` : `target ${said(found.values)}`);
  }
  return words.join("; ");
}

function onKey(state, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.box) return;
  const { hover, cols, cut } = state;
  const middleZoom = (factor) =>
    setView(state, zoomAbout(state.view, factor, 0.5, 0.5, state.mostZoom));
  if (STEPS[event.key]) moveCursor(state, ...STEPS[event.key], event.shiftKey);
  else if (event.key === "Home" || event.key === "End") {
    putCursor(state, (hover || startOf(state)).row, event.key === "Home" ? 0 : cols - 1);
  } else if (event.key === "Enter" && hover) {
    pickBlock(state, blockOf(cut.rowEdges, hover.row), blockOf(cut.colEdges, hover.col), 0);
  } else if (event.key === "+" || event.key === "=") middleZoom(1.5);
  else if (event.key === "-") middleZoom(1 / 1.5);
  else if (event.key === "t" || event.key === "T") flip(state, true);
  else if (event.key === "Escape" && state.byKeys) leaveCursor(state);
  else if (event.key === "Escape" && state.view.zoom > 1) setView(state, { zoom: 1, u: 0, v: 0 });
  else return;
  event.preventDefault();
}

function connectCursor(state) {
  const { pictures } = state.parts;
  pictures.addEventListener("keydown", (event) => onKey(state, event));
  pictures.addEventListener("keyup", (event) => {
    if (event.key === "t" || event.key === "T") flip(state, false);
  });
  pictures.addEventListener("blur", () => {
    flip(state, false);
    if (state.byKeys) leaveCursor(state);
  });
}
