// Under each picture, at a first look: its factors, all to one scale, so that area is parameters.

// CSS pixels of a side at most, factors of the largest budget included.
const STRUCTURE_SIDE = 190;

const structureSide = ({ box }) => Math.min(STRUCTURE_SIDE, box.width);

// The ranks of a family at a budget, and its blocks in cells of the target; of three channels the
// first, whose numbers stand for all.
function structureOf(state, name, rank) {
  const { factors } = state;
  const { grid, maps } = factors.families[name];
  const cells = (edges, windows) => edges.map((edge) => windows[edge]);
  const rows = cells(grid.rowEdges, factors.rowEdges);
  const cols = cells(grid.colEdges, factors.colEdges);
  const across = cols.length - 1;
  const start = rank * (rows.length - 1) * across;
  const at = (i, j) => maps[0][start + i * across + j];
  const every = (edges) => [...Array(edges.length - 1).keys()];
  return {
    rows, cols, at,
    above: every(rows).map((i) => Math.max(...every(cols).map((j) => at(i, j)))),
    left: every(cols).map((j) => Math.max(...every(rows).map((i) => at(i, j)))),
  };
}

const sum = (values) => values.reduce((a, b) => a + b, 0);

// Pixels of a cell: at the largest budget all fit.
function structureScale(state) {
  const { factors, rows, cols, box } = state;
  if (state.structureScaleOf !== factors) {
    const found = state.panels.filter(({ name }) => factors.families[name])
      .map(({ name }) => structureOf(state, name, factors.highest));
    state.structureScaleOf = factors;
    state.structureRoom = [
      rows + Math.max(...found.map(({ above }) => sum(above))),
      cols + Math.max(...found.map(({ left }) => sum(left))),
    ];
  }
  const [down, across] = state.structureRoom;
  return Math.min(box.width / across, structureSide(state) / down);
}

// Draw every block with its B at its left and its A above it; return the numbers in B and A.
function drawFactors(pen, { rows, cols, at, above, left }, { colour, ground }) {
  let numbers = 0;
  for (let i = 0, y = 0; i + 1 < rows.length; i++) {
    const height = rows[i + 1] - rows[i];
    y += above[i];
    for (let j = 0, x = 0; j + 1 < cols.length; j++) {
      const width = cols[j + 1] - cols[j];
      const rank = at(i, j);
      x += left[j];
      pen.fillStyle = ground;
      pen.fillRect(x, y, width, height);
      pen.fillStyle = colour;
      pen.fillRect(x - rank, y, rank, height);
      pen.globalAlpha = 0.7;
      pen.fillRect(x, y - rank, width, rank);
      pen.globalAlpha = 1;
      numbers += rank * (height + width);
      x += width;
    }
    y += height;
  }
  return numbers;
}

function drawStructures(state) {
  const { header, factors, box, ratio, rows, cols, channels } = state;
  if (!header.plain || !factors || !box) return;
  const scale = structureScale(state);
  for (const { name, title, area, areaText, swatch } of state.panels) {
    if (name && !factors.families[name]) continue;
    area.width = Math.round(box.width * ratio);
    area.height = Math.round(structureSide(state) * ratio);
    const pen = area.getContext("2d");
    pen.scale(ratio * scale, ratio * scale);
    // All stand on one line.
    const floor = structureSide(state) / scale;
    let numbers = rows * cols;
    const { backgroundColor } = swatch.style;
    if (name) {
      const found = structureOf(state, name, shownRank(state));
      pen.translate(0, floor - rows - sum(found.above));
      numbers = drawFactors(pen, found, { colour: backgroundColor, ground: state.line });
    } else {
      pen.fillStyle = backgroundColor;
      pen.fillRect(0, floor - rows, cols, rows);
    }
    const share = (100 * numbers) / (rows * cols);
    const text = `${(numbers * channels).toLocaleString("en-US")} numbers`
      + (name ? `, ${share.toFixed(1)} % of the matrix` : "");
    setText(areaText, text);
    area.setAttribute("aria-label", `${title.textContent}, drawn as area: ${text}`);
  }
}
