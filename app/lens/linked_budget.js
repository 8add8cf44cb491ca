// The handle of the budget: what it says, when it moves the pictures, when it asks the server.
// The pictures follow it, and the handle of the grid, here.

const RUN_SECONDS = 10;
const OPENING_SECONDS = 3;
const MOVING_KEYS = new Set([
  "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown",
]);
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

// Take up what Python says of the budget; what the visitor has done since stays.
function receiveBudget(state) {
  const { budget } = state.header;
  const { parts } = state;
  state.budgetRow.hidden = !budget;
  if (!budget) return;
  receiveGrid(state);
  parts.budget.min = budget.lowest;
  parts.budget.max = endOf(state);
  setText(parts.budgetLabel, budget.label);
  if (budget.releases >= state.releases) {
    state.releases = budget.releases;
    state.sent = budget.rank;
    if (!state.held && !state.play) state.wanted = budget.rank;
  }
  markScrub(state);
}

// After the server's pictures: those that the visitor has moved on from meanwhile.
function follow(state) {
  if (!state.header.budget) return;
  describeBudget(state);
  if (canScrub(state) && isAway(state)) {
    advance(state, atRank(state, state.wanted), Infinity);
    showBudget(state);
  } else drawRankMaps(state);
  drawCurve(state);
  describeWaiting(state);
  scheduleScrub(state);
}

// Whether budget or grid are not those of the server's pictures, or may soon not be.
function isAway(state) {
  const { budget } = state.header;
  return state.held || state.gridHeld || Boolean(state.play) || state.wanted !== budget.rank
    || state.grid !== budget.grid;
}

// The equivalent rank of what is on the screen.
function shownRank(state) {
  return state.moved ? state.live.rank : atRank(state, state.header.budget.rank);
}

// Where every block of every family is full, a larger budget changes nothing.
function endOf(state) {
  const { budget } = state.header;
  return state.factors ? Math.max(state.factors.highest, budget.rank) : budget.highest;
}

function markScrub(state) {
  state.root.dataset.scrub = canScrub(state) ? state.factors.token : "";
}

function describeBudget(state) {
  const { parts, wanted, header } = state;
  const { parameters } = header.budget;
  const text = `r = ${wanted}: ${(wanted * parameters).toLocaleString("en-US")} parameters`;
  if (Number(parts.budget.value) !== wanted) parts.budget.value = wanted;
  parts.budget.setAttribute("aria-valuetext", text);
  setText(parts.budgetText, text);
  setText(parts.play, state.play ? "Pause" : "Play");
  describeGrid(state);
}

// Paint the arrays that move, and say their errors, ranks and parameters.
function showBudget(state) {
  const { header, factors, live } = state;
  state.moved = true;
  setCut(state, factors.cut);
  const byBlock = header.view === "blocks" || header.showBlockErrors;
  // Which family is best is not known while one of them waits.
  const all = state.panels.every((panel) => !panel.error || factors.families[panel.name]);
  for (const panel of state.panels) {
    const family = factors.families[panel.name];
    setText(panel.best, family && all && family.best[live.rank] ? "best" : "");
    if (!family || (byBlock && !canMeasure(state, panel.name))) {
      restore(state, panel);
      continue;
    }
    setText(panel.message, "");
    setText(panel.subtitle, family.subtitles[live.rank]);
    panel.live = live.errors[panel.name];
    if (byBlock) measureBlocks(state, panel);
    paintPanel(state, panel);
    describeOutside(panel);
    namePicture(state, panel);
  }
  if (header.showBlockErrors) findLargestBlock(state);
  drawRankMaps(state);
}

// Give a panel back what the server sent.
function restore(state, panel) {
  if (!panel.live) return;
  panel.live = null;
  panel.blocks = panel.served;
  if (panel.error) paintPanel(state, panel);
  else panel.base.getContext("2d").reset();
  setText(panel.subtitle, panel.words.subtitle);
  setText(panel.message, panel.error ? "" : panel.words.message);
}

// Give the server's pictures back their place.
function settle(state) {
  if (!state.moved) return;
  state.moved = false;
  rebuild(state);
  setCut(state, state.header);
  for (const panel of state.panels) restore(state, panel);
  describe(state);
  drawRankMaps(state);
  drawAll(state);
  showReadings(state);
}

// Pictures that cannot follow are dimmed while something else is asked for than they show.
function describeWaiting(state) {
  const { budget } = state.header;
  const away = state.wanted !== budget.rank || state.grid !== budget.grid;
  const byBlock = state.header.view === "blocks" || state.header.showBlockErrors;
  for (const panel of state.panels) {
    const follows = canScrub(state) && state.factors.families[panel.name]
      && (!byBlock || canMeasure(state, panel.name));
    const waits = away && Boolean(panel.error) && !follows;
    panel.figure.classList.toggle("waiting", waits);
    if (waits) setText(panel.foot, "follows on release");
    else describeOutside(panel);
  }
}

function scheduleScrub(state) {
  if (!state.scrubFrame) state.scrubFrame = requestAnimationFrame(() => scrub(state));
}

// One frame of a moving budget.
function scrub(state) {
  state.scrubFrame = 0;
  if (!state.header || !state.box || !state.header.budget) return;
  const started = performance.now();
  const over = state.play && stepPlay(state);
  describeBudget(state);
  describeWaiting(state);
  drawCurve(state);
  if (canScrub(state)) scrubFamilies(state);
  state.root.dataset.scrubMs = (performance.now() - started).toFixed(2);
  if (over) release(state);
  else if (state.play) scheduleScrub(state);
}

function scrubFamilies(state) {
  const wanted = atRank(state, state.wanted);
  const away = isAway(state);
  const other = !state.live || state.live.factors !== state.factors;
  // At rest the arrays catch up unseen; those that are taken up before that are so at once.
  const moved = advance(state, wanted, away && (other || !state.moved) ? Infinity : TERM_TIME);
  if (away && (moved || other || !state.moved)) {
    const { cut } = state;
    showBudget(state);
    if (state.cut === cut) drawFamilies(state);
    else drawAll(state);
    showReadings(state);
  } else if (!away && state.live.rank === wanted) settle(state);
  if (state.live.rank !== wanted) scheduleScrub(state);
  state.root.dataset.scrubbed = String(shownRank(state));
  state.root.dataset.cut = state.moved ? state.grid : state.header.budget.grid;
}

// With the wish for less motion, ten steps of a second each. Returns whether the end is reached.
function stepPlay(state) {
  const { started, seconds, highest = endOf(state) } = state.play;
  const { lowest } = state.header.budget;
  const share = (performance.now() - started) / 1000 / seconds;
  const steps = calm.matches ? Math.floor(share * RUN_SECONDS) / RUN_SECONDS : share;
  state.wanted = Math.round(lowest + Math.min(1, Math.max(0, steps)) * (highest - lowest));
  return share >= 1;
}

function startPlay(state, seconds, done, highest) {
  state.play = { highest, seconds, started: performance.now() - done * 1000 * seconds };
  state.paused = false;
  scheduleScrub(state);
}

// Where the page asks for it: up to its budget, once, and not for who wishes for less motion.
function playOnce(state) {
  const { budget } = state.header;
  if (!budget || !budget.plays || state.played || !canScrub(state) || !state.box) return;
  state.played = true;
  if (!calm.matches && !isAway(state)) startPlay(state, OPENING_SECONDS, 0, budget.rank);
}

function togglePlay(state) {
  if (state.play) {
    state.paused = true;
    release(state);
    return;
  }
  const [lowest, highest] = [state.header.budget.lowest, endOf(state)];
  const from = state.paused && state.wanted < highest ? state.wanted : lowest;
  const done = (from - lowest) / Math.max(1, highest - lowest);
  startPlay(state, RUN_SECONDS, done);
  setText(state.parts.announce, `The budget runs from r = ${from} to r = ${highest}`);
}

// The handle stands still: ask the server for its exact answer, once.
function release(state) {
  state.held = false;
  state.play = null;
  const { wanted } = state;
  describeBudget(state);
  setText(state.parts.announce, state.parts.budgetText.textContent);
  scheduleAsk(state);
  if (wanted === state.sent) {
    scheduleScrub(state);
    return;
  }
  state.sent = wanted;
  state.releases += 1;
  state.setStateValue("budget", { rank: wanted, count: state.releases });
}

function moveBudget(state, rank) {
  state.held = true;
  state.play = null;
  state.paused = false;
  state.wanted = rank;
  scheduleScrub(state);
}

// A handle: `move` at every step, `done` once when it is let go.
function connectHandle(input, move, done) {
  let held = false;
  let keys = false;
  const letGo = () => {
    keys = false;
    if (!held) return;
    held = false;
    done();
  };
  input.addEventListener("input", () => {
    held = true;
    move(Number(input.value));
  });
  // A key reports a change at every repeat; the act ends when it is let go.
  input.addEventListener("keydown", (event) => {
    if (MOVING_KEYS.has(event.key)) keys = true;
  });
  input.addEventListener("keyup", letGo);
  input.addEventListener("blur", letGo);
  input.addEventListener("change", () => {
    if (!keys) letGo();
  });
  // Back where it was taken up, a handle reports no change.
  input.addEventListener("pointerup", letGo);
}

function connectBudget(state) {
  const { budget, grid, play } = state.parts;
  connectHandle(budget, (rank) => moveBudget(state, rank), () => release(state));
  connectHandle(grid, (at) => moveGrid(state, at), () => releaseGrid(state));
  grid.parentElement.addEventListener("pointerenter", () => wantGrids(state));
  grid.addEventListener("focus", () => wantGrids(state));
  play.addEventListener("click", () => togglePlay(state));
  connectCurve(state);
  state.factorsCame = (token) => {
    if (!state.header || !state.header.budget) return;
    scheduleAsk(state);
    if (stopOf(state).factors !== token) return;
    takeFactors(state);
    state.parts.budget.max = endOf(state);
    markScrub(state);
    drawRankMaps(state);
    drawCurve(state);
    playOnce(state);
    scheduleScrub(state);
  };
}
