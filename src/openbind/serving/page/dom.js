// What all parts of the page make their elements with.

const COLOURS = ["#4b7bec", "#e4572e", "#2e9e6b", "#b565c9", "#d99a00", "#159ca8", "#c2407e", "#7a8290"];
const kindsSeen = [];

/** A colour for each modality, the same everywhere on the page. */
export function colourOf(kind) {
  if (!kindsSeen.includes(kind)) kindsSeen.push(kind);
  return COLOURS[kindsSeen.indexOf(kind) % COLOURS.length];
}

/** Make an element: its properties, its children (elements or text). */
export function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
