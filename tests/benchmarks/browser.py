"""A page in headless Chromium, by its debugging protocol over a pipe: no driver is needed."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found or os.name != "posix":
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    return found


class Page:
    """A page that is loaded at a width, and all that it asked for and complained about."""

    def __init__(self, path: Path, width: int, scheme: str = "light") -> None:
        to_browser, self.to_browser = os.pipe()
        self.from_browser, from_browser = os.pipe()

        command = f"exec {chromium()} --headless --no-sandbox --disable-gpu"
        command += " --disable-dev-shm-usage --remote-debugging-pipe about:blank"
        command += f" 3<&{to_browser} 4>&{from_browser}"
        self.process = subprocess.Popen(
            ["bash", "-c", command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.events, self.rest, self.session = 0, [], b"", None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 800}
        self("Emulation.setDeviceMetricsOverride", **metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self("Emulation.setEmulatedMedia", features=features)
        self("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in [event["method"] for event in self.events]:
            self._read()

    def __call__(self, method: str, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self):
        while b"\0" not in self.rest:
            chunk = os.read(self.from_browser, 2**16)
            assert chunk, "Chromium has ended"
            self.rest += chunk
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def evaluate(self, expression: str):
        found = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"]["value"]

    def screenshot(self, path: Path, top: int = 0, height: int | None = None) -> None:
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "scale": 1}
        clip["height"] = min(height or size["height"], size["height"] - top)
        shot = self("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    @property
    def complaints(self):
        """Errors and warnings on the console, and exceptions."""
        return [
            event["params"]
            for event in self.events
            if event["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}
            or (
                event["method"] == "Runtime.consoleAPICalled"
                and event["params"]["type"] in {"error", "warning", "assert"}
            )
        ]

    @property
    def requests(self):
        """Addresses that the page asked for, but itself and what lies within it."""
        addresses = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [each for each in addresses[1:] if not each.startswith("data:")]

    def close(self) -> None:
        os.close(self.to_browser)
        os.close(self.from_browser)
        self.process.terminate()
        self.process.wait()
