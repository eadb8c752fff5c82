// How the losses and accuracies went, epoch by epoch, for every seed of A and of B.
(() => {
  "use strict";
  const { make, table, fold, text, statistics, charts } = window.explorer;
  const TITLES = {
    train_loss: "loss on train",
    val_loss: "loss on val",
    train_accuracy: "accuracy on train",
    val_accuracy: "accuracy on val",
  };

  const curves = (model, a, b) => {
    const names = Object.keys(model.data.curves);
    const values = (record, name) => record.history[name].map((value) => value * model.data.curves[name]);
    const show = (name, value) => (name.endsWith("accuracy") ? text.percent(value) : value.toFixed(3));
    const sides = [a, b];
    const says = sides.map((side) => {
      const best = side.chosen.map((record) => Math.max(...values(record, "val_accuracy")));
      const last = side.chosen.map((record) => values(record, "train_accuracy").at(-1));
      return `${side.letter} reaches ${text.percent(Math.max(...best))} on val at best and ends at ${text.percent(statistics.mean(last))} on train.`;
    });
    const numbers = (side) => {
      const epochs = Math.max(...side.chosen.map((record) => record.epochs));
      const cell = (name, epoch) => {
        const found = side.chosen.map((record) => values(record, name)[epoch]).filter((value) => value !== undefined);
        const range = found.length > 1 ? ` (${show(name, Math.min(...found))} to ${show(name, Math.max(...found))})` : "";
        return show(name, statistics.mean(found)) + range;
      };
      const rows = Array.from({ length: epochs }, (_, epoch) => [String(epoch + 1), ...names.map((name) => cell(name, epoch))]);
      return fold(
        `${side.letter}, epoch by epoch`,
        table(`${side.letter}: ${side.name}${side.chosen.length > 1 ? ", mean of the seeds and their range" : ""}`, ["epoch", ...names.map((name) => TITLES[name])], rows),
      );
    };
    const draw = (width) => {
      const legend = charts.svg("svg", { width, height: 44, viewBox: `0 0 ${width} 44` }, charts.legend(sides, width));
      const drawn = names.map((name) =>
        charts.curve(
          width,
          TITLES[name],
          sides.flatMap((side) => side.chosen.map((record) => ({ letter: side.letter, values: values(record, name) }))),
          name.endsWith("accuracy"),
        ),
      );
      return [make("div", { class: "explorer-legend" }, legend), ...drawn];
    };
    return [
      charts.figure(`Four charts of loss and accuracy by epoch, on train and on val, a line a seed. ${says.join(" ")} The tables below have the numbers.`, draw, 2),
      make("p", {}, says.join(" ")),
      ...sides.map(numbers),
    ];
  };

  window.explorer.parts.curves = curves;
})();
