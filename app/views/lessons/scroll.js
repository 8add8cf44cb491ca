// A link opens a lesson at a step; the list opens it at its top. What is moved later stays where
// it is.
export default function ({ data }) {
  const { opened, step } = data;
  if (window.lessonOpened === opened) return undefined;
  window.lessonOpened = opened;
  const place = document.querySelector(
    step > 1 ? `.st-key-lesson_step_${step}` : "[data-testid='stMain'] h1",
  );
  if (!place) return undefined;
  // Below the bar with the pages, which stays on top.
  place.style.scrollMarginTop = "4.5rem";
  place.scrollIntoView({ block: "start" });
  return () => { window.lessonOpened = null; };
}
