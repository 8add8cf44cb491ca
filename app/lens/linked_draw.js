// Pure parts of the linked pictures: reading the payload, colours, geometry, numbers.
// view.py joins the linked_*.js files into one module, the default export last.

const LEVELS = 256;

function parsePayload(bytes) {
  // The bytes sit at an odd offset of a larger buffer, and typed arrays need alignment: copy.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const start = bytes.byteOffset + Math.ceil((4 + length) / 8) * 8;
  const kinds = {
    f4: Float32Array, f2: Uint16Array, i2: Int16Array, u1: Uint8Array, u2: Uint16Array,
    u4: Uint32Array,
  };
  const read = ({ dtype, offset, shape }) => {
    const Kind = kinds[dtype];
    const size = shape.reduce((a, b) => a * b, 1) * Kind.BYTES_PER_ELEMENT;
    return new Kind(bytes.buffer.slice(start + offset, start + offset + size));
  };
  return { header, read };
}

let halfTable = null;

function makeHalfTable() {
  const table = new Float32Array(65536);
  for (let i = 0; i < 65536; i++) {
    const exponent = (i >> 10) & 31;
    const fraction = i & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    table[i] = i & 0x8000 ? -size : size;
  }
  return table;
}

function decodeHalf(halves, exponent) {
  halfTable = halfTable || makeHalfTable();
  const scale = 2 ** exponent;
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = halfTable[halves[i]] * scale;
  return values;
}

const rgba = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

function packLut(bytes) {
  return Uint32Array.from({ length: LEVELS }, (_, i) =>
    rgba(bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2]));
}

const greyLut = () => Uint32Array.from({ length: LEVELS }, (_, i) => rgba(i, i, i));

// Level i of 256 stands for low + i/255·(high − low). An entry is outside the scale when its
// nearest level is below 0 or above 255, that is by more than half a level, so that the
// rounding of float16 errors at the very end of a scale does not count.
function levelOf(value, low, high, flat) {
  return high > low ? Math.floor(((value - low) * 255) / (high - low) + 0.5) : flat;
}

function paintScalar(values, pixels, lut, low, high, flat) {
  let outside = 0;
  if (!(high > low)) {
    for (let i = 0; i < values.length; i++) {
      if (values[i] !== low) outside++;
      pixels[i] = lut[values[i] === low ? flat : values[i] < low ? 0 : LEVELS - 1];
    }
    return outside / values.length;
  }
  const gain = 255 / (high - low);
  for (let i = 0; i < values.length; i++) {
    const t = (values[i] - low) * gain + 0.5;
    if (t < 0) {
      outside++;
      pixels[i] = lut[0];
    } else if (t >= LEVELS) {
      outside++;
      pixels[i] = lut[LEVELS - 1];
    } else pixels[i] = lut[t | 0];
  }
  return outside / values.length;
}

function paintColour(values, pixels, low, high) {
  const gain = high > low ? 255 / (high - low) : 0;
  const clamped = new Uint8ClampedArray(3);
  let outside = 0;
  for (let i = 0, j = 0; i < pixels.length; i++, j += 3) {
    let out = false;
    for (let c = 0; c < 3; c++) {
      const t = Math.floor((values[j + c] - low) * gain + 0.5);
      if (t < 0 || t > 255) out = true;
      clamped[c] = t;
    }
    if (out) outside++;
    pixels[i] = rgba(clamped[0], clamped[1], clamped[2]);
  }
  return outside / pixels.length;
}

function difference(target, error, values) {
  for (let i = 0; i < values.length; i++) values[i] = target[i] - error[i];
  return values;
}

// Over the channels of a colour picture: mean for the signed error, root mean square otherwise.
function reduceError(error, channels, signed, scratch) {
  if (channels === 1 && signed) return error;
  const values = scratch.subarray(0, error.length / channels);
  if (channels === 1) {
    for (let i = 0; i < values.length; i++) values[i] = Math.abs(error[i]);
    return values;
  }
  for (let i = 0, j = 0; i < values.length; i++, j += 3) {
    const r = error[j], g = error[j + 1], b = error[j + 2];
    values[i] = signed ? (r + g + b) / 3 : Math.sqrt((r * r + g * g + b * b) / 3);
  }
  return values;
}

function indexOfEdges(edges) {
  const index = new Uint32Array(edges[edges.length - 1]);
  for (let k = 0; k + 1 < edges.length; k++) index.fill(k, edges[k], edges[k + 1]);
  return index;
}

function spreadBlocks(blocks, rowIndex, colIndex, scratch) {
  const values = scratch.subarray(0, rowIndex.length * colIndex.length);
  const blockCols = colIndex[colIndex.length - 1] + 1;
  let p = 0;
  for (let i = 0; i < rowIndex.length; i++) {
    const base = rowIndex[i] * blockCols;
    for (let j = 0; j < colIndex.length; j++) values[p++] = blocks[base + colIndex[j]];
  }
  return values;
}

// Pictures of about 320 pixels, so that detail shows, but three in a row where that leaves them
// 170, and two on a phone. Rows are as even as possible: six go 3 + 3, not 5 + 1.
function columnsFor(width, count, gap, larger) {
  const fit = (least) => Math.floor((width + gap) / (least + gap));
  const most = clamp(Math.max(fit(320), Math.min(3, fit(170)), Math.min(2, fit(140))), 1, count);
  const columns = Math.ceil(count / Math.ceil(count / most));
  return larger ? Math.max(1, columns - 1) : columns;
}

// The box is never flatter than 1:4 nor taller than 2:1. A longer matrix is letterboxed inside,
// and a still longer one is stretched, because a strip of a few pixels shows nothing.
function boxFor(width, rows, cols) {
  const height = Math.round(Math.min(Math.max((width * rows) / cols, width / 4), 2 * width));
  const scale = Math.min(width / cols, height / rows);
  const w = Math.max(cols * scale, width / 2);
  const h = Math.max(rows * scale, height / 2);
  const stretched = Math.abs((w / cols) / (h / rows) - 1) > 0.05;
  return { width, height, x: (width - w) / 2, y: (height - h) / 2, w, h, stretched };
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// A view is a zoom factor and the fraction of the matrix at the picture's left and top edge.
function clampView({ zoom, u, v }, most) {
  const z = clamp(zoom, 1, most);
  return { zoom: z, u: clamp(u, 0, 1 - 1 / z), v: clamp(v, 0, 1 - 1 / z) };
}

function zoomAbout(view, factor, fx, fy, most) {
  const zoom = clamp(view.zoom * factor, 1, most);
  const shift = 1 / view.zoom - 1 / zoom;
  return clampView({ zoom, u: view.u + fx * shift, v: view.v + fy * shift }, most);
}

function fractionAt(box, x, y) {
  return { fx: (x - box.x) / box.w, fy: (y - box.y) / box.h };
}

function cellAt(box, view, rows, cols, x, y) {
  const { fx, fy } = fractionAt(box, x, y);
  if (fx < 0 || fy < 0 || fx >= 1 || fy >= 1) return null;
  const col = Math.floor((view.u + fx / view.zoom) * cols);
  const row = Math.floor((view.v + fy / view.zoom) * rows);
  return { row: clamp(row, 0, rows - 1), col: clamp(col, 0, cols - 1) };
}

// Matrix coordinates to box coordinates in CSS pixels.
function mapping(box, view, rows, cols) {
  const sx = (box.w * view.zoom) / cols;
  const sy = (box.h * view.zoom) / rows;
  return {
    sx, sy,
    x: (col) => box.x - view.u * view.zoom * box.w + col * sx,
    y: (row) => box.y - view.v * view.zoom * box.h + row * sy,
  };
}

// Three significant digits, but no decimal place that `unsure`, the bound of the value's own
// error, makes meaningless: target − error, with a float16 error, is 0.000 and not −5.46e−5.
function formatNumber(value, plus = false, unsure = 0) {
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : plus && value > 0 ? "+" : "";
  if (size === 0) return "0";
  if (unsure > 0) {
    const places = clamp(-Math.ceil(Math.log10(2 * unsure)), 0, 20);
    if (size < 100 * 10 ** -places) {
      const text = size.toFixed(places);
      return Number(text) === 0 ? text : sign + text;
    }
  }
  if (size >= 1e-3 && size < 99950) {
    const rounded = Number(size.toPrecision(3));
    return sign + (rounded >= 100 ? String(rounded) : rounded.toPrecision(3));
  }
  const [digits, exponent] = size.toExponential(2).split("e");
  return `${sign}${digits}e${exponent.replace("-", "−").replace("+", "")}`;
}

// The ends of a scale without trailing zeros: 0.21, not 0.210.
function formatEnd(value) {
  const text = formatNumber(value);
  return /\./.test(text) ? text.replace(/\.?0+(?=e|$)/, "") : text;
}

function formatShare(share) {
  const percent = 100 * share;
  if (percent < 0.05) return "< 0.1 %";
  return `${percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %`;
}

const isLight = (pixel) =>
  0.299 * (pixel & 255) + 0.587 * ((pixel >> 8) & 255) + 0.114 * ((pixel >> 16) & 255) > 118;
