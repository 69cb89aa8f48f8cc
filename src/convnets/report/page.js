"use strict";

/* A heading's button sorts its table; a cell without a value stays last. */
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, index) => {
    heading.firstElementChild.addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      const sign = direction === "ascending" ? 1 : -1;
      const numeric = heading.classList.contains("number");
      const value = (row) => row.cells[index].dataset.value;
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
      };
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", direction);
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}

/* A chooser shows the one panel whose id is its value. */
for (const chooser of document.querySelectorAll(".chooser")) {
  const choices = [...chooser.querySelectorAll("option, input")].map((choice) => choice.value);
  const show = (chosen) => {
    for (const id of choices) document.getElementById(id).hidden = id !== chosen;
  };
  chooser.addEventListener("change", (event) => show(event.target.value));
  show((chooser.querySelector(":checked") ?? chooser.querySelector("select")).value);
}

/* What is pointed at or focused says more, and stands out everywhere in its comparison. */
const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);

function cellText(picture, event) {
  const names = JSON.parse(picture.closest("[data-classes]").dataset.classes);
  const cells = (picture.cells ??= JSON.parse(picture.dataset.cells));
  const box = picture.getBoundingClientRect();
  const place = (offset, length) =>
    Math.min(Math.max(Math.floor((offset / length) * names.length), 0), names.length - 1);
  const [row, column] = [
    place(event.clientY - box.top, box.height),
    place(event.clientX - box.left, box.width),
  ];
  const counts = new Map();
  for (let i = 0; i < cells[row].length; i += 2) counts.set(cells[row][i], cells[row][i + 1]);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return `${names[row]} called ${names[column]}: ${counts.get(column) ?? 0} of ${total}`;
}

function describe(text, x, y) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const left = x + 14 + tip.offsetWidth > innerWidth ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${Math.max(Math.min(y + 14, innerHeight - tip.offsetHeight - 4), 4)}px`;
}

function pick(key) {
  for (const mark of document.querySelectorAll(".mark.on")) mark.classList.remove("on");
  document.body.classList.toggle("picking", Boolean(key));
  if (!key) return;
  for (const mark of document.querySelectorAll(`[data-key="${key}"]`)) mark.classList.add("on");
}

addEventListener("pointermove", (event) => {
  const picture = event.target.closest?.("[data-cells]");
  const text = picture ? cellText(picture, event) : event.target.closest?.("[data-tip]")?.dataset.tip;
  describe(text, event.clientX, event.clientY);
});
addEventListener("pointerover", (event) => pick(event.target.closest?.("[data-key]")?.dataset.key));
addEventListener("focusin", (event) => {
  const box = event.target.getBoundingClientRect();
  describe(event.target.dataset.tip, box.right, box.top);
  pick(event.target.dataset.key);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") describe("");
});
addEventListener("scroll", () => describe(""), { capture: true, passive: true });
