/* Tables that sort by a click on a heading, or by Enter on it. */

import { make } from "./elements.js";

/* A column is {title, numeric, value(row), show(row)}; without value it does not sort. */
export function table(columns, { sort = null, descending = false, changed = () => {}, mark = () => ({}) } = {}) {
  const body = make("tbody");
  const headings = columns.map((column, index) => {
    const button = column.value && make("button", { type: "button", onclick: () => order(index) }, column.title);
    return make("th", { scope: "col", class: column.numeric && "number" }, button ?? make("span", {}, column.title));
  });
  const element = make("table", {}, make("thead", {}, make("tr", {}, headings)), body);
  const place = { index: columns.findIndex((column) => column.title === sort), descending };
  let rows = [];

  function order(index) {
    place.descending = index === place.index ? !place.descending : Boolean(columns[index].numeric);
    place.index = index;
    changed(columns[index].title, place.descending);
    show(rows);
  }

  function show(given) {
    rows = given;
    headings.forEach((heading, index) => {
      heading.removeAttribute("aria-sort");
      if (index === place.index) heading.setAttribute("aria-sort", place.descending ? "descending" : "ascending");
    });
    body.replaceChildren(...sorted().map((row) => make("tr", mark(row), columns.map((column, index) =>
      make(index ? "td" : "th", { scope: index ? null : "row", class: column.numeric ? "number" : column.long && "long",
        title: column.long && column.value(row) }, column.show(row))))));
  }

  function sorted() {
    if (place.index < 0) return rows;
    const { value, numeric } = columns[place.index];
    const sign = place.descending ? -1 : 1;
    return [...rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const [noX, noY] = [x, y].map((each) => each === null || each === undefined || each === "");
      if (noX || noY) return noX - noY;
      return sign * (numeric ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
    });
  }

  return { element, show };
}
