// Boxes that scroll (wide tables, code, formulas) can be reached and moved by keyboard; printing unfolds everything.
(() => {
  const BOXES = "pre, .text_html, .pst-scrollable-table-container, mjx-container, .cell_output > .output";
  const settle = () => {
    for (const formula of document.querySelectorAll(".bd-article mjx-container:not([display])")) {
      const line = formula.closest("p, li, dd, td, th, summary");
      formula.toggleAttribute("data-wide", line !== null && formula.scrollWidth > line.clientWidth);
    }
    for (const box of document.querySelectorAll(`.bd-article :is(${BOXES})`)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      const style = getComputedStyle(box);
      const wanted = scrolls && [style.overflowX, style.overflowY].some((way) => way === "auto" || way === "scroll");
      // The theme has looked at code once, and given -1 to what did not scroll then: on a wider screen, or folded.
      if (wanted && box.tabIndex !== 0) {
        box.tabIndex = 0;
        box.dataset.scrolls = "";
        if (box.tagName !== "PRE") {
          box.setAttribute("role", "group");
          box.setAttribute("aria-label", "Wide content: the arrow keys move it");
        }
      } else if (!wanted && "scrolls" in box.dataset) {
        for (const name of ["tabindex", "data-scrolls", "role", "aria-label"]) box.removeAttribute(name);
      }
    }
  };

  let waiting;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(settle, 100);
  };

  // Not the window's size: its sidebars glide, and boxes are of other widths until they have arrived.
  const watcher = new ResizeObserver(soon);
  const start = () => {
    settle();
    for (const box of document.querySelectorAll(`.bd-article, .bd-article :is(${BOXES})`)) watcher.observe(box);
  };
  document.addEventListener("DOMContentLoaded", start);
  window.addEventListener("load", () => {
    start();
    document.fonts.ready.then(settle);
    window.MathJax?.startup?.promise?.then(start);
  });

  let unfolded = [];
  window.addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll(".bd-article details:not([open])")];
    for (const fold of unfolded) fold.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const fold of unfolded) fold.open = false;
  });
})();
