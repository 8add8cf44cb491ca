// What the linked pictures say: titles, scale, notes, and the values of a cell.

const VIEW_NAMES = {
  reconstruction: "reconstruction",
  signed: "signed error",
  absolute: "absolute error",
  blocks: "error per block",
};

function describe(state) {
  const { header, rows, cols, channels, parts } = state;
  const range = header.valueRange.map(formatEnd).join(" … ");
  state.panels.forEach((panel, i) => {
    const words = i ? header.panels[i - 1] : { title: "target", subtitle: `${rows} × ${cols}` };
    panel.words = words;
    panel.swatch.style.backgroundColor = panel.readSwatch.style.backgroundColor =
      i ? words.colour : "#888888";
    setText(panel.title, words.title);
    setText(panel.best, words.best ? "best" : "");
    setText(panel.subtitle, words.subtitle);
    panel.drawing.hidden = !words.drawing;
    // Of the budget that the server answered last: faint while another is looked at.
    panel.drawing.classList.toggle("older", Boolean(panel.live));
    if (words.drawing && panel.drawing.src !== words.drawing) panel.drawing.src = words.drawing;
    setText(panel.message, hasPicture(panel) ? "" : words.message || "no result");
    describeOutside(panel);
    namePicture(state, panel);
  });

  const over = channels === 3
    ? { signed: " (mean of the channels)", absolute: " (root mean square of the channels)" } : {};
  const error = { signed: "signed error W − Ŵ", absolute: "absolute error |W − Ŵ|" }[header.view];
  const isError = header.view !== "reconstruction";
  let ends = header.valueRange;
  let text = `values, one scale for the target and all families: ${range}`;
  let lut = state.valueLut;
  if (channels === 3 && !isError) text = `colours as in the image, each channel ${range}`;
  if (error) {
    ends = [header.view === "signed" ? -header.limit : 0, header.limit];
    text = `${error}${over[header.view] || ""}, one scale for all families: ` +
      ends.map(formatEnd).join(" … ");
    lut = state.luts[header.view];
  } else if (header.view === "blocks") {
    ends = [0, header.blockLimit];
    text = "error per block, ‖block of W − Ŵ‖ / ‖W‖, one scale for all families: " +
      ` ${ends.map(formatEnd).join(" … ")}`;
    lut = state.luts.absolute;
  }
  setText(parts.scaleText, text);
  state.colours.hidden = channels === 3 && !isError;
  const pen = parts.bar.getContext("2d");
  const strip = new ImageData(LEVELS, 1);
  new Uint32Array(strip.data.buffer).set(lut);
  pen.putImageData(strip, 0, 0);
  [ends[0], (ends[0] + ends[1]) / 2, ends[1]].forEach((value, i) =>
    setText(parts.ticks.children[i], formatEnd(value)));
  findLargestBlock(state);
  state.errorView = isError;
  state.root.classList.toggle("rgb", channels === 3);
}

// What a screen reader is told of a picture: whose it is, its error and its rank.
function namePicture(state, panel) {
  const words = [panel.title.textContent, panel.subtitle.textContent,
    panel.name ? VIEW_NAMES[state.header.view] : "values", panel.foot.textContent];
  panel.base.setAttribute("aria-label", words.filter(Boolean).join(", "));
}

function describeOutside(panel) {
  setText(panel.foot,
    hasPicture(panel) && panel.outside > 0 ? `${formatShare(panel.outside)} outside the scale` : "");
}

function findLargestBlock(state) {
  const blocks = state.panels.filter((panel) => hasPicture(panel) && panel.blocks);
  state.largestBlock = Math.max(
    0, ...blocks.map((panel) => panel.blocks.reduce((a, b) => Math.max(a, b))));
}

function describeView(state) {
  const { header, parts, box, view } = state;
  const { sx, sy } = mapping(box, view, state.rows, state.cols);
  const percent = 100 * Math.min(sx, sy) * state.ratio;
  const shown = percent >= 9.95 ? Math.round(percent) : percent.toPrecision(2);
  setText(parts.caption, `shown at ${shown} %${percent < 99.5 ? ", cells averaged" : ""}`);
  setText(parts.factor, `${view.zoom < 9.95 ? view.zoom.toFixed(1) : Math.round(view.zoom)}×`);
  parts.out.disabled = parts.reset.disabled = view.zoom <= 1;
  parts.in.disabled = view.zoom >= state.mostZoom;
  parts.pictures.classList.toggle("zoomed", view.zoom > 1);
  const notes = [];
  if (state.errorView) {
    notes.push(`The target keeps its own colours, ${header.valueRange.map(formatEnd).join(" … ")}.`);
  }
  if (header.showBlockErrors && state.largestBlock > 0) {
    notes.push("Square area = the block’s squared error; largest " +
      `${formatEnd(state.largestBlock)} of ‖W‖.`);
  }
  if (header.showGrid && !state.gridDrawn) notes.push("Zoom in to see the grid lines.");
  if (box.stretched) notes.push("Cells are stretched, because the matrix is so long.");
  setText(parts.notes, notes.join(" "));
  state.root.dataset.zoom = String(view.zoom);
}

// ---- reading values ---------------------------------------------------------------------

function valuesAt(state, panel, row, col) {
  const { live } = state;
  const windows = panel.live && live.rowOf;
  const place = windows
    ? live.rowOf[row] * live.cols + live.colOf[col] : row * state.cols + col;
  const start = place * state.channels;
  const pick = (array) => Array.from(array.subarray(start, start + state.channels));
  const target = pick(windows ? live.target : state.target);
  if (!panel.name) return { values: target };
  if (!hasPicture(panel)) return null;
  const errors = pick(panel.live || panel.error);
  return { values: target.map((value, c) => value - errors[c]), errors };
}

function showReadings(state) {
  const { hover, header, cut, panels, root } = state;
  const block = hover && [blockOf(cut.rowEdges, hover.row), blockOf(cut.colEdges, hover.col)];
  const byBlock = header.view === "blocks" || header.showBlockErrors;
  const range = header.valueRange;
  root.classList.toggle("with-blocks", byBlock);
  for (const panel of panels) {
    const found = hover ? valuesAt(state, panel, hover.row, hover.col) : null;
    // An error in float16 is known to 2⁻¹¹ of itself, one from the 16-bit factors to 2⁻¹⁵ of the
    // range of the values, and the difference to the same amount.
    const built = panel.live || panel.rebuilt ? (range[1] - range[0]) * 2 ** -15 : 0;
    const unsure = (c) => (found.errors ? Math.max(Math.abs(found.errors[c]) * 2 ** -11, built) : 0);
    const value = found
      ? found.values.map((x, c) => formatNumber(x, false, unsure(c))).join(" ") : "–";
    if (panel.name) {
      const error = found ? found.errors.map((x) => formatNumber(x, true, built)).join(" ") : "–";
      const share = found && byBlock && panel.blocks
        ? formatNumber(panel.blocks[block[0] * (cut.colEdges.length - 1) + block[1]]) : "–";
      setText(panel.readName, panel.words.title);
      setText(panel.lines[0], `value ${value}`);
      setText(panel.lines[1], `error ${error}`);
      setText(panel.lines[2], `block error ${share}`);
    } else {
      setText(panel.readName, hover ? `(${hover.row}, ${hover.col})` : "(row, column)");
      setText(panel.lines[0], `target ${value}`);
      setText(panel.lines[1], hover ? `block (${block.join(", ")})` : "point at a picture");
    }
  }
}

function blockOf(edges, index) {
  let k = 0;
  while (edges[k + 1] <= index) k++;
  return k;
}
