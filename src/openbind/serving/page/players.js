// Players of audio and video: one at a time, and only the segment that was found.

import { check } from "./service.js";

const CONVERTING = "Converting for your browser …";
const PLAYED = /^(audio|video)\//;
const ends = new WeakMap();

/** Let a player play a result's file, or a converted copy where the browser can't play the file. */
export function setSource(player, hit) {
  const convert = () => {
    if (player.src.endsWith(hit.playable_url)) return explain(player, hit);
    const isPlaying = !player.paused;
    note(player, CONVERTING);
    player.src = hit.playable_url;
    if (isPlaying) player.play().catch(() => {});
  };
  player.addEventListener("error", convert);
  player.addEventListener("loadedmetadata", () => {
    // Its sound is played, but its images are of an unknown codec.
    if (player.matches("video") && !player.videoWidth && hit.width !== null) convert();
  });
  player.addEventListener("loadeddata", () => note(player, ""));
  player.addEventListener("play", () => {
    if (!player.readyState && player.src.endsWith(hit.playable_url)) note(player, CONVERTING);
  });
  player.src = PLAYED.test(hit.media_type ?? "") ? hit.media_url : hit.playable_url;
}

/** Say why a file can't be played. */
async function explain(player, hit) {
  let reason = "your browser can't play it";
  try { await check(hit.playable_url); } catch (error) { reason = error.message; }
  note(player, `${reason}. Download it to play it in another program.`);
}

/** Show a line under a player, or take it away. */
function note(player, text) {
  const known = player.nextElementSibling?.matches(".unplayed") ? player.nextElementSibling : null;
  if (!text) { known?.remove(); return; }
  const made = known ?? Object.assign(document.createElement("span"), { className: "unplayed" });
  made.setAttribute("role", "status");
  made.textContent = text;
  made.classList.toggle("soft", text === CONVERTING);
  if (!known) player.after(made);
}

/** Play from a start to an end, in seconds; played on from there, it doesn't stop again. */
export function playSegment(player, start, end) {
  player.currentTime = start;
  ends.set(player, end);
  player.play();
}

/** Let a player's own button begin at a start and stop at an end, the first time. */
export function prepareSegment(player, start, end) {
  player.addEventListener("loadedmetadata", () => {
    if (player.currentTime !== 0) return;
    player.currentTime = start;
    if (end < player.duration) ends.set(player, end);
  }, { once: true });
}

/** Pause others when one begins, and stop at the end of a segment. */
export function watchPlayers(root) {
  root.addEventListener("play", (event) => {
    for (const other of root.querySelectorAll("audio, video")) if (other !== event.target) other.pause();
  }, true);
  root.addEventListener("timeupdate", ({ target }) => {
    const end = ends.get(target);
    if (end === undefined || target.seeking || target.currentTime < end) return;
    ends.delete(target);
    target.pause();
  }, true);
}
