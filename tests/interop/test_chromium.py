"""The account and the status page in a browser that people have: Debian's Chromium, at the width of a phone and of a desk, light and dark.
One browser for all: it is started once. What it must not do is told by its own log: no error, no request that goes elsewhere."""

import contextlib
import imaplib
import json
import os
import pathlib
import shutil

import pytest

import postroom

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
selenium = pytest.importorskip("selenium", reason="needs python3-selenium: ./quickstart peers")
pytestmark = [
    pytest.mark.skipif(not (postroom.BIN / "webd").exists(), reason="built without libhttp-parser: configure said so"),
    pytest.mark.skipif(not DRIVER or not BROWSER, reason="needs chromium and chromium-driver: ./quickstart peers"),
]

SIZES = {"phone": (360, 740), "desk": (1280, 900)}
SCHEMES = ("light", "dark")
PICTURES = os.environ.get("POSTROOM_PICTURES")          # a folder: keep what was seen


@pytest.fixture(scope="module")
def server():
    with postroom.Instance(accounts=("alice",), web=True, conf="failure-delay 0\nscram-iterations 4096\n") as instance:
        instance.start()
        instance.send(postroom.message(), to="alice")
        address = instance.address("alice")
        instance.postroom("quota", "set", address, "10M")
        for label in ("phone", "a laptop with a very long name that somebody typed " + "x" * 12, "<script>alert(1)</script>"):
            instance.postroom("app-password", "add", address, label)
        imap = instance.imap("alice")
        imap.xatom("ID", '("name" "' + "W" * 90 + '")')
        imap.logout()
        yield instance


@pytest.fixture(scope="module")
def chromium(server, tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                     "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
                     f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("acceptInsecureCerts", True)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(DRIVER, port=postroom.free_port())
    driver = webdriver.Chrome(service=service, options=options)
    driver.set_page_load_timeout(postroom.DEADLINE_S)
    yield driver
    driver.quit()


def look(driver, scheme, size, name):
    """What holds for each page however it is looked at."""
    width, height = SIZES[size]
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1,
                                                                  "mobile": size == "phone"})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    seen = driver.execute_script("""
        const lum = c => { const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                           return .2126 * r + .7152 * g + .0722 * b; };
        const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; }
                              return "rgb(255, 255, 255)"; };
        const faint = [], small = [], wide = [];
        for (const e of document.body.querySelectorAll("*")) {
            const box = e.getBoundingClientRect();
            if (box.width && box.right > innerWidth + 1 && !e.closest(".scroll, .skip, svg")) wide.push(e.outerHTML.slice(0, 80));
            if (!e.closest("svg") && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && box.height) {
                const [a, b] = [lum(getComputedStyle(e).color), lum(ground(e))].sort((x, y) => y - x);
                if ((a + .05) / (b + .05) < 4.5) faint.push(e.outerHTML.slice(0, 80));
            }
            if (e.matches("button, input:not([type=hidden]), textarea")) {
                if (box.height < 44) small.push(e.outerHTML.slice(0, 80));
                if (!(e.labels && e.labels.length) && !e.textContent.trim()) small.push("no label: " + e.outerHTML.slice(0, 80));
            }
        }
        return {faint, small, wide, scrolls: document.documentElement.scrollWidth > innerWidth, lang: document.documentElement.lang,
                ground: lum(getComputedStyle(document.body).backgroundColor), h1: document.querySelectorAll("h1").length,
                styled: document.styleSheets.length};""")
    assert (seen["faint"], seen["small"], seen["wide"], seen["scrolls"]) == ([], [], [], False), (name, scheme, size)
    assert (seen["lang"], seen["h1"], seen["styled"]) == ("en", 1, 1)
    assert seen["ground"] > 0.5 if scheme == "light" else seen["ground"] < 0.1
    if PICTURES:
        full = driver.execute_script("return document.documentElement.scrollHeight")
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": full, "deviceScaleFactor": 1, "mobile": False})
        driver.save_screenshot(str(pathlib.Path(PICTURES) / f"{name}-{size}-{scheme}.png"))


def look_all_ways(driver, name):
    for scheme in SCHEMES:
        for size in SIZES:
            look(driver, scheme, size, name)


def forget_logs(driver):
    """What another test left, and the browser's own first page."""
    driver.get("about:blank")
    for kind in ("browser", "performance"):
        driver.get_log(kind)


def check_logs(driver, origins):
    """Nothing went wrong, and nothing was asked of anybody else."""
    errors = [row for row in driver.get_log("browser") if row["level"] in ("SEVERE", "WARNING") and "favicon" not in row["message"]]
    assert errors == []
    asked = set()
    for row in driver.get_log("performance"):
        message = json.loads(row["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"])
    asked = {url for url in asked if not url.startswith(("chrome:", "chrome-untrusted:", "data:", "about:"))}   # the browser's own first page
    assert asked and all(url.startswith(tuple(origins)) for url in asked), asked


def test_the_account_page_is_walked_with_the_keyboard(server, chromium):
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        chromium.switch_to.active_element.send_keys(*keys)

    def text():
        """Of the page that is there now, in one call: between two the next page may have come."""
        with contextlib.suppress(WebDriverException):
            return chromium.execute_script("const m = document.querySelector('main'); return m ? m.innerText : ''")
        return ""
    origin = f"https://localhost:{server.port('https')}/"
    forget_logs(chromium)
    chromium.get(origin)
    look_all_ways(chromium, "home")
    assert chromium.find_element(By.CSS_SELECTOR, "main a").get_attribute("href") == origin + "account"
    chromium.find_element(By.CSS_SELECTOR, "main a").click()
    look_all_ways(chromium, "sign-in")
    chromium.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    order = []
    for _ in range(4):
        order.append(chromium.execute_script("const e = document.activeElement; return e.id || e.className || e.tagName"))
        press(Keys.TAB)
    assert order == ["skip", "user", "password", "BUTTON"]
    chromium.find_element(By.ID, "user").send_keys(server.address("alice"), Keys.TAB, "wrong", Keys.ENTER)
    postroom.wait_for("the refusal", lambda: "The address or the password is wrong." in text())
    look_all_ways(chromium, "refused")
    chromium.find_element(By.ID, "password").send_keys(server.password("alice"), Keys.ENTER)
    postroom.wait_for("the account", lambda: "Storage" in text())
    assert "<script>alert(1)</script>" in text()
    look_all_ways(chromium, "account")
    chromium.find_element(By.ID, "label").send_keys("tablet", Keys.ENTER)
    postroom.wait_for("the app password", lambda: "It is not shown again." in text())
    assert len(chromium.find_element(By.CLASS_NAME, "secret").text) == 23
    chromium.find_element(By.ID, "phone").send_keys(Keys.ENTER)
    postroom.wait_for("the link", lambda: "It works once" in text())
    look_all_ways(chromium, "phone")
    picture = chromium.execute_script("const s = document.querySelector('svg.qr'), p = s.querySelector('path'), b = s.getBoundingClientRect();"
                                      "return [getComputedStyle(s).backgroundColor, getComputedStyle(p).fill, b.width, b.height, p.getBBox().width,"
                                      " s.viewBox.baseVal.width]")
    assert picture[:2] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"] and picture[2] == picture[3] >= 200 and picture[4] == picture[5] - 8, picture
    chromium.find_element(By.ID, "message").send_keys("I am away.", Keys.TAB, "Away", Keys.TAB)
    chromium.find_element(By.CSS_SELECTOR, "button[value=on]").send_keys(Keys.ENTER)
    postroom.wait_for("the answer is on", lambda: "The automatic answer is on." in text())
    look_all_ways(chromium, "vacation")
    chromium.find_element(By.CSS_SELECTOR, "header button").send_keys(Keys.ENTER)
    postroom.wait_for("signed out", lambda: "You are signed out." in text())
    # A refused login is an answer with an error's status; the browser says so, and nothing else.
    errors = [row["message"] for row in chromium.get_log("browser") if row["level"] in ("SEVERE", "WARNING")]
    assert all("status of 403" in message for message in errors) and len(errors) <= 1, errors
    check_logs(chromium, [origin])


def test_the_status_page_is_drawn(server, chromium):
    from selenium.webdriver.common.by import By
    origin = f"http://localhost:{server.port('http')}/"
    forget_logs(chromium)
    imap = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=server.tls_context())
    with contextlib.suppress(imaplib.IMAP4.error):
        imap.login(server.address("alice"), "wrong")
    imap.shutdown()
    chromium.get(origin + "status")
    look_all_ways(chromium, "status")
    charts = chromium.find_elements(By.CSS_SELECTOR, "svg.chart")
    assert len(charts) == 4
    bars = chromium.execute_script("return [...document.querySelectorAll('svg.chart rect.a, svg.chart rect.b')].map(e => [getComputedStyle(e).fill,"
                                   " e.getBBox().height, e.getBBox().x + e.getBBox().width])")
    assert bars and all(fill.startswith("rgb") and height > 0 and right <= 480 for fill, height, right in bars)
    chromium.find_element(By.TAG_NAME, "summary").click()
    look_all_ways(chromium, "status-figures")
    check_logs(chromium, [origin])
