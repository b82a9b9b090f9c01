// The ebtables rules of Azure CNI's bridge and tunnel modes, each alone (azure.md 5.3).

import test from "ava";
import { EbtChain, type EbtRule, EbtTarget } from "../../src/link/ebtables.ts";
import { parseMac } from "../../src/wire/address.ts";
import { arp, BROADCAST, datagram, ip, Lab, mac } from "./bridge-kit.ts";

const NIC = mac(0xe0);
const A = mac(0xa1);
const B = mac(0xb1);
const REMOTE = mac(0x99);
const FABRIC = "12:34:56:78:9a:bc";
const NODE_IP = "10.9.0.4";
const A_IP = "10.9.0.10";
const B_IP = "10.9.0.11";
const ARP = 0x0806;
const IPV4 = 0x0800;

const macOf = (text: string): { macHi: number; macLo: number } => {
  const { hi, lo } = parseMac(text) as { hi: number; lo: number };
  return { macHi: hi, macLo: lo };
};

/** azure0 with eth0 and two pods' ports; nobody has an address, so the rules alone speak. */
function azure(): Lab {
  const lab = new Lab([], NIC);
  lab.addPort("eth0", NIC);
  lab.addPort("azva");
  lab.addPort("azvb");
  for (const name of ["eth0", "azva", "azvb"]) lab.port(name, "HAIRPIN", true);
  lab.k.setNsSysctl(lab.node, "net.bridge.bridge-nf-call-iptables", 0);
  return lab;
}

function append(lab: Lab, row: number, chain: number, target: number, rule: Partial<EbtRule>): void {
  const any = { proto: -1, port: -1, portPrefix: "", arpOp: -1, address: 0, hasAddress: false };
  const base = { ...any, unicastSource: false, macHi: 0, macLo: 0, row, chain, target };
  lab.walk.link.ebtables.append(lab.bridge, { ...base, ...rule });
}

const e1 = (lab: Lab): void =>
  append(lab, 1, EbtChain.POSTROUTING, EbtTarget.SNAT, {
    port: lab.device("eth0"),
    unicastSource: true,
    ...macOf(NIC),
  });

test("A5.3 E1: what leaves by eth0 has eth0's MAC, in the ARP body too", (t) => {
  const lab = azure();
  e1(lab);
  const [eth0, azvb] = lab.send("azva", datagram(A, REMOTE)).sort().reverse();
  t.true(eth0?.startsWith(`eth0: ${NIC} > ${REMOTE}`), eth0);
  t.true(azvb?.startsWith(`azvb: ${A} > ${REMOTE}`), azvb);
  const asked = lab.send("azva", arp({ senderMac: A, senderIp: A_IP, targetIp: "10.9.0.1" }));
  const out = asked.find((line) => line.startsWith("eth0"));
  t.true(out?.startsWith(`eth0: ${NIC} > ${BROADCAST}`), out);
  lab.end(t);
});

test("A5.3 E1: an ARP packet cut before the end of its sender address is dropped at eth0 alone", (t) => {
  const lab = azure();
  e1(lab);
  const cut = arp({ senderMac: A }).slice(0, 14 + 13);
  t.deepEqual(lab.ways("azva", cut), ["azvb", "azva"]);
  t.true(lab.drops().includes("EBTABLES"));
  // With another length of hardware addresses the body stays, whatever it holds.
  const odd = arp({ senderMac: A });
  odd[18] = 8;
  const [line] = lab.send("azva", odd).filter((one) => one.startsWith("eth0"));
  t.true(line?.startsWith(`eth0: ${NIC} >`), line);
  lab.end(t);
});

test("A5.3 E2: the node's address is answered with eth0's MAC, and the request goes no further", (t) => {
  const lab = azure();
  const rule = { proto: ARP, arpOp: 1, address: ip(NODE_IP), hasAddress: true, ...macOf(NIC) };
  append(lab, 2, EbtChain.PREROUTING, EbtTarget.ARPREPLY, rule);
  const answer = lab.send("azva", arp({ senderMac: A, senderIp: A_IP, targetIp: NODE_IP }));
  t.is(answer.length, 1);
  t.regex(answer[0] ?? "", new RegExp(`^azva: ${NIC} > ${A}, .*Reply ${NODE_IP} is-at ${NIC}`));
  t.deepEqual(
    lab.ways("azva", arp({ senderMac: A, targetIp: B_IP })),
    ["azvb", "azva", "eth0"],
    "others pass",
  );
  t.deepEqual(
    lab.ways("azva", arp({ senderMac: A, targetIp: NODE_IP, reply: true, dstMac: BROADCAST })),
    ["azvb", "azva", "eth0"],
    "so do replies",
  );
  lab.end(t);
});

test("A5.3 E3: an ARP reply in on eth0 is flooded to every port, whomever it was for", (t) => {
  const lab = azure();
  const rule = { proto: ARP, port: lab.device("eth0"), arpOp: 2, ...macOf(BROADCAST) };
  append(lab, 3, EbtChain.PREROUTING, EbtTarget.DNAT, rule);
  const reply = arp({ senderMac: FABRIC, targetMac: NIC, targetIp: A_IP, reply: true, dstMac: NIC });
  const lines = lab.send("eth0", reply);
  t.deepEqual(
    lines.map((line) => line.slice(0, line.indexOf(","))),
    ["azvb", "azva", "eth0"].map((port) => `${port}: ${FABRIC} > ${BROADCAST}`),
  );
  t.deepEqual(lab.ways("azva", arp({ senderMac: A, targetMac: B, dstMac: REMOTE, reply: true })).length, 3);
  lab.end(t);
});

test("A5.3 E4: in tunnel mode every pod's frame goes to the fabric, ARP requests before E5", (t) => {
  const lab = azure();
  const rule = { portPrefix: "az", ...macOf(FABRIC) };
  append(lab, 4, EbtChain.PREROUTING, EbtTarget.DNAT, rule);
  pods(lab, FABRIC);
  lab.send("eth0", datagram(FABRIC, A));
  t.deepEqual(
    lab.send("azva", datagram(A, B)).map((line) => line.slice(0, line.indexOf(","))),
    [`eth0: ${A} > ${FABRIC}`],
  );
  t.deepEqual(
    lab.send("azva", arp({ senderMac: A, senderIp: A_IP, targetIp: B_IP })).length,
    1,
    "not answered by E5",
  );
  t.deepEqual(
    lab.send("eth0", datagram(REMOTE, B)).map((line) => line.slice(0, line.indexOf(","))).length,
    3,
    "what comes in on eth0 is not meant",
  );
  lab.end(t);
});

function pods(lab: Lab, answer?: string): void {
  const eth0 = lab.device("eth0");
  for (const [addr, own] of [
    [A_IP, A],
    [B_IP, B],
  ] as const) {
    const { macHi, macLo } = macOf(own);
    const said = macOf(answer ?? own);
    lab.walk.link.ebtables.addPod(lab.bridge, ip(addr), eth0, macHi, macLo, said.macHi, said.macLo);
  }
}

test("A5.3 E5: a pod's address is answered for it, with its MAC or in tunnel mode the fabric's", (t) => {
  for (const answer of [undefined, FABRIC]) {
    const lab = azure();
    append(lab, 1, EbtChain.POSTROUTING, EbtTarget.SNAT, { port: lab.device("eth0"), ...macOf(NIC) });
    pods(lab, answer);
    const said = answer ?? B;
    const lines = lab.send("eth0", arp({ senderMac: REMOTE, senderIp: "10.9.0.9", targetIp: B_IP }));
    t.is(lines.length, 1);
    // The answer is sent by the port itself and passes no POSTROUTING: E1 leaves it alone.
    t.regex(lines[0] ?? "", new RegExp(`^eth0: ${said} > ${REMOTE}, .*Reply ${B_IP} is-at ${said}`));
    lab.end(t);
  }
});

test("A5.3 E6: IPv4 in on eth0 goes to the pod's MAC; in on a pod's port it stays as it is", (t) => {
  const lab = azure();
  e1(lab);
  pods(lab);
  lab.send("azva", datagram(A, REMOTE));
  const inbound = lab.send("eth0", datagram(FABRIC, NIC, { dst: A_IP }));
  t.deepEqual(
    inbound.map((line) => line.slice(0, line.indexOf(","))),
    [`azva: ${FABRIC} > ${A}`],
  );
  t.deepEqual(lab.ways("eth0", datagram(FABRIC, NIC, { dst: "10.9.0.77" })), [], "for the node");
  t.deepEqual(
    lab.send("azvb", datagram(B, REMOTE, { dst: A_IP })).every((line) => line.includes(`> ${REMOTE}`)),
    true,
  );
  lab.walk.link.ebtables.removePod(lab.bridge, ip(A_IP));
  t.deepEqual(lab.ways("eth0", datagram(FABRIC, NIC, { dst: A_IP })), [], "C18: gone with the pod");
  lab.end(t);
});

test("A5.3 E7: IPv4 to an address that is routed by way of the host is handed up, whatever its MAC", (t) => {
  const lab = azure();
  const rule = { proto: IPV4, address: ip("169.254.20.10"), hasAddress: true };
  append(lab, 7, EbtChain.BROUTING, EbtTarget.REDIRECT, rule);
  lab.seen("in");
  t.deepEqual(lab.ways("azva", datagram(A, REMOTE, { dst: "169.254.20.10" })), []);
  t.deepEqual(lab.ways("azva", datagram(A, REMOTE, { dst: "169.254.20.11" })).length, 3);
  lab.end(t);
});

test("A5.3 E8: IPv6 neighbour solicitations do not leave by eth0", (t) => {
  const lab = azure();
  append(lab, 8, EbtChain.FORWARD, EbtTarget.DROP, { proto: 0x86dd, port: lab.device("eth0") });
  const icmp6 = (type: number): Uint8Array => {
    const frame = new Uint8Array(14 + 40 + 24);
    frame.set([0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xa1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255]);
    frame[54] = type;
    return frame;
  };
  t.deepEqual(lab.ways("azva", icmp6(135)), ["azvb", "azva"]);
  t.deepEqual(lab.ways("azva", icmp6(136)), ["azvb", "azva", "eth0"], "advertisements do");
  lab.end(t);
});

test("A5.3 rules are asked in install order, and each target ends the chain", (t) => {
  const lab = azure();
  const both = { proto: ARP, arpOp: 1, address: ip(A_IP), hasAddress: true };
  append(lab, 2, EbtChain.PREROUTING, EbtTarget.ARPREPLY, { ...both, ...macOf(NIC) });
  pods(lab);
  const [line] = lab.send("azvb", arp({ senderMac: B, senderIp: B_IP, targetIp: A_IP }));
  t.regex(line ?? "", new RegExp(`is-at ${NIC}`));
  lab.end(t);
});
