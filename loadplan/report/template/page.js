"use strict";
// Draws the figures from the data in the page, in the colours of the reader's scheme; for print it opens every fold
// but the numbers of the figures, which are on the paper themselves.
(() => {
  const PAPER_WIDTH = 660; // 180 mm less a little, in CSS pixels
  const swapped = JSON.parse(document.getElementById("colours").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const options = {displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: false};

  const painted = (value) => {
    if (typeof value === "string") return Object.hasOwn(swapped, value) ? swapped[value] : value;
    if (Array.isArray(value)) return value.map(painted);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, painted(part)]));
  };

  const figures = [...document.querySelectorAll("script[data-figure]")].map((source) => ({
    place: document.getElementById(source.dataset.figure),
    text: source.textContent,
  }));

  const draw = (isDark, width) => {
    for (const {place, text} of figures) {
      const drawing = JSON.parse(text);
      const {data, layout} = isDark ? painted(drawing) : drawing;
      if (width) layout.width = width;
      place.querySelector(".undrawn")?.remove();
      window.Plotly.react(place, data, layout, options);
    }
  };

  if (figures.length) {
    draw(dark.matches);
    dark.addEventListener("change", () => draw(dark.matches));
  }

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open], figure details)")];
    for (const fold of opened) fold.open = true;
    if (figures.length) draw(false, PAPER_WIDTH);
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
    if (figures.length) draw(dark.matches);
  });

  // A link into a closed fold opens it.
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
})();
