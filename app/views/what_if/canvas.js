// What the two pictures of this page share: a canvas as wide as its place.

// Give a canvas the pixels of its place; return its size in those of the page.
function fit(canvas, rows, cols, tallest) {
  const room = canvas.parentElement.clientWidth;
  if (!room) return null;
  const width = Math.min(room, Math.round((tallest * cols) / rows));
  const height = Math.round((width * rows) / cols);
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.imageSmoothingEnabled = false;
  return { context, width, height };
}

function drawGrid({ context, width, height }, rowEdges, colEdges, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (const at of rowEdges.slice(1, -1)) {
    context.moveTo(0, at * height);
    context.lineTo(width, at * height);
  }
  for (const at of colEdges.slice(1, -1)) {
    context.moveTo(at * width, 0);
    context.lineTo(at * width, height);
  }
  context.stroke();
}
