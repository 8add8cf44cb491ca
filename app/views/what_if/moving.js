// A matrix whose rows, and then whose columns, go to their places: by a handle or by Play.

const TALLEST_MATRIX = 520;
const SECONDS = 5;
const matrices = new WeakMap();

// Slow at both ends, as things move.
function ease(t) {
  return t * t * (3 - 2 * t);
}

function draw(state) {
  const { data, canvas, image } = state;
  const [rows, cols] = data.shape;
  const place = fit(canvas, rows, cols, TALLEST_MATRIX);
  if (!place || !state.halfway) return;
  const { context, width, height } = place;
  const down = ease(Math.min(1, 2 * state.at)), across = ease(Math.max(0, 2 * state.at - 1));
  const high = height / rows, wide = width / cols;
  if (across === 0) {
    state.rowPlaces.forEach((to, from) => {
      const y = (from + (to - from) * down) * high;
      context.drawImage(image, 0, from, cols, 1, 0, y, width, high + 0.5);
    });
  } else {
    state.colPlaces.forEach((to, from) => {
      const x = (from + (to - from) * across) * wide;
      context.drawImage(state.halfway, from, 0, 1, rows, x, 0, wide + 0.5, height);
    });
  }
  drawGrid(place, data.rowEdges, data.colEdges, data.line);
}

// The place of each row of W in the new order.
function placesOf(order) {
  const places = new Array(order.length);
  order.forEach((from, to) => { places[from] = to; });
  return places;
}

function makeHalfway(state) {
  const [rows, cols] = state.data.shape;
  const halfway = element("canvas", "", { width: String(cols), height: String(rows) });
  const context = halfway.getContext("2d");
  state.data.rows.forEach((from, to) => {
    context.drawImage(state.image, 0, from, cols, 1, 0, to, cols, 1);
  });
  state.halfway = halfway;
  draw(state);
  state.root.dataset.ready = "true";
}

function setAt(state, at) {
  state.at = Math.max(0, Math.min(1, at));
  state.handle.value = String(Math.round(200 * state.at));
  const words =
    state.at === 0 ? "before: as it is"
    : state.at < 0.5 ? "rows are on their way"
    : state.at === 0.5 ? "rows in place"
    : state.at < 1 ? "columns are on their way"
    : "after: rows and columns in place";
  setText(state.words, words);
  state.handle.setAttribute("aria-valuetext", words);
  draw(state);
}

function stop(state) {
  cancelAnimationFrame(state.frame);
  state.frame = 0;
  setText(state.button, "Play");
}

function play(state) {
  if (state.frame) return stop(state);
  const start = state.at >= 1 ? 0 : state.at;
  // Who asked for no motion gets the other end at once.
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
    return setAt(state, state.at >= 1 ? 0 : 1);
  }
  let began = 0;
  const step = (now) => {
    began = began || now;
    setAt(state, start + (now - began) / 1000 / SECONDS);
    if (state.at >= 1) return stop(state);
    state.frame = requestAnimationFrame(step);
    return undefined;
  };
  setText(state.button, "Pause");
  state.frame = requestAnimationFrame(step);
  return undefined;
}

function create(parent) {
  const canvas = element("canvas", "", { role: "img" });
  const button = element("button", "", { type: "button" });
  const handle = element("input", "", {
    type: "range", min: "0", max: "200", step: "1",
    "aria-label": "From the matrix as it is to the matrix in order",
  });
  const words = element("span", "words");
  const bar = element("div", "bar", {}, [button, handle, words]);
  const place = element("div", "place", {}, [canvas]);
  const root = element("div", "moving", {}, [place, bar]);
  const state = {
    root, canvas, button, handle, words, image: new Image(), at: 0, frame: 0, generation: 0,
  };
  setText(button, "Play");
  parent.append(root);
  button.addEventListener("click", () => play(state));
  handle.addEventListener("input", () => {
    stop(state);
    setAt(state, Number(handle.value) / 200);
  });
  state.image.addEventListener("load", () => makeHalfway(state));
  state.observer = new ResizeObserver(() => draw(state));
  return state;
}

export default function moving({ parentElement, data }) {
  if (!data) return undefined;
  let state = matrices.get(parentElement);
  if (!state) {
    state = create(parentElement);
    matrices.set(parentElement, state);
  }
  // Streamlit may clean up a call that a newer one has overtaken.
  const generation = ++state.generation;
  const fresh = !state.data || state.data.token !== data.token;
  state.data = data;
  state.canvas.setAttribute("aria-label", data.label);
  if (fresh) {
    stop(state);
    state.halfway = null;
    state.rowPlaces = placesOf(data.rows);
    state.colPlaces = placesOf(data.cols);
    state.image.src = data.picture;
    setAt(state, 0);
  } else draw(state);
  state.observer.observe(state.root);
  return () => {
    if (generation !== state.generation) return;
    state.observer.disconnect();
    stop(state);
  };
}
