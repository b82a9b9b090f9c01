// kube-proxy.md 3.2: a Service whose backend is on the same bridge, with and without br_netfilter.

import type { NodeCase, NodeSpec } from "../case.ts";
import { tcp, udp } from "../frame.ts";
import { A, B, BRIDGE, bridgeNode, makeCase, POD_NEIGHBOURS, proxy, service, VIP, via } from "./fixtures.ts";

const vipFrom = via(BRIDGE, VIP);

function node(callIptables: number, hairpin = false): NodeSpec {
  const n = bridgeNode({
    sysctls: { "net.bridge.bridge-nf-call-iptables": callIptables },
    neighbours: POD_NEIGHBOURS,
    proxy: proxy([service("dns", "udp", 53, [[B.ip, 5353]]), service("web", "tcp", 80, [[B.ip, 8080]])]),
  });
  if (hairpin) n.pods[1]!.port = { hairpin: true };
  return n;
}

function noForwarding(): NodeCase {
  const n = node(1);
  return makeCase(
    "3.2/no-forwarding",
    ["K3.2 ip_forward is not needed for the bridged case: on 6.18 it is, DNAT in the bridge is lost without"],
    { ...n, sysctls: { ...n.sysctls, "net.ipv4.ip_forward": 0 } },
    [
      { at: 0, note: "DNATed", send: [{ at: "pod:a", frame: udp(A, vipFrom, 40_000, 53, "query") }] },
      { at: 0, note: "untouched", send: [{ at: "pod:a", frame: udp(A, B, 40_000, 5353, "query") }] },
      { at: 0, note: "switched on", change: [{ kind: "sysctl", key: "net.ipv4.ip_forward", value: 1 }] },
      { at: 0, send: [{ at: "pod:a", frame: udp(A, vipFrom, 40_001, 53, "query") }] },
    ],
  );
}

const perBridgeNf: NodeCase[] = [1, 0].flatMap((nf) => [
  makeCase(`3.2/udp-bridge-nf-${nf}`, [`K3.2 pod a to ClusterIP, backend b, bridge-nf=${nf}`], node(nf), [
    { at: 0, note: "a asks", send: [{ at: "pod:a", frame: udp(A, vipFrom, 40_000, 53, "query") }] },
    {
      at: 0,
      note: "b answers a, on one subnet with it",
      send: [{ at: "pod:b", frame: udp(B, A, 5353, 40_000, "answer") }],
    },
  ]),
  makeCase(`3.2/tcp-bridge-nf-${nf}`, [`K3.2 pod a to ClusterIP, backend b, bridge-nf=${nf}`], node(nf), [
    { at: 0, send: [{ at: "pod:a", frame: tcp(A, vipFrom, 40_000, 80, "S", { seq: 1000 }) }] },
    { at: 0, send: [{ at: "pod:b", frame: tcp(B, A, 8080, 40_000, "SA", { seq: 5000, ack: 1001 }) }] },
    { at: 0, send: [{ at: "pod:a", frame: tcp(A, vipFrom, 40_000, 80, "A", { seq: 1001, ack: 5001 }) }] },
    {
      at: 0,
      send: [{ at: "pod:a", frame: tcp(A, vipFrom, 40_000, 80, "PA", { seq: 1001, ack: 5001, data: "hi" }) }],
    },
  ]),
  makeCase(`3.2/ttl-1-bridge-nf-${nf}`, [`K3.2 same with TTL 1, bridge-nf=${nf}`], node(nf), [
    { at: 0, send: [{ at: "pod:a", frame: udp(A, vipFrom, 40_000, 53, "query", { ttl: 1 }) }] },
  ]),
  ...[false, true].map((hairpin) =>
    makeCase(
      `3.2/hairpin-${hairpin ? "on" : "off"}-bridge-nf-${nf}`,
      [`K3.2 hairpin b to ClusterIP to b, port hairpin ${hairpin ? "on" : "off"}, bridge-nf=${nf}`],
      node(nf, hairpin),
      [
        {
          at: 0,
          note: "b asks itself",
          send: [{ at: "pod:b", frame: udp(B, vipFrom, 40_000, 53, "query") }],
        },
        {
          at: 0,
          note: "b answers whoever asked, the bridge",
          send: [{ at: "pod:b", frame: udp(B, BRIDGE, 5353, 40_000, "answer") }],
        },
        { at: 0, send: [{ at: "pod:b", frame: tcp(B, vipFrom, 40_000, 80, "S", { seq: 1000 }) }] },
      ],
    ),
  ),
]);

/** As AKS configures kubenet's bridge: the host gets a copy of every frame. */
const promiscuous: NodeCase[] = [1, 0].map((nf) => {
  const n = node(nf);
  return makeCase(
    `3.2/promiscuous-bridge-nf-${nf}`,
    [`A5.9 promiscMode of kubenet's bridge, bridge-nf=${nf}: a Service on one bridge, and a pod to itself`],
    { ...n, bridge: { ...n.bridge!, promiscuous: true } },
    [
      { at: 0, note: "a asks b", send: [{ at: "pod:a", frame: udp(A, vipFrom, 40_000, 53, "query") }] },
      {
        at: 0,
        note: "b answers",
        send: [{ at: "pod:b", frame: udp(B, A, 5353, 40_000, "answer") }],
      },
      { at: 0, note: "b asks itself", send: [{ at: "pod:b", frame: udp(B, vipFrom, 40_001, 53, "query") }] },
    ],
  );
});

export const cases: NodeCase[] = [...perBridgeNf, ...promiscuous, noForwarding()];
