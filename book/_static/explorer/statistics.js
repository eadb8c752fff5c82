// What is measured of predictions, as fercourse.evaluate measures it; tests hold the two to the same values.
(() => {
  "use strict";
  const CLASSES = 7;
  const Z = 1.959963984540054; // of a normal distribution, 95% lie within so many standard deviations

  const logs = [0];
  const logFactorial = (n) => {
    for (let k = logs.length; k <= n; k += 1) logs.push(logs[k - 1] + Math.log(k));
    return logs[n];
  };
  const logChoose = (n, k) => logFactorial(n) - logFactorial(k) - logFactorial(n - k);

  /** The two-sided p of McNemar's exact test: images that only a, and that only b gets right. */
  const mcnemar = (onlyA, onlyB) => {
    const n = onlyA + onlyB;
    let tail = 0;
    for (let k = 0; k <= Math.min(onlyA, onlyB); k += 1) tail += Math.exp(logChoose(n, k) - n * Math.LN2);
    return Math.min(1, 2 * tail);
  };

  /** The least k for which a binomial distribution has at least the share q at or below k. */
  const binomialQuantile = (q, n, p) => {
    if (p <= 0) return 0;
    if (p >= 1) return n;
    let below = 0;
    for (let k = 0; k < n; k += 1) {
      below += Math.exp(logChoose(n, k) + k * Math.log(p) + (n - k) * Math.log1p(-p));
      if (below >= q) return k;
    }
    return n;
  };

  /** The 95% interval of an accuracy: that of a bootstrap over the images with endless repeats. */
  const accuracyInterval = (hits, n) =>
    [0.025, 0.975].map((q) => binomialQuantile(q, n, hits / n) / n);

  /** Wilson's 95% interval of a share; null of nothing. */
  const wilson = (hits, n) => {
    if (!n) return null;
    const p = hits / n;
    const centre = p + (Z * Z) / (2 * n);
    const half = Z * Math.sqrt((p * (1 - p)) / n + (Z * Z) / (4 * n * n));
    return [(centre - half) / (1 + (Z * Z) / n), (centre + half) / (1 + (Z * Z) / n)];
  };

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** The standard deviation with n - 1; null of fewer than two values. */
  const deviation = (values) => {
    if (values.length < 2) return null;
    const centre = mean(values);
    return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
  };

  /** Seven rows (label) of seven counts (answer). */
  const confusion = (labels, preds) => {
    const counts = Array.from({ length: CLASSES }, () => new Array(CLASSES).fill(0));
    labels.forEach((label, place) => (counts[label][preds[place]] += 1));
    return counts;
  };

  const sum = (values) => values.reduce((total, value) => total + value, 0);

  /** Accuracy and its kin from a confusion matrix; without images, a class has the recall null. */
  const metrics = (counts) => {
    const images = counts.map(sum);
    const answers = counts.map((_, k) => sum(counts.map((row) => row[k])));
    const recall = counts.map((row, k) => (images[k] ? row[k] / images[k] : null));
    const seen = images.map((_, k) => k).filter((k) => images[k] + answers[k]);
    return {
      n: sum(images),
      accuracy: sum(counts.map((row, k) => row[k])) / sum(images),
      balanced: mean(recall.filter((value) => value !== null)),
      f1: mean(seen.map((k) => (2 * counts[k][k]) / (images[k] + answers[k]))),
      recall,
      images,
    };
  };

  /** The accuracy on those images for which `kept` is true; null where none is left. */
  const accuracyOn = (labels, preds, kept) => {
    let n = 0;
    let hits = 0;
    labels.forEach((label, place) => {
      n += kept[place];
      hits += kept[place] && preds[place] === label;
    });
    return n ? hits / n : null;
  };

  /** Two networks on the same images: the difference is b minus a. */
  const compare = (labels, a, b) => {
    let [onlyA, onlyB, both, differ] = [0, 0, 0, 0];
    labels.forEach((label, place) => {
      const [right, other] = [a[place] === label, b[place] === label];
      onlyA += right && !other;
      onlyB += other && !right;
      both += right && other;
      differ += a[place] !== b[place];
    });
    const n = labels.length;
    return {
      n, onlyA, onlyB, both, neither: n - onlyA - onlyB - both, disagreements: differ,
      accuracyA: (both + onlyA) / n, accuracyB: (both + onlyB) / n,
      difference: (onlyB - onlyA) / n, p: mcnemar(onlyA, onlyB),
    };
  };

  /** The answer most seeds give for each image (the first class of equals), and how many of them give it. */
  const vote = (answers) => {
    const n = answers[0].length;
    const preds = new Uint8Array(n);
    const agree = new Uint8Array(n);
    for (let place = 0; place < n; place += 1) {
      const votes = new Array(CLASSES).fill(0);
      for (const one of answers) votes[one[place]] += 1;
      agree[place] = Math.max(...votes);
      preds[place] = votes.indexOf(agree[place]);
    }
    return { preds, agree };
  };

  /** Sums of several records' bins of confidence. */
  const pooled = (bins) => ({
    count: bins[0].count.map((_, k) => sum(bins.map((one) => one.count[k]))),
    confidence: bins[0].count.map((_, k) => sum(bins.map((one) => one.confidence_sum[k]))),
    hits: bins[0].count.map((_, k) => sum(bins.map((one) => one.hits[k]))),
  });

  window.explorer = {
    statistics: {
      CLASSES, mcnemar, binomialQuantile, accuracyInterval, wilson, mean, deviation, confusion, metrics, accuracyOn,
      compare, vote, pooled, sum,
    },
  };
})();
