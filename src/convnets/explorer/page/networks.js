/* All networks: searched, sorted, each a link to its layers. */

import { make } from "./elements.js";
import { count } from "./format.js";
import { table } from "./tables.js";

const COLUMNS = [
  { title: "Network", value: (row) => row.name,
    show: (row) => make("a", { href: `#/networks/${encodeURIComponent(row.name)}` }, row.name) },
  { title: "Family", value: (row) => row.family, show: (row) => row.family },
  { title: "Year", numeric: true, value: (row) => row.year, show: (row) => row.year },
  { title: "Params", numeric: true, value: (row) => row.params, show: (row) => count(row.params) },
  { title: "MACs", numeric: true, value: (row) => row.macs, show: (row) => count(row.macs) },
  { title: "Input", numeric: true, value: (row) => row.input_size,
    show: (row) => `${row.input_size}×${row.input_size}×${row.in_chans}` },
  { title: "Top-1 error %", numeric: true, value: (row) => error(row) && Number.parseFloat(error(row)),
    show: (row) => error(row) || "–" },
  { title: "Published in", long: true, value: (row) => row.published?.source, show: (row) => row.published?.source ?? "" },
  { title: "Weights", value: (row) => row.weights.join(), show: (row) => row.weights.join(", ") },
];

const error = (row) => row.published?.top1_error ?? "";

export async function show({ chosen, choose, get }) {
  const rows = await get("/api/networks");
  const shown = table(COLUMNS, {
    sort: chosen.get("sort"),
    descending: chosen.has("descending"),
    changed: (title, descending) => {
      choose("sort", title);
      choose("descending", descending ? "1" : null);
    },
  });
  const found = make("p", { class: "note", role: "status" });
  const search = make("input", {
    type: "search", placeholder: "resnet, 2017, mobile small …", value: chosen.get("search") ?? "",
    "aria-label": "Search networks", autocomplete: "off", spellcheck: "false",
    oninput: () => {
      choose("search", search.value);
      look();
    },
  });

  function look() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = rows.filter((row) => {
      const text = `${row.name} ${row.family} ${row.year} ${row.paper} ${row.weights.join(" ")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    found.textContent = words.length
      ? `${fitting.length} of ${rows.length} networks`
      : `${rows.length} networks. Choose one to see its layers.`;
    shown.show(fitting);
  }

  look();
  return [
    make("h1", {}, "Networks"),
    make("div", { class: "controls" }, search),
    found,
    make("div", { class: "scroll" }, shown.element),
  ];
}
