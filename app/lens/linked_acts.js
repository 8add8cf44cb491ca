// What the visitor does with the linked pictures: pick, point, zoom, drag, keys.

function schedule(state, work) {
  state.pending = state.pending === "all" ? "all" : work;
  if (state.frame) return;
  state.frame = requestAnimationFrame(() => {
    state.frame = 0;
    const all = state.pending === "all";
    state.pending = "";
    if (!state.header || !state.box) return;
    if (all) drawAll(state);
    else drawOverlays(state);
    showReadings(state);
  });
}

function setView(state, view) {
  state.view = clampView(view, state.mostZoom);
  schedule(state, "all");
}

function setHover(state, cell) {
  const same = (cell && cell.row) === (state.hover && state.hover.row)
    && (cell && cell.col) === (state.hover && state.hover.col);
  if (same) return;
  state.hover = cell;
  schedule(state, "overlay");
}

function pickBlock(state, row, col, delay) {
  if (state.selected && state.selected[0] === row && state.selected[1] === col) return;
  state.selected = [row, col];
  state.count += 1;
  drawOverlays(state);
  setText(state.parts.announce, `Block ${row}, ${col} picked`);
  clearTimeout(state.sendTimer);
  state.sendTimer = setTimeout(() => {
    state.setStateValue("block", { row, col, count: state.count });
  }, delay);
}

// The pointer's place inside the picture it is over, or null.
function placeOf(state, event) {
  const picture = event.target.closest(".picture");
  if (!picture || !state.box) return null;
  const bounds = picture.getBoundingClientRect();
  const { clientX, clientY } = event;
  return { picture, clientX, clientY, x: clientX - bounds.left, y: clientY - bounds.top };
}

// Two fingers often rest on two pictures, so they are measured on the page.
function pinchOf({ pointers, box }) {
  const [a, b] = pointers.values();
  const bounds = a.picture.getBoundingClientRect();
  const spread = Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY));
  const x = (a.clientX + b.clientX) / 2 - bounds.left;
  return { spread, ...fractionAt(box, x, (a.clientY + b.clientY) / 2 - bounds.top) };
}

function onMove(state, event) {
  const place = placeOf(state, event);
  state.byKeys = false;
  if (!place) return setHover(state, null);
  if (event.buttons === 0) {
    // The button was released outside.
    state.pointers.clear();
    state.gesture = null;
  }
  const { box, pointers, gesture } = state;
  const last = pointers.get(event.pointerId);
  if (last) pointers.set(event.pointerId, place);
  if (last && pointers.size === 2 && gesture.spread) {
    const { spread, fx, fy } = pinchOf(state);
    const view = zoomAbout(state.view, spread / gesture.spread, fx, fy, state.mostZoom);
    view.u -= (fx - gesture.fx) / view.zoom;
    view.v -= (fy - gesture.fy) / view.zoom;
    setView(state, view);
    Object.assign(gesture, { spread, fx, fy });
    return undefined;
  }
  if (last && gesture) {
    if (!gesture.moved && Math.hypot(place.x - gesture.x, place.y - gesture.y) > 4) {
      gesture.moved = true;
      if (state.view.zoom > 1) place.picture.setPointerCapture(event.pointerId);
    }
    if (gesture.moved && state.view.zoom > 1) {
      const { zoom, u, v } = state.view;
      setView(state, {
        zoom,
        u: u - (place.x - last.x) / box.w / zoom,
        v: v - (place.y - last.y) / box.h / zoom,
      });
    }
  }
  setHover(state, cellAt(box, state.view, state.rows, state.cols, place.x, place.y));
  return undefined;
}

function onDown(state, event) {
  const place = placeOf(state, event);
  if (!place || event.button !== 0 || state.pointers.size === 2) return;
  state.pointers.set(event.pointerId, place);
  const two = state.pointers.size === 2;
  state.gesture = { x: place.x, y: place.y, moved: two, ...(two ? pinchOf(state) : {}) };
}

function onUp(state, event) {
  const known = state.pointers.delete(event.pointerId);
  const place = placeOf(state, event);
  const { gesture, cut } = state;
  if (known && state.pointers.size === 0) state.gesture = null;
  if (!known || !gesture || gesture.moved || !place || event.type !== "pointerup") return;
  const cell = cellAt(state.box, state.view, state.rows, state.cols, place.x, place.y);
  if (!cell) return;
  setHover(state, cell);
  pickBlock(state, blockOf(cut.rowEdges, cell.row), blockOf(cut.colEdges, cell.col), 0);
}

function zoomAtPointer(state, event, factor) {
  const place = placeOf(state, event);
  if (!place) return;
  event.preventDefault();
  const { fx, fy } = fractionAt(state.box, place.x, place.y);
  setView(state, zoomAbout(state.view, factor, clamp(fx, 0, 1), clamp(fy, 0, 1), state.mostZoom));
}

function connect(state) {
  const { pictures, out, in: into, reset, larger } = state.parts;
  const middle = (factor) => () =>
    setView(state, zoomAbout(state.view, factor, 0.5, 0.5, state.mostZoom));
  into.addEventListener("click", middle(2));
  out.addEventListener("click", middle(0.5));
  reset.addEventListener("click", () => setView(state, { zoom: 1, u: 0, v: 0 }));
  larger.setAttribute("aria-pressed", "false");
  larger.addEventListener("click", () => {
    state.larger = !state.larger;
    larger.setAttribute("aria-pressed", String(state.larger));
    schedule(state, "all");
  });
  connectCursor(state);
  connectSwipe(state);
  pictures.addEventListener("pointermove", (event) => onMove(state, event));
  pictures.addEventListener("pointerdown", (event) => onDown(state, event));
  pictures.addEventListener("pointerup", (event) => onUp(state, event));
  pictures.addEventListener("pointercancel", (event) => onUp(state, event));
  pictures.addEventListener("pointerleave", (event) => {
    // A lifted finger leaves too, and then the reading should stay.
    if (event.pointerType !== "touch" && !state.byKeys) setHover(state, null);
  });
  pictures.addEventListener("dblclick", (event) => zoomAtPointer(state, event, 2));
  pictures.addEventListener("wheel", (event) => {
    // Without Ctrl the wheel scrolls the page; a pinch on a touchpad arrives with ctrlKey set.
    if (event.ctrlKey || event.metaKey) {
      zoomAtPointer(state, event, Math.exp(-clamp(event.deltaY, -60, 60) / 100));
    }
  }, { passive: false });
  pictures.addEventListener("touchmove", (event) => {
    if (event.touches.length > 1 || state.view.zoom > 1) event.preventDefault();
  }, { passive: false });
  state.resized = () => {
    if (state.header) schedule(state, "all");
    if (!state.root.dataset.rendered) markRendered(state);
  };
  state.observer = new ResizeObserver(state.resized);
  connectBudget(state);
}
