"""Converse.js in a headless Chromium: clicks and types as a person does, reads what is on the page, takes its picture."""
import functools
import http.server
import json
import threading
import time

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from lab import ground, wait_for
from lab.server import password

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Converse</title>
<link rel="stylesheet" href="/converse.min.css"><script src="/converse.min.js"></script></head>
<body class="converse-fullscreen"><script>converse.initialize({settings});</script></body></html>
"""
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--disable-extensions",
         "--disable-default-apps", "--hide-scrollbars", "--force-device-scale-factor=1", "--lang=en-US"]


class _Files(http.server.SimpleHTTPRequestHandler):
    """The files of Converse.js, and one page that starts it."""

    def __init__(self, page, *args, **more):
        self.page = page
        super().__init__(*args, **more)

    def do_GET(self):
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_):
        pass


class Converse:
    """Logged in as `user`."""

    def __init__(self, server, user, width=900, height=900):
        self.server, self.user, self.jid = server, user, server.jid(user)
        self.path = ground.throw_away(ground.folder() / f"converse-{server.c2s}-{user}")
        debug, driver, web = ground.ports(3)
        settings = {"authentication": "login", "auto_login": True, "jid": f"{self.jid}/converse", "password": password(user),
                    "websocket_url": server.websocket, "discover_connection_methods": False, "view_mode": "fullscreen",
                    "assets_path": "/", "i18n": "en", "loglevel": "warn", "play_sounds": False, "show_desktop_notifications": False,
                    "clear_messages_on_reconnection": False, "theme": "classic", "allow_non_roster_messaging": True,
                    "muc_nickname_from_jid": True, "auto_register_muc_nickname": False, "keepalive": False}
        page = PAGE.replace("{settings}", json.dumps(settings)).encode()
        files = functools.partial(_Files, page, directory=str(next(ground.folder().glob("converse-*.*.*")) / "dist"))
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", web), files)
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        self.chromium = ground.spawn(["chromium", *FLAGS, f"--window-size={width},{height}", f"--remote-debugging-port={debug}",
                                      f"--user-data-dir={self.path / 'profile'}", "about:blank"], self.path / "chromium.log",
                                     cwd=self.path)
        self.driver = ground.spawn(["chromedriver", f"--port={driver}", f"--log-path={self.path / 'driver.log'}"], self.path / "driver.out")
        wait_for(lambda: ground.is_open(debug) and ground.is_open(driver), 30, what="the browser starts")
        options = webdriver.ChromeOptions()
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.debugger_address = f"127.0.0.1:{debug}"
        self.x = webdriver.Remote(f"http://127.0.0.1:{driver}", options=options)
        self.x.set_window_size(width, height)
        self.x.get(f"http://127.0.0.1:{web}/")
        self.see("converse-user-profile", 60)

    def close(self):
        self.web.shutdown()
        self.web.server_close()
        for process in self.driver, self.chromium:
            ground.end(process)

    # -- looking ------------------------------------------------------------------------------------------------------
    def see(self, css, within=15, text=None):
        """Waits for an element that is shown (and holds the text); returns it."""
        def find():
            try:
                return next((e for e in self.x.find_elements(By.CSS_SELECTOR, css)
                             if e.is_displayed() and (text is None or text in e.text)), None)
            except (StaleElementReferenceException, NoSuchElementException):
                return None
        try:
            return wait_for(find, within, what=f"{css} {text or ''}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.screen()}\n{self.console()}") from None

    def screen(self):
        """All text on the page."""
        return self.x.find_element(By.TAG_NAME, "body").text

    def console(self):
        try:
            return "\n".join(line["message"] for line in self.x.get_log("browser"))
        except WebDriverException as e:
            return str(e)
