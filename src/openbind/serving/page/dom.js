// Elements and colors, shared by all parts of the page.

const COLORS = ["#4b7bec", "#e4572e", "#2e9e6b", "#b565c9", "#d99a00", "#159ca8", "#c2407e", "#7a8290"];
const known = [];

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
