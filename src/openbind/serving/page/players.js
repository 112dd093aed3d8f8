// Players of audio and video: one at a time, and only the segment that was found.

const ends = new WeakMap();

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
  root.addEventListener("error", ({ target }) => {
    if (target.matches?.("audio, video") && !target.nextElementSibling?.matches(".unplayed")) {
      const note = Object.assign(document.createElement("span"), { className: "unplayed", textContent: "Your browser can't play this file." });
      target.after(note);
    }
  }, true);
}
