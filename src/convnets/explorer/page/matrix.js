/* A confusion matrix: with its counts while they can be read, else as a picture. */

import { make, tell } from "./elements.js";
import { percent } from "./format.js";

const MOST_READABLE = 20;
const RIGHT = [74, 107, 214];
const WRONG = [210, 81, 47];

export function confusion({ confusion: counts, classes, scores }) {
  const totals = counts.map((row) => row.reduce((sum, each) => sum + each, 0));
  const share = (i, j) => (totals[i] ? counts[i][j] / totals[i] : 0);
  const told = (i, j) => `${classes[i]} called ${classes[j]}: ${counts[i][j]} of ${totals[i]}`;
  return classes.length > MOST_READABLE
    ? picture(classes, share, told)
    : make("div", { class: "scroll" }, readable(counts, classes, scores, share, told));
}

function readable(counts, classes, scores, share, told) {
  return make("table", { class: "heat" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "is \\ called"),
      classes.map((name) => make("th", { scope: "col" }, make("span", {}, name))),
      make("th", { scope: "col" }, "correct %"))),
    make("tbody", {}, counts.map((row, i) => make("tr", {}, make("th", { scope: "row" }, classes[i]),
      row.map((value, j) => {
        const part = share(i, j);
        const kind = `${i === j ? "" : "wrong"} ${part > 0.68 ? "deep" : ""}`.trim();
        return make("td", { class: kind || null, "data-tip": told(i, j), style: { "--share": part } }, value || "");
      }),
      make("td", { class: "plain" }, percent(scores[i].recall, 1))))));
}

function picture(classes, share, told) {
  const size = classes.length;
  const canvas = make("canvas", { class: "matrix", width: size, height: size, role: "img", "data-tells": true,
    "aria-label": "Confusion matrix; point at it for a pair of classes" });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(size, size);
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j < size; j += 1) {
      const part = share(i, j);
      pixels.data.set([...(i === j ? RIGHT : WRONG), Math.round(255 * Math.min(1, Math.sqrt(part) * 1.1))], (i * size + j) * 4);
    }
  }
  context.putImageData(pixels, 0, 0);
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const at = (offset, length) => Math.min(Math.max(Math.floor((offset / length) * size), 0), size - 1);
    const [row, column] = [at(event.clientY - box.top, box.height), at(event.clientX - box.left, box.width)];
    tell(told(row, column), event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", () => tell(""));
  return canvas;
}
