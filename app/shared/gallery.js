export default function ({ parentElement, data, setTriggerValue }) {
  // Drawn once: a redraw would take the focus from who walks through it by keyboard.
  if (parentElement.querySelector(".gallery")) return;
  const groups = data.groups.map(({ title, entries }) => {
    const cards = entries.map(({ id, name, about, picture }) => {
      const image = picture
        ? element("img", "", { src: picture, alt: "", loading: "lazy" })
        : element("span", "plus", { "aria-hidden": "true" }, ["+"]);
      const card = element("button", "card", { type: "button", title: about, "data-id": id },
        [element("span", "frame", {}, [image]), element("span", "name", {}, [name])]);
      if (id === data.picked) card.setAttribute("aria-current", "true");
      card.addEventListener("click", () => setTriggerValue("pick", id));
      return card;
    });
    return element("section", "", {}, [element("h3", "", {}, [title]),
      element("div", "cards", {}, cards)]);
  });
  parentElement.append(element("div", "gallery", {}, groups));
}
