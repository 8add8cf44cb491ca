// The linked pictures on the page: one state object per mounted component.

const GAP = 14;
const states = new WeakMap();

// Whether there is something to draw: of a family, its residual from the server or in the browser.
const hasPicture = (panel) => !panel.name || Boolean(panel.live || panel.error);

// The blocks of what is shown: the server's, or those of the grid that is moved to.
function setCut(state, { rowEdges, colEdges }) {
  const { cut } = state;
  if (cut && cut.rowEdges === rowEdges && cut.colEdges === colEdges) return;
  state.cut = { rowEdges, colEdges };
  state.rowIndex = indexOfEdges(rowEdges);
  state.colIndex = indexOfEdges(colEdges);
}

// Whether the browser has what this needs: all of it came, or target and factors are here.
function canReceive(header) {
  const { held, target } = shelf();
  return !header.rebuild || (held.has(header.rebuild.factors) && target.token === targetOf(header));
}

function receive(state, { header, read }) {
  const started = performance.now();
  const [rows, cols, channels = 1] = header.target.shape;
  const before = state.header;
  Object.assign(state, { header, rows, cols, channels });
  setCut(state, header);
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
    if (!header.rebuild) {
      shelf().target = { token: targetOf(header), values: read(header.target) };
    }
    state.target = shelf().target.values;
    state.luts = Object.fromEntries(
      Object.entries(header.luts).map(([name, entry]) => [name, packLut(read(entry))]));
    header.panels.forEach((entry, i) => {
      const panel = state.panels[i + 1];
      if (!entry.rebuilt) {
        panel.error = entry.error ? decodeHalf(read(entry.error), entry.error.exponent) : null;
      } else if (!panel.error || panel.error.length !== state.target.length) {
        panel.error = new Float32Array(state.target.length);
      }
      panel.rebuilt = Boolean(entry.rebuilt);
      panel.blocks = panel.served = entry.blockErrors ? read(entry.blockErrors) : null;
      panel.live = null;
    });
    state.owed = Boolean(header.rebuild);
    state.paintKey = "";
  }
  receiveBudget(state);
  if (header.budget && !isAway(state)) rebuild(state);
  state.root.classList.toggle("plain", header.plain);
  // What Python says about the picked block may be older than what the visitor picked since.
  if (header.picks >= state.count) {
    state.count = header.picks;
    state.selected = header.selected;
  }
  state.timing.decode = performance.now() - started;
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
  for (const panel of state.panels) {
    if (!panel.name || panel.error) paintPanel(state, panel);
  }
  state.timing.paint = performance.now() - started;
}

// While the budget moves the arrays of `live` stand for those of the pictures; errors of blocks have
// the cells of the target, of which windows may be several.
function paintPanel(state, panel) {
  const { header, channels, luts, valueLut } = state;
  const { target, rows, cols } = panel.live && header.view !== "blocks" ? state.live : state;
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

function markRendered(state) {
  requestAnimationFrame(() => {
    if (!state.width || !state.header) return;
    for (const [name, time] of Object.entries(state.timing)) {
      state.root.dataset[`${name}Ms`] = time.toFixed(2);
    }
    state.root.dataset.rendered = state.header.token;
  });
}

export default function linkedView({ parentElement, data, setStateValue, setTriggerValue }) {
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
  state.ink = style.getPropertyValue("--st-text-color").trim() || state.ink;
  state.paper = style.getPropertyValue("--st-background-color").trim() || state.paper;
  const content = parsePayload(data);
  if (!canReceive(content.header)) {
    setTriggerValue("missing", content.header.token);
    return undefined;
  }
  receive(state, content);
  paint(state);
  describe(state);
  follow(state);
  drawAll(state);
  showReadings(state);
  playOnce(state);
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
    for (const timer of [state.sendTimer, state.askTimer, state.sayTimer]) clearTimeout(timer);
  };
}
