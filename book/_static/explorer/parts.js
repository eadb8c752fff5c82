// The parts of the page that are tables of one choice: what was trained, accuracy, confusion, recall, calibration.
// Each takes the model, the sides A and B and the state, and returns what stands in it.
(() => {
  "use strict";
  const { make, table, fold, text, statistics, charts } = window.explorer;
  const { percent, signed, points, count, probability } = text;

  const records = (model, a, b) => {
    const at = model.data.records_at;
    const all = [a, b].flatMap((side) => side.chosen.map((record) => [side, record]));
    const link = (record) => (at ? make("a", { href: `${at}${encodeURIComponent(record.name)}.json` }, record.name) : record.name);
    const rows = [
      ["record", (side, record) => link(record)],
      ["what it is", (side) => side.network.qualifiers || "a full training"],
      ["parameters", (side, record) => count(record.parameters)],
      ["epochs", (side, record) => count(record.epochs)],
      ["weights kept", (side, record) => `of epoch ${record.best_epoch}`],
      ["accuracy on train", (side, record) => percent(record.train_accuracy)],
      ["device", (side, record) => record.device],
      ["number format", (side, record) => record.precision],
      ["training took", (side, record) => `${count(record.minutes)} minutes`],
      ["commit", (side, record) => record.commit.slice(0, 10) + (record.commit.includes("+") ? ", changed" : "")],
    ];
    return [
      ...[a, b].map((side) =>
        make("p", {}, make("strong", {}, `${side.letter}: ${side.name}`), `. ${side.network.group}: ${side.network.shows}.`),
      ),
      table(
        "The records behind A and B",
        ["", ...all.map(([side, record]) => `${side.letter}, seed ${record.seed}`)],
        rows.map(([name, value]) => [name, ...all.map(([side, record]) => value(side, record))]),
      ),
    ];
  };

  /** One measure of a side: the value of a single record, or mean and standard deviation of several. */
  const spread = (values, show) => {
    if (values.some((value) => value === null)) return "none";
    const deviation = statistics.deviation(values);
    return show(statistics.mean(values)) + (deviation === null ? "" : ` ± ${show(deviation).replace("%", "")}`);
  };

  const accuracy = (model, a, b, state) => {
    const split = state.split;
    const { n } = model.splits[split];
    const measures = [
      ["accuracy", (side) => side.measures.map((one) => one.accuracy), percent],
      ["on images without a twin", (side) => side.alone, percent],
      ["balanced accuracy", (side) => side.measures.map((one) => one.balanced), percent],
      ["macro F1", (side) => side.measures.map((one) => one.f1), percent],
      ["calibration error (ECE)", (side) => side.records.map((one) => one[split].ece), percent],
      ["loss (mean negative log-likelihood)", (side) => side.records.map((one) => one[split].nll), (value) => value.toFixed(3)],
    ];
    const rows = measures.map(([name, values, show]) => {
      const [one, other] = [values(a), values(b)];
      const known = ![...one, ...other].includes(null);
      const difference = known ? statistics.mean(other) - statistics.mean(one) : null;
      const shown = difference === null ? "none" : show === percent ? points(difference) : signed(difference, 3);
      return [name, spread(one, show), spread(other, show), shown];
    });
    const interval = (side) =>
      side.several
        ? `${percent(Math.min(...side.measures.map((one) => one.accuracy)))} to ${percent(Math.max(...side.measures.map((one) => one.accuracy)))} (seeds)`
        : statistics.accuracyInterval(side.measures[0].accuracy * n, n).map((share) => percent(share)).join(" to ");
    const seeds = a.several || b.several;
    rows.splice(1, 0, [seeds ? "its 95% interval, or the range of its seeds" : "its 95% interval", interval(a), interval(b), ""]);
    const parts = [table(`Measured on ${split}, ${count(n)} images`, ["", "A", "B", `B ${text.MINUS} A`], rows)];
    const pairs = model.pairs(a, b);
    if (!pairs.length) {
      parts.push(make("p", {}, "A and B have no seed in common, so there is no pair to be tested: choose one seed of each."));
      return parts;
    }
    const { labels } = model.splits[split];
    const found = pairs.map(([one, other, answersA, answersB]) => [one, other, statistics.compare(labels, answersA, answersB)]);
    parts.push(
      table(
        "McNemar's exact test, pair by pair",
        ["seed of A, of B", "only A right", "only B right", `B ${text.MINUS} A`, "p"],
        found.map(([one, other, test]) => [
          `${one.seed}, ${other.seed}`, count(test.onlyA), count(test.onlyB), points(test.difference, 2), probability(test.p),
        ]),
      ),
    );
    const below = found.filter(([, , test]) => test.p < 0.05).length;
    parts.push(
      make(
        "p",
        { class: "explorer-verdict" },
        pairs.length === 1
          ? below
            ? "Between two equally good networks a difference as large as this would be rare: chance alone hardly explains it."
            : "Two equally good networks often differ by as much as this: these images do not tell which is better."
          : `p is below 0.05 in ${below} of ${pairs.length} pairs.`,
      ),
    );
    return parts;
  };

  // Shades are transparent, so that letters keep their contrast on a light ground and on a dark one.
  const shade = (share, colour) => `background-color: rgba(${colour}, ${(0.42 * Math.min(1, share)).toFixed(3)})`;
  const [BLUE, ORANGE] = ["0, 114, 178", "213, 94, 0"];

  const confusion = (model, a, b, state) => {
    const names = model.emotions;
    const shares = state.unit === "shares";
    const of = (side, k, j) => (shares ? (side.measures[0].images[k] ? side.counts[k][j] / side.measures[0].images[k] : 0) : side.counts[k][j]);
    const show = (value, side) => (shares ? (100 * value).toFixed(0) : side.several ? value.toFixed(1) : count(value));
    const head = ["label", ...names, "images"];
    const unit = shares ? "percent of the images with that label" : "images";
    const one = (side) =>
      table(
        `${side.letter}: ${side.name}, on ${state.split}; ${unit}${side.several ? ", mean of the seeds" : ""}`,
        head,
        names.map((name, k) => [
          name,
          ...names.map((_, j) => ({
            text: show(of(side, k, j), side),
            style: shade(side.counts[k][j] / (side.measures[0].images[k] || 1), BLUE),
            class: k === j ? "explorer-right" : null,
          })),
          count(side.measures[0].images[k]),
        ]),
      );
    const difference = (k, j) => of(b, k, j) - of(a, k, j);
    const most = Math.max(...names.flatMap((_, k) => names.map((__, j) => Math.abs(difference(k, j)))), 1e-9);
    const both = table(
      `B ${text.MINUS} A: ${unit}; + where B has more, ${text.MINUS} where A has more`,
      head.slice(0, -1),
      names.map((name, k) => [
        name,
        ...names.map((_, j) => ({
          text: shares ? signed(100 * difference(k, j), 0) : signed(difference(k, j), a.several || b.several ? 1 : 0),
          style: shade(Math.abs(difference(k, j)) / most, difference(k, j) < 0 ? BLUE : ORANGE),
          class: k === j ? "explorer-right" : null,
        })),
      ]),
    );
    return [one(a), one(b), both];
  };

  const recall = (model, a, b) => {
    const names = model.emotions;
    const values = {};
    for (const side of [a, b]) {
      // Of several seeds: the interval that their mean would have as a single network's, for the images are the same.
      values[side.letter] = names.map((_, k) => {
        const images = side.measures[0].images[k];
        return { share: images ? side.counts[k][k] / images : null, interval: statistics.wilson(side.counts[k][k], images) };
      });
    }
    const cell = ({ share, interval }) => (share === null ? "none" : `${percent(share)} (${percent(interval[0])} to ${percent(interval[1])})`);
    const rows = names.map((name, k) => {
      const [one, other] = [values.A[k], values.B[k]];
      return [name, count(a.measures[0].images[k]), cell(one), cell(other), one.share === null ? "none" : points(other.share - one.share)];
    });
    const best = (letter) => names[values[letter].map((one) => one.share).indexOf(Math.max(...values[letter].map((one) => one.share)))];
    const least = (letter) => names[values[letter].map((one) => one.share ?? 2).indexOf(Math.min(...values[letter].map((one) => one.share ?? 2)))];
    return [
      charts.figure(
        `Recall of every class with its interval, A above B. A is best at ${best("A")} and worst at ${least("A")}, B best at ${best("B")} and worst at ${least("B")}. The table below has the numbers.`,
        (width) => charts.recall(width, [a, b], names, values),
      ),
      table("Recall: the share of the images with a label that get it as answer, with Wilson's 95% interval", ["class", "images", "A", "B", `B ${text.MINUS} A`], rows),
    ];
  };

  const reliability = (model, a, b) => {
    const bins = model.data.bins;
    const says = (side) => {
      const { count: n, confidence, hits } = side.bins;
      const surplus = (statistics.sum(confidence) - statistics.sum(hits)) / statistics.sum(n);
      return `${side.letter} is ${surplus > 0 ? "surer of itself" : "less sure of itself"} than it is right: by ${(100 * Math.abs(surplus)).toFixed(1)} points on average; its calibration error is ${percent(side.ece)}.`;
    };
    const cells = (side, k) => {
      const n = side.bins.count[k];
      return n ? [count(n), percent(side.bins.confidence[k] / n), percent(side.bins.hits[k] / n)] : ["0", "none", "none"];
    };
    const rows = Array.from({ length: bins }, (_, k) => [`${percent(k / bins, 0)} to ${percent((k + 1) / bins, 0)}`, ...cells(a, k), ...cells(b, k)]);
    const head = ["confidence", ...["A", "B"].flatMap((letter) => [`${letter}: answers`, `${letter}: mean confidence`, `${letter}: right`])];
    return [
      charts.figure(`Share of right answers against confidence. ${says(a)} ${says(b)} The table below has the numbers.`, (width) =>
        charts.reliability(width, [a, b]),
      ),
      make("p", {}, `${says(a)} ${says(b)}`),
      fold("The numbers as a table", table(`Confidence and right answers in ${bins} bins`, head, rows)),
    ];
  };

  window.explorer.parts = { records, accuracy, confusion, recall, reliability };
})();
