"""Marionette, by which a Mozilla program lets itself be driven: JSON over TCP, each message behind its length. Only what a
script in the program's own (chrome) context needs."""

import json
import socket


class ScriptFailed(Exception):
    pass


class Marionette:
    def __init__(self, port, timeout=120):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.buffer = b""
        self.number = 0
        self.read()                                     # the greeting
        self.call("WebDriver:NewSession", {})
        self.call("WebDriver:SetTimeouts", {"script": timeout * 1000})
        self.call("Marionette:SetContext", {"value": "chrome"})

    def read(self):
        while True:
            length, colon, rest = self.buffer.partition(b":")
            if colon and len(rest) >= int(length):
                self.buffer = rest[int(length):]
                return json.loads(rest[:int(length)])
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the program is gone")
            self.buffer += data

    def call(self, name, parameters):
        self.number += 1
        data = json.dumps([0, self.number, name, parameters]).encode()
        self.sock.sendall(str(len(data)).encode() + b":" + data)
        kind, number, error, value = self.read()
        assert (kind, number) == (1, self.number), (kind, number)
        if error:
            raise ScriptFailed(f"{error.get('error')}: {error.get('message')}\n{error.get('stacktrace', '')[:2000]}")
        return value

    def run(self, script, *args):
        """The body of an async function in the chrome context, called with `args`: what it returns."""
        answer = self.call("WebDriver:ExecuteAsyncScript", {
            "script": "const done = arguments[arguments.length - 1], args = Array.from(arguments).slice(0, -1);"
                      "(async function(...args) {" + script + "})(...args).then(value => done(JSON.stringify({value})),"
                      " e => done(JSON.stringify({error: `${e}\\n${e?.stack}`})));",
            "args": list(args), "newSandbox": True, "sandbox": "system"})["value"]
        if answer is None:                              # a script is cut short by whatever asks the user something
            raise ScriptFailed("asked the user: " + self.call("WebDriver:GetAlertText", {})["value"])
        answer = json.loads(answer)
        if "error" in answer:
            raise ScriptFailed(answer["error"])
        return answer.get("value")

    def close(self):
        self.sock.close()
