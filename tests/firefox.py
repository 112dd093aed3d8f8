"""Drives the machine's own Firefox by WebDriver BiDi, which Playwright's protocol doesn't fit.

One JSON object a message over a WebSocket (https://w3c.github.io/webdriver-bidi/). Scripts run
from outside the page, so that its content security policy is in force as for users.
"""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NOWHERE = subprocess.DEVNULL
PATIENCE = 30.0
"""Seconds to start, to answer, and until the page is as expected."""
SERVER = "WebDriverBiDiServer.json"
"""Where in its profile a Firefox writes its address."""
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "layout.css.prefers-color-scheme.content-override": 0,  # dark
    "media.autoplay.default": 0,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,  # a microphone that beeps
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
KEYS = {"Enter": "\ue007", "Tab": "\ue004", "Escape": "\ue00c", "Left": "\ue012", "Right": "\ue014"}
VISIBLE = "(selector) => [...document.querySelectorAll(selector)].find((e) => e.checkVisibility())"
SCROLLED = "(e) => { e.scrollIntoView({ block: 'center' }); return e; }"
STATE = "[location.href, document.getElementById('status')?.textContent]"
"""What a failed wait says."""


class Firefox:
    """A page in Firefox.

    Args:
        socket: to the browser.

    Attributes:
        errors: what the page's console says since the last look, of errors and warnings.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.count, self.errors = socket, 0, list[str]()
        self.command("session.new", capabilities={"alwaysMatch": {}})
        self.command("session.subscribe", events=["log.entryAdded"])
        self.context = self.command("browsingContext.getTree")["contexts"][0]["context"]

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; the console's lines that come meanwhile are kept.

        Raises:
            RuntimeError: the browser refuses it.
        """
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(PATIENCE))
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                if entry["level"] in ("error", "warn"):
                    self.errors.append(entry["text"])
            elif message.get("id") == self.count:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['message']}")
                result: dict[str, Any] = message["result"]
                return result

    def open(self, url: str) -> None:
        """Open an address, and wait until the page has been loaded."""
        self.command("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def reload(self) -> None:
        """Load the page again."""
        self.command("browsingContext.reload", context=self.context, wait="complete")

    def back(self, steps: int = 1) -> None:
        """Go back in history, or forward by negative steps."""
        self.command("browsingContext.traverseHistory", context=self.context, delta=-steps)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the page."""
        size = {"width": width, "height": height}
        self.command("browsingContext.setViewport", context=self.context, viewport=size)

    def shot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        found = self.command("browsingContext.captureScreenshot", context=self.context)
        path.write_bytes(base64.b64decode(found["data"]))

    def run(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives, by way of JSON.

        Raises:
            RuntimeError: it throws.
        """
        found = self._evaluate(f"(async () => JSON.stringify(await ({expression})))()")
        return json.loads(found["value"]) if found["type"] == "string" else None

    def until(self, expression: str) -> None:
        """Wait until an expression gives something true.

        Raises:
            TimeoutError: it doesn't.
        """
        end = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression}; the page says {self.run(STATE)}")
            time.sleep(0.05)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements of a selector."""
        found: list[str] = self.run(
            f"[...document.querySelectorAll({selector!r})].map(e => e.innerText.trim())"
        )
        return found

    def click(self, selector: str) -> None:
        """Click the first visible element of a selector with the mouse."""
        actions = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": self._reference(selector)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self._perform({"type": "pointer", "id": "mouse", "actions": actions})

    def press(self, *keys: str) -> None:
        """Press keys after one another: names of `KEYS`, or characters."""
        actions = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        self._perform({"type": "key", "id": "keyboard", "actions": actions})

    def fill(self, selector: str, text: str) -> None:
        """Click a field and type a text in place of its own."""
        self.click(selector)
        self.run(f"document.querySelector({selector!r}).select()")
        self.press(*text)

    def choose(self, selector: str, files: Sequence[Path]) -> None:
        """Choose files in a field, as its dialog would."""
        paths = [str(path) for path in files]
        element = self._evaluate(f"document.querySelector({selector!r})")
        reference = {"sharedId": element["sharedId"]}
        self.command("input.setFiles", context=self.context, element=reference, files=paths)

    def _perform(self, source: dict[str, Any]) -> None:
        self.command("input.performActions", context=self.context, actions=[source])

    def _reference(self, selector: str) -> dict[str, Any]:
        """Wait for a visible element, and return what an action's origin is."""
        self.until(f"({VISIBLE})({selector!r})")
        found = self._evaluate(f"({SCROLLED})(({VISIBLE})({selector!r}))")
        return {"type": "element", "element": {"sharedId": found["sharedId"]}}

    def _evaluate(self, expression: str) -> dict[str, Any]:
        found = self.command(
            "script.evaluate",
            expression=expression,
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        if found["type"] == "exception":
            raise RuntimeError(f"{expression[:200]}: {found['exceptionDetails']['text']}")
        result: dict[str, Any] = found["result"]
        return result


@contextmanager
def started(path: str) -> Iterator[Firefox]:
    """Run a Firefox with a profile of its own, and yield its page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        command = [path, "--headless", "--no-remote", "--profile", profile]
        command += ["--remote-debugging-port", "0"]
        with subprocess.Popen(command, stdout=NOWHERE, stderr=NOWHERE) as process:
            try:
                with connect(_address(Path(profile)), max_size=None, compression=None) as socket:
                    yield Firefox(socket)
            finally:
                process.terminate()


def _address(profile: Path) -> str:
    """Wait until a Firefox has written its address."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            server = json.loads((profile / SERVER).read_text())
            return f"ws://{server['ws_host']}:{server['ws_port']}/session"
        except (FileNotFoundError, json.JSONDecodeError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
