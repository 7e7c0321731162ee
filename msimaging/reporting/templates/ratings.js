"use strict";
// Ratings are kept in this browser while one works and saved as a table; nothing is sent anywhere.
const form = document.getElementById("ratings");
const rows = [...form.querySelectorAll("tbody tr")];
const place = "msimaging-ratings:" + location.pathname;
const field = (row, name) => row.querySelector(`[name="${name}"]`);
const key = (row) => JSON.stringify([row.dataset.participant, row.dataset.session, row.dataset.modality]);

function cell(text) {
  const clean = text.replace(/[\t\r\n]+/g, " ").trim() || "n/a";
  return clean.includes('"') ? `"${clean.replaceAll('"', '""')}"` : clean;
}

function asTable() {
  const lines = [["participant_id", "session_id", "modality", "rating", "comment"]];
  for (const row of rows) {
    const rating = field(row, "rating").value;
    const comment = field(row, "comment").value;
    if (rating || comment) {
      lines.push([row.dataset.participant, row.dataset.session, row.dataset.modality, rating, comment].map(cell));
    }
  }
  return lines.map((line) => line.join("\t")).join("\n") + "\n";
}

function keep() {
  const state = Object.fromEntries(rows.map((row) => [key(row), [field(row, "rating").value, field(row, "comment").value]]));
  try { localStorage.setItem(place, JSON.stringify(state)); } catch { /* private windows keep nothing */ }
  const rated = rows.filter((row) => field(row, "rating").value).length;
  document.getElementById("rating-count").textContent = `${rated} of ${rows.length} scans rated`;
}

try {
  const state = JSON.parse(localStorage.getItem(place) || "{}");
  for (const row of rows) {
    const [rating, comment] = state[key(row)] || ["", ""];
    if (rating) field(row, "rating").value = rating;
    if (comment) field(row, "comment").value = comment;
  }
} catch { /* begin with what the study knows */ }
keep();
form.addEventListener("input", keep);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asTable()], { type: "text/tab-separated-values" }));
  link.download = "ratings.tsv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
