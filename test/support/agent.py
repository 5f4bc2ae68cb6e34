"""A party of the escape matrix inside one network namespace: sends what it is told, notes every token that comes.

Reads one JSON command a line, answers one JSON line each, ends when its input does. It never retries: what the
kernel retransmits is what the matrix is about. Tokens are `tok:` and twelve hex digits anywhere in a payload.
"""
import json
import os
import re
import select
import socket
import struct
import sys
import threading

TOKEN = re.compile(rb"tok:[0-9a-f]{12}")
FLOW = re.compile(rb"flow:([\w.]+);")
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ICMP_ECHO = {4: (socket.IPPROTO_ICMP, 8), 6: (socket.IPPROTO_ICMPV6, 128)}
RAW_PROTOCOLS = (253, 254)  # for experiments, RFC 3692

received = []
# Ends of open flows by name: TCP sockets, or a UDP socket with the address to send to.
flows = {}
lock = threading.Lock()


def note(data):
    with lock:
        received.extend(token.decode() for token in TOKEN.findall(data))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(version, ident, payload):
    kind = ICMP_ECHO[version][1]
    head = struct.pack("!BBHHH", kind, 0, 0, ident, 1)
    # The kernel fills in ICMPv6 checksums by itself.
    return struct.pack("!BBHHH", kind, 0, checksum(head + payload), ident, 1) + payload


def serve_tcp(connection):
    seen = b""
    while True:
        try:
            data = connection.recv(65536)
        except OSError:
            return
        if not data:
            return
        # A token may come in two pieces; noting one twice does no harm.
        seen = (seen + data)[-4096:]
        for name in FLOW.findall(data):
            with lock:
                flows[name.decode()] = ("tcp", connection, None)
            connection.sendall(b"ok;")
        note(seen)


def serve(sockets):
    while True:
        ready, _, _ = select.select(list(sockets), [], [])
        for each in ready:
            kind = sockets[each]
            try:
                if kind == "tcp":
                    connection, _ = each.accept()
                    threading.Thread(target=serve_tcp, args=(connection,), daemon=True).start()
                    continue
                data, sender = each.recvfrom(65536)
            except OSError:
                continue
            if kind == "udp":
                for name in FLOW.findall(data):
                    with lock:
                        flows[name.decode()] = ("udp", each, sender)
                    each.sendto(b"ok;", sender)
            note(data)


def listen(port, addresses, raw):
    sockets = {}
    for version, family in FAMILY.items():
        for kind, name in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
            each = socket.socket(family, kind)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if version == 6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind(("::" if version == 6 else "0.0.0.0", port))
            if name == "tcp":
                each.listen(64)
            sockets[each] = name
        # One socket an address: a datagram is answered from where it was sent to.
        for address in addresses:
            if (":" in address) == (version == 6):
                each = socket.socket(family, socket.SOCK_DGRAM)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.bind((address, port))
                sockets[each] = "udp"
        if raw:
            for protocol in (ICMP_ECHO[version][0], *RAW_PROTOCOLS):
                sockets[socket.socket(family, socket.SOCK_RAW, protocol)] = "raw"
    threading.Thread(target=serve, args=(sockets,), daemon=True).start()


def outcome(action):
    try:
        action()
        return "sent"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return error.strerror or str(error)


def dial(command, seconds):
    each = socket.socket(FAMILY[command["version"]], socket.SOCK_STREAM)
    if "from" in command:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind(tuple(command["from"]))
    each.settimeout(seconds)
    each.connect((command["to"], command["port"]))
    return each


def open_flow(command):
    """A flow that carries data both ways before it counts as open."""
    name, version, where = command["name"], command["version"], (command["to"], command["port"])
    if command["kind"] == "tcp":
        each = dial(command, 5)
    else:
        each = socket.socket(FAMILY[version], socket.SOCK_DGRAM)
        each.bind(tuple(command["from"]))
        each.settimeout(5)
        each.connect(where)
    each.sendall(f"flow:{name};".encode())
    if each.recv(65536) != b"ok;":
        raise OSError("the other end did not answer")
    each.settimeout(None)
    with lock:
        flows[name] = (command["kind"], each, where)
    if command["kind"] == "tcp":
        threading.Thread(target=serve_tcp, args=(each,), daemon=True).start()
    else:
        threading.Thread(target=serve, args=({each: "raw"},), daemon=True).start()


def send_on(command):
    kind, each, where = flows[command["name"]]
    payload = command["token"].encode()
    if kind == "tcp":
        each.sendall(payload)
    else:
        # A connected socket first reports what befell its last datagram.
        each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            each.sendto(payload, where)
        except OSError as error:
            if error.errno != 106:  # EISCONN
                raise
            each.send(payload)


def send_new(command):
    version, kind, to = command["version"], command["kind"], command["to"]
    payload = command["token"].encode()

    def bound(kind, protocol):
        each = socket.socket(FAMILY[version], kind, protocol)
        if "from" in command:
            each.bind((command["from"][0], 0))
        return each

    if kind == "tcp":
        each = dial(command, command.get("seconds", 1))
        each.sendall(payload)
        # Kept: closing would discard what the kernel still holds.
        flows[command["token"]] = ("tcp", each, None)
    elif kind == "udp":
        bound(socket.SOCK_DGRAM, 0).sendto(payload, (to, command["port"]))
    elif kind == "icmp":
        each = bound(socket.SOCK_RAW, ICMP_ECHO[version][0])
        each.sendto(echo(version, command["ident"], payload), (to, 0))
    else:
        bound(socket.SOCK_RAW, command["protocol"]).sendto(payload, (to, 0))


def send_spoofed(command):
    """One UDP datagram, or TCP SYN with data, IP header and all, with a source that is not the sender's."""
    version, port, payload = command["version"], command["port"], command["token"].encode()
    source, to = (socket.inet_pton(FAMILY[version], command[end]) for end in ("source", "to"))
    if command["kind"] == "udp":
        protocol, at = socket.IPPROTO_UDP, 6
        segment = struct.pack("!HHHH", port, port, 8 + len(payload), 0) + payload
    else:
        protocol, at = socket.IPPROTO_TCP, 16
        segment = struct.pack("!HHIIBBHHH", port, port, 1, 0, 0x50, 2, 1024, 0, 0) + payload
    pseudo = source + to + struct.pack("!II", len(segment), protocol)
    segment = segment[:at] + struct.pack("!H", checksum(pseudo + segment)) + segment[at + 2 :]
    if version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, protocol, 0) + source + to
    else:
        head = struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + source + to
    each = socket.socket(FAMILY[version], socket.SOCK_RAW, socket.IPPROTO_RAW)
    each.sendto(head + segment, (command["to"], 0))


def send_frame(command):
    """A frame of a made-up ethertype to everybody on the link."""
    each = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    each.bind((command["device"], 0))
    mac = each.getsockname()[4]
    each.send(b"\xff" * 6 + mac + struct.pack("!H", 0x88B5) + command["token"].encode())


def watch_frames(device):
    """Notes tokens in all that comes in on a device, whatever its protocol, before any rule of this namespace."""
    each = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    each.bind((device, 3))

    def loop():
        while True:
            data, sender = each.recvfrom(65536)
            if sender[2] != socket.PACKET_OUTGOING:
                note(data)

    threading.Thread(target=loop, daemon=True).start()


def pending():
    """Names of TCP flows that still hold bytes which the kernel would send again."""
    held = []
    for name, (kind, each, _) in list(flows.items()):
        if kind != "tcp":
            continue
        try:
            info = each.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        except OSError:
            continue
        # tcpi_state: 7 is closed. tcpi_unacked: segments sent and not acknowledged.
        if info[0] != 7 and struct.unpack_from("I", info, 24)[0] > 0:
            held.append(name)
    return held


def main():
    if len(sys.argv) > 1:
        os.setresgid(*[int(sys.argv[1])] * 3)
        os.setresuid(*[int(sys.argv[1])] * 3)
    actions = {"new": send_new, "on": send_on, "spoofed": send_spoofed, "frame": send_frame}
    for line in sys.stdin:
        command = json.loads(line)
        op = command["op"]
        answer = None
        if op == "listen":
            answer = outcome(lambda: listen(command["port"], command["addresses"], command["raw"]))
        elif op == "watch":
            answer = outcome(lambda: watch_frames(command["device"]))
        elif op == "open":
            answer = outcome(lambda: open_flow(command))
        elif op == "send":
            # All at once: one that waits for a firewall must not hold up the rest.
            results = [None] * len(command["sends"])

            def run(index, send):
                results[index] = outcome(lambda: actions[send["how"]](send))

            threads = [threading.Thread(target=run, args=pair) for pair in enumerate(command["sends"])]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            answer = results
        elif op == "received":
            with lock:
                answer = list(received)
        elif op == "pending":
            answer = pending()
        print(json.dumps(answer), flush=True)


main()
