#!/usr/bin/env python3
"""Asks the Linux kernel it runs on what test/socket/ expects. Needs root; leaves nothing behind.

    python3 test/socket/kernel-goldens.py > test/socket/kernel.txt

Two unnamed network namespaces joined by a veth: `wire` (this script, AF_PACKET only, no address) and `host` (the kernel
under test, eth0 10.1.0.2/24, 02:00:00:00:00:02, with a permanent neighbour 10.1.0.1 at 02:00:00:00:00:01).
Output: "[name]", "> frame in", "< frame out" lines, and "= key value" lines for what socket calls answered.
"""
import ctypes, errno, os, signal, socket, struct, subprocess, sys, time

libc = ctypes.CDLL("libc.so.6", use_errno=True)
CLONE_NEWNET = 0x40000000
WIRE_MAC, HOST_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
WIRE, HOST = "10.1.0.1", "10.1.0.2"


def check(r):
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def setup():
    check(libc.unshare(CLONE_NEWNET))
    wire = os.open("/proc/self/ns/net", os.O_RDONLY)
    check(libc.unshare(CLONE_NEWNET))
    host = os.open("/proc/self/ns/net", os.O_RDONLY)
    sh = lambda c: subprocess.run(c, shell=True, check=True)
    sh("ip link set lo up; ip link add eth0 address 02:00:00:00:00:02 type veth peer name w0 address 02:00:00:00:00:01")
    pid = os.fork()
    if pid == 0:
        check(libc.setns(wire, CLONE_NEWNET))
        signal.pause()
    time.sleep(0.1)
    sh(f"ip link set w0 netns {pid}; ip addr add 10.1.0.2/24 brd + dev eth0; ip link set eth0 up")
    sh("ip neigh replace 10.1.0.1 lladdr 02:00:00:00:00:01 nud permanent dev eth0; ip route add default via 10.1.0.1")
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv4.ping_group_range='0 1000' net.ipv4.icmp_ratemask=0")
    # Without this the checksums of UDP sockets are left to the device and never seen.
    sh("ethtool -K eth0 tx off >/dev/null")
    sh("sysctl -qw net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=10000")
    check(libc.setns(wire, CLONE_NEWNET))
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set w0 up")
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind(("w0", 0))
    time.sleep(0.5)
    check(libc.setns(host, CLONE_NEWNET))
    return pid, s, host


PID, TAP, HOST_NS = setup()
errno.errorcode[errno.EOPNOTSUPP] = "EOPNOTSUPP"


def sysctl(name, value):
    subprocess.run(["sysctl", "-qw", f"{name}={value}"], check=True)


def csum(b):
    if len(b) % 2:
        b += b"\0"
    n = sum(struct.unpack(f"!{len(b) // 2}H", b))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return ~n & 0xFFFF


def ip(proto, payload, src=WIRE, dst=HOST, tos=0, ttl=63, ident=0x1234, frag=0, options=b""):
    h = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, tos, 20 + len(options) + len(payload), ident, frag, ttl,
                    proto, 0, socket.inet_aton(src), socket.inet_aton(dst)) + options
    return h[:10] + struct.pack("!H", csum(h)) + h[12:] + payload


def eth(p, dst=HOST_MAC, kind=0x0800):
    return dst + WIRE_MAC + struct.pack("!H", kind) + p


def pseudo(proto, seg, src, dst):
    return csum(socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, proto, len(seg)) + seg)


def tcp(flags, seq=0, ack=0, data=b"", sport=40000, dport=81, win=1024, opts=b"", doff=None, bad=False, src=WIRE, dst=HOST,
        **kw):
    off = (5 + len(opts) // 4) if doff is None else doff
    seg = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, off << 4, flags, win, 0, 0) + opts + data
    c = pseudo(6, seg, src, dst) ^ (0x5555 if bad else 0)
    return ip(6, seg[:16] + struct.pack("!H", c) + seg[18:], src=src, dst=dst, **kw)


def udp(data, sport=40000, dport=9, bad=False, none=False, length=None, src=WIRE, dst=HOST, **kw):
    n = 8 + len(data) if length is None else length
    seg = struct.pack("!HHHH", sport, dport, n, 0) + data
    c = 0 if none else (pseudo(17, seg, src, dst) or 0xFFFF) ^ (0x5555 if bad else 0)
    return ip(17, seg[:6] + struct.pack("!H", c) + seg[8:], src=src, dst=dst, **kw)


def icmp(kind, code, rest, data=b"", bad=False, **kw):
    m = struct.pack("!BBH4s", kind, code, 0, rest) + data
    return ip(1, m[:2] + struct.pack("!H", csum(m) ^ (0x5555 if bad else 0)) + m[4:], **kw)


def drain(wait=0.12):
    out, end = [], time.time() + wait
    TAP.settimeout(wait)
    while time.time() < end:
        try:
            f, a = TAP.recvfrom(70000)
        except (socket.timeout, BlockingIOError):
            break
        if a[2] != 4:
            out.append(f)
    return out


def ask(name, frame, wait=0.12):
    drain(0.01)
    TAP.send(frame)
    print(f"[{name}]")
    print(">", frame.hex())
    for f in drain(wait):
        print("<", f.hex())


F, S, R, P, A, U, E, C = 1, 2, 4, 8, 16, 32, 64, 128


def tcp_rows():
    rows = [
        ("SYN seq=1000", eth(tcp(S, 1000))),
        ("SYN with 5 data bytes", eth(tcp(S, 1000, data=b"hello"))),
        ("SYN+FIN seq=100", eth(tcp(S | F, 100))),
        ("FIN seq=3000", eth(tcp(F, 3000))),
        ("no flags seq=4000", eth(tcp(0, 4000))),
        ("no flags seq=4000 with 3 bytes", eth(tcp(0, 4000, data=b"abc"))),
        ("ACK ack=7777", eth(tcp(A, 5000, 7777))),
        ("FIN+ACK ack=8888", eth(tcp(F | A, 5000, 8888))),
        ("SYN+ACK ack=9999", eth(tcp(S | A, 5000, 9999))),
        ("RST", eth(tcp(R, 5000))),
        ("RST+ACK", eth(tcp(R | A, 5000, 6000))),
        ("SYN+RST", eth(tcp(S | R, 5000))),
        ("SYN with bad checksum", eth(tcp(S, 1000, bad=True))),
        ("data offset 4", eth(tcp(S, 1000, doff=4))),
        ("data offset past the end", eth(tcp(S, 1000, doff=15))),
        ("19 bytes", eth(ip(6, tcp(S, 1000)[20:39]))),
        ("SYN with options", eth(tcp(S, 1000, opts=bytes.fromhex("020405b40402080a0000000a0000000001030307")))),
        ("SYN at the end of sequence space", eth(tcp(S, 0xFFFFFFFF))),
        ("FIN with data across the end of sequence space", eth(tcp(F, 0xFFFFFFFE, data=b"abcdef"))),
        ("SYN with tos 0xb9", eth(tcp(S, 1000, tos=0xB9))),
        ("SYN+ECE+CWR with ECN capable tos", eth(tcp(S | E | C, 1000, tos=0x02))),
        ("PSH+ACK with urgent", eth(tcp(P | A | U, 1000, 2000, data=b"x"))),
        ("SYN with TTL 1", eth(tcp(S, 1000, ttl=1))),
        ("SYN with padding", eth(tcp(S, 1000)) + bytes(6)),
        ("SYN to the broadcast address", eth(tcp(S, 1000, dst="10.1.0.255"), dst=b"\xff" * 6)),
        ("SYN to us in a broadcast frame", eth(tcp(S, 1000), dst=b"\xff" * 6)),
        ("SYN to another station's MAC", eth(tcp(S, 1000), dst=bytes.fromhex("020000000099"))),
        ("SYN with record route option", eth(tcp(S, 1000, options=bytes.fromhex("0707040000000000")))),
        ("SYN with router alert option", eth(tcp(S, 1000, options=bytes.fromhex("94040000")))),
    ]
    for name, frame in rows:
        ask("tcp closed: " + name, frame)
    l = socket.socket()
    l.bind((HOST, 80))
    l.listen(5)
    for name, flags, ack in [("ACK ack=7777", A, 7777), ("FIN", F, 0), ("no flags", 0, 0), ("SYN+FIN", S | F, 0), ("RST", R, 0)]:
        ask("tcp listen: " + name, eth(tcp(flags, 5000, ack, dport=80)))
    l.close()


def icmp_rows():
    idseq = bytes.fromhex("beef0007")
    data = bytes(range(56))
    rows = [
        ("echo request", eth(icmp(8, 0, idseq, data))),
        ("echo request tos 0xb8 ttl 1", eth(icmp(8, 0, idseq, data, tos=0xB8, ttl=1))),
        ("echo request tos 0x03", eth(icmp(8, 0, idseq, data, tos=3))),
        ("echo request DF", eth(icmp(8, 0, idseq, data, frag=0x4000))),
        ("echo request without data", eth(icmp(8, 0, idseq))),
        ("echo request of odd length", eth(icmp(8, 0, idseq, b"abc"))),
        ("echo request all zero", eth(icmp(8, 0, bytes(4), bytes(2)))),
        ("echo request code 5", eth(icmp(8, 5, idseq, data))),
        ("echo request with padding", eth(icmp(8, 0, idseq)) + bytes(range(18))),
        ("echo request of 1400 bytes", eth(icmp(8, 0, idseq, bytes(i * 7 & 255 for i in range(1400))))),
        ("echo request with bad checksum", eth(icmp(8, 0, idseq, data, bad=True))),
        ("echo request of 7 bytes", eth(ip(1, struct.pack("!BBHHB", 8, 0, csum(bytes.fromhex("0800000012340000")), 0x1234, 0)))),
        ("empty", eth(ip(1, b""))),
        ("echo request to the broadcast address", eth(icmp(8, 0, idseq, data, dst="10.1.0.255"), dst=b"\xff" * 6)),
        ("echo request to us in a broadcast frame", eth(icmp(8, 0, idseq, data), dst=b"\xff" * 6)),
        ("echo request to 127.0.0.1", eth(icmp(8, 0, idseq, data, dst="127.0.0.1"))),
        ("echo reply nobody waits for", eth(icmp(0, 0, idseq, data))),
        ("timestamp request", eth(icmp(13, 0, idseq, bytes.fromhex("00001234") + bytes(8)))),
        ("timestamp request code 3", eth(icmp(13, 3, idseq, bytes.fromhex("00001234") + bytes(8)))),
        ("timestamp request with 4 bytes", eth(icmp(13, 0, idseq, bytes.fromhex("00001234")))),
        ("timestamp request with 3 bytes", eth(icmp(13, 0, idseq, bytes(3)))),
        ("timestamp request to the broadcast address", eth(icmp(13, 0, idseq, bytes(12), dst="10.1.0.255"), dst=b"\xff" * 6)),
        ("information request", eth(icmp(15, 0, idseq))),
        ("address mask request", eth(icmp(17, 0, idseq, bytes(4)))),
        ("unknown type 19", eth(icmp(19, 0, idseq))),
        ("extended echo request", eth(icmp(42, 0, idseq, bytes(8)))),
        ("unknown type 255", eth(icmp(255, 0, idseq))),
    ]
    for name, frame in rows:
        ask("icmp: " + name, frame)
    sysctl("net.ipv4.icmp_echo_ignore_broadcasts", 0)
    ask("icmp, icmp_echo_ignore_broadcasts=0: echo request to the broadcast address",
        eth(icmp(8, 0, idseq, data, dst="10.1.0.255"), dst=b"\xff" * 6))
    ask("icmp, icmp_echo_ignore_broadcasts=0: timestamp request to the broadcast address",
        eth(icmp(13, 0, idseq, bytes(12), dst="10.1.0.255"), dst=b"\xff" * 6))
    ask("icmp, icmp_echo_ignore_broadcasts=0: address mask request to the broadcast address",
        eth(icmp(17, 0, idseq, bytes(4), dst="10.1.0.255"), dst=b"\xff" * 6))
    sysctl("net.ipv4.icmp_echo_ignore_broadcasts", 1)
    sysctl("net.ipv4.icmp_echo_ignore_all", 1)
    ask("icmp, icmp_echo_ignore_all=1: echo request", eth(icmp(8, 0, idseq, data)))
    ask("icmp, icmp_echo_ignore_all=1: timestamp request", eth(icmp(13, 0, idseq, bytes(12))))
    sysctl("net.ipv4.icmp_echo_ignore_all", 0)
    sysctl("net.ipv4.ip_default_ttl", 99)
    ask("icmp, ip_default_ttl=99: echo request", eth(icmp(8, 0, idseq)))
    sysctl("net.ipv4.ip_default_ttl", 64)


def udp_rows():
    rows = [
        ("UDP to a closed port", eth(udp(b"hello"))),
        ("UDP to a closed port, checksum 0", eth(udp(b"hello", none=True))),
        ("UDP to a closed port, bad checksum", eth(udp(b"hello", bad=True))),
        ("UDP length over the datagram", eth(udp(b"hello", length=14))),
        ("UDP length under 8", eth(udp(b"hello", length=7))),
        ("UDP of 7 bytes", eth(ip(17, bytes.fromhex("9c400009000800")))),
        ("UDP length under the IP payload", eth(udp(b"hello", length=10, none=True))),
        ("UDP to a closed port in a broadcast frame", eth(udp(b"hello"), dst=b"\xff" * 6)),
        ("UDP to a closed port at the broadcast address", eth(udp(b"hello", dst="10.1.0.255"), dst=b"\xff" * 6)),
        ("UDP to a closed port at 255.255.255.255", eth(udp(b"hello", dst="255.255.255.255"), dst=b"\xff" * 6)),
        ("unknown protocol 99", eth(ip(99, b"12345678"))),
        ("unknown protocol 99 at the broadcast address", eth(ip(99, b"12345678", dst="10.1.0.255"), dst=b"\xff" * 6)),
    ]
    for name, frame in rows:
        ask("udp: " + name, frame)


def echo_server_rows():
    """The kernel's side of an echo server: sendto() of what came, by an ordinary wildcard socket."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 7))
    s.settimeout(0.05)

    def serve(name, frame):
        drain(0.01)
        TAP.send(frame)
        print(f"[echo server: {name}]")
        print(">", frame.hex())
        try:
            d, a = s.recvfrom(70000)
            s.sendto(d, a)
        except OSError as e:
            print("= error", errno.errorcode.get(e.errno, type(e).__name__))
        for f in drain():
            print("<", f.hex())

    serve("datagram", eth(udp(b"hello", dport=7)))
    serve("empty datagram", eth(udp(b"", dport=7)))
    serve("datagram with checksum 0 and tos 0xb8", eth(udp(b"hello", dport=7, none=True, tos=0xB8)))
    serve("datagram with bad checksum", eth(udp(b"hello", dport=7, bad=True)))
    serve("UDP length under the IP payload", eth(udp(b"hello", dport=7, none=True, length=10)))
    serve("datagram to the broadcast address", eth(udp(b"hello", dport=7, dst="10.1.0.255"), dst=b"\xff" * 6))
    serve("datagram from port 0", eth(udp(b"hello", dport=7, sport=0)))
    serve("datagram from the broadcast address", eth(udp(b"hello", dport=7, src="10.1.0.255")))
    serve("datagram whose answer's checksum is 0", eth(udp(zero_sum(7), dport=7)))
    s.close()


def zero_sum(port):
    """Two bytes that make the checksum of the answer from `port` to 40000 come out as 0 (sent as 0xffff)."""
    seg = struct.pack("!HHHHH", port, 40000, 10, 0, 0)
    return struct.pack("!H", pseudo(17, seg, HOST, WIRE))


IP_RECVERR, MSG_ERRQUEUE = 11, 0x2000


def pending(s):
    e = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errno.errorcode.get(e, "-") if e else "-"


def error_rows():
    """SO_ERROR after an ICMP error about a packet of ours, by type and code, for UDP and ping sockets."""
    cases = [(3, c, 0) for c in range(0, 17)] + [(4, 0, 0), (5, 1, 0x0A010063), (11, 0, 0), (11, 1, 0), (12, 0, 0x14000000), (12, 1, 0)]
    for family in ("udp", "ping"):
        for connected in (False, True):
            for recverr in (False, True):
                print(f"[errors: {family}{' connected' if connected else ''}{' recverr' if recverr else ''}]")
                for kind, code, rest in cases:
                    proto = 0 if family == "udp" else socket.IPPROTO_ICMP
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, proto)
                    s.setsockopt(socket.SOL_IP, IP_RECVERR, int(recverr))
                    peer = "10.9.0.1"
                    if connected:
                        s.connect((peer, 5000))
                    d = b"\x08\0\0\0\0\0\0\1" if family == "ping" else b"hello"
                    drain(0.01)
                    s.sendto(d, (peer, 5000)) if not connected else s.send(d)
                    sent = drain(0.05)
                    inner = sent[0][14:]
                    word = rest or (1400 if (kind, code) == (3, 4) else 0)
                    TAP.send(eth(icmp(kind, code, struct.pack("!I", word), inner)))
                    time.sleep(0.005)
                    q = "-"
                    if recverr:
                        try:
                            _, anc, _, a = s.recvmsg(2000, 200, MSG_ERRQUEUE)
                            x = struct.unpack("=IBBBBII", anc[0][2][:16])
                            q = f"{errno.errorcode[x[0]]},{x[2]},{x[3]},{x[5]},port{a[1]}"
                        except BlockingIOError:
                            pass
                    print(f"= {kind}/{code} {pending(s)} {q}")
                    s.close()
                    subprocess.run("ip route flush cache", shell=True)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((WIRE, 5000))
    print("[errors: a refused send, then the next sends]")
    s.send(b"one")
    sent = drain(0.05)
    TAP.send(eth(icmp(3, 3, bytes(4), sent[0][14:])))
    time.sleep(0.01)
    for d in (b"two", b"three"):
        try:
            s.send(d)
            print("=", d.decode(), "sent", len(drain(0.05)))
        except OSError as e:
            print("=", d.decode(), errno.errorcode[e.errno], len(drain(0.05)))
    s.close()


def call(f):
    try:
        f()
        return "ok"
    except OSError as e:
        return errno.errorcode.get(e.errno, "nothing")


def call_rows():
    print("[calls]")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    rows = [
        ("send unconnected", lambda: s.send(b"x")),
        ("sendto port 0", lambda: s.sendto(b"x", (WIRE, 0))),
        ("sendto 255.255.255.255", lambda: s.sendto(b"x", ("255.255.255.255", 9))),
        ("sendto 10.1.0.255", lambda: s.sendto(b"x", ("10.1.0.255", 9))),
        ("sendto 65507 bytes", lambda: s.sendto(bytes(65507), (WIRE, 9))),
        ("sendto 65508 bytes", lambda: s.sendto(bytes(65508), (WIRE, 9))),
        ("sendto 65536 bytes", lambda: s.sendto(bytes(65536), (WIRE, 9))),
        ("connect 255.255.255.255", lambda: u().connect(("255.255.255.255", 9))),
        ("bind 10.1.0.9", lambda: u().bind(("10.1.0.9", 1000))),
        ("bind 10.1.0.255", lambda: u().bind(("10.1.0.255", 1000))),
        ("bind 224.0.0.1", lambda: u().bind(("224.0.0.1", 1000))),
        ("bind 127.9.9.9", lambda: u().bind(("127.9.9.9", 1000))),
    ]
    for name, f in rows:
        print("=", name, "->", call(f))
    for first in ("0.0.0.0", HOST, "127.0.0.1"):
        for second in ("0.0.0.0", HOST, "127.0.0.1"):
            a, b = u(), u()
            a.bind((first, 1000))
            print("= bind", first, "then", second, "->", call(lambda: b.bind((second, 1000))))
            a.close()
            b.close()
    d = u()
    d.setsockopt(socket.SOL_IP, 10, 2)
    for n in (1472, 1473):
        print("= IP_PMTUDISC_DO", n, "bytes ->", call(lambda: d.sendto(bytes(n), (WIRE, 9))))
    p = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    a, b = p(), p()
    a.bind(("0.0.0.0", 77))
    print("= ping bind", HOST, "id 77 twice ->", call(lambda: b.bind((HOST, 77))))
    print("= ping bind 10.1.0.255 ->", call(lambda: p().bind(("10.1.0.255", 78))))
    print("= ping to 10.1.0.255 ->", call(lambda: p().sendto(b"\x08\0\0\0\0\0\0\1", ("10.1.0.255", 0))))
    for n in (65507, 65508):
        print(f"= ping {n} data ->", call(lambda: p().sendto(b"\x08\0\0\0\0\0\0\1" + bytes(n), (WIRE, 0))))
    r = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    r.bind(("eth0", 0))
    vlan = WIRE_MAC + HOST_MAC + bytes.fromhex("8100000a0800")
    plain = WIRE_MAC + HOST_MAC + bytes.fromhex("0800")
    for name, d in [("13 bytes", bytes(13)), ("14 bytes", plain), ("1514 bytes", plain + bytes(1500)),
                    ("1515 bytes", plain + bytes(1501)), ("1518 bytes tagged", vlan + bytes(1500)),
                    ("1519 bytes tagged", vlan + bytes(1501)), ("70000 bytes", bytes(70000))]:
        print("= AF_PACKET", name, "->", call(lambda: r.send(d)))
    subprocess.run("ip link add d0 type veth peer name d1", shell=True, check=True)
    r2 = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    r2.bind(("d0", 0))
    print("= AF_PACKET down 60 bytes ->", call(lambda: r2.send(bytes(60))))
    print("= AF_PACKET down 13 bytes ->", call(lambda: r2.send(bytes(13))))
    drain(0.1)


def send_rows():
    """What a socket's own packets look like."""
    def sent(name, s, d, to):
        drain(0.01)
        s.sendto(d, to)
        print(f"[send: {name}]")
        for f in drain(0.05):
            print("<", f.hex())
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 5353))
    sent("udp hello", s, b"hello", (WIRE, 53))
    s.setsockopt(socket.SOL_IP, socket.IP_TOS, 0xB8)
    s.setsockopt(socket.SOL_IP, socket.IP_TTL, 5)
    sent("udp tos 0xb8 ttl 5", s, b"hello", (WIRE, 53))
    s.setsockopt(socket.SOL_SOCKET, 11, 1)
    sent("udp no checksum", s, b"hello", (WIRE, 53))
    s.setsockopt(socket.SOL_IP, 10, 0)
    sent("udp IP_PMTUDISC_DONT", s, b"hello", (WIRE, 53))
    p = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    p.bind(("0.0.0.0", 0x4D2))
    sent("ping", p, b"\x08\0\0\0\0\0\0\3" + bytes(range(56)), (WIRE, 0))


def rcvbuf_rows():
    """How many datagrams fit the default receive buffer: the charge of one (skb->truesize) is 212992 over that."""
    print("[receive buffer: datagrams of n payload bytes that fit]")
    check(libc.setns(os.open(f"/proc/{PID}/ns/net", os.O_RDONLY), CLONE_NEWNET))
    subprocess.run("ip addr add 10.1.0.1/24 dev w0", shell=True, check=True)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    check(libc.setns(HOST_NS, CLONE_NEWNET))
    for n in (0, 18, 197, 198, 400, 645, 646, 1000, 1472, 2000, 2952, 2953, 5000, 65000):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((HOST, 1000))
        for _ in range(300):
            sender.sendto(bytes(n), (HOST, 1000))
        time.sleep(0.05)
        s.setblocking(False)
        got = 0
        try:
            while True:
                s.recv(70000)
                got += 1
        except BlockingIOError:
            pass
        print("=", n, got)
        s.close()


def ping_sharing():
    """Two ping sockets of one id: which gets the reply?"""
    print("[ping: two sockets of one id]")
    rep = eth(icmp(0, 0, bytes.fromhex("004d0001"), b"x"))
    for first, second in (("0.0.0.0", "0.0.0.0"), ("0.0.0.0", HOST), (HOST, "0.0.0.0")):
        socks = []
        for addr in (first, second):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
            s.bind((addr, 77))
            s.settimeout(0.05)
            socks.append(s)
        TAP.send(rep)
        time.sleep(0.02)
        print("=", first, "then", second, "->", [call(lambda: s.recv(100)) for s in socks])
        for s in socks:
            s.close()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    s.bind((HOST, 77))
    print("[ping: replies of n bytes that fit the receive buffer]")
    for n in (1, 400, 1400):
        for _ in range(300):
            TAP.send(eth(icmp(0, 0, bytes.fromhex("004d0001"), bytes(n))))
        time.sleep(0.05)
        got = 0
        s.setblocking(False)
        while call(lambda: s.recv(2000)) == "ok":
            got += 1
        print("=", n, got)


try:
    print("# Linux", os.uname().release, "python3 test/socket/kernel-goldens.py")
    for part in (tcp_rows, icmp_rows, udp_rows, echo_server_rows, error_rows, call_rows, send_rows, ping_sharing, rcvbuf_rows):
        part()
finally:
    os.kill(PID, signal.SIGKILL)
