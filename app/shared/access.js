// What Streamlit leaves out: a way past the settings, names for charts, a drawer that closes.
const PICTURES = ".st-key-pictures, [data-testid='stPlotlyChart']";
const PHONE = window.matchMedia("(max-width: 768px)");
// Pixels across a sheet of A4 within its margins, at 96 an inch.
const PAPER = 700;
let shown = null;

function skip(event) {
  event.preventDefault();
  const main = document.getElementById("stMain");
  const answer = main.querySelector(PICTURES) ?? main.querySelector("h1");
  answer.tabIndex = -1;
  answer.focus();
}

// Outside of what React draws, so that it stays, and the first stop of Tab.
function addSkipLink() {
  const link = document.createElement("a");
  link.className = "skip";
  link.href = "#stMain";
  link.textContent = "Skip to the answer";
  link.addEventListener("click", skip);
  document.body.prepend(link);
}

// A chart is one picture, and the caption below it says what is seen. Plotly draws it in layers.
function nameCharts() {
  for (const chart of document.querySelectorAll("[data-testid='stPlotlyChart']")) {
    const next = chart.closest(".stElementContainer")?.nextElementSibling;
    const caption = next?.querySelector("[data-testid='stCaptionContainer']")?.innerText;
    const [picture, ...over] = chart.querySelectorAll(".main-svg");
    if (!caption || !picture || picture.ariaLabel === caption) continue;
    picture.role = "img";
    picture.ariaLabel = caption;
    for (const layer of over) layer.ariaHidden = "true";
    for (const button of chart.querySelectorAll(".modebar-btn")) button.tabIndex = -1;
  }
}

function watchCharts() {
  let asked = false;
  const look = () => {
    asked = false;
    nameCharts();
  };
  new MutationObserver(() => {
    if (!asked) requestAnimationFrame(look);
    asked = true;
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
  look();
}

// Pictures have the width of the screen: on paper each shrinks to the column, whole.
function watchPrinting() {
  window.addEventListener("beforeprint", () => {
    for (const picture of document.querySelectorAll(PICTURES)) {
      const width = picture.offsetWidth;
      picture.style.width = `${width}px`;
      picture.style.zoom = Math.min(1, PAPER / width);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const picture of document.querySelectorAll(PICTURES)) {
      picture.style.width = picture.style.zoom = "";
    }
  });
}

function closeDrawer() {
  const drawer = document.querySelector("[data-testid='stSidebar'][data-collapsed='false']");
  if (PHONE.matches) drawer?.querySelector("[data-testid='stSidebarCollapseButton'] button")?.click();
}

export default function ({ data }) {
  if (shown === null) {
    addSkipLink();
    watchCharts();
    watchPrinting();
  }
  if (shown !== null && shown !== data.page) closeDrawer();
  shown = data.page;
}
