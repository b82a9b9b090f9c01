#!/bin/sh
# What the Linux tools print for the setups that show.test.ts builds in the emulation. Writes linux.txt anew:
#   unshare -m -n sh test/observe/lab.sh > test/observe/linux.txt
# Needs root, iproute2, conntrack-tools, iptables and python3. Taken with iproute2 6.1.0, conntrack 1.4.7 and Linux 6.18.
set -e
mount --make-rprivate /
mkdir -p /run/netns
mount -t tmpfs lab /run/netns
for n in n0 a b; do
  ip netns add $n
  ip netns exec $n sysctl -wq net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  ip -n $n link set lo up
done
say() { # namespace, command
  echo "\$ ip netns exec $*"
  ip netns exec "$@"
}

ip -n n0 link add azure0 type bridge
ip -n n0 link add azva type veth peer name eth0 netns a
ip -n n0 link add azvb type veth peer name eth0 netns b
ip -n n0 link add ve0 type veth peer name ve1
ip -n n0 link set ve0 address 02:00:00:00:0e:00
ip -n n0 link set ve1 address 02:00:00:00:0e:01
ip -n n0 link set azva address 02:00:00:00:0a:01
ip -n n0 link set azvb address 02:00:00:00:0b:01
ip -n a link set eth0 address 02:00:00:00:0a:02
ip -n b link set eth0 address 02:00:00:00:0b:02
ip -n n0 link set azva master azure0
ip -n n0 link set azvb master azure0
echo "# down, but lo"
say n0 ip link
ip -n n0 link set azure0 up
ip -n n0 link set azva up
ip -n n0 link set ve0 up
echo "# azure0, azva and ve0 up"
say n0 ip link
ip -n n0 link set azvb up
ip -n a link set eth0 up
ip -n b link set eth0 up
echo "# all up but ve1"
say n0 ip link
say a ip link
say n0 ip -j link

ip -n n0 addr add 10.224.0.4/16 dev azure0
ip -n n0 addr add 10.224.0.9/16 dev azure0
ip -n n0 addr add 192.168.7.1/32 dev azure0
ip -n a addr add 10.224.0.35/16 dev eth0
ip -n b addr add 10.224.0.36/16 dev eth0
ip -n a route add default via 10.224.0.4
ip -n n0 route add default via 10.224.0.1 proto dhcp src 10.224.0.4 metric 100
ip -n n0 route add default via 10.224.0.2 metric 50
ip -n n0 route add 10.224.0.35 dev azva proto static metric 5
ip -n n0 route add 10.224.0.35 dev azva
ip -n n0 route add blackhole 10.244.0.0/24
ip -n n0 route add unreachable 10.244.1.0/24 metric 9
ip -n n0 route add prohibit 10.244.2.0/24
ip -n n0 route add 10.244.0.0/16 via 10.224.0.7
ip -n n0 route add 10.0.0.0/8 dev azure0 src 10.224.0.9
ip -n n0 route add 10.224.128.0/17 dev azvb
ip -n n0 route add 0.0.0.0/8 via 10.224.0.7
echo "# addresses and routes"
say n0 ip -4 addr
say a ip -4 addr
say n0 ip -4 route
say n0 ip -j -4 route
say a ip -4 route
say n0 ip -j -4 addr
ip -n b link set eth0 down
echo "# b: eth0 down"
say n0 ip -4 route show dev azvb
say n0 ip link show azvb
say b ip link show eth0
ip -n b link set eth0 up

ip -n n0 link set ve1 up
ip netns exec n0 python3 -c "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('ve1', 0))
for i in range(1234567): s.send(bytes(1500))"
echo "# after 1234567 frames of 1500 bytes from ve1"
say n0 ip -s link show ve0

cat > /run/netns/ping.py <<'PY'
import socket, struct, sys
def sum16(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    s = (s >> 16) + (s & 0xFFFF)
    return ~(s + (s >> 16)) & 0xFFFF
r = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
r.settimeout(0.3)
for to in sys.argv[1:]:
    p = struct.pack("!BBHHH", 8, 0, 0, 7, 1)
    r.sendto(struct.pack("!BBHHH", 8, 0, sum16(p), 7, 1), (to, 0))
    try: r.recv(100)
    except OSError: pass
PY
ip netns exec n0 iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT
ip netns exec n0 bridge fdb add 02:00:00:00:0c:0c dev azva master static
ip netns exec a python3 /run/netns/ping.py 10.224.0.36 10.224.0.4 10.224.0.77
ip -n a neigh add 10.224.0.99 lladdr 12:34:56:78:9a:bc dev eth0 nud permanent
ip -n a neigh add 10.224.0.98 lladdr 12:34:56:78:9a:bc dev eth0 nud stale
ip -n a neigh add 10.224.0.97 lladdr 12:34:56:78:9a:bc dev eth0 nud noarp
echo "# after pings from a to 10.224.0.36, 10.224.0.4 and nobody"
say a ip -4 neigh
say a ip -j -4 neigh
say n0 bridge fdb show br azure0
say n0 bridge -j fdb show br azure0
sleep 3.2
echo "# three seconds later"
say a ip -4 neigh show 10.224.0.77

cat > /run/netns/talk.py <<'PY'
import socket, sys
def udp(port, to, answer):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("0.0.0.0", port))
    u.sendto(b"x", to)
    if answer: u.recv(10)
if sys.argv[1] == "a":
    udp(40000, ("10.224.0.36", 8080), True)
    udp(40001, ("10.224.0.36", 9), False)
    t = socket.socket()
    t.bind(("0.0.0.0", 40002))
    t.connect(("10.224.0.36", 8080))
    print("ready", flush=True)
    sys.stdin.read()
    t.close()
    r = socket.socket(socket.AF_INET, socket.SOCK_RAW, 99)
    r.sendto(b"\0" * 12, ("10.224.0.36", 0))
else:
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("0.0.0.0", 8080))
    t = socket.socket()
    t.bind(("0.0.0.0", 8080))
    t.listen()
    d, who = u.recvfrom(10)
    u.sendto(d, who)
    c, _ = t.accept()
    c.recv(10)
    c.close()
PY
ip netns exec n0 conntrack -F 2> /dev/null
ip netns exec b python3 /run/netns/talk.py b &
sleep 0.5
mkfifo /run/netns/go
ip netns exec a python3 /run/netns/talk.py a < /run/netns/go > /dev/null &
exec 3> /run/netns/go
sleep 0.5
echo "# UDP answered and not, TCP established"
say n0 conntrack -L 2> /dev/null
exec 3>&-
sleep 0.5
ip netns exec a python3 /run/netns/ping.py 10.224.0.36
echo "# TCP closed, ICMP, protocol 99"
say n0 conntrack -L 2> /dev/null
wait
