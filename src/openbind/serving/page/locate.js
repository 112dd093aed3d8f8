// Where in an image and when in a recording the query is: maps over images, curves under players.

import { element } from "./dom.js";
import { post } from "./service.js";

const COLORS = [[40, 0, 90], [150, 20, 110], [225, 75, 60], [250, 165, 30], [252, 250, 160]];
const STRENGTH = 0.65;
const HOVER_MS = 250;
const SAME_MOMENT_S = 0.05;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Add to a result's card a button, and hovering, that show where the query is.
 *
 * @param card the element of the result
 * @param hit its row
 * @param parts the query
 * @param clock seconds → text
 */
export function addLocating(card, hit, parts, clock) {
  if (!parts?.length || hit.modality === "text" || hit.modality === "imu") return;
  const name = hit.path.split("/").pop();
  const timed = hit.modality === "audio" || hit.modality === "video";
  const button = element("button", { type: "button", className: "where", textContent: timed ? "When?" : "Where?", ariaLabel: `${timed ? "When" : "Where"} in ${name}` });
  let asked = null;
  const ask = () => {
    asked ??= post(`v1/items/${encodeURIComponent(hit.id)}/locate`, { parts })
      .then((found) => show(card, button, found, clock))
      .catch((error) => { asked = null; button.title = error.message; button.classList.add("error"); });
    return asked;
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    const known = asked !== null;
    await ask();
    button.disabled = false;
    if (known) card.classList.toggle("located");
  });
  card.querySelector(".actions").prepend(button);
  if (timed) return;
  // Hovering asks for the map of an image, which takes a moment; recordings wait for a press.
  const image = card.querySelector(".image");
  let timer = null;
  image?.addEventListener("pointerenter", () => { timer = setTimeout(async () => { await ask(); card.classList.add("located"); }, HOVER_MS); });
  image?.addEventListener("pointerleave", () => { clearTimeout(timer); card.classList.remove("located"); });
}

function show(card, button, found, clock) {
  if (found.where) {
    const image = card.querySelector(".image");
    if (image) image.append(heatMap(found.where));
    else showOverFrame(card.querySelector("video"), found.where);
    const known = found.where.present === false ? "probably not in it" : "";
    if (known) button.title = known;
    button.classList.toggle("absent", found.where.present === false);
  }
  const player = card.querySelector("audio, video");
  for (const track of found.tracks) {
    card.querySelector(".info").append(...timeline(track, player, clock));
  }
  card.classList.add("located");
}

/** A map over a video, while it is paused at the moment that the map is of. */
function showOverFrame(video, where) {
  const map = heatMap(where);
  const frame = element("div", { className: "frame" });
  video.replaceWith(frame);
  frame.append(video, map);
  const update = () => { map.hidden = !video.paused || video.seeking || Math.abs(video.currentTime - where.seconds) > SAME_MOMENT_S; };
  for (const event of ["play", "pause", "seeking", "seeked"]) video.addEventListener(event, update);
  map.hidden = true;
  video.preload = "auto";
  video.pause();
  video.currentTime = where.seconds;
}

/** A map over an image that is drawn with `object-fit: cover`. */
function heatMap(where) {
  const rows = where.heat.length;
  const columns = where.heat[0].length;
  const flat = where.heat.flat();
  const low = Math.min(...flat);
  const range = Math.max(Math.max(...flat) - low, 1e-6);
  const cells = new OffscreenCanvas(columns, rows);
  const context = cells.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  flat.forEach((value, at) => {
    const unit = (value - low) / range;
    pixels.data.set([...colorAt(unit), Math.round(255 * STRENGTH * unit)], 4 * at);
  });
  context.putImageData(pixels, 0, 0);
  const canvas = element("canvas", { className: "heat", width: where.width > where.height ? 480 : Math.round((480 * where.width) / where.height) });
  canvas.height = Math.round((canvas.width * where.height) / where.width);
  const [left, top, right, bottom] = where.area;
  const drawn = canvas.getContext("2d");
  drawn.imageSmoothingQuality = "high";
  drawn.drawImage(cells, left * canvas.width, top * canvas.height, (right - left) * canvas.width, (bottom - top) * canvas.height);
  const scale = canvas.width / where.width;
  drawn.strokeStyle = "#fff";
  drawn.lineWidth = 3;
  for (const [x0, y0, x1, y1] of where.boxes) drawn.strokeRect(x0 * scale, y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale);
  return canvas;
}

function colorAt(unit) {
  const at = Math.min(Math.max(unit, 0), 1) * (COLORS.length - 1);
  const first = Math.min(Math.floor(at), COLORS.length - 2);
  return [0, 1, 2].map((c) => COLORS[first][c] + (at - first) * (COLORS[first + 1][c] - COLORS[first][c]));
}

/** A curve over time, and a button for each good moment; both seek. */
function timeline(track, player, clock) {
  const total = track.duration_seconds;
  const seek = (seconds) => { if (player) { player.currentTime = seconds; player.play(); } };
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "curve");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Likeness over time: ${track.modality}`);
  for (const [start, end] of track.moments) {
    const shade = document.createElementNS(SVG, "rect");
    const values = { x: (100 * start) / total, y: 0, width: (100 * (end - start)) / total, height: 30 };
    for (const [key, value] of Object.entries(values)) shade.setAttribute(key, value);
    svg.append(shade);
  }
  const scores = track.curve.map(([, score]) => score);
  const low = Math.min(...scores);
  const range = Math.max(Math.max(...scores) - low, 1e-6);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", track.curve.map(([at, score]) => `${(100 * at) / total},${28 - (26 * (score - low)) / range}`).join(" "));
  svg.append(line);
  svg.addEventListener("click", (event) => {
    const frame = svg.getBoundingClientRect();
    seek((total * (event.clientX - frame.left)) / frame.width);
  });
  const buttons = track.moments.map(([start, end]) => {
    const button = element("button", { type: "button", className: "segment moment", textContent: `▸ ${clock(start)}–${clock(end)}`, ariaLabel: `Play moment ▸ ${clock(start)}–${clock(end)}` });
    button.addEventListener("click", () => seek(start));
    return button;
  });
  return [svg, element("div", { className: "moments" }, buttons)];
}
