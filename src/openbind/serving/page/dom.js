// What all parts of the page make their elements with.

const COLORS = ["#4b7bec", "#e4572e", "#2e9e6b", "#b565c9", "#d99a00", "#159ca8", "#c2407e", "#7a8290"];
const kindsSeen = [];

/** A color for each modality, the same everywhere on the page. */
export function colorOf(kind) {
  if (!kindsSeen.includes(kind)) kindsSeen.push(kind);
  return COLORS[kindsSeen.indexOf(kind) % COLORS.length];
}

/** Make an element: its properties, its children (elements or text). */
export function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
