"use strict";
const store = JSON.parse(document.getElementById("store").textContent);
for (const player of document.querySelectorAll("[data-play]")) player.src = store.played[player.dataset.play];

const atlas = document.getElementById("atlas"), tip = document.getElementById("tip");
const dots = atlas ? [...atlas.querySelectorAll("use")] : [];
for (const dot of dots) {  // With scripts, our own tooltip replaces the browser's.
  dot.dataset.title = dot.firstElementChild.textContent;
  dot.firstElementChild.remove();
}
const shown = dot => getComputedStyle(dot).display !== "none";
const place = dot => [dot.x.baseVal.value, dot.y.baseVal.value];
let chosen = null;

function show(dot) {
  if (chosen) chosen.classList.remove("on");
  chosen = dot;
  tip.hidden = !dot;
  if (!dot) return;
  dot.classList.add("on");
  tip.replaceChildren();
  const image = store.images[dots.indexOf(dot)];
  if (image) tip.append(Object.assign(new Image(), { src: image, alt: "" }));
  tip.append(dot.dataset.title);
  const box = dot.getBoundingClientRect(), frame = atlas.parentElement.getBoundingClientRect();
  const right = box.left - frame.left > frame.width / 2;
  tip.style.left = `${box.left - frame.left + (right ? -160 : box.width + 8)}px`;
  tip.style.top = `${Math.max(0, box.top - frame.top - 30)}px`;
}

if (atlas) {
  atlas.addEventListener("pointerover", event => { if (event.target.matches("use")) show(event.target); });
  atlas.addEventListener("pointerleave", () => show(null));
  atlas.addEventListener("blur", () => show(null));
  atlas.addEventListener("keydown", event => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") show(null);
    if (!way) return;
    event.preventDefault();
    const candidates = dots.filter(shown);
    if (!chosen) return show(candidates[0] ?? null);
    const [x, y] = place(chosen);
    let best = null, least = Infinity;
    for (const dot of candidates) {
      const [dx, dy] = [place(dot)[0] - x, place(dot)[1] - y];
      const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (along > 0 && along + 2 * aside < least) [best, least] = [dot, along + 2 * aside];
    }
    if (best) show(best);
  });
}
