// The target over every family's picture: left of a divider, or all of it while it is flipped.

function swiped(state) {
  return state.flipped ? 1 : state.swipe;
}

function drawSwiped(state, context) {
  const share = swiped(state);
  if (!share) return;
  const { box } = state;
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.w * share, box.h);
  context.clip();
  drawSource(state, state.panels[0].source, context);
  context.restore();
}

function placeDividers(state) {
  const { box, parts, panels } = state;
  const share = swiped(state);
  for (const { name, divider } of panels) {
    divider.hidden = !name;
    divider.style.left = `${box.x + box.w * share}px`;
  }
  parts.pictures.classList.toggle("swiped", share > 0);
}

function showSwipe(state) {
  const { parts } = state;
  const percent = Math.round(100 * state.swipe);
  if (Number(parts.swipe.value) !== percent) parts.swipe.value = percent;
  parts.swipe.setAttribute("aria-valuetext", `target over ${percent} % of each picture`);
  parts.flip.setAttribute("aria-pressed", String(state.flipped));
  if (state.box) placeDividers(state);
  schedule(state, "all");
}

function flip(state, flipped) {
  if (state.flipped === flipped) return;
  state.flipped = flipped;
  setText(state.parts.announce,
    flipped ? "Every picture shows the target" : "The pictures show the families");
  showSwipe(state);
}

function swipeTo(state, share) {
  state.flipped = false;
  state.swipe = clamp(share, 0, 1);
  showSwipe(state);
}

function connectSwipe(state) {
  const { flip: button, swipe } = state.parts;
  button.addEventListener("click", () => flip(state, !state.flipped));
  swipe.addEventListener("input", () => swipeTo(state, Number(swipe.value) / 100));
}

// Dragging a divider is no pick, and does not move the picture under it.
function connectDivider(state, divider, picture) {
  divider.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    event.preventDefault();
    divider.setPointerCapture(event.pointerId);
  });
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    event.stopPropagation();
    const x = event.clientX - picture.getBoundingClientRect().left;
    swipeTo(state, fractionAt(state.box, x, 0).fx);
  });
  divider.addEventListener("pointerup", (event) => event.stopPropagation());
}
