// The curve "error against budget" beside the handle: drawn from the factors, and dragged as well.

const DASHES = { solid: [], dot: [2, 3], dash: [7, 4], dashdot: [7, 3, 2, 3], longdash: [11, 4] };
const PAD = { left: 38, right: 10, top: 8, bottom: 17 };
// An error below this is drawn at the bottom.
const LEAST_ERROR = 1e-4;

// Where a budget and an error are drawn, in CSS pixels.
function curvePlaces(state) {
  const { clientWidth: width, clientHeight: height } = state.parts.curve;
  const { lowest } = state.header.budget;
  const highest = Math.max(endOf(state), lowest + 1);
  const errors = Object.values(state.factors.families).flatMap(({ errors: all }) => [...all]);
  const positive = errors.filter((error) => error > 0);
  const low = Math.log10(clamp(Math.min(...positive, 0.5), LEAST_ERROR, 0.5));
  const across = width - PAD.left - PAD.right;
  const down = height - PAD.top - PAD.bottom;
  return {
    width, height, lowest, highest, low,
    x: (rank) => PAD.left + (across * (rank - lowest)) / (highest - lowest),
    y: (error) => PAD.top + down * clamp(Math.log10(Math.max(error, LEAST_ERROR)) / low, 0, 1),
  };
}

const decades = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 5e-4, 2e-4, 1e-4];

function drawCurveTicks(state, pen, places) {
  pen.font = `11px ${state.font}`;
  pen.fillStyle = state.ink;
  pen.strokeStyle = state.line;
  pen.lineWidth = 1;
  pen.setLineDash([]);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  let last = -Infinity;
  for (const error of decades) {
    const y = places.y(error);
    if (Math.log10(error) < places.low || y - last < 17) continue;
    last = y;
    pen.beginPath();
    pen.moveTo(PAD.left, Math.round(y) + 0.5);
    pen.lineTo(places.width - PAD.right, Math.round(y) + 0.5);
    pen.stroke();
    pen.fillText(String(error), PAD.left - 5, y);
  }
  pen.textBaseline = "bottom";
  pen.textAlign = "left";
  pen.fillText(`r = ${places.lowest}`, PAD.left, places.height);
  pen.textAlign = "right";
  pen.fillText(`r = ${places.highest}`, places.width - PAD.right, places.height);
  pen.textAlign = "center";
  pen.fillText("error against budget", (PAD.left + places.width - PAD.right) / 2, places.height);
}

// What does not move, painted once for factors, size and theme.
function drawCurveLayer(state, key) {
  const places = curvePlaces(state);
  const layer = document.createElement("canvas");
  layer.width = Math.round(places.width * state.ratio);
  layer.height = Math.round(places.height * state.ratio);
  const pen = layer.getContext("2d");
  pen.scale(state.ratio, state.ratio);
  drawCurveTicks(state, pen, places);
  for (const { name, colour, dash } of state.header.panels) {
    const family = state.factors.families[name];
    if (!family) continue;
    const line = new Path2D();
    for (let rank = places.lowest; rank <= places.highest; rank++) {
      line.lineTo(places.x(rank), places.y(family.errors[atRank(state, rank)]));
    }
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.setLineDash(DASHES[dash]);
    pen.stroke(line);
  }
  Object.assign(state.parts.curve, { width: layer.width, height: layer.height });
  state.curve = { key, layer, places };
}

function drawCurve(state) {
  const { factors, header, parts: { curve } } = state;
  if (!factors || !curve.clientWidth || !state.ratio) return;
  const key = [factors.token, curve.clientWidth, curve.clientHeight, state.ratio, state.ink,
    endOf(state), header.panels.map((panel) => panel.name)].join();
  if (!state.curve || state.curve.key !== key) drawCurveLayer(state, key);
  const { layer, places } = state.curve;
  const rank = state.wanted;
  const pen = curve.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, curve.width, curve.height);
  pen.drawImage(layer, 0, 0);
  pen.scale(state.ratio, state.ratio);
  const x = places.x(rank);
  pen.strokeStyle = state.ink;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x, PAD.top);
  pen.lineTo(x, places.height - PAD.bottom);
  pen.stroke();
  const said = [];
  for (const { name, title, colour } of header.panels) {
    const family = factors.families[name];
    if (!family) continue;
    const error = family.errors[atRank(state, rank)];
    said.push(`${title} ${formatNumber(error)}`);
    pen.beginPath();
    pen.arc(x, places.y(error), 4, 0, 2 * Math.PI);
    pen.fillStyle = colour;
    pen.strokeStyle = state.paper;
    pen.fill();
    pen.stroke();
  }
  curve.setAttribute("aria-label", `Error against budget; at r = ${rank}: ${said.join(", ")}`);
}

function connectCurve(state) {
  const { curve } = state.parts;
  const follow = (event) => {
    if (!state.curve || !state.factors) return;
    const { lowest, highest, x } = state.curve.places;
    const [left, right] = [x(lowest), x(highest)];
    const at = (event.clientX - curve.getBoundingClientRect().left - left) / (right - left);
    moveBudget(state, Math.round(lowest + clamp(at, 0, 1) * (highest - lowest)));
  };
  curve.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    curve.setPointerCapture(event.pointerId);
    follow(event);
  });
  curve.addEventListener("pointermove", (event) => {
    if (curve.hasPointerCapture(event.pointerId)) follow(event);
  });
  // It comes for every end of a drag, also for one that is taken over by scrolling.
  curve.addEventListener("lostpointercapture", () => {
    if (state.held) release(state);
  });
}
