// Layout and drawing of the linked pictures: canvases only, no events.

// ---- layout and drawing -----------------------------------------------------------------

function layout(state) {
  const { root, parts, panels, rows, cols } = state;
  const width = parts.pictures.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  if (!width) return false;
  const key = [width, ratio, rows, cols, panels.length, state.larger].join();
  if (key === state.layoutKey && state.width) return true;
  state.layoutKey = key;
  state.width = width;
  state.ratio = ratio;
  const columns = columnsFor(width, panels.length, GAP, state.larger);
  state.parts.larger.hidden = columnsFor(width, panels.length, GAP, false) === 1;
  const most = state.larger ? 1120 : 560;
  const across = Math.min(Math.floor((width - GAP * (columns - 1)) / columns), most);
  state.box = boxFor(across, rows, cols);
  state.mostZoom = Math.max(4, 40 / Math.min(state.box.w / cols, state.box.h / rows));
  state.view = clampView(state.view, state.mostZoom);
  root.style.setProperty("--columns", String(columns));
  root.style.setProperty("--across", `${across}px`);
  root.classList.toggle("narrow", width < 560);
  for (const panel of panels) {
    panel.picture.style.height = `${state.box.height}px`;
    for (const canvas of [panel.base, panel.overlay]) {
      canvas.width = Math.round(across * ratio);
      canvas.height = Math.round(state.box.height * ratio);
    }
  }
  placeDividers(state);
  return true;
}

function drawAll(state) {
  if (!state.header || !layout(state)) return;
  const started = performance.now();
  const { cut, box, view, rows, cols } = state;
  const map = mapping(box, view, rows, cols);
  const least = (edges) => Math.min(...edges.slice(1).map((edge, i) => edge - edges[i]));
  state.unit = Math.min(least(cut.rowEdges) * map.sy, least(cut.colEdges) * map.sx);
  state.gridDrawn = state.unit >= 4;
  for (const panel of state.panels) drawBase(state, panel, map);
  drawOverlays(state);
  describeView(state);
  state.timing.draw = performance.now() - started;
}

// The families alone, where nothing but their values has changed.
function drawFamilies(state) {
  const map = mapping(state.box, state.view, state.rows, state.cols);
  for (const panel of state.panels) if (panel.live) drawBase(state, panel, map);
}

function pen(state, canvas) {
  const context = canvas.getContext("2d");
  context.setTransform(state.ratio, 0, 0, state.ratio, 0, 0);
  context.clearRect(0, 0, state.box.width, state.box.height);
  context.save();
  context.beginPath();
  context.rect(state.box.x, state.box.y, state.box.w, state.box.h);
  context.clip();
  return context;
}

function drawBase(state, panel, map) {
  const { header } = state;
  const context = pen(state, panel.base);
  const isTarget = !panel.name;
  if (hasPicture(panel)) {
    const shrunk = Math.min(map.sx, map.sy) * state.ratio < 1;
    context.imageSmoothingEnabled = shrunk;
    context.imageSmoothingQuality = "high";
    drawSource(state, panel.source, context);
    if (header.showGrid && state.gridDrawn) drawGrid(state, context, map);
    if (!isTarget && panel.blocks) {
      if (header.showBlockErrors) drawSquares(state, panel, context, map);
      else if (header.view === "blocks") drawNumbers(state, panel, context, map);
    }
    if (!isTarget) drawSwiped(state, context);
  }
  context.restore();
}

function drawSource({ box, view }, source, context) {
  const { width, height } = source;
  context.drawImage(source, view.u * width, view.v * height, width / view.zoom,
    height / view.zoom, box.x, box.y, box.w, box.h);
}

function drawGrid(state, context, map) {
  const { cut, box, ratio } = state;
  const snap = (value) => (Math.round(value * ratio) + 0.5) / ratio;
  const lines = new Path2D();
  for (const edge of cut.colEdges.slice(1, -1)) {
    lines.moveTo(snap(map.x(edge)), box.y);
    lines.lineTo(snap(map.x(edge)), box.y + box.h);
  }
  for (const edge of cut.rowEdges.slice(1, -1)) {
    lines.moveTo(box.x, snap(map.y(edge)));
    lines.lineTo(box.x + box.w, snap(map.y(edge)));
  }
  const halo = state.unit < 12 ? 1 : 2.5;
  strokeTwice(context, lines, "rgba(255,255,255,0.45)", halo, "rgba(0,0,0,0.6)", 1);
}

function strokeTwice(context, path, halo, haloWidth, colour, width) {
  context.strokeStyle = halo;
  context.lineWidth = haloWidth;
  context.stroke(path);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke(path);
}

// Calls visit(value, x, y, width, height) for every block that can be seen.
function eachBlock(state, panel, map, visit) {
  const { rowEdges, colEdges } = state.cut;
  for (let i = 0; i + 1 < rowEdges.length; i++) {
    const y = map.y(rowEdges[i]);
    const height = map.y(rowEdges[i + 1]) - y;
    if (y > state.box.height || y + height < 0) continue;
    for (let j = 0; j + 1 < colEdges.length; j++) {
      const x = map.x(colEdges[j]);
      const width = map.x(colEdges[j + 1]) - x;
      if (x > state.box.width || x + width < 0) continue;
      visit(panel.blocks[i * (colEdges.length - 1) + j], x, y, width, height);
    }
  }
}

function drawSquares(state, panel, context, map) {
  const squares = new Path2D();
  const full = 0.86 * state.unit;
  eachBlock(state, panel, map, (value, x, y, width, height) => {
    const side = state.largestBlock > 0 ? (full * value) / state.largestBlock : 0;
    if (side > 0) squares.rect(x + (width - side) / 2, y + (height - side) / 2, side, side);
  });
  context.fillStyle = "rgba(20,20,20,0.72)";
  context.fill(squares);
  if (state.unit >= 10) {
    context.strokeStyle = "rgba(255,255,255,0.9)";
    context.lineWidth = 1;
    context.stroke(squares);
  }
}

function drawNumbers(state, panel, context, map) {
  const size = state.unit < 56 ? 10 : 12;
  const lut = state.luts.absolute;
  context.font = `${size}px ${state.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  eachBlock(state, panel, map, (value, x, y, width, height) => {
    const text = formatNumber(value);
    if (context.measureText(text).width + 6 > width || height < size + 4) return;
    const pixel = lut[clamp(levelOf(value, 0, state.header.blockLimit, 0), 0, LEVELS - 1)];
    context.fillStyle = isLight(pixel) ? "#111111" : "#ffffff";
    context.fillText(text, x + width / 2, y + height / 2 + 0.5);
  });
}

function drawOverlays(state) {
  const { box, view, rows, cols, header, cut, hover, selected } = state;
  const map = mapping(box, view, rows, cols);
  for (const panel of state.panels) {
    const context = pen(state, panel.overlay);
    if (hasPicture(panel)) {
      if (selected && selected[0] + 1 < cut.rowEdges.length
        && selected[1] + 1 < cut.colEdges.length) {
        const x = map.x(cut.colEdges[selected[1]]);
        const y = map.y(cut.rowEdges[selected[0]]);
        const frame = new Path2D();
        frame.rect(x + 1, y + 1, map.x(cut.colEdges[selected[1] + 1]) - x - 2,
          map.y(cut.rowEdges[selected[0] + 1]) - y - 2);
        context.lineJoin = "round";
        strokeTwice(context, frame, "rgba(0,0,0,0.85)", 5, "#ffffff", 3.4);
        context.strokeStyle = state.primary;
        context.lineWidth = 2;
        context.stroke(frame);
      }
      if (hover) drawCrosshair(context, box, map, hover, header.view !== "blocks");
    }
    context.restore();
  }
}

// Without lines in the view of blocks, where they would strike out the numbers.
function drawCrosshair(context, box, map, { row, col }, lines) {
  const width = Math.max(map.sx, 7);
  const height = Math.max(map.sy, 7);
  const cx = map.x(col + 0.5);
  const cy = map.y(row + 0.5);
  const cross = new Path2D();
  cross.rect(cx - width / 2, cy - height / 2, width, height);
  if (lines) {
    cross.moveTo(box.x, cy);
    cross.lineTo(cx - width / 2, cy);
    cross.moveTo(cx + width / 2, cy);
    cross.lineTo(box.x + box.w, cy);
    cross.moveTo(cx, box.y);
    cross.lineTo(cx, cy - height / 2);
    cross.moveTo(cx, cy + height / 2);
    cross.lineTo(cx, box.y + box.h);
  }
  strokeTwice(context, cross, "rgba(255,255,255,0.85)", 2.6, "rgba(0,0,0,0.9)", 1);
}
