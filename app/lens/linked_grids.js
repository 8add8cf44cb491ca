// The handle of the grid: a stop for every grid that is offered, and their factors beforehand.

// How long nothing may have happened before the server is asked for the factors of another grid.
const IDLE_MS = 100;
// Bytes of factors that are fetched beforehand; one more must still fit on the shelf.
const MOST_AHEAD = MOST_HELD - 6e6;

function stopOf(state, label = state.grid) {
  return state.header.budget.stops.find((stop) => stop.label === label);
}

// What names the target of pictures that have a budget: their factors on the first grid.
function targetOf({ budget }) {
  return budget ? budget.stops[0].factors : "";
}

function takeFactors(state) {
  state.factors = shelf().held.get(stopOf(state).factors) || null;
}

// Take up what Python says of the grid; what the visitor has done since stays.
function receiveGrid(state) {
  const { budget } = state.header;
  const { grid, gridLabel } = state.parts;
  if (budget.cuts >= state.cuts) {
    state.cuts = budget.cuts;
    state.sentGrid = budget.grid;
    if (!state.gridHeld) state.grid = budget.grid;
  }
  if (!stopOf(state)) state.grid = budget.grid;
  const target = targetOf(state.header);
  if (target !== state.livesOf) {
    state.livesOf = target;
    state.lives.clear();
    state.sharp = null;
    state.live = null;
  }
  grid.min = 0;
  grid.parentElement.hidden = budget.stops.length < 2;
  grid.max = budget.stops.length - 1;
  setText(gridLabel, budget.grid_label);
  takeFactors(state);
  state.asked.clear();
  scheduleAsk(state);
}

function describeGrid(state) {
  const { grid, gridText } = state.parts;
  const at = state.header.budget.stops.indexOf(stopOf(state));
  if (Number(grid.value) !== at) grid.value = at;
  const waits = !state.factors && state.grid !== state.header.budget.grid;
  const text = waits ? `${state.grid}: follows on release` : `${state.grid} blocks`;
  grid.setAttribute("aria-valuetext", text);
  setText(gridText, text);
}

function moveGrid(state, at) {
  state.gridHeld = true;
  state.grid = state.header.budget.stops[at].label;
  takeFactors(state);
  state.parts.budget.max = endOf(state);
  markScrub(state);
  scheduleScrub(state);
}

function releaseGrid(state) {
  state.gridHeld = false;
  describeGrid(state);
  setText(state.parts.announce, state.parts.gridText.textContent);
  if (state.grid === state.sentGrid) {
    scheduleScrub(state);
    return;
  }
  state.sentGrid = state.grid;
  state.cuts += 1;
  const { rows, cols } = stopOf(state);
  state.setStateValue("grid", { rows, cols, count: state.cuts });
}

function scheduleAsk(state) {
  clearTimeout(state.askTimer);
  state.askTimer = setTimeout(() => askForMore(state), IDLE_MS);
}

// Who comes near the handle will move it; to all others the factors would be a burden.
function wantGrids(state) {
  if (state.gridWanted) return;
  state.gridWanted = true;
  askForMore(state);
}

// Ask for the factors of the nearest grid that is not here, where nothing else goes on.
function askForMore(state) {
  if (!state.gridWanted) return;
  const { header, root, asked } = state;
  const { held, ask } = shelf();
  if (!header.budget || !ask || !state.factors || isAway(state)) return;
  const { stops } = header.budget;
  const here = stops.indexOf(stopOf(state));
  const sizes = stops.map(({ factors }) => (held.get(factors) || { size: 0 }).size);
  const room = sizes.reduce((a, b) => a + b, 0) <= MOST_AHEAD;
  const next = stops
    .filter(({ factors }) => room && !held.has(factors) && !asked.has(factors))
    .sort((a, b) => Math.abs(stops.indexOf(a) - here) - Math.abs(stops.indexOf(b) - here))[0];
  root.dataset.grids = stops.filter(({ factors }) => held.has(factors))
    .map(({ label }) => label).join(" ");
  if (!next) return;
  asked.add(next.factors);
  ask(next.factors);
}
