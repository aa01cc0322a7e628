"use strict";
// Draws the figures from the data in the page, in the colours of the reader's scheme, and opens everything for print.
(() => {
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

  const draw = (isDark) => {
    for (const {place, text} of figures) {
      const drawing = JSON.parse(text);
      const {data, layout} = isDark ? painted(drawing) : drawing;
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
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const fold of opened) fold.open = true;
    if (figures.length && dark.matches) draw(false);
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
    if (figures.length && dark.matches) draw(true);
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
