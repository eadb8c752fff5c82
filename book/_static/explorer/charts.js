// Charts as SVG, drawn at the width there is, so that their letters keep their size on a telephone. A is blue, solid
// and round; B is orange-red, dashed and a diamond: no colour is needed to tell them apart.
(() => {
  "use strict";
  const STYLE = {
    A: { colour: "#0072b2", dash: null },
    B: { colour: "#b84a00", dash: "5 4" },
  };
  const INK = "#333";
  const GRID = "#ddd";

  const svg = (name, attributes = {}, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children.flat());
    return element;
  };

  const write = (text, x, y, more = {}) => svg("text", { x, y, fill: INK, "font-size": 12, ...more }, text);

  const line = (points, letter, more = {}) =>
    svg("polyline", {
      points: points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" "),
      fill: "none", stroke: STYLE[letter].colour, "stroke-width": 1.8, "stroke-dasharray": STYLE[letter].dash, ...more,
    });

  const mark = (x, y, letter) =>
    letter === "A"
      ? svg("circle", { cx: x, cy: y, r: 4, fill: STYLE.A.colour })
      : svg("path", { d: `M${x - 5},${y}L${x},${y - 5}L${x + 5},${y}L${x},${y + 5}Z`, fill: "#fff", stroke: STYLE.B.colour, "stroke-width": 2 });

  /** The names of A and B, one below the other, each beside its line and mark. */
  const legend = (sides, width) => {
    const fits = Math.floor((width - 60) / 6.3);
    return sides.map((side, k) => {
      const y = 14 + 18 * k;
      const name = `${side.letter}: ${side.name}`;
      return svg("g", {}, line([[4, y], [40, y]], side.letter), mark(22, y, side.letter),
        write(name.length > fits ? `${name.slice(0, fits - 1)}…` : name, 48, y + 4));
    });
  };

  /** Steps of 1, 2 or 5 times a power of ten, about `wanted` of them. */
  const ticks = (low, high, wanted = 5) => {
    const rough = (high - low || 1) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 2.5, 5, 10].find((one) => one * power >= rough) ?? 10);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) found.push(Number((k * step).toPrecision(12)));
    return found;
  };

  /** A drawing with axes: returns its root, and what turns values into places. */
  const frame = ({ width, height, top, x, y, xTicks, yTicks, xLabel, yLabel, yText = String, xText = String }) => {
    const [left, right, bottom] = [48, 12, 40];
    const px = (value) => left + ((value - x[0]) / (x[1] - x[0] || 1)) * (width - left - right);
    const py = (value) => height - bottom - ((value - y[0]) / (y[1] - y[0] || 1)) * (height - bottom - top);
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    for (const value of yTicks) {
      root.append(
        svg("line", { x1: left, x2: width - right, y1: py(value), y2: py(value), stroke: GRID }),
        write(yText(value), left - 6, py(value) + 4, { "text-anchor": "end" }),
      );
    }
    for (const value of xTicks) {
      root.append(write(xText(value), px(value), height - bottom + 16, { "text-anchor": "middle" }));
    }
    root.append(
      svg("line", { x1: left, x2: left, y1: top, y2: height - bottom, stroke: INK }),
      svg("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, stroke: INK }),
      write(xLabel, (left + width - right) / 2, height - 6, { "text-anchor": "middle" }),
      write(yLabel, 0, top - 12),
    );
    return { root, px, py };
  };

  const percent = (value) => `${Math.round(100 * value)}%`;

  /** Recall of every class with its interval: `values` by letter, a list of {share, interval} a class. */
  const recall = (width, sides, names, values) => {
    const top = 18 * sides.length + 14;
    const height = top + 44 * names.length + 44;
    const [left, right] = [72, 16];
    const px = (share) => left + share * (width - left - right);
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, legend(sides, width));
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      root.append(
        svg("line", { x1: px(share), x2: px(share), y1: top, y2: height - 40, stroke: GRID }),
        write(percent(share), px(share), height - 24, { "text-anchor": share === 1 ? "end" : "middle" }),
      );
    }
    root.append(write("recall with its 95% interval", (left + width - right) / 2, height - 6, { "text-anchor": "middle" }));
    names.forEach((name, k) => {
      const middle = top + 44 * k + 22;
      root.append(write(name, left - 8, middle + 4, { "text-anchor": "end" }));
      sides.forEach((side, j) => {
        const { share, interval } = values[side.letter][k];
        if (share === null) return;
        const y = middle - 8 + 16 * j;
        root.append(line([[px(interval[0]), y], [px(interval[1]), y]], side.letter, { "stroke-dasharray": "none" }), mark(px(share), y, side.letter));
      });
    });
    return root;
  };

  /** Share of right answers against confidence; `sides` with `bins` of {count, confidence, hits}. */
  const reliability = (width, sides) => {
    const top = 18 * sides.length + 34;
    const size = Math.min(width, 460);
    const steps = [0, 0.2, 0.4, 0.6, 0.8, 1];
    const { root, px, py } = frame({
      width: size, height: size - 52 + top, top, x: [0, 1], y: [0, 1], xTicks: steps, yTicks: steps, xText: percent,
      yText: percent, xLabel: "confidence: the highest probability", yLabel: "share of right answers",
    });
    root.append(
      ...legend(sides, size),
      svg("line", { x1: px(0), y1: py(0), x2: px(1), y2: py(1), stroke: "#777", "stroke-dasharray": "2 3" }),
    );
    for (const side of sides) {
      const { count, confidence, hits } = side.bins;
      const points = count.flatMap((n, k) => (n ? [[px(confidence[k] / n), py(hits[k] / n)]] : []));
      root.append(line(points, side.letter), ...points.map(([x, y]) => mark(x, y, side.letter)));
    }
    return root;
  };

  /** Values by epoch: `curves` is a list of {letter, values}, one a seed. */
  const curve = (width, title, curves, asShare) => {
    const all = curves.flatMap((one) => one.values);
    const epochs = Math.max(...curves.map((one) => one.values.length));
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const margin = 0.05 * (high - low || 1);
    const y = [low - margin, high + margin];
    const { root, px, py } = frame({
      width, height: 220, top: 30, x: [1, epochs], y, xTicks: ticks(1, epochs, width < 300 ? 4 : 6).filter(Number.isInteger),
      yTicks: ticks(...y, 5), xLabel: "epoch", yLabel: title, yText: asShare ? percent : undefined,
    });
    for (const { letter, values } of curves) {
      const points = values.map((value, k) => [px(k + 1), py(value)]);
      root.append(line(points, letter, { opacity: 0.85 }));
      root.append(mark(...points.at(-1), letter));
    }
    return root;
  };

  /** Put a chart into a figure, drawn anew whenever the figure's width changes; `draw(width)` returns the SVG. */
  const figure = (described, draw, columns = 1) => {
    const { make } = window.explorer;
    const box = make("figure", { class: "explorer-figure", role: "img", "aria-label": described });
    let drawn = 0;
    const redraw = () => {
      const width = Math.floor(box.clientWidth - 16);
      if (width < 40 || width === drawn) return;
      drawn = width;
      const each = columns > 1 && width > 560 ? Math.floor((width - 8) / columns) : width;
      box.replaceChildren(...[draw(each)].flat());
    };
    new ResizeObserver(redraw).observe(box);
    return box;
  };

  window.explorer.charts = { recall, reliability, curve, figure, legend, svg, ticks };
})();
