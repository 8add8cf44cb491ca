// The linked pictures on the page: one state object per mounted component.

const GAP = 14;
const VIEW_NAMES = {
  reconstruction: "reconstruction",
  signed: "signed error",
  absolute: "absolute error",
  blocks: "error per block",
};
const states = new WeakMap();

function element(tag, className = "", attributes = {}, children = []) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function createState(parent) {
  const button = (text, label) => {
    const node = element("button", "", { type: "button", "aria-label": label, title: label });
    node.textContent = text;
    return node;
  };
  const parts = {
    caption: element("span", "caption"),
    hint: element("span", "hint"),
    out: button("−", "Zoom out"),
    factor: element("output", "factor"),
    in: button("+", "Zoom in"),
    reset: button("Reset", "Reset the zoom"),
    larger: button("Larger", "Larger pictures, fewer in a row"),
    pictures: element("div", "pictures", {
      tabindex: "0",
      role: "application",
      "aria-label":
        "Linked pictures of the target and every family. Arrow keys move the picked block, " +
        "plus and minus zoom, Escape resets the zoom.",
    }),
    budget: element("input", "", { type: "range", step: "1" }),
    budgetLabel: element("span"),
    budgetText: element("output", "budget-text", { "aria-hidden": "true" }),
    ranks: element("div", "ranks"),
    play: button("Play", "Let the budget run from the start to the end in ten seconds"),
    readout: element("div", "readout", { "aria-live": "off" }),
    scaleText: element("div", "scale-text"),
    bar: element("canvas", "bar", { width: "256", height: "1", "aria-hidden": "true" }),
    ticks: element("div", "ticks", {}, [element("span"), element("span"), element("span")]),
    notes: element("div", "notes"),
    announce: element("div", "hidden", { "aria-live": "polite" }),
  };
  setText(parts.hint, "Click picks a block; Ctrl + wheel, pinch or double click zooms; drag moves");
  const zoomTools = element("div", "tools", { role: "group", "aria-label": "Size" },
    [parts.out, parts.factor, parts.in, parts.reset, parts.larger]);
  const toolbar = element("div", "toolbar", {}, [parts.caption, parts.hint, zoomTools]);
  const label = element("label", "budget-label", {}, [parts.budgetLabel, parts.budget]);
  const budgetRow = element("div", "budget", {}, [
    label, parts.play, parts.budgetText, parts.ranks,
  ]);
  const colours = element("div", "colours", {}, [parts.bar, parts.ticks]);
  const scale = element("div", "scale", {}, [parts.scaleText, colours]);
  const root = element("div", "linked", {}, [
    toolbar, parts.pictures, budgetRow, parts.readout, scale, parts.notes, parts.announce,
  ]);
  parent.append(root);
  return {
    root, parts, colours, budgetRow, panels: [], header: null, target: null, box: null, luts: null,
    view: { zoom: 1, u: 0, v: 0 }, larger: false, hover: null, selected: null, count: 0,
    setStateValue: null,
    factors: null, rankMaps: [], rankMapsOf: null, live: null, norm: 0, moved: false,
    wanted: 0, sent: 0, releases: 0, held: false, keys: false, play: null, scrubFrame: 0,
    arraysToken: "", paintKey: "", width: 0, ratio: 0, timing: {}, frame: 0, sendTimer: 0,
    pointers: new Map(), gesture: null, generation: 0, primary: "#0072b2", font: "sans-serif",
  };
}

// ---- data -------------------------------------------------------------------------------

function receive(state, bytes) {
  const started = performance.now();
  const { header, read } = parsePayload(bytes);
  const [rows, cols, channels = 1] = header.target.shape;
  const before = state.header;
  Object.assign(state, { header, rows, cols, channels });
  if (before && (before.target.shape[0] !== rows || before.target.shape[1] !== cols)) {
    state.view = { zoom: 1, u: 0, v: 0 };
    state.hover = null;
  }
  const names = header.panels.map((panel) => panel.name);
  if (names.join("\n") !== state.panels.slice(1).map((panel) => panel.name).join("\n")) {
    buildPanels(state, names);
    state.arraysToken = "";
  }
  if (state.arraysToken !== header.arraysToken || state.moved) {
    state.arraysToken = header.arraysToken;
    state.moved = false;
    state.norm = 0;
    state.target = read(header.target);
    state.luts = Object.fromEntries(
      Object.entries(header.luts).map(([name, entry]) => [name, packLut(read(entry))]));
    header.panels.forEach((entry, i) => {
      const panel = state.panels[i + 1];
      panel.error = entry.error ? decodeHalf(read(entry.error), entry.error.exponent) : null;
      panel.blocks = panel.served = entry.blockErrors ? read(entry.blockErrors) : null;
      panel.live = null;
    });
    state.paintKey = "";
  }
  receiveBudget(state);
  // What Python says about the picked block may be older than what the visitor picked since.
  if (header.picks >= state.count) {
    state.count = header.picks;
    state.selected = header.selected;
  }
  state.timing.decode = performance.now() - started;
}

function buildPanels(state, names) {
  const items = ["", ...names].map((name) => {
    const swatch = element("span", "swatch");
    const title = element("span", "title");
    const best = element("span", "best");
    const subtitle = element("div", "subtitle");
    const base = element("canvas", "base", { role: "img" });
    const overlay = element("canvas", "overlay", { "aria-hidden": "true" });
    const message = element("p", "message");
    const picture = element("div", "picture", {}, [base, overlay, message]);
    const foot = element("div", "foot");
    const heading = element("div", "heading", {}, [swatch, title, best]);
    const figure = element("figure", "panel", { "data-panel": name || "target" },
      [heading, subtitle, picture, foot]);
    const readName = element("span", "read-name");
    const readSwatch = element("span", "swatch");
    const lines = ["", "", " block"].map((kind) => element("span", `value${kind}`));
    const cell = element("div", "reading", { "data-panel": name || "target" },
      [element("div", "read-head", {}, [readSwatch, readName]), ...lines]);
    return {
      name, swatch, title, best, subtitle, base, overlay, message, picture, foot, figure,
      readName, readSwatch, lines, cell, source: document.createElement("canvas"),
      error: null, live: null, blocks: null, served: null, image: null, pixels: null,
      scratch: null, outside: 0,
    };
  });
  state.panels = items;
  state.parts.pictures.replaceChildren(...items.map((panel) => panel.figure));
  state.parts.readout.replaceChildren(...items.map((panel) => panel.cell));
  state.width = 0;
}

// ---- painting: matrices to pixels, once per change of data or view ----------------------

function paint(state) {
  const { header } = state;
  const key = [state.arraysToken, header.view, header.image, header.valueRange, header.limit,
    header.blockLimit].join(" ");
  if (key === state.paintKey) return;
  state.paintKey = key;
  const started = performance.now();
  state.valueLut = header.image ? greyLut() : state.luts.values;
  state.rowIndex = indexOfEdges(header.rowEdges);
  state.colIndex = indexOfEdges(header.colEdges);
  for (const panel of state.panels) {
    if (!panel.name || panel.error) paintPanel(state, panel);
  }
  state.timing.paint = performance.now() - started;
}

// While the budget moves the arrays of `live` stand for those of the pictures.
function paintPanel(state, panel) {
  const { header, channels, luts, valueLut } = state;
  const { target, rows, cols } = panel.live ? state.live : state;
  const error = panel.live || panel.error;
  // Assigning a size clears a canvas, so only when it differs.
  if (!panel.image || panel.source.width !== cols || panel.source.height !== rows) {
    panel.source.width = cols;
    panel.source.height = rows;
    panel.image = new ImageData(cols, rows);
    panel.pixels = new Uint32Array(panel.image.data.buffer);
  }
  if (!panel.scratch || panel.scratch.length !== target.length) {
    panel.scratch = new Float32Array(target.length);
  }
  const { pixels, scratch } = panel;
  const { limit, blockLimit } = header;
  if (!panel.name || header.view === "reconstruction") {
    const values = panel.name ? difference(target, error, scratch) : target;
    panel.outside = channels === 3
      ? paintColour(values, pixels, ...header.valueRange)
      : paintScalar(values, pixels, valueLut, ...header.valueRange, 128);
  } else if (header.view === "signed") {
    const values = reduceError(error, channels, true, scratch);
    panel.outside = paintScalar(values, pixels, luts.signed, -limit, limit, 128);
  } else if (header.view === "absolute") {
    const values = reduceError(error, channels, false, scratch);
    panel.outside = paintScalar(values, pixels, luts.absolute, 0, limit, 0);
  } else {
    const values = spreadBlocks(panel.blocks, state.rowIndex, state.colIndex, scratch);
    panel.outside = paintScalar(values, pixels, luts.absolute, 0, blockLimit, 0);
  }
  panel.source.getContext("2d").putImageData(panel.image, 0, 0);
}

// ---- words ------------------------------------------------------------------------------

function describe(state) {
  const { header, rows, cols, channels, parts } = state;
  const range = header.valueRange.map(formatEnd).join(" … ");
  state.panels.forEach((panel, i) => {
    const words = i ? header.panels[i - 1] : { title: "target", subtitle: `${rows} × ${cols}` };
    panel.words = words;
    const viewName = i ? VIEW_NAMES[header.view] : "values";
    panel.swatch.style.backgroundColor = panel.readSwatch.style.backgroundColor =
      i ? words.colour : "#888888";
    setText(panel.title, words.title);
    setText(panel.best, words.best ? "best" : "");
    setText(panel.subtitle, words.subtitle);
    setText(panel.message, i && !panel.error ? words.message || "no result" : "");
    panel.base.setAttribute("aria-label", `${words.title}, ${words.subtitle}, ${viewName}`);
    describeOutside(panel);
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

function describeOutside(panel) {
  const shown = !panel.name || panel.error;
  setText(panel.foot,
    shown && panel.outside > 0 ? `${formatShare(panel.outside)} outside the scale` : "");
}

function findLargestBlock(state) {
  const blocks = state.panels.filter((panel) => panel.error && panel.blocks);
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
  if (!panel.error) return null;
  const errors = pick(panel.live || panel.error);
  return { values: target.map((value, c) => value - errors[c]), errors };
}

function showReadings(state) {
  const { hover, header, panels, root } = state;
  const block = hover && [blockOf(header.rowEdges, hover.row), blockOf(header.colEdges, hover.col)];
  root.classList.toggle("with-blocks", header.view === "blocks" || header.showBlockErrors);
  for (const panel of panels) {
    const found = hover ? valuesAt(state, panel, hover.row, hover.col) : null;
    // An error in float16 is known to 2⁻¹¹ of itself, and the difference to the same amount.
    const unsure = (c) => (found.errors ? Math.abs(found.errors[c]) * 2 ** -11 : 0);
    const value = found
      ? found.values.map((x, c) => formatNumber(x, false, unsure(c))).join(" ") : "–";
    if (panel.name) {
      const error = found ? found.errors.map((x) => formatNumber(x, true)).join(" ") : "–";
      const share = found && panel.blocks
        ? formatNumber(panel.blocks[block[0] * (header.colEdges.length - 1) + block[1]]) : "–";
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

function markRendered(state) {
  requestAnimationFrame(() => {
    if (!state.width || !state.header) return;
    for (const [name, time] of Object.entries(state.timing)) {
      state.root.dataset[`${name}Ms`] = time.toFixed(2);
    }
    state.root.dataset.rendered = state.header.token;
  });
}

export default function linkedView({ parentElement, data, setStateValue }) {
  if (!data) return undefined;
  // Streamlit calls this again, with the same parent, on every change of data or theme, and
  // may clean up a call that a newer one has overtaken: only the newest call's cleanup counts.
  let state = states.get(parentElement);
  if (!state) {
    state = createState(parentElement);
    states.set(parentElement, state);
    connect(state);
  }
  const generation = ++state.generation;
  state.setStateValue = setStateValue;
  state.observer.observe(state.root);
  shelf().waiting.add(state.factorsCame);
  window.addEventListener("resize", state.resized);
  const style = getComputedStyle(state.root);
  state.primary = style.getPropertyValue("--st-primary-color").trim() || state.primary;
  state.font = style.fontFamily || state.font;
  receive(state, data);
  paint(state);
  describe(state);
  follow(state);
  drawAll(state);
  showReadings(state);
  markRendered(state);
  return () => {
    if (generation !== state.generation) return;
    state.observer.disconnect();
    window.removeEventListener("resize", state.resized);
    cancelAnimationFrame(state.frame);
    cancelAnimationFrame(state.scrubFrame);
    state.frame = state.scrubFrame = 0;
    state.play = null;
    shelf().waiting.delete(state.factorsCame);
    clearTimeout(state.sendTimer);
  };
}
