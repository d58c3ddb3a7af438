"""Connections of PyPI's h2, moved by lines of JSON: `{"on": CONNECTION, "id": 1, "do": METHOD OF H2Connection, "with": {ARGUMENTS}}`.

`connect` (port, validates) and `listen` (validates; answers its port, takes one connection) begin one. Every event of h2's state machine is a
line of the output, and so is its verdict over what the other side did wrong: {"event": "ProtocolError"}. Bytes are {"hex": "…"}. Beside h2's
methods there are `upload` (data as the windows allow them), `table` (the size of the encoder's dynamic table), `raw` (bytes as they are),
`window` (whether data that came are given back by themselves; they are, at first) and `close`.
"""

import json
import os
import selectors
import socket
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def plain(value):
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("latin1")
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(int(key)): plain(each) for key, each in value.items()}
    if hasattr(value, "new_value"):
        return value.new_value
    return value if isinstance(value, (int, str, bool, type(None))) else None


def arguments(given):
    def of(value):
        if isinstance(value, dict) and "hex" in value:
            return bytes.fromhex(value["hex"])
        if isinstance(value, dict):
            return {int(key): each for key, each in value.items()}
        return value

    read = {key: of(value) for key, value in given.items()}
    if "headers" in read:
        read["headers"] = [tuple(text.encode("latin1") for text in pair) for pair in read["headers"]]
    return read


class Peer:
    def __init__(self, on, sock, client_side, validates):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on = on
        config = h2.config.H2Configuration(
            client_side=client_side,
            header_encoding="latin1",
            validate_outbound_headers=validates,
            normalize_outbound_headers=validates,
        )
        self.connection = h2.connection.H2Connection(config=config)
        self.sock = sock
        self.uploads = []
        self.unread = b""
        self.preface = 0 if client_side else 24
        self.gives_back = True
        self.is_over = False
        self.connection.initiate_connection()
        self.flush()

    def flush(self):
        for upload in list(self.uploads):
            stream_id, left, end = upload
            while upload[1] > 0:
                window = self.connection.local_flow_control_window(stream_id)
                size = min(upload[1], window, self.connection.max_outbound_frame_size)
                if size <= 0:
                    break
                upload[1] -= size
                self.connection.send_data(stream_id, b"x" * size, end_stream=end and upload[1] == 0)
            if upload[1] == 0:
                self.uploads.remove(upload)
        out = self.connection.data_to_send()
        if out:
            try:
                self.sock.sendall(out)
            except OSError:
                pass

    def receive(self):
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.is_over = True
            return say(on=self.on, event="Closed")
        self.unread += data
        for frame in self.frames():
            self.understand(frame)
        self.flush()

    def frames(self):
        """One by one: an event is lost where a frame behind it, in the same bytes, is an error."""
        while len(self.unread) >= 9:
            size = self.preface or 9 + int.from_bytes(self.unread[:3], "big")
            if len(self.unread) < size:
                return
            frame, self.unread, self.preface = self.unread[:size], self.unread[size:], 0
            yield frame

    def understand(self, frame):
        try:
            events = self.connection.receive_data(frame)
        except h2.exceptions.ProtocolError as error:
            message = f"{type(error).__name__}: {error}"
            return say(on=self.on, event="ProtocolError", message=message, error_code=int(error.error_code))
        for event in events:
            fields = {key: plain(value) for key, value in vars(event).items() if not key.startswith("_")}
            if isinstance(event, h2.events.DataReceived):
                fields["size"] = len(event.data)
                fields["data"] = fields["data"][:100]
                if self.gives_back and event.flow_controlled_length > 0:
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            say(on=self.on, event=type(event).__name__, **fields)

    def do(self, name, given):
        if name == "upload":
            self.uploads.append([given["stream_id"], given["size"], given.get("end_stream", True)])
        elif name == "table":
            self.connection.encoder.header_table_size = given["size"]
        elif name == "raw":
            self.sock.sendall(bytes.fromhex(given["hex"]))
        elif name == "window":
            self.gives_back = given["gives_back"]
        else:
            return plain(getattr(self.connection, name)(**arguments(given)))
        return None


class Program:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self.read)
        self.peers = {}
        self.pending = b""
        self.is_over = False

    def read(self):
        chunk = os.read(sys.stdin.fileno(), 1 << 20)
        self.is_over = not chunk
        *lines, self.pending = (self.pending + chunk).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            try:
                say(id=asked["id"], answer=self.do(asked["on"], asked["do"], asked["with"]))
            except Exception as error:  # whatever it was, it is the test's to judge
                say(id=asked["id"], error=f"{type(error).__name__}: {error}")

    def do(self, on, name, given):
        if name == "connect":
            return self.open(on, socket.create_connection(("127.0.0.1", given["port"])), True, given["validates"])
        if name == "listen":
            listener = socket.create_server(("127.0.0.1", 0))

            def accept():
                self.selector.unregister(listener)
                self.open(on, listener.accept()[0], False, given["validates"])
                listener.close()

            self.selector.register(listener, selectors.EVENT_READ, accept)
            return listener.getsockname()[1]
        peer = self.peers[on]
        if name == "close":
            return self.close(peer)
        answer = peer.do(name, given)
        peer.flush()
        return answer

    def open(self, on, sock, client_side, validates):
        peer = self.peers[on] = Peer(on, sock, client_side, validates)

        def receive():
            peer.receive()
            if peer.is_over:
                self.close(peer)

        self.selector.register(sock, selectors.EVENT_READ, receive)

    def close(self, peer):
        if self.peers.pop(peer.on, None) is not None:
            self.selector.unregister(peer.sock)
            peer.sock.close()

    def run(self):
        while not self.is_over:
            for key, _ in self.selector.select():
                key.data()


Program().run()
