// Says once when the place of a part comes near the screen.
const NEAR = "300px";

export default function ({ parentElement, data, setStateValue }) {
  if (data.seen) return undefined;
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    setStateValue("seen", true);
  }, { root: document.getElementById("stMain"), rootMargin: NEAR });
  // The parent may be the root of a shadow.
  watch.observe(parentElement.host ?? parentElement);
  return () => watch.disconnect();
}
