"use strict";
const rows = [...document.querySelectorAll(".row")].map((row) => [...row.querySelectorAll("figure")]);
let row = 0, column = 0;
function select(newRow, newColumn) {
  row = Math.max(0, Math.min(rows.length - 1, newRow));
  column = Math.max(0, Math.min(rows[row].length - 1, newColumn));
  rows[row][column].focus({ preventScroll: true });
  rows[row][column].scrollIntoView({ block: "nearest" });
}
function toggle(audio) {
  if (audio.paused) { audio.currentTime = 0; audio.play(); } else { audio.pause(); }
}
rows.forEach((figures, r) => figures.forEach((figure, c) => {
  const audio = figure.querySelector("audio");
  figure.addEventListener("click", (event) => { select(r, c); if (event.target.tagName === "IMG") toggle(audio); });
  audio.addEventListener("play", () => {
    document.querySelectorAll("audio").forEach((other) => { if (other !== audio) other.pause(); });
    figure.classList.add("playing");
  });
  audio.addEventListener("pause", () => figure.classList.remove("playing"));
}));
const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
document.addEventListener("keydown", (event) => {
  if (!rows.length || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key in moves) { select(row + moves[event.key][0], column + moves[event.key][1]); event.preventDefault(); }
  if (event.key === " ") { toggle(rows[row][column].querySelector("audio")); event.preventDefault(); }
});
if (rows.length) select(0, 0);
