"""A real browser in front of the gateway: Debian's Chromium, driven by Playwright. Nothing is waited for by time."""

import email
import email.policy
import json
import os
import re
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

PATIENCE = 15.0


class Rig:
    """What the tests of a run share: the gateway's address, the mails it wrote, and where pictures go."""

    def __init__(self, arguments):
        self.base = arguments["base"].rstrip("/")
        self.outbox = Path(arguments["outbox"])
        self.out = Path(arguments["out"])
        self.axe = Path(arguments["axe"]).read_text()
        self.read = set()
        self.out.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def chromium(self):
        with sync_playwright() as play:
            # Without its sandbox, because tests often run as root in a container; every page is ours.
            arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
            path = os.environ.get("PORTCULLIS_TEST_CHROMIUM", "/usr/bin/chromium")
            browser = play.chromium.launch(executable_path=path, args=arguments)
            try:
                yield browser
            finally:
                browser.close()

    def person(self, browser, name, javascript=False, width=1280, scheme="light"):
        context = browser.new_context(
            base_url=self.base,
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(PATIENCE * 1000)
        return Person(self, context, name)

    def letter(self, to, holding):
        """The next letter to an address that holds this text; its whole text."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for file in sorted(self.outbox.glob("*.eml")):
                if file in self.read:
                    continue
                message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                text = message.get_body(("plain",)).get_content()
                if to in message["to"] and holding in text:
                    self.read.add(file)
                    return text
            time.sleep(0.02)
        there = [file.name for file in self.outbox.glob("*")]
        raise AssertionError(f"no letter to {to} with {holding!r}; there are {there}")

    def link(self, to, page):
        """The link to a page of ours in the next letter to an address."""
        text = self.letter(to, f"/{page}?token=")
        return re.search(rf"https?://\S+/{page}\?token=[A-Za-z0-9_-]+", text).group(0)


class Person:
    """Somebody with a browser of their own."""

    def __init__(self, rig, context, name):
        self.rig, self.context, self.name = rig, context, name
        self.page = context.new_page()
        self.errors = []
        self.page.on("console", lambda it: self.errors.append(f"{it.text} {it.location['url']}") if it.type == "error" else None)
        self.page.on("pageerror", lambda it: self.errors.append(str(it)))
        self.page.on("dialog", lambda it: (self.errors.append(f"dialog: {it.message}"), it.dismiss()))

    def goto(self, path):
        return self.page.goto(path)

    def path(self):
        return self.page.url.removeprefix(self.rig.base)

    def at(self, path):
        assert self.path().split("?")[0] == path, f"{self.name} is at {self.path()}, not {path}: {self.text()}"

    def text(self):
        return self.page.locator("main").inner_text()

    def sees(self, text):
        found = self.text()
        assert text in found, f"{self.name} at {self.path()} does not see {text!r} but {found!r}"

    def fill(self, **fields):
        for name, value in fields.items():
            self.page.locator(f"main [name={name}]").fill(value)

    def press(self, button):
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).first.click()

    def follow(self, link):
        with self.page.expect_navigation():
            self.page.get_by_role("link", name=link, exact=True).first.click()

    def click(self, text):
        """A button by a part of its text, of which much may be for screen readers only."""
        with self.page.expect_navigation():
            self.page.locator(f"button:has-text('{text}')").first.click()

    def log_in(self, name, password):
        self.goto("/auth/login")
        self.fill(username=name, password=password)
        with self.page.expect_request(lambda it: it.method == "POST") as sent:
            self.press("Sign in")
        # All that browsers without Fetch Metadata tell of where a form comes from.
        origin = sent.value.all_headers().get("origin")
        assert origin == self.rig.base, f"the form of a login came from {origin!r}"

    def shot(self, name):
        # The browser has no picture now and then of a page that is there ("Unable to capture screenshot").
        for is_last in (False, False, True):
            try:
                return self.page.screenshot(path=self.rig.out / f"{name}.png", full_page=True)
            except Error as error:
                if is_last or "Unable to capture" not in str(error):
                    raise

    def close(self):
        self.context.close()


def run(scenarios):
    """`SCRIPT SCENARIO JSON`."""
    _, name, arguments = sys.argv
    arguments = json.loads(arguments)
    rig = Rig(arguments)
    with rig.chromium() as browser:
        scenarios[name](rig, browser, arguments)
    print(f"{name}: fine")
