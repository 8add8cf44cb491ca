// What the linked pictures are made of on the page, without any content.

function createState(parent) {
  const button = (text, label) => {
    const node = element("button", "", { type: "button", "aria-label": label, title: label });
    node.textContent = text;
    return node;
  };
  const parts = {
    caption: element("span", "caption"),
    hint: element("span", "hint"),
    out: button("−", "Zoom out"),
    factor: element("output", "factor"),
    in: button("+", "Zoom in"),
    reset: button("Reset", "Reset the zoom"),
    larger: button("Larger", "Larger pictures, fewer in a row"),
    flip: button("Flip to target", "Show the target in place of every family; or hold T"),
    swipe: element("input", "", {
      type: "range", min: "0", max: "100", step: "5", value: "0",
      "aria-label": "Swipe the target over every family",
    }),
    pictures: element("div", "pictures", {
      tabindex: "0",
      role: "application",
      "aria-label":
        "Linked pictures of the target and every family. Arrow keys read cells, with Shift block " +
        "by block, Home and End go to the ends of a row, Enter picks the block, plus and minus " +
        "zoom, T held shows the target everywhere, Escape leaves.",
    }),
    budget: element("input", "", { type: "range", step: "1" }),
    budgetLabel: element("span"),
    budgetText: element("span", "budget-text", { "aria-hidden": "true" }),
    grid: element("input", "", { type: "range", step: "1" }),
    gridLabel: element("span"),
    gridText: element("span", "budget-text", { "aria-hidden": "true" }),
    curve: element("canvas", "curve", { role: "img", title: "Drag to move the budget" }),
    ranks: element("div", "ranks"),
    play: button("Play", "Let the budget run from the start to the end in ten seconds"),
    readout: element("div", "readout", { "aria-live": "off" }),
    scaleText: element("div", "scale-text"),
    bar: element("canvas", "bar", { width: "256", height: "1", "aria-hidden": "true" }),
    ticks: element("div", "ticks", {}, [element("span"), element("span"), element("span")]),
    notes: element("div", "notes"),
    announce: element("div", "hidden", { "aria-live": "polite" }),
  };
  setText(parts.hint, "Click picks a block; arrow keys read cells; Ctrl + wheel or double click zooms");
  const zoomTools = element("div", "tools", { role: "group", "aria-label": "Size" },
    [parts.out, parts.factor, parts.in, parts.reset, parts.larger]);
  const targetTools = element("div", "tools", { role: "group", "aria-label": "Target" },
    [parts.flip, parts.swipe]);
  const toolbar = element("div", "toolbar", {}, [
    parts.caption, parts.hint, targetTools, zoomTools,
  ]);
  const labelled = (...children) => element("label", "budget-label", {}, children);
  const handles = element("div", "handles", {}, [
    labelled(parts.budgetLabel, parts.budgetText, parts.budget), parts.play,
    labelled(parts.gridLabel, parts.gridText, parts.grid),
  ]);
  const budgetRow = element("div", "budget", {}, [handles, parts.ranks, parts.curve]);
  const colours = element("div", "colours", {}, [parts.bar, parts.ticks]);
  const scale = element("div", "scale", {}, [parts.scaleText, colours]);
  const root = element("div", "linked", {}, [
    toolbar, parts.pictures, budgetRow, parts.readout, scale, parts.notes, parts.announce,
  ]);
  parent.append(root);
  return {
    root, parts, colours, budgetRow, panels: [], header: null, target: null, box: null, luts: null,
    view: { zoom: 1, u: 0, v: 0 }, larger: false, hover: null, selected: null, count: 0,
    setStateValue: null,
    cut: null, rowIndex: null, colIndex: null,
    factors: null, rankMaps: [], rankMapsOf: null, live: null, lives: new Map(), livesOf: "", sharp: null,
    norm: 0,
    moved: false, owed: false, wanted: 0, sent: 0, releases: 0, held: false, play: null, scrubFrame: 0,
    grid: "", sentGrid: "", cuts: 0, gridHeld: false, gridWanted: false, asked: new Set(), askTimer: 0,
    swipe: 0, flipped: false, byKeys: false, sayTimer: 0, curve: null,
    arraysToken: "", paintKey: "", width: 0, ratio: 0, timing: {}, frame: 0, sendTimer: 0,
    pointers: new Map(), gesture: null, generation: 0, primary: "#0072b2", font: "sans-serif",
    ink: "#111111", paper: "#ffffff", line: "rgba(128,128,128,0.35)",
  };
}

function buildPanels(state, names) {
  const items = ["", ...names].map((name) => {
    const swatch = element("span", "swatch");
    const title = element("span", "title");
    const best = element("span", "best");
    const drawing = element("img", "drawing", { alt: "" });
    const subtitle = element("div", "subtitle");
    const base = element("canvas", "base", { role: "img" });
    const overlay = element("canvas", "overlay", { "aria-hidden": "true" });
    const message = element("p", "message");
    const divider = element("div", "divider", { "aria-hidden": "true" });
    const picture = element("div", "picture", {}, [base, overlay, message, divider]);
    connectDivider(state, divider, picture);
    const foot = element("div", "foot");
    const heading = element("div", "heading", {}, [swatch, title, best, drawing]);
    const area = element("canvas", "area", { role: "img" });
    const areaText = element("div", "area-text");
    const figure = element("figure", "panel", { "data-panel": name || "target" },
      [heading, subtitle, picture, foot, area, areaText]);
    const readName = element("span", "read-name");
    const readSwatch = element("span", "swatch");
    const lines = ["", "", " block"].map((kind) => element("span", `value${kind}`));
    const cell = element("div", "reading", { "data-panel": name || "target" },
      [element("div", "read-head", {}, [readSwatch, readName]), ...lines]);
    return {
      name, swatch, title, best, drawing, subtitle, base, overlay, message, divider, picture, foot,
      figure, area, areaText,
      readName, readSwatch, lines, cell, source: document.createElement("canvas"),
      error: null, rebuilt: false, live: null, blocks: null, served: null, image: null, pixels: null,
      scratch: null, outside: 0,
    };
  });
  state.panels = items;
  state.parts.pictures.replaceChildren(...items.map((panel) => panel.figure));
  state.parts.readout.replaceChildren(...items.map((panel) => panel.cell));
  state.width = 0;
}
