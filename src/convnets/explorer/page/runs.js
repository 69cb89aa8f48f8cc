/* Finished runs: leaderboards with their charts, and one run whole. */

import { address } from "./api.js";
import { scatter } from "./charts.js";
import { curves, MEASURES } from "./curves.js";
import { choice, linked, make, section } from "./elements.js";
import { count, percent } from "./format.js";
import { confusion } from "./matrix.js";
import { table } from "./tables.js";

const FIRST = 6; // curves shown before anything is chosen
const MOST_SEEDS = 4;

const titles = Object.entries(MEASURES).map(([key, { title }]) => [key, title]);
/* A number stays on the line of its unit. */
const whole = (text) => text.replace(/(\d) (%|[kMGTPE]\b|s\b|min\b|h\b)/g, "$1\u00a0$2");
const link = (id, text) => make("a", { href: `#/runs/${id}` }, text);

export async function show({ chosen, choose, get }) {
  const { comparisons, problems } = await get("/api/runs");
  return [
    make("h1", {}, "Runs"),
    problems.length > 0 && make("details", { class: "problems" },
      make("summary", {}, `${problems.length} ${problems.length === 1 ? "file" : "files"} could not be read`),
      make("ul", {}, problems.map((problem) => make("li", {}, problem)))),
    comparisons.length === 0 && make("p", { class: "lead" }, "No finished run lies in the folders. ",
      make("code", {}, "convnets train lenet5 --data digits"), " makes one in a minute; then ",
      make("code", {}, "convnets explore runs"), "."),
    ...comparisons.map((each, index) => comparison(each, index, chosen, choose)),
  ].filter(Boolean);
}

function comparison(found, index, chosen, choose) {
  const { rows } = found;
  const keyOf = (row) => `${index}-${rows.indexOf(row)}`;
  const mine = `curves${index || ""}`;
  const listed = chosen.get(mine)?.split(",").map(Number);
  const picked = new Set(listed ?? [...rows.keys()].slice(0, FIRST));
  const panel = make("div");
  let measure = chosen.get("measure") ?? "top1";

  function overlay() {
    const lines = rows.filter((row, place) => picked.has(place) && row.curves[0].length > 0)
      .map((row) => ({ name: row.name, key: keyOf(row), curves: row.curves }));
    panel.replaceChildren(lines.length
      ? make("div", { class: "scroll" }, curves(lines, measure))
      : make("p", { class: "soft" }, "Tick a row of the leaderboard to see its curve."));
  }
  const tick = (place) => make("input", {
    type: "checkbox", checked: picked.has(place), "aria-label": `Curve of ${rows[place].name}`,
    onchange: (event) => {
      if (event.target.checked) picked.add(place);
      else picked.delete(place);
      choose(mine, [...picked].sort((a, b) => a - b).join());
      overlay();
    },
  });
  const columns = [
    { title: "Network", value: (row) => row.name, show: (row) => make("span", { class: "named" },
      tick(rows.indexOf(row)), make("i", { class: "swatch", style: { background: row.colour } }), link(row.runs[0], row.name)) },
    ...found.columns.map((column, place) => ({
      ...column, value: (row) => row.values[place],
      show: (row) => (column.title === "Seeds" ? seeds(row, place) : row.cells[place]),
    })),
  ];
  const shown = table(columns, { mark: (row) => ({ class: "mark", "data-key": keyOf(row) }) });
  shown.show(rows);
  overlay();
  const [first, ...reasons] = found.verdict;
  return linked(make("article", {},
    make("h2", { class: "data" }, found.data),
    make("p", { class: "note" }, `${found.train_images.toLocaleString("en")} training and ${found.test_images.toLocaleString("en")} test images in ${found.classes} classes. Every row: ${found.setting.filter((each) => each !== `${found.data} data`).join(", ")}.`),
    first && make("p", { class: "lead" }, whole(first)),
    reasons.length > 0 && make("details", {}, make("summary", {}, "How far to trust that, and what else stands out"),
      make("ul", {}, reasons.map((reason) => make("li", {}, whole(reason))))),
    rows.length > 1 && section("Accuracy against cost",
      "The area of a disc is the number of parameters, the colour is the year. Along the dashed line more accuracy costs more.",
      make("div", { class: "scroll" }, scatter(rows, keyOf)), years(rows)),
    section("Leaderboard", "", make("div", { class: "scroll" }, shown.element)),
    section("Learning curves", "Of the rows with a tick: the mean over seeds, and behind it each seed.",
      choice("Curve", titles, measure, (value) => {
        measure = value;
        choose("measure", value);
        overlay();
      }, mine), panel)));
}

function years(rows) {
  const colours = new Map([...rows].sort((a, b) => a.year - b.year).map((row) => [row.year, row.colour]));
  return make("p", { class: "years" }, [...colours].map(([year, colour]) =>
    make("span", {}, make("i", { class: "swatch", style: { background: colour } }), String(year))));
}

const seeds = (row, place) => (row.runs.length === 1 ? row.cells[place]
  : make("span", {}, `${row.cells[place]}: `, row.runs.slice(0, MOST_SEEDS).flatMap((id, seed) => [seed ? " " : "", link(id, String(seed + 1))])));

export async function one({ name, get }) {
  const run = await get(address(["runs", name]));
  const line = { name: run.model, key: "run", curves: [run.curve] };
  const summary = [
    ["Top-1", `${percent(run.top1)} %`], ["Top-5", run.top5 === null ? "–" : `${percent(run.top5)} %`],
    ["Parameters", count(run.params)], ["MACs", count(run.macs)], ...Object.entries(run.facts),
  ];
  const chosen = make("div", { class: "scroll" });
  const draw = (measure) => run.curve.length && chosen.replaceChildren(curves([line], measure));
  draw("top1");
  return [
    make("p", { class: "back" }, make("a", { href: "#/runs" }, "All runs")),
    make("h1", {}, run.name),
    run.has_weights && make("p", { class: "lead" },
      make("a", { class: "button", href: `#/look/${run.id}` }, "Look at images with this network")),
    make("dl", { class: "facts" }, summary.map(([title, value]) =>
      make("div", {}, make("dt", {}, title), make("dd", {}, value)))),
    run.curve.length > 0 && section("Learning curve", "",
      choice("Curve", titles, "top1", draw), chosen),
    section("Confusion matrix", "A row is what an image is, a column what it was called, in shares of the row.", confusion(run)),
    run.mistakes.length > 0 && section("Where it is most wrong", "Test images with the surest wrong answers.", mistakes(run)),
    section("Plan", "On the same engine this command gives the same weights, bit for bit.",
      make("pre", { class: "command", tabindex: 0 }, run.command),
      make("details", {}, make("summary", {}, "The whole plan"),
        make("pre", { tabindex: 0 }, JSON.stringify(run.plan, null, 2)))),
  ].filter(Boolean);
}

function mistakes(run) {
  return make("div", { class: "mistakes" }, run.mistakes.map((mistake, index) => {
    const picture = make("img", { src: `data:image/png;base64,${mistake.png}`, alt: "", loading: "lazy" });
    const told = [
      make("span", { class: "wrong" }, `${run.classes[mistake.predicted]} ${percent(mistake.probability, 1)}\u00a0%`),
      make("span", {}, `is ${run.classes[mistake.label]}`),
    ];
    return run.has_weights
      ? make("a", { href: `#/look/${run.id}?mistake=${index}` }, picture, told)
      : make("figure", {}, picture, told);
  }));
}
