// The handle of the budget: what it says, when it moves the pictures, when it asks the server.

const RUN_SECONDS = 10;
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
  state.factors = shelf().held.get(budget.factors) || null;
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
  describeWaiting(state);
  scheduleScrub(state);
}

// Whether the budget is not that of the server's pictures, or may soon not be.
function isAway(state) {
  return state.held || Boolean(state.play) || state.wanted !== state.header.budget.rank;
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
  state.root.dataset.scrub = canScrub(state) ? state.header.budget.factors : "";
}

function describeBudget(state) {
  const { parts, wanted, header } = state;
  const { parameters } = header.budget;
  const text = `r = ${wanted}: ${(wanted * parameters).toLocaleString("en-US")} parameters`;
  if (Number(parts.budget.value) !== wanted) parts.budget.value = wanted;
  parts.budget.setAttribute("aria-valuetext", text);
  setText(parts.budgetText, text);
  setText(parts.play, state.play ? "Pause" : "Play");
}

// Paint the arrays that move, and say their errors, ranks and parameters.
function showBudget(state) {
  const { header, factors, live } = state;
  state.moved = true;
  // Which family is best is not known while one of them waits.
  const all = state.panels.every((panel) => !panel.error || factors.families[panel.name]);
  for (const panel of state.panels) {
    const family = factors.families[panel.name];
    setText(panel.best, family && all && family.best[live.rank] ? "best" : "");
    if (!panel.error || !family) continue;
    panel.live = live.errors[panel.name];
    if (header.view === "blocks" || header.showBlockErrors) measureBlocks(state, panel);
    paintPanel(state, panel);
    setText(panel.subtitle, family.subtitles[live.rank]);
    describeOutside(panel);
  }
  if (header.showBlockErrors) findLargestBlock(state);
  drawRankMaps(state);
}

// Give the server's pictures back their place.
function settle(state) {
  if (!state.moved) return;
  state.moved = false;
  for (const panel of state.panels) {
    panel.live = null;
    panel.blocks = panel.served;
    if (panel.error) paintPanel(state, panel);
  }
  describe(state);
  drawRankMaps(state);
  drawAll(state);
  showReadings(state);
}

// Pictures that cannot follow are dimmed while another budget is asked for than theirs.
function describeWaiting(state) {
  const away = state.wanted !== state.header.budget.rank;
  const moving = canScrub(state);
  for (const panel of state.panels) {
    const waits = away && Boolean(panel.error)
      && !(moving && state.factors.families[panel.name]);
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
  if (canScrub(state)) scrubFamilies(state);
  state.root.dataset.scrubMs = (performance.now() - started).toFixed(2);
  if (over) release(state);
  else if (state.play) scheduleScrub(state);
}

function scrubFamilies(state) {
  const wanted = atRank(state, state.wanted);
  const away = isAway(state);
  // At rest the arrays catch up unseen; those that are taken up before that are so at once.
  const moved = advance(state, wanted, away && !state.moved ? Infinity : TERM_TIME);
  if (away && (moved || !state.moved)) {
    showBudget(state);
    drawFamilies(state);
    showReadings(state);
  } else if (!away && state.live.rank === wanted) settle(state);
  if (state.live.rank !== wanted) scheduleScrub(state);
  state.root.dataset.scrubbed = String(shownRank(state));
}

// With the wish for less motion, ten steps of a second each. Returns whether the end is reached.
function stepPlay(state) {
  const [lowest, highest] = [state.header.budget.lowest, endOf(state)];
  const share = (performance.now() - state.play.started) / 1000 / RUN_SECONDS;
  const steps = calm.matches ? Math.floor(share * RUN_SECONDS) / RUN_SECONDS : share;
  state.wanted = Math.round(lowest + Math.min(1, Math.max(0, steps)) * (highest - lowest));
  return share >= 1;
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
  state.play = { started: performance.now() - done * 1000 * RUN_SECONDS };
  state.paused = false;
  setText(state.parts.announce, `The budget runs from r = ${from} to r = ${highest}`);
  scheduleScrub(state);
}

// The handle stands still: ask the server for its exact answer, once.
function release(state) {
  state.held = false;
  state.play = null;
  const { wanted } = state;
  describeBudget(state);
  setText(state.parts.announce, state.parts.budgetText.textContent);
  if (wanted === state.sent) {
    scheduleScrub(state);
    return;
  }
  state.sent = wanted;
  state.releases += 1;
  state.setStateValue("budget", { rank: wanted, count: state.releases });
}

function connectBudget(state) {
  const { budget, play } = state.parts;
  budget.addEventListener("input", () => {
    state.held = true;
    state.play = null;
    state.paused = false;
    state.wanted = Number(budget.value);
    scheduleScrub(state);
  });
  // A key reports a change at every repeat; the act ends when it is let go.
  budget.addEventListener("keydown", (event) => {
    if (MOVING_KEYS.has(event.key)) state.keys = true;
  });
  const letGo = () => {
    if (!state.keys) return;
    state.keys = false;
    if (state.held) release(state);
  };
  budget.addEventListener("keyup", letGo);
  budget.addEventListener("blur", letGo);
  budget.addEventListener("change", () => {
    if (!state.keys) release(state);
  });
  // Back where it was taken up, a handle reports no change.
  budget.addEventListener("pointerup", () => {
    if (state.held && state.wanted === state.sent) release(state);
  });
  play.addEventListener("click", () => togglePlay(state));
  state.factorsCame = (token) => {
    if (!state.header || !state.header.budget || state.header.budget.factors !== token) return;
    state.factors = shelf().held.get(token);
    state.parts.budget.max = endOf(state);
    markScrub(state);
    drawRankMaps(state);
    scheduleScrub(state);
  };
}
