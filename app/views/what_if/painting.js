// The target with the grid on it, to be painted: a drag is one stroke, and keys do the same.

const TALLEST = 560;
const canvases = new WeakMap();

function blockAt(edges, share) {
  const found = edges.findIndex((edge, k) => k > 0 && share < edge) - 1;
  return found < 0 ? edges.length - 2 : found;
}

function paint(state) {
  const { data, canvas, image } = state;
  const [rows, cols] = data.shape;
  const place = fit(canvas, rows, cols, TALLEST);
  if (!place || !image.complete) return;
  const { context, width, height } = place;
  Object.assign(state.rebuilt.style, { width: `${width}px`, height: `${height}px` });
  const style = getComputedStyle(state.root);
  const page = style.getPropertyValue("--st-background-color").trim();
  context.drawImage(image, 0, 0, width, height);
  const touched = new Set(state.stroke.map(String));
  data.ranks.forEach((line, i) => line.forEach((rank, j) => {
    const x = data.colEdges[j] * width, y = data.rowEdges[i] * height;
    const w = data.colEdges[j + 1] * width - x, h = data.rowEdges[i + 1] * height - y;
    if (rank === 0 && !touched.has(String([i, j]))) {
      context.globalAlpha = 0.6;
      context.fillStyle = page;
      context.fillRect(x, y, w, h);
      context.globalAlpha = 1;
    }
    if (rank > 0) label(context, String(rank), x + w / 2, y + h / 2, Math.min(w, h), style);
  }));
  drawGrid(place, data.rowEdges, data.colEdges, data.line);
  for (const [i, j] of state.stroke) outline(state, place, i, j, 2);
  if (state.cursor) outline(state, place, ...state.cursor, 3);
}

// Dark on every picture, light or not.
function label(context, text, x, y, room, style) {
  const size = Math.max(9, Math.min(15, room * 0.42));
  context.font = `600 ${size}px ${style.fontFamily}`;
  const half = context.measureText(text).width / 2 + size * 0.3;
  context.fillStyle = "#111111";
  context.globalAlpha = 0.78;
  context.beginPath();
  context.roundRect(x - half, y - size * 0.72, 2 * half, size * 1.44, 4);
  context.fill();
  context.globalAlpha = 1;
  context.fillStyle = "#ffffff";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y + size * 0.05);
}

function outline(state, { context, width, height }, i, j, thick) {
  const { rowEdges, colEdges, line } = state.data;
  const x = colEdges[j] * width, y = rowEdges[i] * height;
  const w = colEdges[j + 1] * width - x, h = rowEdges[i + 1] * height - y;
  for (const [colour, more] of [["#ffffff", 2], [line, 0]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick + more;
    context.strokeRect(x + 2, y + 2, Math.max(0, w - 4), Math.max(0, h - 4));
  }
}

function say(state) {
  const { data, cursor } = state;
  if (!cursor) return setText(state.read, data.hint);
  const [i, j] = cursor;
  return setText(
    state.read,
    `Block (${i}, ${j}): rank ${data.ranks[i][j]} of at most ${data.limits[i][j]}, ` +
      `${data.costs[i][j].toLocaleString("en")} parameters a rank`,
  );
}

function moveTo(state, cursor) {
  if (String(cursor) === String(state.cursor)) return;
  state.cursor = cursor;
  say(state);
  paint(state);
}

function send(state, blocks, add) {
  if (!blocks.length) return;
  state.count += 1;
  // All that the server may not have seen: of two values it gets only the later.
  state.sent = [...state.sent, { blocks, add, count: state.count }];
  state.setStateValue("strokes", state.sent);
}

function placeOf(state, event) {
  const bounds = state.canvas.getBoundingClientRect();
  const [u, v] = [
    (event.clientX - bounds.left) / bounds.width,
    (event.clientY - bounds.top) / bounds.height,
  ];
  if (u < 0 || v < 0 || u >= 1 || v >= 1) return null;
  return [blockAt(state.data.rowEdges, v), blockAt(state.data.colEdges, u)];
}

function onPointer(state, event) {
  const block = placeOf(state, event);
  if (event.type === "pointerdown") {
    if (event.button !== 0 || !block) return;
    state.painting = true;
    state.canvas.setPointerCapture(event.pointerId);
  }
  if (state.painting && block && !state.stroke.some((one) => String(one) === String(block))) {
    state.stroke.push(block);
    state.cursor = null;
  }
  if (block) moveTo(state, block);
  if (event.type === "pointerup" || event.type === "pointercancel") {
    const blocks = state.stroke;
    const painted = state.painting && event.type === "pointerup";
    state.painting = false;
    state.stroke = [];
    if (painted) send(state, blocks, 0);
    else paint(state);
  }
}

function onKey(state, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const [i, j] = state.cursor || [0, 0];
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const move = moves[event.key];
  if (move) {
    const within = (at, edges) => Math.max(0, Math.min(at, edges.length - 2));
    moveTo(state, [
      within(i + move[0], state.data.rowEdges),
      within(j + move[1], state.data.colEdges),
    ]);
  } else if (event.key === " " || event.key === "Enter") send(state, [[i, j]], 0);
  else if (event.key === "+" || event.key === "=") send(state, [[i, j]], 1);
  else if (event.key === "-") send(state, [[i, j]], -1);
  else return;
  event.preventDefault();
}

function create(parent) {
  const canvas = element("canvas", "", { "aria-hidden": "true" });
  const read = element("div", "read", { "aria-live": "polite" });
  const place = element("div", "place", { tabindex: "0", role: "application" }, [canvas]);
  const rebuilt = element("img");
  const words = element("div", "read", { "aria-hidden": "true" });
  const root = element("div", "painting", {}, [
    element("div", "side", {}, [place, read]),
    element("div", "side", {}, [rebuilt, words]),
  ]);
  const state = {
    root, canvas, place, read, rebuilt, words, image: new Image(), stroke: [], cursor: null, painting: false,
    count: 0, sent: [], generation: 0,
  };
  parent.append(root);
  for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
    canvas.addEventListener(type, (event) => onPointer(state, event));
  }
  place.addEventListener("keydown", (event) => onKey(state, event));
  place.addEventListener("focus", () => {
    if (place.matches(":focus-visible")) moveTo(state, state.cursor || [0, 0]);
  });
  place.addEventListener("blur", () => moveTo(state, null));
  canvas.addEventListener("pointerleave", () => state.painting || moveTo(state, null));
  state.image.addEventListener("load", () => paint(state));
  state.observer = new ResizeObserver(() => paint(state));
  return state;
}

export default function painting({ parentElement, data, setStateValue }) {
  if (!data) return undefined;
  let state = canvases.get(parentElement);
  if (!state) {
    state = create(parentElement);
    canvases.set(parentElement, state);
  }
  // Streamlit may clean up a call that a newer one has overtaken.
  const generation = ++state.generation;
  state.data = data;
  state.setStateValue = setStateValue;
  state.count = Math.max(state.count, data.count);
  state.sent = state.sent.filter(({ count }) => count > data.count);
  state.place.setAttribute("aria-label", data.label);
  if (state.image.src !== data.picture) state.image.src = data.picture;
  state.rebuilt.src = data.rebuilt;
  state.rebuilt.alt = data.words;
  setText(state.words, data.words);
  state.observer.observe(state.root);
  if (state.cursor) {
    const [i, j] = state.cursor;
    if (i > data.ranks.length - 1 || j > data.ranks[0].length - 1) state.cursor = null;
  }
  say(state);
  paint(state);
  state.root.dataset.strokes = String(data.count);
  return () => {
    if (generation === state.generation) state.observer.disconnect();
  };
}
