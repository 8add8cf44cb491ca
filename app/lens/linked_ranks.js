// Small maps beside the handle: the ranks of the blocks, where the target decides them.

function buildRankMaps(state) {
  const { factors, parts } = state;
  const names = Object.keys(factors.families).filter((name) => factors.families[name].drawn);
  state.rankMaps = names.map((name) => {
    const { grid } = factors.families[name];
    const canvas = element("canvas", "rank-map", {
      role: "img",
      width: String(grid.colEdges.length - 1),
      height: String(grid.rowEdges.length - 1),
    });
    const image = new ImageData(canvas.width, canvas.height);
    return { name, canvas, image, pixels: new Uint32Array(image.data.buffer) };
  });
  parts.ranks.replaceChildren(...state.rankMaps.map(({ name, canvas }) =>
    element("div", "ranks-of", {}, [canvas, element("span", "", {}, [`ranks of ${name}`])])));
}

// From 0 to the largest rank of the map at this budget; of three channels the mean.
function drawRankMaps(state) {
  if (!state.factors) return;
  if (state.rankMapsOf !== state.factors) {
    state.rankMapsOf = state.factors;
    buildRankMaps(state);
  }
  const shown = shownRank(state);
  for (const { name, canvas, image, pixels } of state.rankMaps) {
    const { maps } = state.factors.families[name];
    const rank = (b) => maps.reduce((sum, map) => sum + map[shown * pixels.length + b], 0);
    let largest = 1;
    for (let b = 0; b < pixels.length; b++) largest = Math.max(largest, rank(b));
    for (let b = 0; b < pixels.length; b++) {
      pixels[b] = state.luts.values[Math.round((255 * rank(b)) / largest)];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", `Ranks of the blocks of ${name} at r = ${shown}`);
  }
  drawStructures(state);
}
