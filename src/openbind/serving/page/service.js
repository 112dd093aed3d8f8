// Talks to the service; asks for its key where it has one.

export class ServiceError extends Error {}

async function once(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ServiceError("The service can't be reached.");
  }
  if (answer.status === 401) return null;
  if (answer.status === 503) {
    throw new ServiceError(`The service is busy; try again in ${answer.headers.get("Retry-After") ?? "a few"} s.`);
  }
  const content = answer.status === 204 ? {} : await answer.json().catch(() => null);
  if (!answer.ok || content === null) {
    throw new ServiceError(content?.error?.message ?? `The service answered ${answer.status}.`);
  }
  return content;
}

/** Ask until the key fits; the service then knows this browser by a cookie. */
async function enter() {
  const dialog = document.getElementById("key");
  for (;;) {
    dialog.showModal();
    await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
    const input = dialog.querySelector("[type=password]");
    const key = input.value;
    input.value = "";
    if (!key) throw new ServiceError("The service asks for its key; reload to enter it.");
    const headers = { Authorization: `Bearer ${key}` };
    if (await once("v1/session", { method: "POST", headers })) return;
    document.getElementById("key-error").textContent = "That is not the key.";
  }
}

let entering = null;

async function ask(path, options = {}) {
  for (;;) {
    const content = await once(path, options);
    if (content !== null) return content;
    entering ??= enter().finally(() => { entering = null; });
    await entering;
  }
}

export const get = (path, options) => ask(path, options);

export const post = (path, body, options) =>
  ask(path, {
    ...options,
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
