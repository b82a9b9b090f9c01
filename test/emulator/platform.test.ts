// The platform's addresses, azure.md 1.6 (V60 to V63, P42, P9): DNS at 168.63.129.16 over UDP and TCP,
// metadata at 169.254.169.254, the agent's pages; from VMs, nodes and pods of every attachment mode.

import test from "ava";
import { CNI_MODES } from "../../src/emulator/spec.ts";
import { defineTopology, ms, type Net, openSnapshot, sec, type TopologyBuilder } from "../../src/index.ts";
import { dropName } from "../../src/node/drop.ts";
import { connectivity } from "../../src/observe/connectivity.ts";
import { decodeDnsReply, dnsQueryCheck, encodeDnsQuery, encodeDnsReply } from "../../src/wire/dns.ts";
import { cluster, end, problemsOf } from "./kit.ts";

const DNS = "168.63.129.16";
const METADATA = "169.254.169.254";
const ZONE = "privatelink.blob.core.windows.net";

/** Two peered VNets; a private zone is linked to the first, and registers its VMs in another. */
function twoVnets(more: (t: TopologyBuilder) => void = () => {}, subnet = {}) {
  return defineTopology({ seed: 7, frames: 512 }, (t) => {
    const a = t.vnet("a", { addressSpace: ["10.1.0.0/16"] });
    const b = t.vnet("b", { addressSpace: ["10.2.0.0/16"] });
    a.peer(b);
    b.peer(a);
    t.privateDnsZone(ZONE, { links: [a], records: { acct: { A: ["10.1.0.9"], ttl: 10 } } });
    t.privateDnsZone("corp.example", {
      ...{
        links: [a, b],
        registration: [a],
        records: { www: { CNAME: "one.corp.example" }, "*": { TXT: ["x"] } },
      },
    });
    t.dnsZone("windows.net", {
      records: {
        "acct.blob.core": { CNAME: `acct.${ZONE}` },
        "acct.privatelink.blob.core": { A: ["20.60.0.4"] },
      },
    });
    t.vm("one", { subnet: a.subnet("s", "10.1.0.0/24", subnet) });
    t.vm("two", { subnet: b.subnet("s", "10.2.0.0/24") });
    more(t);
  });
}

function ask(net: Net, from: string, name: string, type: "A" | "AAAA" | "CNAME" | "TXT" = "A") {
  const lookup = net.soon.resolve(from, name, { type });
  net.run({ for: ms(5) });
  return lookup;
}

test("P42 a linked private zone answers with the private address, others get the public one", (t) => {
  const net = twoVnets().build();
  const inside = ask(net, "one", "acct.blob.core.windows.net");
  t.deepEqual(inside.answers, [
    { name: "acct.blob.core.windows.net", type: "CNAME", ttl: 3600, data: `acct.${ZONE}` },
    { name: `acct.${ZONE}`, type: "A", ttl: 10, data: "10.1.0.9" },
  ]);
  t.deepEqual(ask(net, "two", "ACCT.blob.core.windows.net").addresses, ["20.60.0.4"]);
  // A private zone answers for its names alone.
  const missing = ask(net, "one", `other.${ZONE}`);
  t.is(missing.rcode, "NXDOMAIN");
  t.is(ask(net, "one", "acct.blob.core.windows.net", "AAAA").rcode, "NOERROR");
  t.is(ask(net, "one", "nobody.example").rcode, "NXDOMAIN");
  end(t, net);
});

test("P9 names of VMs: internal ones end at the VNet, registered ones are seen by every link", (t) => {
  const net = twoVnets().build();
  t.deepEqual(ask(net, "one", "one.internal.cloudapp.net").addresses, ["10.1.0.4"]);
  t.is(ask(net, "two", "one.internal.cloudapp.net").rcode, "NXDOMAIN");
  t.deepEqual(ask(net, "two", "www.corp.example").addresses, ["10.1.0.4"]);
  t.deepEqual(ask(net, "two", "two.corp.example", "TXT").answers[0]?.data, "x");
  t.is(ask(net, "two", "corp.example").rcode, "NOERROR");
  end(t, net);
});

test("A8.23/dns 168.63.129.16:53, although a route 0.0.0.0/0 None exists", (t) => {
  const none = (d: TopologyBuilder) => d.routeTable("none", [{ prefix: "0.0.0.0/0", nextHop: "None" }]);
  const net = twoVnets(none, { routeTable: "none" }).build();
  t.is(ask(net, "one", "one.corp.example").rcode, "NOERROR");
  t.deepEqual(net.drops(), []);
  end(t, net);
});

for (const tag of [null, "AzurePlatformDNS", "AzurePlatformIMDS"]) {
  test(`A8.24 outbound deny-all${tag === null ? "" : ` and a deny of ${tag}`}`, (t) => {
    const all = { name: "all", priority: 200, direction: "Outbound", access: "Deny" } as const;
    const own = { ...all, name: "own", priority: 300, destination: tag ?? "*" };
    const net = twoVnets((d) => d.nsg("closed", tag === null ? [all] : [all, own]), {
      nsg: "closed",
    }).build();
    const dns = ask(net, "one", "one.corp.example");
    const page = get(net, "one", METADATA, "/metadata/instance?api-version=2021-02-01");
    t.is(dns.rcode, tag === "AzurePlatformDNS" ? null : "NOERROR");
    t.is(dns.query.dropReason, tag === "AzurePlatformDNS" ? "VNET_NSG_DENY" : null);
    t.is(page().startsWith("HTTP/1.1 200"), tag !== "AzurePlatformIMDS");
    for (const [addr, port] of [
      [DNS, 53],
      [METADATA, 80],
    ] as const) {
      const answer = net.diagnose.connect("one", `${addr}:${port}`);
      const denied = tag === (port === 53 ? "AzurePlatformDNS" : "AzurePlatformIMDS");
      t.is(answer.connectionStatus, denied ? "Unreachable" : "Reachable");
      const verdict = net.diagnose.ipFlow("one", {
        ...{ direction: "Outbound", protocol: "tcp", local: "40000", remote: `${addr}:${port}` },
      });
      t.is(verdict.ruleName, denied ? "securityRules/own" : undefined);
    }
    net.run({ for: sec(200) });
    end(t, net);
  });
}

/** Sends bytes over TCP and gives what came back as text. */
function exchange(net: Net, from: string, to: string, bytes: Uint8Array | string) {
  const c = net.soon.connect(from, to);
  net.at(net.now + ms(1)).send(c, bytes);
  net.run({ for: ms(20) });
  return c;
}

function get(net: Net, from: string, host: string, path: string, headers = "Metadata: true\r\n") {
  const c = exchange(net, from, `${host}:80`, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`);
  return () => c.text;
}

const framed = (message: Uint8Array) =>
  Buffer.concat([Uint8Array.of(message.length >> 8, message.length & 255), message]);

test("DNS over TCP: several questions in one connection, cut anywhere; what is no message ends it", (t) => {
  const net = twoVnets().build();
  const both = Buffer.concat(
    ["one.corp.example", "acct.blob.core.windows.net"].map((n, i) => framed(encodeDnsQuery(i, n))),
  );
  const c = net.soon.connect("one", `${DNS}:53`);
  for (let i = 0; i < both.length; i += 7) net.at(net.now + ms(1 + i)).send(c, both.subarray(i, i + 7));
  net.run({ for: ms(200) });
  const bytes = Buffer.from(c.received);
  const first = bytes.readUInt16BE(0);
  const one = decodeDnsReply(bytes.subarray(2, 2 + first));
  const two = decodeDnsReply(bytes.subarray(4 + first));
  t.is(one?.answers[0]?.data, "10.1.0.4");
  t.is(two?.answers[1]?.data, "10.1.0.9");
  const bad = exchange(net, "one", `${DNS}:53`, framed(new Uint8Array(20)));
  t.is(bad.error, "ECONNRESET");
  c.close();
  net.run({ for: sec(120) });
  t.is(net.platform.pending.size, 0);
  end(t, net);
});

test("an answer too long for a datagram is cut and marked (RFC 1035 4.2.1), over TCP it is whole", (t) => {
  const many = Array.from({ length: 60 }, (_, i) => `10.9.0.${i + 1}`);
  const net = twoVnets((d) => d.dnsZone("big.example", { records: { "@": { A: many } } })).build();
  const cut = ask(net, "one", "big.example");
  t.true(cut.truncated);
  t.deepEqual(cut.addresses, []);
  const c = exchange(net, "one", `${DNS}:53`, framed(encodeDnsQuery(1, "big.example")));
  t.deepEqual(decodeDnsReply(c.received.subarray(2))?.answers.length, 60);
  c.close();
  net.run({ for: sec(120) });
  end(t, net);
});

const QUERY = encodeDnsQuery(7, "one.corp.example");
const changed = (at: number, value: number) => QUERY.map((byte, i) => (i === at ? value : byte));
const MALFORMED: Record<string, Uint8Array> = {
  empty: new Uint8Array(0),
  "cut in its header": QUERY.slice(0, 11),
  "an answer": changed(2, 0x81),
  "another opcode": changed(2, 0x28),
  "no question": changed(5, 0),
  "two questions": changed(5, 2),
  "an answer section": changed(7, 1),
  "a label that runs out of the message": changed(12, 63),
  "a pointer as the first name": changed(12, 0xc0),
  "cut before the type": QUERY.slice(0, -3),
  "a name of 300 bytes": Buffer.concat([QUERY.slice(0, 12), Buffer.alloc(300, "\x01a"), new Uint8Array(5)]),
};

for (const [what, bytes] of Object.entries(MALFORMED)) {
  test(`a malformed query is dropped by name: ${what}`, (t) => {
    t.false(dnsQueryCheck(new DataView(Uint8Array.from(bytes).buffer), 0, bytes.length));
    const net = twoVnets().build();
    const sent = net.soon.udp("one", `${DNS}:53`, Uint8Array.from(bytes));
    net.run({ for: ms(5) });
    t.is(sent.dropReason, "VNET_DNS_INVALID");
    t.is(sent.droppedAt, "one/eth0");
    end(t, net);
  });
}

test("whole queries pass the check, with EDNS too", (t) => {
  t.true(dnsQueryCheck(new DataView(QUERY.slice().buffer), 0, QUERY.length));
  const query = { id: 1, name: "a", type: "A", recursionDesired: true, size: 1232, edns: true };
  t.is(decodeDnsReply(encodeDnsReply(query, 3, [], 1232))?.rcode, 3);
});

test("V60 V62 other ports, ping and fragments of the platform are silent", (t) => {
  const net = twoVnets().build();
  const sent = [
    net.soon.udp("one", `${DNS}:54`),
    net.soon.udp("one", `${METADATA}:53`, QUERY),
    net.soon.ping("one", DNS),
    net.soon.udp("one", `${DNS}:53`, 3000),
  ];
  net.run({ for: ms(5) });
  t.deepEqual(
    sent.map((s) => s.dropReason),
    Array(4).fill("VNET_PLATFORM"),
  );
  end(t, net);
});

test("V62 metadata of the NIC that asks, and its refusals", (t) => {
  const net = twoVnets().build();
  const page = get(net, "one", METADATA, "/metadata/instance?api-version=2021-02-01")();
  const { compute, network } = JSON.parse(page.slice(page.indexOf("{")));
  t.is(compute.name, "one");
  t.deepEqual(network.interface[0].ipv4, {
    ipAddress: [{ privateIpAddress: "10.1.0.4", publicIpAddress: "" }],
    subnet: [{ address: "10.1.0.0", prefix: "24" }],
  });
  t.regex(
    get(net, "one", METADATA, "/metadata/instance?api-version=1", "")(),
    /^HTTP\/1.1 400 .*header not/s,
  );
  t.regex(get(net, "one", METADATA, "/metadata/instance")(), /^HTTP\/1.1 400 .*api-version was not/s);
  t.regex(get(net, "one", METADATA, "/else?api-version=1")(), /^HTTP\/1.1 404/);
  t.regex(get(net, "one", DNS, "/?comp=versions", "")(), /<Version>2015-04-05/);
  const info = "/machine/plugins?comp=nmagent&type=getinterfaceinfov1";
  t.regex(
    get(net, "one", DNS, info, "")(),
    /Prefix="10.1.0.0\/24"><IPAddress Address="10.1.0.4" IsPrimary="true"/,
  );
  t.is(exchange(net, "one", `${METADATA}:80`, "hello\r\n\r\n").error, "ECONNRESET");
  net.run({ for: sec(7300) });
  end(t, net);
});

for (const cni of CNI_MODES) {
  test(`${cni}: who reaches DNS and metadata`, (t) => {
    const net = cluster(
      (aks, d) => {
        aks.pod("client");
        d.dnsZone("example.org", { records: { "@": { A: ["192.0.2.1"] } } });
      },
      { cni },
    );
    // Tunnel mode sends the answer to a masqueraded pod up to the fabric, which refuses it (E4).
    for (const from of cni === "azure-tunnel" ? ["n0"] : ["client", "n0"]) {
      t.deepEqual(ask(net, from, "example.org").addresses, ["192.0.2.1"], from);
      const page = get(net, from, METADATA, "/metadata/instance?api-version=2021-02-01")();
      t.true(page.includes('"name":"n0"'), page);
    }
    t.deepEqual(net.drops(), []);
    net.run({ for: sec(7300) });
    end(t, net);
  });
}

test("two VNets with the same addresses do not meet at the platform", (t) => {
  const net = defineTopology({ seed: 3, frames: 256 }, (d) => {
    for (const name of ["x", "y"]) {
      const vnet = d.vnet(name, { addressSpace: ["10.0.0.0/16"] });
      d.vm(`vm${name}`, { subnet: vnet.subnet("s", "10.0.0.0/24") });
      d.privateDnsZone(`${name}.example`, {
        links: [vnet],
        records: { a: { A: [`192.0.2.${name.charCodeAt(0)}`] } },
      });
    }
  }).build();
  const asked = ["x", "y"].map((name) =>
    net.soon.udp(`vm${name}`, `${DNS}:53`, encodeDnsQuery(9, `a.${name}.example`), { sourcePort: 4444 }),
  );
  net.run({ for: ms(5) });
  const answers = asked.map(
    ({ reply }) => decodeDnsReply(reply?.payload ?? new Uint8Array())?.answers[0]?.data,
  );
  t.deepEqual(answers, ["192.0.2.120", "192.0.2.121"]);
  end(t, net);
});

test("the question and the frame agree about the platform", (t) => {
  const net = twoVnets().build();
  const { walk } = net;
  const one = net.hosts.host("one");
  const flow = { src: one.ip, protocol: 17, sourcePort: 40_000 };
  for (const [text, port] of [
    [DNS, 53],
    [DNS, 99],
    [METADATA, 80],
  ] as const) {
    const [, dst] = /(.*)/.exec(text) as unknown as [string, string];
    const address = Buffer.from(dst.split(".").map(Number)).readInt32BE(0);
    const found = connectivity(walk, walk.k.dev.nic[one.dev]!, {
      ...flow,
      dst: address,
      destinationPort: port,
    });
    const sent = net.soon.udp("one", `${text}:${port}`, port === 53 ? QUERY : "x");
    net.run({ for: ms(5) });
    const asked = found.request.reason === 0 ? null : dropName(found.request.reason);
    t.is(asked, sent.dropReason, `${text}:${port}`);
  }
  end(t, net);
});

test("a snapshot holds a request that has come in part", (t) => {
  const net = twoVnets().build();
  const c = net.soon.connect("one", `${DNS}:53`);
  const bytes = framed(encodeDnsQuery(1, "one.corp.example"));
  net.at(ms(1)).send(c, bytes.subarray(0, 9));
  net.run({ until: ms(10) });
  t.is(net.platform.pending.size, 1);
  const other = openSnapshot(net.snapshot());
  for (const each of [net, other]) {
    const [connection] = each.script.tcp.connections.keys();
    each.schedule(ms(11), { kind: "tcp-send", connection: connection as number, payload: bytes.subarray(9) });
    each.run({ until: ms(30) });
    const got = Buffer.concat(each.script.tcp.connections[0]!.received);
    t.is(decodeDnsReply(got.subarray(2))?.answers[0]?.data, "10.1.0.4");
  }
  t.is(other.now, net.now);
  c.close();
  net.run({ for: sec(120) });
  end(t, net);
});

test("bad zones are all reported with their paths", (t) => {
  const found = problemsOf((d) => {
    const a = d.vnet("a", { addressSpace: ["10.1.0.0/16"] });
    const site = d.site("dc", { addressSpace: ["192.168.0.0/16"] });
    d.privateDnsZone("bad name", { links: [a, site, { name: "b" }], registration: [a] });
    d.privateDnsZone("x.example", {
      links: [],
      registration: [a],
      records: {
        "a b": { A: ["10.0.0.300"] },
        "@": { CNAME: "other" },
        c: { CNAME: "-", ttl: -1 },
      },
    });
  });
  const twice = problemsOf((d) => {
    const a = d.vnet("a", { addressSpace: ["10.1.0.0/16"] });
    const b = d.vnet("b", { addressSpace: ["10.2.0.0/16"] });
    for (const links of [[a], [b], [a, b]]) d.privateDnsZone("x.example", { links });
    for (let i = 0; i < 2; i++) d.dnsZone("x.example", {});
  });
  t.deepEqual(twice, [
    "dnsZone.x.example: a VNet is linked to a zone of this name already",
    "dnsZone.x.example: the zone is described twice",
  ]);
  t.deepEqual(found, [
    'dnsZone.bad name: "bad name" is not a DNS name (RFC 1123)',
    'dnsZone.bad name.links[1]: there is no VNet dc; did you mean "a"?',
    'dnsZone.bad name.links[2]: there is no VNet b; did you mean "a"?',
    "dnsZone.x.example.registration[0]: the VNet registers its VMs in bad name already",
    "dnsZone.x.example.registration[0]: a VNet that registers its VMs has a link",
    'dnsZone.x.example.records.a b: "a b" is not a DNS name (RFC 1123)',
    "dnsZone.x.example.records.a b.A[0]: 10.0.0.300 is not an IPv4 address",
    "dnsZone.x.example.records.@.CNAME: an alias stands alone, and not at the zone itself",
    'dnsZone.x.example.records.c.CNAME: "-" is not a DNS name (RFC 1123)',
    "dnsZone.x.example.records.c.ttl: a whole number of seconds up to 2147483647",
  ]);
});
