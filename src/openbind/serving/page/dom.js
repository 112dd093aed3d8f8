// Elements, colors and times, shared by all parts of the page.

const COLORS = ["#4b7bec", "#e4572e", "#2e9e6b", "#b565c9", "#d99a00", "#159ca8", "#c2407e", "#7a8290"];
const known = [];

export const byId = (id) => document.getElementById(id);

/** The color of a modality, the same everywhere on the page. */
export function colorOf(modality) {
  if (!known.includes(modality)) known.push(modality);
  return COLORS[known.indexOf(modality) % COLORS.length];
}

/** Create an element with properties and children (elements or text). */
export function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A button that does something. */
export function button(text, onPress, properties = {}) {
  const made = element("button", { type: "button", textContent: text, ...properties });
  made.addEventListener("click", onPress);
  return made;
}

/** A dot in the color of a modality. */
export function swatchOf(modality) {
  const made = element("span", { className: "swatch" });
  made.style.background = colorOf(modality);
  return made;
}

const PLOTTED = ["audio", "imu"]; // drawn as lines on white, which a dark page inverts

/** The class of the image of a hit. */
export const plotClass = (hit) => (PLOTTED.includes(hit.modality) ? "plot" : "");

export const nameOf = (hit) => hit.path.split("/").pop();

export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const whole = Math.floor(tenths / 10);
  const rest = tenths % 10 ? `.${tenths % 10}` : "";
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}${rest}`;
}
