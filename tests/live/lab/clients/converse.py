"""Converse.js in headless Chromium, driven like a person does: clicks and keys, and what the page shows."""

import functools
import http.server
import json
import re
import threading

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from .. import machine, wait
from ..accounts import password

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Converse</title>
<link rel="stylesheet" href="/converse.min.css"><link rel="icon" href="data:,">
<script type="module" src="/converse.min.js"></script></head>
<body class="converse-fullscreen"><script type="module">converse.initialize({settings});</script></body></html>
"""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--disable-extensions",
    "--disable-default-apps",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--lang=en-US",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves the files of Converse.js and one page that starts it."""

    def __init__(self, page, *args, **more):
        self.page = page
        super().__init__(*args, **more)

    def do_GET(self):
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_):
        pass


class Converse:
    """Logged in as `user`."""

    def __init__(self, server, user, width=800, height=1800):
        self.server, self.user, self.jid = server, user, server.jid(user)
        self.width, self.height = width, height
        self.path = machine.fresh_folder(machine.folder() / f"converse-{server.c2s}-{user}")
        debug, driver, web = machine.ports(3)
        settings = {
            "authentication": "login",
            "auto_login": True,
            "jid": f"{self.jid}/converse",
            "password": password(user),
            "websocket_url": server.websocket,
            "discover_connection_methods": False,
            "view_mode": "fullscreen",
            "assets_path": "/",
            "i18n": "en",
            "loglevel": "warn",
            "play_sounds": False,
            "show_desktop_notifications": False,
            "clear_messages_on_reconnection": False,
            "theme": "classic",
            "allow_non_roster_messaging": True,
            "muc_nickname_from_jid": True,
            "auto_register_muc_nickname": False,
            "keepalive": False,
        }
        page = PAGE.replace("{settings}", json.dumps(settings)).encode()
        files = functools.partial(_Files, page, directory=str(next(machine.folder().glob("converse-*.*.*")) / "dist"))
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", web), files)
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        self.chromium = machine.spawn(
            [
                "chromium",
                *FLAGS,
                f"--window-size={width},{height}",
                f"--remote-debugging-port={debug}",
                f"--user-data-dir={self.path / 'profile'}",
                "about:blank",
            ],
            self.path / "chromium.log",
            cwd=self.path,
        )
        self.driver = machine.spawn(
            ["chromedriver", f"--port={driver}", f"--log-path={self.path / 'driver.log'}"], self.path / "driver.out"
        )
        wait.until(lambda: machine.is_open(debug) and machine.is_open(driver), 30, what="the browser starts")
        options = webdriver.ChromeOptions()
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.debugger_address = f"127.0.0.1:{debug}"
        self.x = webdriver.Remote(f"http://127.0.0.1:{driver}", options=options)
        self.x.set_window_size(width, height)
        self.x.get(f"http://127.0.0.1:{web}/")
        self.see("converse-user-profile", within=60)

    def close(self):
        self.web.shutdown()
        self.web.server_close()
        for process in self.driver, self.chromium:
            machine.end(process)

    # -- looking ------------------------------------------------------------------------------------------------------
    def find(self, css, text=None):
        """The first visible element (that contains the text), or None."""
        try:
            return next(
                (
                    e
                    for e in self.x.find_elements(By.CSS_SELECTOR, css)
                    if e.is_displayed() and (text is None or text in e.text)
                ),
                None,
            )
        except StaleElementReferenceException:  # it was redrawn meanwhile
            return None

    def see(self, css, text=None, within=15):
        """Waits until `find` finds something."""
        try:
            return wait.until(lambda: self.find(css, text), within, what=f"{css} {text or ''}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.screen()}") from None

    def shows(self, pattern, css="body", within=15, **parts):
        """Waits until the pattern matches the text of an element; returns the match."""
        full = pattern.format(**{k: re.escape(v) for k, v in parts.items()}) if parts else pattern

        def look():
            element = self.find(css)
            try:
                return element and re.search(full, " ".join(element.text.split()))
            except StaleElementReferenceException:
                return None

        try:
            return wait.until(look, within)
        except AssertionError:
            raise AssertionError(f"not within {within} s in {css}: /{full}/\n{self.screen()}") from None

    def screen(self):
        """All text on the page, and errors of the browser."""
        console = "\n".join(line["message"][:300] for line in self.x.get_log("browser"))
        return f"{self.x.find_element(By.TAG_NAME, 'body').text}\n\nconsole:\n{console}"

    def picture(self, css=None):
        """PNG of one element, or of the page."""
        return self.see(css).screenshot_as_png if css else self.x.get_screenshot_as_png()

    def page(self, height):
        """PNG of the page in a window of this height."""
        self.x.set_window_size(self.width, height)
        try:
            return self.picture()
        finally:
            self.x.set_window_size(self.width, self.height)

    def click(self, css, text=None):
        def tried():
            try:
                self.see(css, text).click()
                return True
            except (StaleElementReferenceException, ElementClickInterceptedException, ElementNotInteractableException):
                return False  # still moving

        wait.until(tried, 10, what=f"a click on {css}")

    # -- commands -----------------------------------------------------------------------------------------------------
    PANEL = "#commands-tabpanel"
    WINDOW = "converse-user-settings-modal .modal-content"

    def commands(self, bot):
        """Lists the commands of `bot`; node -> label."""
        if not self.find(self.PANEL):
            self.click("a.show-client-info")
            self.click("#commands-tab")
        field = self.see(f"{self.PANEL} converse-autocomplete input[name=jid]")
        field.clear()
        field.send_keys(bot.jid)
        self.click(f"{self.PANEL} input[value='List available commands']")
        self.see(f"{self.PANEL} [data-command-jid='{bot.jid}']")
        links = self.x.find_elements(By.CSS_SELECTOR, f"{self.PANEL} a[data-command-node]")
        return {link.get_attribute("data-command-node"): link.text for link in links}

    def open(self, node):
        """Clicks on a command and waits for its form, or for its answer if it has none."""
        link = f"{self.PANEL} a[data-command-node='{node}']"
        if self.find(self.form_of(node)):
            self.click(link)
            wait.until(lambda: not self.find(self.form_of(node)), 5, what="the old form is closed")
        self.click(link)
        self.see(self.form_of(node))

    def form_of(self, node):
        return f"{self.PANEL} li:has(a[data-command-node='{node}']) form"

    def fill(self, **fields):
        for name, value in fields.items():
            field = self.see(f"{self.PANEL} li form [name='{name}']")
            if field.tag_name == "select":
                Select(field).select_by_visible_text(value)
            elif field.get_attribute("type") == "checkbox":
                if field.is_selected() != value:
                    field.click()
            else:
                field.clear()
                field.send_keys(value)

    def value(self, name):
        return self.see(f"{self.PANEL} li form [name='{name}']").get_attribute("value")

    def press(self, action):
        self.click(f"{self.PANEL} li form input[data-action='{action}']")

    # -- chat ---------------------------------------------------------------------------------------------------------
    def leave_commands(self):
        if self.find(self.PANEL):
            self.click("converse-user-settings-modal .modal-footer button")
            wait.until(lambda: not self.find(".modal"), 5, what="the window is closed")

    def chat(self, jid):
        """Opens a conversation with `jid` (Converse requires a name before the @)."""
        self.leave_commands()

        def menu_is_open():
            if not self.find("a.new-chat"):
                self.click(".dropdown--contacts button")
            return self.find("a.new-chat")

        wait.until(menu_is_open, 10, every=0.5, what="the menu of contacts")
        self.click("a.new-chat")
        self.see("converse-new-chat-modal input[name=jid]").send_keys(jid, Keys.ENTER)
        self.see("converse-chat-content", within=20)
        wait.until(lambda: not self.find(".modal"), 5, what="the window is closed")

    def join(self, room):
        """Enters a room with the account's name as nick."""
        self.leave_commands()

        def menu_is_open():
            if not self.find("a.show-add-muc-modal"):
                self.click("#chatrooms converse-dropdown button")
            return self.find("a.show-add-muc-modal")

        wait.until(menu_is_open, 10, every=0.5, what="the menu of rooms")
        self.click("a.show-add-muc-modal")
        self.see("converse-add-muc-modal input[name=chatroom]").send_keys(room)
        self.click("converse-add-muc-modal input[name=join]")
        self.see("converse-muc textarea.chat-textarea", within=20)
        wait.until(lambda: not self.find(".modal"), 5, what="the window is closed")

    def hears(self, pattern, within=15, **parts):
        """Waits until the newest message matches; returns the match."""
        full = pattern.format(**{k: re.escape(v) for k, v in parts.items()}) if parts else pattern

        def look():
            return re.search(full, (self.messages() or [""])[-1], re.S)

        try:
            return wait.until(look, within)
        except AssertionError:
            raise AssertionError(f"not the newest message within {within} s: /{full}/\n{self.screen()}") from None

    def reply(self, line):
        """Replies to the newest message (XEP-0461) through its menu; returns the answer."""

        def menu_is_open():
            if not self.find("button.chat-msg__action-reply"):
                self.x.find_elements(By.CSS_SELECTOR, "converse-message-actions button.dropdown-toggle")[-1].click()
            return self.find("button.chat-msg__action-reply")

        wait.until(menu_is_open, 10, every=0.5, what="the menu of the newest message")
        self.click("button.chat-msg__action-reply")
        return self.say(line)

    def say(self, line):
        """Sends one line and returns the answer: the next message that is not ours."""
        before = len(self.messages())
        self.see("textarea.chat-textarea").send_keys(line, Keys.ENTER)
        wait.until(lambda: len(self.messages()) >= before + 2, 15, what=f"an answer to {line!r}")
        return self.messages()[-1]

    def messages(self):
        try:
            return [e.text for e in self.x.find_elements(By.CSS_SELECTOR, ".chat-msg__text")]
        except StaleElementReferenceException:
            return []
