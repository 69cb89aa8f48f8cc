/* Charts as SVG. Colours of the theme are classes; a mark's key links it to tables and charts. */

import { draw, make } from "./elements.js";
import { count, percent } from "./format.js";

const WIDTH = 960;
const LETTER = 7;

export function scale(low, high, start, end, log = false) {
  const place = log ? Math.log : (value) => value;
  return Object.assign(
    (value) => start + ((place(value) - place(low)) / (place(high) - place(low) || 1)) * (end - start),
    { low, high, start, end, ticks: () => (log ? powers(low, high) : steps(low, high)) });
}

function steps(low, high) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) found.push(index * step);
  return found;
}

function powers(low, high) {
  const digits = high / low > 2000 ? [1] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
    for (const digit of digits) found.push(digit * 10 ** power);
  return found.filter((value) => low <= value && value <= high);
}

const text = (x, y, anchor, content, name) => draw("text", { x, y, "text-anchor": anchor, class: name }, content);
const line = (x1, y1, x2, y2, name) => draw("line", { x1, y1, x2, y2, class: name });

export function axes(x, y, titleX, titleY, showX, showY) {
  const right = Math.max(x.end, x.start);
  return [
    y.ticks().flatMap((value) => [
      line(x.start, y(value), right, y(value), "grid"),
      text(x.start - 8, y(value) + 4, "end", showY(value)),
    ]),
    x.ticks().filter((value) => showX(value)).flatMap((value) => [
      line(x(value), y.start, x(value), y.start + 5, "axis"),
      text(x(value), y.start + 19, "middle", showX(value)),
    ]),
    line(x.start, y.start, right, y.start, "axis"),
    text((x.start + right) / 2, y.start + 40, "middle", titleX, "title"),
    text(0, y.end - 12, "start", titleY, "title"),
  ].flat(2);
}

export const tidy = (value) => count(value).replace(/\.?0+(?= |$)/, (zeros) => (zeros.startsWith(".") ? "" : zeros));

/* One bar a part, all of one quantity. */
export function skyline(parts, { title, unit, show, of }) {
  const height = 84;
  const most = Math.max(...parts.map(of), 1);
  const step = 1000 / parts.length;
  const gap = Math.min(step * 0.18, 3);
  const marks = parts.map((part, index) => {
    const tall = Math.max((of(part) / most) * height, of(part) ? 1.2 : 0);
    return draw("g", { class: "mark", "data-key": index, "data-tip": `${part.name}\n${title}: ${show(of(part), part)}` },
      draw("rect", { class: "target", x: index * step, y: 0, width: step, height }),
      draw("rect", { class: "column", x: index * step + gap / 2, y: height - tall, width: step - gap, height: tall }));
  });
  const peak = parts.find((part) => of(part) === most);
  return make("figure", { class: "skyline" },
    make("figcaption", {}, make("b", {}, title), unit && make("span", {}, unit),
      make("span", { class: "most" }, peak ? `up to ${show(most, peak)}` : "")),
    draw("svg", { viewBox: `0 0 1000 ${height}`, preserveAspectRatio: "none", role: "img",
      "aria-label": `${title} of each part; the table below has the figures` }, marks,
      draw("line", { class: "axis", x1: 0, x2: 1000, y1: height, y2: height })));
}

/* Accuracy against multiply-adds: one disc a row, its area the parameters, and the Pareto front. */
export function scatter(rows, keyOf) {
  const height = 400;
  const macs = rows.map((row) => row.macs);
  const x = scale(Math.min(...macs) / 1.8, Math.max(...macs) * 1.8, 46, WIDTH - 10, true);
  const y = accuracy(rows.map((row) => row.top1), height - 52, 26);
  const largest = Math.max(...rows.map((row) => row.params));
  const discs = rows.map((row) => ({ row, x: x(row.macs), y: y(row.top1 * 100), r: 5 + 27 * Math.sqrt(row.params / largest) }));
  const front = discs.filter(({ row }) => row.front).sort((a, b) => a.x - b.x);
  const labels = placed(discs, x, y);
  const order = [...discs.keys()].sort((a, b) => discs[b].r - discs[a].r);
  return chart(height, "Accuracy against multiply-adds an image",
    axes(x, y, "multiply-adds an image (log scale)", "top-1 %", tidy, (value) => String(Number(value.toFixed(2)))),
    draw("polyline", { class: "front", points: front.map((disc) => `${disc.x},${disc.y}`).join(" ") }),
    order.map((index) => {
      const { row, x: cx, y: cy, r } = discs[index];
      const about = `${row.name} (${row.year})\n${percent(row.top1)} % top-1\n${count(row.params)} parameters\n${count(row.macs)} MACs`;
      return draw("a", { href: `#/runs/${row.runs[0]}`, class: "mark", "data-key": keyOf(row), "data-tip": about, "aria-label": about },
        draw("circle", { class: "disc", cx, cy, r, fill: row.colour, stroke: row.colour }),
        draw("circle", { cx, cy, r: 2, fill: row.colour }));
    }),
    labels.map((label, index) => label && draw("g", { class: "mark label", "data-key": keyOf(discs[index].row) },
      text(label.x, label.y + 4, "middle", discs[index].row.name))));
}

export function accuracy(shares, start, end) {
  const [low, high] = [Math.min(...shares) * 100, Math.max(...shares) * 100];
  const room = Math.max((high - low) * 0.12, 1);
  return scale(Math.max(low - room, 0), Math.min(high + room, 100), start, end);
}

/* A place beside each disc for its name, none where it would hide another. */
function placed(discs, x, y) {
  const taken = discs.map((disc) => [disc.x - 4, disc.y - 4, disc.x + 4, disc.y + 4]);
  const free = (box) => taken.every((other) => box[2] < other[0] || box[0] > other[2] || box[3] < other[1] || box[1] > other[3]);
  return discs.map((disc) => {
    const half = (disc.row.name.length * LETTER) / 2;
    for (const away of [6, 14, 26]) {
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, -1], [0, 1], [0.7, -0.7], [-0.7, -0.7], [0.7, 0.7], [-0.7, 0.7]]) {
        const at = { x: disc.x + dx * (disc.r + away + half), y: disc.y + dy * (disc.r + away + 3) };
        const box = [at.x - half, at.y - 8, at.x + half, at.y + 8];
        if (box[0] < x.start + 2 || box[2] > x.end || box[1] < y.end - 6 || box[3] > y.start || !free(box)) continue;
        taken.push(box);
        return at;
      }
    }
    return null;
  });
}

export const chart = (height, label, ...parts) =>
  draw("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${height}`, role: "group", "aria-label": label }, ...parts.flat(2));

export { WIDTH };
