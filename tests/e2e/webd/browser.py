"""A browser's half of the account page: cookies kept, forms found in the page and sent back."""

import html.parser
import http.client
import urllib.parse

import postroom

DOMAIN = "example.test"


class Page(html.parser.HTMLParser):
    """The forms of a page, as {action: [{name: value}, ...]}, and its text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.forms = {}
        self.tags = []
        self.words = []
        self.form = None
        self.area = None
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "form":
            self.form = {}
            self.forms.setdefault(attrs["action"], []).append(self.form)
        elif tag == "input" and self.form is not None:
            self.form[attrs["name"]] = attrs.get("value", "")
        elif tag == "textarea":
            self.area = attrs["name"]
            self.form[self.area] = ""

    def handle_endtag(self, tag):
        if tag == "form":
            self.form = None
        elif tag == "textarea":
            self.area = None

    def handle_data(self, data):
        if self.area:
            self.form[self.area] += data
        self.words.append(data)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()
        self.page = Page(self.text) if self.headers.get_content_type() == "text/html" else None


class Browser:
    def __init__(self, server, host=DOMAIN):
        self.server = server
        self.host = host
        self.cookies = {}

    def ask(self, method, path, fields=None, headers=None, cookies=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.server.port("https"), timeout=postroom.DEADLINE_S,
                                                 context=self.server.tls_context())
        sent = {"Host": self.host}
        jar = self.cookies if cookies is None else cookies
        if jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = None
        if fields is not None:
            body = urllib.parse.urlencode(fields)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body=body, headers={**sent, **(headers or {})})
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or ():
            parts = [part.strip() for part in line.split(";")]
            assert parts[0].startswith("__Host-") and {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} <= set(parts), line
            name, value = parts[0].split("=", 1)
            if value:
                self.cookies[name] = value
            else:
                assert "Max-Age=0" in parts
                self.cookies.pop(name, None)
        return answer

    def get(self, path="/account"):
        return self.ask("GET", path)

    def send(self, page, action, which=0, follow=True, **fields):
        """Fill in a form of the page and press its button."""
        answer = self.ask("POST", action, {**page.forms[action][which], **fields})
        if follow and answer.status == 303:
            return self.get(answer.headers["Location"])
        return answer

    def sign_in(self, user, password=None):
        return self.send(self.get().page, "/account/sign-in", user=self.server.address(user),
                         password=self.server.password(user) if password is None else password)
