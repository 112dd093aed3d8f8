// The map of the collection on a canvas: dots to point at, to walk over, to search with.

import { colorOf, element } from "./dom.js";
import { clock, thumbnail } from "./gallery.js";

const MARGIN = 16;
const NEAR = 24; // pixels between a pointer and the dot it means
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Atlas {
  /** @param like called with the dot that was chosen */
  constructor(canvas, legend, pointed, like) {
    Object.assign(this, { canvas, legend, pointed, like, dots: [], hidden: new Set(), current: null });
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.#point(this.#nearest(event)));
    canvas.addEventListener("click", (event) => {
      const touched = event.pointerType === "touch";
      const dot = this.#nearest(event);
      // A finger can't point without touching: its first touch shows, the button below searches.
      if (dot && !touched) this.like(dot);
      else this.#point(dot);
    });
    canvas.addEventListener("keydown", (event) => this.#walk(event));
  }

  show(dots) {
    this.dots = dots;
    const kinds = [...new Set(dots.map((dot) => dot.modality))].sort();
    this.legend.replaceChildren(...kinds.map((kind) => this.#choice(kind)));
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    for (const dot of this.#seen()) {
      const [x, y] = this.#place(dot);
      pen.globalAlpha = dot === this.current ? 1 : 0.75;
      pen.fillStyle = colorOf(dot.modality);
      pen.beginPath();
      pen.arc(x, y, dot === this.current ? 9 : 5, 0, 2 * Math.PI);
      pen.fill();
      if (dot === this.current) {
        pen.strokeStyle = getComputedStyle(this.canvas).color;
        pen.lineWidth = 2;
        pen.stroke();
      }
    }
  }

  #choice(kind) {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      if (box.checked) this.hidden.delete(kind);
      else this.hidden.add(kind);
      this.draw();
    });
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = colorOf(kind);
    const count = this.dots.filter((dot) => dot.modality === kind).length;
    return element("label", { className: "choice" }, [box, swatch, `${kind} ${count}`]);
  }

  #seen() {
    return this.dots.filter((dot) => !this.hidden.has(dot.modality));
  }

  #place(dot) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return [MARGIN + dot.x * (width - 2 * MARGIN), MARGIN + dot.y * (height - 2 * MARGIN)];
  }

  #nearest(event) {
    let best = null;
    let least = NEAR;
    for (const dot of this.#seen()) {
      const [x, y] = this.#place(dot);
      const away = Math.hypot(x - event.offsetX, y - event.offsetY);
      if (away < least) [best, least] = [dot, away];
    }
    return best;
  }

  #point(dot) {
    if (!dot || dot === this.current) return;
    this.current = dot;
    this.draw();
    const like = element("button", { type: "button", textContent: "More like this" });
    like.addEventListener("click", () => this.like(dot));
    const moment = dot.start_seconds === null ? "" : ` at ${clock(dot.start_seconds)}`;
    this.pointed.replaceChildren(
      thumbnail(dot),
      element("strong", { textContent: dot.path.split("/").pop() }),
      element("span", { className: "soft", textContent: dot.modality + moment }),
      like,
    );
  }

  #walk(event) {
    if (event.key === "Enter" && this.current) { this.like(this.current); return; }
    const step = STEPS[event.key];
    const seen = this.#seen();
    if (!step || !seen.length) return;
    event.preventDefault();
    if (!this.current) { this.#point(seen[0]); return; }
    const [x, y] = this.#place(this.current);
    let best = null;
    let least = Infinity;
    for (const dot of seen) {
      const [across, down] = this.#place(dot).map((value, axis) => value - [x, y][axis]);
      const along = across * step[0] + down * step[1];
      const aside = Math.abs(across * step[1]) + Math.abs(down * step[0]);
      if (along > 0 && along + 2 * aside < least) [best, least] = [dot, along + 2 * aside];
    }
    this.#point(best);
  }
}
