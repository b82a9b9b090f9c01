// NAT: port ranges, null bindings, masquerade, and the bytes Linux 6.18 writes.

import test, { type ExecutionContext } from "ava";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { Drop, dropName } from "../../src/node/drop.ts";
import { ipv4DecreaseTtl } from "../../src/wire/ipv4.ts";
import { TCP_ACK, TCP_FIN, TCP_SYN } from "../../src/wire/tcp.ts";
import { bytesOfHex, goldenLines } from "./golden.ts";
import { cidr, ip, Lab } from "./lab.ts";

const SERVER = "10.0.0.2:53";

/** A node that masquerades what leaves for addresses outside the cluster. */
function masquerading(randomFully: boolean): Lab {
  const lab = new Lab();
  lab.nf.addMasqueradeRule(lab.ns, { nonMasqueradeCidrs: [cidr("10.244.0.0/16")], randomFully });
  return lab;
}

const sportOf = (tuple: string): number => Number(/:(\d+) >/.exec(tuple)?.[1]);

function within(t: ExecutionContext, ports: readonly number[], low: number, high: number): void {
  t.true(Math.min(...ports) >= low, `lowest ${Math.min(...ports)} of ${low}`);
  t.true(Math.max(...ports) <= high, `highest ${Math.max(...ports)} of ${high}`);
}

test("K3.3 MASQUERADE keeps the port while the reply tuple is free, whatever its value", (t) => {
  const lab = masquerading(false);
  for (const port of [40000, 30000, 1500, 800, 300, 20]) {
    t.is(lab.end(t, lab.forward(lab.udp(`10.244.1.2:${port}`, SERVER))), `10.0.0.1:${port} > ${SERVER}`);
  }
  lab.close(t);
});

const RANGES = [
  [20, 1, 511],
  [511, 1, 511],
  [512, 600, 1023],
  [1023, 600, 1023],
  [1024, 1024, 65535],
  [60000, 1024, 65535],
] as const;

for (const randomFully of [false, true]) {
  const why = randomFully ? "--random-fully" : "a collision";
  test(`K3.3 new port ranges for ${why}: below 512 1-511, below 1024 600-1023, else 1024-65535`, (t) => {
    for (const [port, low, high] of RANGES) {
      const lab = masquerading(randomFully);
      const ports: number[] = [];
      for (let host = 2; host < 62; host++) {
        ports.push(sportOf(lab.end(t, lab.forward(lab.udp(`10.244.1.${host}:${port}`, SERVER)))));
      }
      within(t, randomFully ? ports : ports.slice(1), low, high);
      t.is(new Set(ports).size, 60, "all different");
      const kept = ports.filter((p) => p === port).length;
      t.true(randomFully ? kept < 5 : ports[0] === port && kept === 1);
      if (high === 65535) t.true(Math.max(...ports) - Math.min(...ports) > 40000, "spread over the range");
      lab.close(t);
    }
  });
}

test("K3.3 ICMP echo: the id is the port; a collision re-picks from 0-65535", (t) => {
  const lab = masquerading(false);
  t.is(lab.end(t, lab.forward(lab.echo("10.244.1.2", "10.0.0.2", 5))), "10.0.0.1 > 10.0.0.2 id 5");
  const ids = new Set<string>();
  for (let host = 3; host < 40; host++) {
    ids.add(lab.end(t, lab.forward(lab.echo(`10.244.1.${host}`, "10.0.0.2", 5))));
  }
  t.is(ids.size, 37);
  const id = Number(/id (\d+)/.exec(lab.end(t, lab.forward(lab.echo("10.244.1.3", "10.0.0.2", 5))))?.[1]);
  const reply = lab.forward(lab.echo("10.0.0.2", "10.0.0.1", id, true), lab.bridge);
  t.is(lab.end(t, reply), "10.0.0.2 > 10.244.1.3 id 5");
  lab.close(t);
});

test("K3.3 null binding: a taken reply tuple changes the port, though no rule matched", (t) => {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table);
  for (const vip of ["10.96.0.10", "10.96.0.11"]) {
    for (const proto of [6, 17]) {
      table.addEndpoint(table.addServicePort(vip, ip(vip), proto, 80), ip("10.244.2.2"), 8080, -1);
    }
  }
  const targets = ["10.244.2.2:8080", "10.96.0.10:80", "10.96.0.11:80"];
  const seen = targets.map((to) => lab.end(t, lab.forward(lab.tcp("10.244.1.2:50000", to, TCP_SYN))));
  const udp = targets.map((to) => sportOf(lab.end(t, lab.forward(lab.udp("10.244.1.2:50000", to)))));
  t.is(udp[0], 50000);
  t.is(new Set(udp).size, 3, "UDP likewise");
  for (const tuple of seen) t.regex(tuple, /^10\.244\.1\.2:\d+ > 10\.244\.2\.2:8080$/);
  const ports = seen.map(sportOf);
  t.is(ports[0], 50000);
  t.is(new Set(ports).size, 3);
  within(t, ports, 1024, 65535);
  const back = lab.forward(lab.tcp("10.244.2.2:8080", `10.244.1.2:${ports[2]}`, TCP_SYN | TCP_ACK));
  t.is(lab.end(t, back), "10.96.0.11:80 > 10.244.1.2:50000");
  lab.close(t);
});

test("K3.3 a node's own packet to itself gets its null binding at LOCAL_IN", (t) => {
  const lab = new Lab();
  lab.nf.enable(lab.ns);
  t.is(lab.end(t, lab.input(lab.udp("10.0.0.9:7", "10.0.0.1:53"))), "10.0.0.9:7 > 10.0.0.1:53");
  t.is(lab.list().length, 1);
  lab.close(t);
});

test("K3.3 a client keeps its translated port towards other destinations (find_appropriate_src)", (t) => {
  const lab = masquerading(false);
  lab.end(t, lab.forward(lab.udp("10.244.1.2:5000", "10.0.0.2:53")));
  const moved = lab.end(t, lab.forward(lab.udp("10.244.1.3:5000", "10.0.0.2:53")));
  const port = sportOf(moved);
  t.not(port, 5000);
  const again = lab.end(t, lab.forward(lab.udp("10.244.1.3:5000", "10.0.0.3:53")));
  t.is(again, `10.0.0.1:${port} > 10.0.0.3:53`);
  lab.close(t);
});

test("K3.3 the kept port is that of the same translated address, however many others came since", (t) => {
  const lab = masquerading(false);
  const eth1 = lab.k.addDevice(lab.ns, 4, "eth1");
  lab.k.addAddress(eth1, ip("10.1.0.1"), 24, 0);
  const from = "10.244.1.3:5000";
  lab.end(t, lab.forward(lab.udp("10.244.1.2:5000", "10.0.0.2:53")));
  const port = sportOf(lab.end(t, lab.forward(lab.udp(from, "10.0.0.2:53"))));
  t.is(lab.end(t, lab.forward(lab.udp(from, "10.1.0.2:53"), eth1)), "10.1.0.1:5000 > 10.1.0.2:53");
  t.is(lab.end(t, lab.forward(lab.udp(from, "10.1.0.3:53"), eth1)), "10.1.0.1:5000 > 10.1.0.3:53");
  t.is(lab.end(t, lab.forward(lab.udp(from, "10.0.0.3:53"))), `10.0.0.1:${port} > 10.0.0.3:53`);
  lab.k.setUp(eth1, true);
  lab.k.setUp(eth1, false);
  t.is(lab.end(t, lab.forward(lab.udp(from, "10.0.0.4:53"))), `10.0.0.1:${port} > 10.0.0.4:53`);
  lab.nf.t.flush(lab.ns);
  t.is(lab.end(t, lab.forward(lab.udp(from, "10.0.0.3:53"))), "10.0.0.1:5000 > 10.0.0.3:53");
  lab.close(t);
});

test("K3.3 when every port is taken the packet is dropped at confirmation, and says why", (t) => {
  const lab = masquerading(false);
  // Port 1 may only move within 1-511: fill those, and their neighbours.
  for (let port = 1; port < 512; port++)
    lab.end(t, lab.forward(lab.tcp(`10.244.1.2:${port}`, SERVER, TCP_SYN)));
  let offsets = 0;
  const draw = lab.nf.portRandom.u32.bind(lab.nf.portRandom);
  lab.nf.portRandom.u32 = () => {
    offsets++;
    return draw();
  };
  t.is(lab.end(t, lab.forward(lab.tcp("10.244.1.3:1", SERVER, TCP_SYN))), dropName(Drop.NAT_NO_PORT));
  t.is(offsets, 5, "128, 64, 32, 16 and 8 tries from new offsets");
  t.is(lab.list().length, 511);
  lab.close(t);
});

test("K3.3 the last tries for a TCP port evict one in TIME_WAIT if the new ISN is beyond it", (t) => {
  for (const [isn, evicts] of [
    [900000, true],
    [10, false],
  ] as const) {
    const lab = masquerading(false);
    for (let port = 1; port < 512; port++) {
      const from = `10.244.1.2:${port}`;
      lab.end(t, lab.forward(lab.tcp(from, SERVER, TCP_SYN, { seq: 1000 })));
      const back = `10.0.0.1:${port}`;
      lab.end(t, lab.forward(lab.tcp(SERVER, back, TCP_SYN | TCP_ACK, { seq: 5000, ack: 1001 })));
      lab.end(t, lab.forward(lab.tcp(from, SERVER, TCP_ACK, { seq: 1001, ack: 5001 })));
      lab.end(t, lab.forward(lab.tcp(from, SERVER, TCP_FIN | TCP_ACK, { seq: 1001, ack: 5001 })));
      lab.end(t, lab.forward(lab.tcp(SERVER, back, TCP_FIN | TCP_ACK, { seq: 5001, ack: 1002 })));
      lab.end(t, lab.forward(lab.tcp(from, SERVER, TCP_ACK, { seq: 1002, ack: 5002 })));
    }
    t.true(lab.list().every((line) => line.includes("TIME_WAIT")));
    const result = lab.end(t, lab.forward(lab.tcp("10.244.1.3:1", SERVER, TCP_SYN, { seq: isn })));
    if (evicts) t.regex(result, /^10\.0\.0\.1:\d+ > 10\.0\.0\.2:53$/);
    else t.is(result, "NAT_NO_PORT");
    t.is(lab.list().length, 511);
    lab.close(t);
  }
});

test("K3.3 an established connection is never evicted for a port", (t) => {
  const lab = masquerading(false);
  for (let port = 1; port < 512; port++) {
    const from = `10.244.1.2:${port}`;
    lab.end(t, lab.forward(lab.tcp(from, SERVER, TCP_SYN, { seq: 1000 })));
    const back = `10.0.0.1:${port}`;
    lab.end(t, lab.forward(lab.tcp(SERVER, back, TCP_SYN | TCP_ACK, { seq: 5000, ack: 1001 })));
    lab.end(t, lab.forward(lab.tcp(from, SERVER, TCP_ACK, { seq: 1001, ack: 5001 })));
  }
  const late = lab.forward(lab.tcp("10.244.1.3:1", SERVER, TCP_SYN, { seq: 900000 }));
  t.is(lab.end(t, late), dropName(Drop.NAT_NO_PORT));
  lab.close(t);
});

test("K3.3 masqueraded entries die with their interface, and with the address they use", (t) => {
  const lab = masquerading(true);
  const fill = (): void => {
    for (let i = 0; i < 20; i++) lab.end(t, lab.forward(lab.udp(`10.244.1.2:${4000 + i}`, SERVER)));
    for (let i = 0; i < 5; i++) lab.end(t, lab.forward(lab.udp(`10.244.1.2:${4000 + i}`, "10.244.2.2:53")));
  };
  fill();
  t.is(lab.list().length, 25);
  lab.k.setUp(lab.bridge, false);
  t.is(lab.list().length, 25, "entries were bound to the uplink");
  lab.k.setUp(lab.uplink, false);
  t.is(lab.list().length, 5);
  lab.k.setUp(lab.uplink, true);
  fill();
  lab.k.addAddress(lab.uplink, ip("10.0.0.7"), 24, 0);
  lab.k.removeAddress(lab.uplink, ip("10.0.0.7"));
  t.is(lab.list().length, 25);
  lab.k.removeAddress(lab.uplink, ip("10.0.0.1"));
  t.is(lab.list().length, 5);
  lab.close(t);
});

test("K3.3 a masqueraded flow rerouted out of another interface is killed and its packet dropped", (t) => {
  const lab = masquerading(true);
  const first = lab.end(t, lab.forward(lab.udp("10.244.1.2:4000", SERVER)));
  const reply = lab.forward(lab.udp(SERVER, `10.0.0.1:${sportOf(first)}`), lab.bridge);
  t.is(lab.end(t, reply), `${SERVER} > 10.244.1.2:4000`, "replies may leave by any interface");
  const other = lab.k.addDevice(lab.ns, 4, "eth1");
  t.is(
    lab.end(t, lab.forward(lab.udp("10.244.1.2:4000", SERVER), other)),
    dropName(Drop.MASQUERADE_ROUTE_CHANGED),
  );
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

test("MASQUERADE without any address drops the packet; source 0.0.0.0 is left alone", (t) => {
  const lab = masquerading(true);
  lab.k.removeAddress(lab.uplink, ip("10.0.0.1"));
  lab.k.removeAddress(lab.bridge, ip("10.244.1.1"));
  t.is(lab.end(t, lab.forward(lab.udp("10.244.1.2:4000", SERVER))), dropName(Drop.MASQUERADE_NO_ADDRESS));
  t.is(lab.end(t, lab.forward(lab.udp("0.0.0.0:68", "10.0.0.2:67"))), "0.0.0.0:68 > 10.0.0.2:67");
  lab.close(t);
});

test("K1.5 the source is the primary address of the way out, in the subnet of the next hop first", (t) => {
  const lab = masquerading(false);
  lab.k.addAddress(lab.uplink, ip("192.168.7.1"), 24, 0);
  const send = (nexthop: string): string => {
    const f = lab.forwardOnly(lab.pre(lab.udp("10.244.1.2:4000", SERVER)));
    lab.k.skb.nexthop[f] = nexthop === "" ? 0 : ip(nexthop);
    return lab.end(t, lab.post(f));
  };
  t.is(send("192.168.7.254"), `192.168.7.1:4000 > ${SERVER}`);
  lab.nf.t.flush(lab.ns);
  t.is(send(""), `10.0.0.1:4000 > ${SERVER}`);
  lab.close(t);
});

test("azure.md C40-C42: local destinations and non-masquerade CIDRs return, MASQUERADE comes last", (t) => {
  const lab = new Lab();
  lab.nf.addMasqueradeRule(lab.ns, {
    nonMasqueradeCidrs: [cidr("169.254.0.0/16"), cidr("10.0.0.0/8"), cidr("172.16.0.0/12")],
    randomFully: false,
  });
  const send = (to: string): string => lab.end(t, lab.forward(lab.udp("10.244.1.2:4000", `${to}:53`)));
  t.is(send("169.254.169.254"), "10.244.1.2:4000 > 169.254.169.254:53");
  t.is(send("10.9.9.9"), "10.244.1.2:4000 > 10.9.9.9:53");
  t.is(send("172.31.255.255"), "10.244.1.2:4000 > 172.31.255.255:53");
  t.is(send("172.32.0.0"), "10.0.0.1:4000 > 172.32.0.0:53");
  t.is(send("8.8.8.8"), "10.0.0.1:4000 > 8.8.8.8:53");
  lab.k.addAddress(lab.bridge, ip("192.0.2.1"), 32, 0);
  t.is(send("192.0.2.1"), "10.244.1.2:4000 > 192.0.2.1:53");
  t.is(send("127.0.0.1"), "10.244.1.2:4000 > 127.0.0.1:53");
  // A second agent's chain sees what the first one returned.
  lab.nf.addMasqueradeRule(lab.ns, { nonMasqueradeCidrs: [cidr("10.0.0.0/16")], randomFully: false });
  t.is(send("10.9.9.8"), "10.0.0.1:4000 > 10.9.9.8:53");
  t.is(send("10.0.9.8"), "10.244.1.2:4000 > 10.0.9.8:53");
  lab.close(t);
});

test("K3.7 UDP checksum 0 stays 0 through NAT; a computed 0 goes out as 0xffff", (t) => {
  const lab = masquerading(false);
  const checksum = (f: number): number => lab.k.skb.view.getUint16(lab.k.skb.l3[f] + 26);
  const f = lab.forward(lab.udp("10.244.1.2:4000", SERVER, "x", false));
  t.is(checksum(f), 0);
  lab.end(t, f);
  // A payload equal to the translated checksum of an empty one makes the sum 0xffff, its complement 0.
  const empty = lab.forward(lab.udp("10.244.1.2:4000", SERVER, Uint8Array.of(0, 0)));
  const sum = checksum(empty);
  lab.end(t, empty);
  const g = lab.forward(lab.udp("10.244.1.2:4000", SERVER, Uint8Array.of(sum >> 8, sum & 255)));
  t.is(checksum(g), 0xffff);
  lab.end(t, g);
  lab.close(t);
});

test("K3.6, K3.7 285 packets as Linux 6.18 forwarded them, byte for byte", (t) => {
  const lab = new Lab();
  const { k, nf, ns } = lab;
  k.removeAddress(lab.bridge, ip("10.244.1.1"));
  const ra = k.addDevice(ns, 2, "ra");
  const rb = k.addDevice(ns, 2, "rb");
  k.addAddress(ra, ip("10.244.1.1"), 24, 0);
  k.addAddress(rb, ip("10.244.2.1"), 24, 0);
  const table = new ServiceTable();
  nf.attachServices(ns, table, { clusterCidr: cidr("10.244.0.0/16"), randomFully: false });
  table.addEndpoint(table.addServicePort("web", ip("10.96.0.10"), 6, 80), ip("10.244.2.2"), 8080, -1);
  table.addEndpoint(table.addServicePort("dns", ip("10.96.0.10"), 17, 53), ip("10.244.2.3"), 5353, -1);
  let forwarded = 0;
  for (const line of goldenLines("nat-linux-6.18.txt")) {
    if (line === "") continue;
    const [side, sent, out, wanted = ""] = line.split(" ");
    const packet = bytesOfHex(sent);
    const ethernet = new Uint8Array(14 + packet.length);
    ethernet.set(packet, 14);
    let f = lab.pre(lab.frame(ethernet, side === "a" ? ra : rb));
    const dst = f < 0 ? "" : lab.tuple(f).split(" > ")[1];
    if (dst.startsWith("10.244.1.1:") || dst.startsWith("10.244.2.1:") || /^10\.244\.[12]\.1 /.test(dst)) {
      k.consume(f);
      f = -1;
    }
    const toA = dst.startsWith("10.244.1.") || dst.startsWith("10.0.5.");
    if (f >= 0) ipv4DecreaseTtl(k.skb.view, k.skb.l3[f]);
    f = lab.post(lab.forwardOnly(f), toA ? ra : rb);
    const got = f < 0 ? "-" : Buffer.from(k.skb.bytes.slice(k.skb.off[f], k.skb.end(f))).toString("hex");
    t.is(f < 0 ? "-" : `${toA ? "a" : "b"} ${got}`, out === "-" ? "-" : `${out} ${wanted}`, sent);
    if (f >= 0) {
      forwarded++;
      k.consume(f);
    }
  }
  t.is(forwarded, 211);
  lab.close(t);
});
