/* Learning curves of several rows over each other, each named at its end. */

import { accuracy, axes, chart, scale, tidy, WIDTH } from "./charts.js";
import { draw } from "./elements.js";
import { round } from "./format.js";

const GAP = 16;
const MARKED = 40; // epochs below which each has a dot

export const MEASURES = {
  top1: { title: "Test accuracy", axis: "top-1 %", of: (point) => point.test_top1 * 100 },
  test: { title: "Test loss", axis: "test loss", of: (point) => point.test_loss },
  train: { title: "Training loss", axis: "training loss", of: (point) => point.train_loss },
};

/* What tells lines apart that lie over each other; a year's colour would not. */
const COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#c9a227", "#ff9da6", "#9d755d", "#8c8c8c"];

/* The mean of a line's curves at each epoch that all of them have. */
function middle(curves, of) {
  const shared = Math.min(...curves.map((curve) => curve.length));
  return curves[0].slice(0, shared).map((point, index) => ({
    epoch: point.epoch,
    value: curves.reduce((sum, curve) => sum + of(curve[index]), 0) / curves.length,
  }));
}

/* A line is {name, key, curves}, one curve a seed: their mean, and behind it each of them. */
export function curves(lines, measure) {
  const { title, axis, of } = MEASURES[measure];
  const height = Math.max(360, lines.length * GAP + 90);
  const longest = Math.max(...lines.map((line) => line.name.length));
  const right = WIDTH - 24 - Math.min(longest, 30) * 7;
  const points = lines.flatMap((line) => line.curves.flat());
  const epochs = points.map((point) => point.epoch);
  const x = scale(Math.min(1, ...epochs), Math.max(2, ...epochs), 46, right);
  const values = points.map(of);
  const y = measure === "top1"
    ? accuracy(values.map((value) => value / 100), height - 52, 26)
    : scale(Math.min(0, ...values), Math.max(...values) * 1.05, height - 52, 26);
  const means = lines.map((line) => middle(line.curves, of));
  const ends = apart(means.map((mean) => y(mean.at(-1).value)), y.end, y.start);
  const whole = (value) => (Number.isInteger(value) ? String(value) : "");
  return chart(height, `${title} after each epoch`,
    axes(x, y, "epochs", axis, whole, measure === "top1" ? round : tidyLoss),
    lines.map((line, index) => {
      const colour = COLOURS[index % COLOURS.length];
      const mean = means[index];
      const last = mean.at(-1);
      const at = ({ epoch, value }) => `${x(epoch).toFixed(1)},${y(value).toFixed(1)}`;
      const path = (points) => points.map(at).join(" ");
      const told = `${line.name}\n${title} at the end: ${measure === "top1" ? `${last.value.toFixed(2)} %` : last.value.toFixed(4)}`;
      return draw("g", { class: "mark curve", "data-key": line.key, "data-tip": told, stroke: colour },
        line.curves.length > 1 && line.curves.map((curve) =>
          draw("polyline", { class: "seed", points: path(curve.map((point) => ({ epoch: point.epoch, value: of(point) }))) })),
        draw("polyline", { class: "target", points: path(mean) }),
        draw("polyline", { points: path(mean) }),
        mean.length < MARKED && mean.map((point) => draw("circle", { cx: x(point.epoch), cy: y(point.value), r: 2.2, fill: colour })),
        draw("polyline", { class: "leader", points: `${at(last)} ${right + 14},${ends[index]}` }),
        draw("text", { x: right + 18, y: ends[index] + 4 }, line.name.length > 30 ? `${line.name.slice(0, 29)}…` : line.name));
    }));
}

const tidyLoss = (value) => (value >= 1000 ? tidy(value) : String(Number(value.toPrecision(3))));

/* Places moved down where they would be nearer than a gap, then up from the bottom. */
function apart(places, top, bottom) {
  const order = [...places.keys()].sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  let least = top;
  for (const index of order) {
    moved[index] = Math.max(moved[index], least);
    least = moved[index] + GAP;
  }
  let most = bottom;
  for (const index of order.reverse()) {
    moved[index] = Math.min(moved[index], most);
    most = moved[index] - GAP;
  }
  return moved;
}
