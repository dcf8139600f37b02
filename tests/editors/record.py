#!/usr/bin/env python3
"""Stands between an editor and a language server, and writes down every message: one JSON object a line.

    record.py FILE FOLDER COMMAND...

FOLDER is the configuration folder; in the record it is called $FOLDER, so that the conversation can be had elsewhere.
"""
import json
import os
import subprocess
import sys
import threading

file, folder, command = sys.argv[1], sys.argv[2], sys.argv[3:]
record = open(file, "w", encoding="utf-8")
lock = threading.Lock()


def without_texts(value):
    """Explanations change with the filters' own words, and are no part of the conversation."""
    if isinstance(value, list):
        return [without_texts(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") in ("markdown", "plaintext") and "value" in value:
        return {**value, "value": "..."}
    return {key: without_texts(item) for key, item in value.items()}


def note(to, body):
    message = without_texts(json.loads(body))
    if to == "client" and "serverInfo" in (message.get("result") or {}):
        message["result"]["serverInfo"]["version"] = "..."
    if to == "server" and message.get("method") == "initialize":
        # Of one machine and one moment.
        message["params"]["processId"] = None
        message["params"].pop("clientInfo", None)
    line = json.dumps({"to": to, "message": message}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    with lock:
        record.write(line.replace(folder, "$FOLDER") + "\n")
        record.flush()


def pass_on(source, sink, to):
    """Until the source ends: a message is written down before it is passed on."""
    while True:
        header = b""
        while not header.endswith(b"\r\n\r\n"):
            byte = source.read(1)
            if not byte:
                sink.close()
                return
            header += byte
        fields = dict(line.split(": ", 1) for line in header.decode().strip().split("\r\n"))
        body = source.read(int(fields["Content-Length"]))
        note(to, body)
        sink.write(header + body)
        sink.flush()


server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
to_server = threading.Thread(
    target=pass_on, args=(os.fdopen(0, "rb", buffering=0), server.stdin, "server"), daemon=True
)
to_server.start()
pass_on(server.stdout, os.fdopen(1, "wb", buffering=0), "client")
sys.exit(server.wait())
