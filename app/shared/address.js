// One act of the visitor is one entry of the history, whatever number of settings it changes:
// Streamlit itself makes one for each query parameter that the server sets.
const done = new Set();

export default function ({ data }) {
  const { id, query, push } = data;
  // The same order comes again with every run; a visitor who went back must not be carried on.
  if (!id || done.has(id)) return;
  done.add(id);
  if (window.location.search.replace(/^\?/, "") === query) return;
  const address = window.location.pathname + (query ? `?${query}` : "") + window.location.hash;
  window.history[push ? "pushState" : "replaceState"]({}, "", address);
}
