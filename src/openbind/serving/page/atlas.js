// A map of the index on a canvas: points to hover over, to visit by keyboard, to search with.

import { colorOf, element } from "./dom.js";
import { clock, thumbnail } from "./gallery.js";

const MARGIN = 16;
const REACH = 24; // pixels between the pointer and the point it selects
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Atlas {
  /** @param onChoose called with the point that was chosen */
  constructor(canvas, legend, panel, onChoose) {
    Object.assign(this, { canvas, legend, panel, onChoose, points: [], hidden: new Set(), current: null });
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.#select(this.#nearest(event)));
    canvas.addEventListener("click", (event) => {
      const isTouch = event.pointerType === "touch";
      const point = this.#nearest(event);
      // There is no hovering on a touch screen: a tap selects, the button in the panel searches.
      if (point && !isTouch) this.onChoose(point);
      else this.#select(point);
    });
    canvas.addEventListener("keydown", (event) => this.#step(event));
  }

  show(points) {
    this.points = points;
    const modalities = [...new Set(points.map((point) => point.modality))].sort();
    this.legend.replaceChildren(...modalities.map((modality) => this.#toggle(modality)));
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    for (const point of this.#visible()) {
      const [x, y] = this.#position(point);
      context.globalAlpha = point === this.current ? 1 : 0.75;
      context.fillStyle = colorOf(point.modality);
      context.beginPath();
      context.arc(x, y, point === this.current ? 9 : 5, 0, 2 * Math.PI);
      context.fill();
      if (point === this.current) {
        context.strokeStyle = getComputedStyle(this.canvas).color;
        context.lineWidth = 2;
        context.stroke();
      }
    }
  }

  #toggle(modality) {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      if (box.checked) this.hidden.delete(modality);
      else this.hidden.add(modality);
      this.draw();
    });
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = colorOf(modality);
    const count = this.points.filter((point) => point.modality === modality).length;
    return element("label", { className: "choice" }, [box, swatch, `${modality} ${count}`]);
  }

  #visible() {
    return this.points.filter((point) => !this.hidden.has(point.modality));
  }

  #position(point) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return [MARGIN + point.x * (width - 2 * MARGIN), MARGIN + point.y * (height - 2 * MARGIN)];
  }

  #nearest(event) {
    let best = null;
    let least = REACH;
    for (const point of this.#visible()) {
      const [x, y] = this.#position(point);
      const distance = Math.hypot(x - event.offsetX, y - event.offsetY);
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  #select(point) {
    if (!point || point === this.current) return;
    this.current = point;
    this.draw();
    const similar = element("button", { type: "button", textContent: "More like this" });
    similar.addEventListener("click", () => this.onChoose(point));
    const time = point.start_seconds === null ? "" : ` at ${clock(point.start_seconds)}`;
    this.panel.replaceChildren(
      thumbnail(point),
      element("strong", { textContent: point.path.split("/").pop() }),
      element("span", { className: "soft", textContent: point.modality + time }),
      similar,
    );
  }

  #step(event) {
    if (event.key === "Enter" && this.current) { this.onChoose(this.current); return; }
    const step = STEPS[event.key];
    const visible = this.#visible();
    if (!step || !visible.length) return;
    event.preventDefault();
    if (!this.current) { this.#select(visible[0]); return; }
    const [x, y] = this.#position(this.current);
    let best = null;
    let least = Infinity;
    for (const point of visible) {
      const [dx, dy] = this.#position(point).map((value, axis) => value - [x, y][axis]);
      const along = dx * step[0] + dy * step[1];
      const across = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      if (along > 0 && along + 2 * across < least) [best, least] = [point, along + 2 * across];
    }
    this.#select(best);
  }
}
