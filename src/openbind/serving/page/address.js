// A search as an address: all that a reload, a copied link and Back need to show the same.
//
//   ?q=dog&part=-0.5 text snow&part=1 item ID&part=1 image HASH dog.webp&is=folder:Trips&where=…&view=list

/**
 * @param search the text, the parts as {kind, value, name, weight}, the filters as {name: [labels]},
 *   the condition and the view
 */
export function writeAddress({ text, parts, filters, where, view }) {
  const link = new URLSearchParams();
  if (text) link.set("q", text);
  for (const { kind, value, name, weight } of parts) {
    const isFile = kind !== "text" && kind !== "item";
    link.append("part", [weight, kind, value, ...(isFile ? [name] : [])].join(" "));
  }
  for (const [name, labels] of Object.entries(filters)) for (const label of labels) link.append("is", `${name}:${label}`);
  if (where) link.set("where", where);
  if (view && view !== "lanes") link.set("view", view);
  const written = link.toString();
  return written ? `?${written}` : ".";
}

/** The search of an address; `minus`, `like` and `#atlas` are short forms for links written by hand. */
export function readAddress(location) {
  const link = new URLSearchParams(location.search);
  const parts = link.getAll("part").map(readPart).filter(Boolean);
  if (link.get("like")) parts.push({ kind: "item", value: link.get("like"), name: "", weight: 1 });
  if (link.get("minus")) parts.push({ kind: "text", value: link.get("minus"), name: link.get("minus"), weight: -0.5 });
  const filters = {};
  for (const each of link.getAll("is")) {
    const [, name, label] = each.match(/^(\w+):(.*)$/s) ?? [];
    if (name) (filters[name] ??= []).push(label);
  }
  const view = location.hash === "#atlas" ? "atlas" : link.get("view") ?? "lanes";
  return { text: link.get("q") ?? "", parts, filters, where: link.get("where") ?? "", view };
}

function readPart(written) {
  const [, number, kind, rest] = written.match(/^(\S+) (\S+) (.*)$/s) ?? [];
  const weight = Number(number);
  if (!kind || !Number.isFinite(weight)) return null;
  if (kind === "text") return { kind, value: rest, name: rest, weight };
  if (kind === "item") return { kind, value: rest, name: "", weight };
  const [value, ...name] = rest.split(" ");
  return { kind, value, name: name.join(" ") || "file", weight };
}
