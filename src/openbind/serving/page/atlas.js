// A map of the index on a canvas: points to hover over, to visit by keyboard, to search with.

import { button, byId, clock, colorOf, element, nameOf, swatchOf } from "./dom.js";
import { thumbnail } from "./gallery.js";

const MARGIN = 16;
const REACH = 24; // pixels between the pointer and the point it selects
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NAMED = 40; // with at most so many points in view, they have small images and names
const MAX_LASSO = 450; // values of one filter
const MAX_ZOOM = 60;

export class Atlas {
  /** @param handlers onChoose(point), onLasso(points) */
  constructor(handlers) {
    Object.assign(this, handlers, { canvas: byId("canvas"), points: [], hidden: new Set(), lit: new Set(), images: new Map(), current: null });
    Object.assign(this, { zoom: 1, center: [0.5, 0.5], drag: null, line: null });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => this.#press(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    this.canvas.addEventListener("pointerup", (event) => this.#release(event));
    this.canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.#zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, event); }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    byId("zoom-in").addEventListener("click", () => this.#zoomBy(1.5));
    byId("zoom-out").addEventListener("click", () => this.#zoomBy(1 / 1.5));
    byId("lasso").addEventListener("click", () => { byId("lasso").ariaPressed = String(!this.#isLasso); });
  }

  show(points) {
    Object.assign(this, { points, current: null });
    const modalities = [...new Set(points.map((point) => point.modality))].sort();
    byId("legend").replaceChildren(...modalities.map((modality) => this.#toggle(modality)));
    this.draw();
  }

  /** Mark the results of a search. */
  light(hits) {
    this.lit = new Set(hits.map((hit) => hit.id));
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const inView = this.#visible().filter((point) => {
      const [x, y] = this.#position(point);
      return x > -20 && y > -20 && x < width + 20 && y < height + 20;
    });
    const ink = getComputedStyle(this.canvas).color;
    const radius = this.points.length > 3000 ? 3 : 5;
    for (const point of inView) this.#drawPoint(context, point, radius, ink);
    if (inView.length <= NAMED) for (const point of inView) this.#drawName(context, point, ink);
    if (this.line) {
      context.beginPath();
      for (const [x, y] of this.line) context.lineTo(x, y);
      context.closePath();
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      context.setLineDash([6, 4]);
      context.stroke();
    }
  }

  #drawPoint(context, point, radius, ink) {
    const [x, y] = this.#position(point);
    const isLit = this.lit.has(point.id);
    context.globalAlpha = point === this.current || isLit ? 1 : this.lit.size ? 0.35 : 0.75;
    context.fillStyle = colorOf(point.modality);
    context.beginPath();
    context.arc(x, y, point === this.current ? 9 : isLit ? radius + 2 : radius, 0, 2 * Math.PI);
    context.fill();
    if (point !== this.current && !isLit) return;
    context.strokeStyle = ink;
    context.lineWidth = 2;
    context.stroke();
  }

  #drawName(context, point, ink) {
    const [x, y] = this.#position(point);
    const image = this.#image(point);
    if (image.complete && image.naturalWidth) {
      const [width, height] = [64, (64 * image.naturalHeight) / image.naturalWidth];
      context.globalAlpha = 0.9;
      context.drawImage(image, x + 8, y - height / 2, width, height);
    }
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.font = "12px system-ui, sans-serif";
    context.fillText(nameOf(point).slice(0, 28), x + 8, y + 44);
  }

  #image(point) {
    if (!this.images.has(point.id)) {
      const image = new Image();
      image.addEventListener("load", () => this.draw());
      image.src = point.thumbnail_url;
      this.images.set(point.id, image);
    }
    return this.images.get(point.id);
  }

  get #isLasso() { return byId("lasso").ariaPressed === "true"; }

  #toggle(modality) {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      if (box.checked) this.hidden.delete(modality);
      else this.hidden.add(modality);
      this.draw();
    });
    const count = this.points.filter((point) => point.modality === modality).length;
    return element("label", { className: "choice" }, [box, swatchOf(modality), `${modality} ${count.toLocaleString()}`]);
  }

  #visible() {
    return this.points.filter((point) => !this.hidden.has(point.modality));
  }

  #position(point) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const [x, y] = [point.x, point.y].map((value, axis) => 0.5 + (value - this.center[axis]) * this.zoom);
    return [MARGIN + x * (width - 2 * MARGIN), MARGIN + y * (height - 2 * MARGIN)];
  }

  /** Zoom about the pointer, or about the middle. */
  #zoomBy(factor, event = null) {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), MAX_ZOOM);
    if (event) {
      const { clientWidth: width, clientHeight: height } = this.canvas;
      const at = [(event.offsetX - MARGIN) / (width - 2 * MARGIN), (event.offsetY - MARGIN) / (height - 2 * MARGIN)];
      this.center = this.center.map((value, axis) => value + (at[axis] - 0.5) * (1 / this.zoom - 1 / zoom));
    }
    this.zoom = zoom;
    if (zoom === 1) this.center = [0.5, 0.5];
    this.draw();
  }

  #press(event) {
    this.drag = { x: event.offsetX, y: event.offsetY, moved: 0 };
    if (this.#isLasso) this.line = [[event.offsetX, event.offsetY]];
    this.canvas.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.drag) { this.#select(this.#nearest(event)); return; }
    const [dx, dy] = [event.offsetX - this.drag.x, event.offsetY - this.drag.y];
    this.drag = { x: event.offsetX, y: event.offsetY, moved: this.drag.moved + Math.abs(dx) + Math.abs(dy) };
    if (this.line) this.line.push([event.offsetX, event.offsetY]);
    else {
      const { clientWidth: width, clientHeight: height } = this.canvas;
      this.center = [this.center[0] - dx / (width * this.zoom), this.center[1] - dy / (height * this.zoom)];
    }
    this.draw();
  }

  #release(event) {
    const { drag, line } = this;
    Object.assign(this, { drag: null, line: null });
    if (line?.length > 2) {
      const inside = this.#visible().filter((point) => isInside(this.#position(point), line));
      byId("lasso").ariaPressed = "false";
      this.draw();
      if (inside.length) this.onLasso(inside.slice(0, MAX_LASSO));
      return;
    }
    if (!drag || drag.moved > 4) return;
    const point = this.#nearest(event);
    // There is no hovering on a touch screen: a tap selects, the button in the panel searches.
    if (point && event.pointerType !== "touch") this.onChoose(point);
    else this.#select(point);
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
    const time = point.start_seconds === null ? "" : ` at ${clock(point.start_seconds)}`;
    byId("selected").replaceChildren(
      thumbnail(point),
      element("strong", { textContent: nameOf(point) }),
      element("span", { className: "soft", textContent: point.modality + time }),
      button("More like this", () => this.onChoose(point)),
    );
  }

  #key(event) {
    if (event.key === "Enter" && this.current) { this.onChoose(this.current); return; }
    if (event.key === "+" || event.key === "-") { this.#zoomBy(event.key === "+" ? 1.5 : 1 / 1.5); return; }
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

/** Whether a position lies inside a closed line, by counting crossings. */
function isInside([x, y], line) {
  let inside = false;
  line.forEach(([x1, y1], at) => {
    const [x0, y0] = line[(at || line.length) - 1];
    if (y0 > y !== y1 > y && x < x0 + ((x1 - x0) * (y - y0)) / (y1 - y0)) inside = !inside;
  });
  return inside;
}
