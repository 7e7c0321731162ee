"use strict";
// Tables sort by a click on a heading and keep the rows that hold the words searched for.
const order = (a, b, numeric) => numeric ? a - b : a.localeCompare(b, "en", { numeric: true });

function sortBy(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [row.cells[column].dataset.sort, row]);
  const numeric = keyed.some(([, row]) => row.cells[column].className === "number");
  const missing = keyed.filter(([key]) => key === "");
  const known = keyed.filter(([key]) => key !== "");
  known.sort(([a], [b]) => (down ? -1 : 1) * order(a, b, numeric));
  body.append(...[...known, ...missing].map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    cell.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
  const part = table.closest("section");
  const count = part.querySelector(".count");
  part.querySelector(".filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
  });
}

// Two visits shown in turn: twice a second, or on demand where motion is not wanted.
for (const box of document.querySelectorAll(".comparison")) {
  let timer = 0;
  const turn = () => { box.dataset.shown = box.dataset.shown === "baseline" ? "follow-up" : "baseline"; };
  box.addEventListener("change", (event) => {
    clearInterval(timer);
    box.dataset.view = event.target.value;
    box.dataset.shown = "baseline";
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (event.target.value === "flicker" && !still) timer = setInterval(turn, 500);
  });
  box.querySelector(".visits").addEventListener("click", () => {
    clearInterval(timer);
    if (box.dataset.view === "flicker") turn();
  });
}
