// One result, large: next and previous, zoom, what is known of the file, its path, its download.

import { byId, clock, element, nameOf, plotClass } from "./dom.js";
import { playSegment, setSource } from "./players.js";

const SCALES = { depth: ["far", "near"], thermal: ["cold", "warm"] }; // what dark and bright mean in drawings
const UNITS = ["bytes", "kB", "MB", "GB"];

export class Viewer {
  /** @param onSimilar called with a result whose "More like this" was pressed */
  constructor(onSimilar) {
    this.dialog = byId("viewer");
    this.stage = byId("stage");
    byId("previous").addEventListener("click", () => this.#step(-1));
    byId("next").addEventListener("click", () => this.#step(1));
    byId("similar").addEventListener("click", () => { this.dialog.close(); onSimilar(this.hit); });
    byId("copy").addEventListener("click", () => this.#copy());
    this.dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("audio, video, input")) return;
      if (event.key === "ArrowLeft") this.#step(-1);
      if (event.key === "ArrowRight") this.#step(1);
    });
    this.dialog.addEventListener("close", () => this.stage.replaceChildren()); // ends what plays
  }

  get hit() { return this.hits[this.at]; }

  open(hit, hits) {
    Object.assign(this, { hits, at: Math.max(hits.indexOf(hit), 0) });
    this.#show();
    if (!this.dialog.open) this.dialog.showModal();
  }

  #step(by) {
    if (!this.hits[this.at + by]) return;
    this.at += by;
    this.#show();
  }

  #show() {
    const { hit } = this;
    byId("previous").disabled = this.at === 0;
    byId("next").disabled = this.at === this.hits.length - 1;
    byId("viewer-title").textContent = nameOf(hit);
    byId("copy").textContent = "Copy path";
    Object.assign(byId("download"), { href: hit.media_url, download: nameOf(hit) });
    byId("facts").replaceChildren(...facts(hit).map(([name, value]) => element("div", {}, [element("dt", { textContent: name }), element("dd", { textContent: value })])));
    this.stage.replaceChildren(...this.#views(hit));
  }

  #views(hit) {
    const kind = hit.media_type?.split("/")[0];
    if (hit.playable_url) {
      const isAudio = hit.modality === "audio";
      const player = element(isAudio ? "audio" : "video", { controls: true, ariaLabel: nameOf(hit), preload: "metadata" });
      if (!isAudio) player.poster = hit.thumbnail_url;
      player.addEventListener("loadedmetadata", () => {
        if (hit.end_seconds !== null) playSegment(player, hit.start_seconds, hit.end_seconds);
      }, { once: true });
      setSource(player, hit);
      return isAudio ? [element("img", { src: hit.drawing_url, alt: "", className: plotClass(hit) }), player] : [player];
    }
    const image = element("img", { src: kind === hit.modality ? hit.media_url : hit.drawing_url, alt: nameOf(hit), className: plotClass(hit) });
    // Formats that the browser doesn't know (such as TIFF) fall back to the drawing, then to the thumbnail.
    const others = [hit.drawing_url, hit.thumbnail_url];
    image.addEventListener("error", () => { if (others.length) image.src = others.shift(); });
    addZoom(this.stage, image);
    const scale = SCALES[hit.modality];
    const bar = scale ? [element("div", { className: `scale ${hit.modality}` }, scale.map((end) => element("span", { textContent: end })))] : [];
    return [image, ...bar];
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.hit.path);
      byId("copy").textContent = "Copied";
    } catch { byId("copy").textContent = this.hit.path; }
  }
}

function facts(hit) {
  const folders = hit.path.split("/").slice(0, -1).join("/");
  const taken = new Date(hit.taken).toLocaleString([], { timeZone: "UTC", dateStyle: "medium", timeStyle: "short" });
  const found = hit.start_seconds === null ? null : `${clock(hit.start_seconds)}–${clock(hit.end_seconds)}`;
  const listed = [
    ["Folder", folders],
    ["Date", taken],
    ["Camera", hit.camera],
    ["Pixels", hit.width && `${hit.width} × ${hit.height}`],
    ["Duration", hit.duration_seconds !== null && clock(hit.duration_seconds)],
    ["Found at", found],
    ["Size", size(hit.size_bytes)],
  ];
  return listed.filter(([, value]) => value);
}

function size(bytes) {
  const unit = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
  return `${(bytes / 1000 ** unit).toFixed(unit ? 1 : 0)} ${UNITS[unit]}`;
}

/** Zoom by wheel, by double-click and by + and −; drag to move. */
function addZoom(stage, image) {
  let [scale, x, y] = [1, 0, 0];
  const draw = () => { image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`; };
  const zoom = (factor) => {
    scale = Math.min(Math.max(scale * factor, 1), 12);
    if (scale === 1) [x, y] = [0, 0];
    draw();
  };
  image.classList.add("zoomed");
  image.draggable = false;
  image.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2); }, { passive: false });
  image.addEventListener("dblclick", () => zoom(scale > 1 ? 0 : 3));
  image.addEventListener("pointermove", (event) => {
    if (!event.buttons || scale === 1) return;
    [x, y] = [x + event.movementX, y + event.movementY];
    draw();
  });
  stage.onkeydown = (event) => { if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.4 : 1 / 1.4); };
}
