"""The report in a real browser: headless Chromium at desktop and phone width, over its DevTools pipe, with the network
watched."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from posttrain.report.html import write_report
from tests.report.synthetic_run import build_run

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and answers on 4: move the pipes there, by way of high numbers so that
# neither is lost.
MOVE = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 50) for number in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One tab, spoken to in the DevTools protocol: messages are JSON ended by a zero byte on file descriptors 3 and
    4."""

    def __init__(self, out: int, into: int) -> None:
        self.out, self.into, self.rest, self.count = out, into, b"", 0
        self.requests: list[str] = []
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict:
        self.count += 1
        message = {"id": self.count, "method": method, "params": params} | (
            {"sessionId": self.session} if self.session else {}
        )
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def read(self) -> dict:
        while b"\0" not in self.rest:
            block = os.read(self.into, 1 << 20)
            assert block, "Chromium ended"
            self.rest += block
        line, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(line)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        return message

    def open(self, path: Path, width: int, *, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 700
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call("Page.navigate", url=path.as_uri())
        while self.read().get("method") != "Page.loadEventFired":
            pass

    def ask(self, expression: str) -> object:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, path: Path) -> bytes:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
        return path.read_bytes()


@pytest.fixture
def page(tmp_path) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; remedy: apt-get install chromium")
    ours_in, its_out = os.pipe()
    its_in, ours_out = os.pipe()
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", MOVE, str(its_in), str(its_out), *command], pass_fds=(its_in, its_out),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(its_in)
    os.close(its_out)
    try:
        yield Page(ours_out, ours_in)
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(ours_in)
        os.close(ours_out)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (390, True)])
def test_the_report_fits_and_asks_for_nothing(tmp_path, page, width, dark):
    report = write_report(build_run(tmp_path / "run", failed="export"))
    page.open(report, width, dark=dark)
    assert page.ask("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    overflowing = page.ask(
        "[...document.querySelectorAll('main *')].filter(e => e.getClientRects().length)"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.tagName + '.' + e.className).slice(0, 5).join(' ')"
    )
    assert overflowing == ""
    assert page.ask("document.querySelectorAll('table.results tbody tr').length") == 10
    assert page.ask("[...document.querySelectorAll('.results b')].every(e => e.getBoundingClientRect().height > 10)")
    names = "[...document.querySelectorAll('table:not(.results) th[scope=row]')].filter(e => e.getClientRects().length)"
    squeezed = page.ask(f"{names}.filter(e => e.getBoundingClientRect().height >= 60).map(e => e.innerText).join()")
    assert squeezed == "", "a name is squeezed into a column of letters"
    assert page.ask("document.querySelectorAll('svg').length") > 30
    assert {url for url in page.requests if not url.startswith(("data:", "about:"))} == {report.as_uri()}
    assert len(page.screenshot(tmp_path / "report.png")) > 20_000


def test_script_in_a_models_text_does_not_run(tmp_path, page):
    folder = build_run(tmp_path / "run", steps=2)
    path = folder / "stages" / "stem" / "rollouts" / "step-00002.jsonl"
    group = json.loads(path.read_text().splitlines()[0])
    attack = (
        "</div></style><script>document.title='owned'</script><img src='https://example.invalid/x.png' "
        "onerror=\"document.title='owned'\">"
    )
    group["completions"][0]["text"] = group["prompt"] = attack
    path.write_text(json.dumps(group) + "\n")
    page.open(write_report(folder), 1280)
    assert page.ask("document.title") == "demo-cpu: posttrain report"
    assert attack in page.ask("document.body.textContent")
    assert page.ask("document.querySelectorAll('script, img').length") == 0
    assert not any("example.invalid" in url for url in page.requests)
