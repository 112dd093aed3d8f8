// One line of text as a query: dog -snow +"red car".

const TOKEN = /([+-](?=["\p{L}\p{N}]))?(?:"([^"]*)"|(\S+))/gu;
const WEIGHTS = { "+": 1, "-": -0.5 };

/**
 * @returns the parts as {text, weight}: one of all words without a sign, and one of each with a sign;
 *   null if no word has one, so that the line is just a text
 */
export function splitLine(line) {
  const plain = [];
  const signed = [];
  for (const [, sign, quoted, word] of line.matchAll(TOKEN)) {
    const text = (quoted ?? word).trim();
    if (!text) continue;
    if (sign) signed.push({ text, weight: WEIGHTS[sign] });
    else plain.push(text);
  }
  if (!signed.length) return null;
  return [...(plain.length ? [{ text: plain.join(" "), weight: 1 }] : []), ...signed];
}
