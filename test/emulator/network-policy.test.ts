// K 8: the truth tables of test/e2e/network/netpol. Namespaces x, y, z with pods a, b, c each; a row per
// source, a column per destination, in that order; "." allowed, "#" blocked (upstream prints X). The tables
// were written from the policies.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import type { NetworkPolicyOptions, PolicyPeer } from "../../src/emulator/spec.ts";
import { ms } from "../../src/emulator/units.ts";
import { parseIpv4 } from "../../src/wire/address.ts";
import { cluster, clusterTopology, end, linesOf } from "./kit.ts";

const PODS = ["xa", "xb", "xc", "ya", "yb", "yc", "za", "zb", "zc"];
const UDP = "UDP" as const;
const TCP = "TCP" as const;

/** Nine pods on three nodes, each answering UDP 80 and 81. */
function world(policies: readonly NetworkPolicyOptions[] = []): Net {
  return cluster(
    (aks) => {
      for (const ns of ["x", "y", "z"]) aks.namespace(ns, { labels: { ns } });
      for (const name of PODS) {
        const [namespace, pod] = [name[0]!, name[1]!];
        const containerPorts = [80, 81].map((port) => {
          return { name: `serve-${port}-udp`, containerPort: port, protocol: UDP };
        });
        aks.pod(name, { namespace, labels: { pod }, udpEcho: [80, 81], containerPorts });
        const selector = { pod };
        aks.service(`s-${name}`, { namespace, selector, port: 80, protocol: UDP });
      }
      policies.forEach((policy, i) => {
        aks.networkPolicy(`p${i}`, policy);
      });
    },
    {},
    3,
  );
}

/** Who reaches whom by UDP: one datagram for every pair, each a new connection. */
function observed(net: Net, port: number): string {
  const sent = PODS.map((from) => PODS.map((to) => net.soon.udp(from, `${to}:${port}`, "x")));
  net.run({ for: ms(20) });
  return grid(sent.map((row) => row.map((one) => one.reply !== null)));
}

/** The same as the nodes of both pods decide, for any protocol. */
function decided(net: Net, protocol: number, port: number): string {
  const { table } = net.clusters[0]!.policies;
  const ip = (name: string): number => parseIpv4(net.pod(name).ip)!;
  const home = (name: string): number =>
    net.clusters[0]!.nodes.find((n) => n.name === net.pod(name).node)!.ns;
  const passes = (from: string, to: string): boolean =>
    [home(from), home(to)].every((ns) => table.verdict(ns, ip(from), ip(to), protocol, port) === 0);
  return grid(PODS.map((from) => PODS.map((to) => passes(from, to))));
}

function grid(rows: readonly (readonly boolean[])[]): string {
  const line = (row: readonly boolean[]): string => row.map((ok) => (ok ? "." : "#")).join("");
  return rows.map((row) => line(row).replace(/(...)(?=.)/g, "$1 ")).join("\n");
}

/** Rows of a table: what is not said is open, but a pod always reaches itself. */
const rows = (...nine: string[]): string => nine.join("\n");

const OPEN = "... ... ...";
const ALL_OPEN = rows(OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN);
/** Nobody but itself reaches x/a. */
const NO_XA = "#.. ... ...";
const XA_CLOSED = rows(OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA);
/** x/a reaches nobody but itself. */
const XA_MUTE = rows(".## ### ###", OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN);

const inNs = (ns: string): PolicyPeer => ({ namespaceSelector: { matchLabels: { ns } } });
const pod = (name: string): PolicyPeer => ({ podSelector: { matchLabels: { pod: name } } });
/** A policy of namespace x that selects pod a. */
const xa = (more: NetworkPolicyOptions): NetworkPolicyOptions => ({
  namespace: "x",
  podSelector: { matchLabels: { pod: "a" } },
  ...more,
});

interface Case {
  name: string;
  policies: NetworkPolicyOptions[];
  /** Tables for UDP 80; others where they differ. */
  udp80: string;
  udp81?: string;
  tcp80?: string;
}

const CASES: Case[] = [
  { name: "no policy", policies: [], udp80: ALL_OPEN },
  {
    name: "default-deny-ingress",
    policies: [{ namespace: "x", policyTypes: ["Ingress"] }],
    udp80: rows(
      ".## ... ...",
      "#.# ... ...",
      "##. ... ...",
      "### ... ...",
      "### ... ...",
      "### ... ...",
      "### ... ...",
      "### ... ...",
      "### ... ...",
    ),
  },
  {
    name: "default-deny-all",
    policies: [{ namespace: "x", policyTypes: ["Ingress", "Egress"] }],
    udp80: rows(
      ".## ### ###",
      "#.# ### ###",
      "##. ### ###",
      "### ... ...",
      "### ... ...",
      "### ... ...",
      "### ... ...",
      "### ... ...",
      "### ... ...",
    ),
  },
  { name: "allow-all", policies: [{ namespace: "x", ingress: [{}] }], udp80: ALL_OPEN },
  {
    name: "from the same namespace by PodSelector",
    policies: [xa({ ingress: [{ from: [{ podSelector: {} }] }] })],
    udp80: rows(OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "from another namespace by NamespaceSelector",
    policies: [xa({ ingress: [{ from: [inNs("y")] }] })],
    udp80: rows(OPEN, NO_XA, NO_XA, OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "PodSelector AND NamespaceSelector",
    policies: [xa({ ingress: [{ from: [{ ...inNs("y"), ...pod("b") }] }] })],
    udp80: rows(OPEN, NO_XA, NO_XA, NO_XA, OPEN, NO_XA, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "PodSelector OR NamespaceSelector",
    policies: [xa({ ingress: [{ from: [inNs("y"), pod("b")] }] })],
    udp80: rows(OPEN, OPEN, NO_XA, OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "multiple pod and namespace selectors",
    policies: [
      xa({
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchExpressions: [{ key: "ns", operator: "In", values: ["y", "z"] }] },
                podSelector: { matchExpressions: [{ key: "pod", operator: "In", values: ["a", "c"] }] },
              },
            ],
          },
        ],
      }),
    ],
    udp80: rows(OPEN, NO_XA, NO_XA, OPEN, NO_XA, OPEN, OPEN, NO_XA, OPEN),
  },
  {
    name: "MatchExpressions on pods",
    policies: [
      xa({
        ingress: [
          {
            from: [
              { podSelector: { matchExpressions: [{ key: "pod", operator: "NotIn", values: ["a", "c"] }] } },
            ],
          },
        ],
      }),
    ],
    udp80: rows(OPEN, OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "MatchExpressions on namespaces",
    policies: [
      xa({
        ingress: [
          {
            from: [
              { namespaceSelector: { matchExpressions: [{ key: "ns", operator: "NotIn", values: ["x"] }] } },
            ],
          },
        ],
      }),
    ],
    udp80: rows(OPEN, NO_XA, NO_XA, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN),
  },
  {
    name: "Exists finds every pod, DoesNotExist none",
    policies: [
      xa({
        ingress: [
          {
            from: [
              { podSelector: { matchExpressions: [{ key: "pod", operator: "Exists" }] } },
              { namespaceSelector: { matchExpressions: [{ key: "ns", operator: "DoesNotExist" }] } },
            ],
          },
        ],
      }),
    ],
    udp80: rows(OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "by default namespace label",
    policies: [
      xa({
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "z" } } }] }],
      }),
    ],
    udp80: rows(OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, OPEN, OPEN, OPEN),
  },
  {
    name: "any PodSelectors: two entries of one rule are OR",
    policies: [xa({ ingress: [{ from: [pod("b"), pod("c")] }] })],
    udp80: rows(OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "every pod of every namespace",
    policies: [xa({ ingress: [{ from: [{ namespaceSelector: {}, podSelector: {} }] }] })],
    udp80: ALL_OPEN,
  },
  {
    name: "ports",
    policies: [xa({ ingress: [{ ports: [{ protocol: UDP, port: 81 }], from: [inNs("y")] }] })],
    udp80: XA_CLOSED,
    udp81: rows(OPEN, NO_XA, NO_XA, OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "named port, ingress",
    policies: [xa({ ingress: [{ ports: [{ protocol: UDP, port: "serve-81-udp" }] }] })],
    udp80: XA_CLOSED,
    udp81: ALL_OPEN,
  },
  {
    name: "named port, egress",
    policies: [
      xa({ egress: [{ ports: [{ protocol: UDP, port: "serve-80-udp" }] }], policyTypes: ["Egress"] }),
    ],
    udp80: ALL_OPEN,
    udp81: XA_MUTE,
    tcp80: XA_MUTE,
  },
  {
    name: "a name no container port has",
    policies: [xa({ ingress: [{ ports: [{ protocol: UDP, port: "other" }] }] })],
    udp80: XA_CLOSED,
  },
  {
    name: "two stacked policies",
    policies: [xa({ ingress: [{ from: [inNs("y")] }] }), xa({ ingress: [{ from: [inNs("z")] }] })],
    udp80: rows(OPEN, NO_XA, NO_XA, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN),
  },
  {
    name: "allow-all beside a specific one, ingress",
    policies: [xa({ ingress: [{ from: [inNs("y")] }] }), { namespace: "x", ingress: [{}] }],
    udp80: ALL_OPEN,
  },
  {
    name: "allow-all beside a specific one, egress",
    policies: [
      xa({ egress: [{ to: [inNs("y")] }], policyTypes: ["Egress"] }),
      { namespace: "x", egress: [{}], policyTypes: ["Egress"] },
    ],
    udp80: ALL_OPEN,
  },
  { name: "egress deny by PodSelector", policies: [xa({ policyTypes: ["Egress"] })], udp80: XA_MUTE },
  {
    name: "egress deny by namespace",
    policies: [{ namespace: "x", policyTypes: ["Egress"] }],
    udp80: rows(".## ### ###", "#.# ### ###", "##. ### ###", OPEN, OPEN, OPEN, OPEN, OPEN, OPEN),
  },
  {
    name: "egress to another namespace",
    policies: [xa({ egress: [{ to: [inNs("y")] }], policyTypes: ["Egress"] })],
    udp80: rows(".## ... ###", OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN),
  },
  {
    name: "egress denied although the server allows",
    policies: [xa({ policyTypes: ["Egress"] }), { namespace: "y", ingress: [{ from: [inNs("x")] }] }],
    udp80: rows(
      ".## ### ###",
      OPEN,
      OPEN,
      "... .## ...",
      "... #.# ...",
      "... ##. ...",
      ...Array(3).fill("... ### ..."),
    ),
  },
  {
    name: "ingress and egress are independent",
    policies: [xa({ ingress: [{ from: [pod("b")] }], egress: [{ to: [pod("c")] }] })],
    udp80: rows(".#. ### ###", OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA),
  },
  {
    name: "a UDP rule does not allow TCP",
    policies: [xa({ ingress: [{ ports: [{ protocol: UDP, port: 80 }] }] })],
    udp80: ALL_OPEN,
    udp81: XA_CLOSED,
    tcp80: XA_CLOSED,
  },
  {
    name: "protocol defaults to TCP",
    policies: [xa({ ingress: [{ ports: [{ port: 80 }] }] })],
    udp80: XA_CLOSED,
    tcp80: ALL_OPEN,
  },
  {
    name: "any port of one protocol",
    policies: [xa({ ingress: [{ ports: [{ protocol: UDP }] }] })],
    udp80: ALL_OPEN,
    udp81: ALL_OPEN,
    tcp80: XA_CLOSED,
  },
  {
    name: "an SCTP rule isolates, and is not TCP",
    policies: [xa({ ingress: [{ ports: [{ protocol: "SCTP", port: 80 }] }] })],
    udp80: XA_CLOSED,
    tcp80: XA_CLOSED,
  },
  {
    name: "endPort range",
    policies: [xa({ ingress: [{ ports: [{ protocol: UDP, port: 81, endPort: 90 }] }] })],
    udp80: XA_CLOSED,
    udp81: ALL_OPEN,
  },
  {
    name: "policyTypes Egress alone leaves ingress open",
    policies: [xa({ policyTypes: ["Egress"], egress: [{}], ingress: [{ from: [pod("b")] }] })],
    udp80: ALL_OPEN,
  },
  {
    name: "a section without policyTypes: Egress with it, Ingress always",
    policies: [xa({ egress: [{}] })],
    udp80: XA_CLOSED,
  },
  {
    name: "a policy of one namespace says nothing about the same labels of another",
    policies: [{ namespace: "y", podSelector: { matchLabels: { pod: "none" } } }],
    udp80: ALL_OPEN,
  },
];

for (const c of CASES) {
  test(`K8 ${c.name}`, (t) => {
    const net = world(c.policies);
    t.is(observed(net, 80), c.udp80, "UDP 80");
    t.is(observed(net, 81), c.udp81 ?? c.udp80, "UDP 81");
    t.is(decided(net, 6, 80), c.tcp80 ?? c.udp80, "TCP 80");
    end(t, net);
  });
}

test("K8 ipBlock, except, and an address excepted by one policy that another allows", (t) => {
  const net = world();
  const yb = `${net.pod("yb").ip}/32`;
  const egress = (cidr: string, except: string[] = []): NetworkPolicyOptions =>
    xa({ policyTypes: ["Egress"], egress: [{ to: [{ ipBlock: { cidr, except } }] }] });
  net.soon.networkPolicy("one", egress(yb));
  net.run({ for: 0 });
  const rest = [OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN];
  t.is(observed(net, 80), rows(".## #.# ###", ...rest));
  net.soon.networkPolicy("one", egress("10.224.0.0/16", [yb]));
  net.run({ for: 0 });
  t.is(observed(net, 80), rows("... .#. ...", ...rest), "updated policy");
  net.soon.networkPolicy("two", egress(yb));
  net.run({ for: 0 });
  t.is(observed(net, 80), ALL_OPEN);
  end(t, net);
});

test("K8 reacts to an updated policy, labels of pods and namespaces, and deletion", (t) => {
  const net = world([xa({ ingress: [{ from: [inNs("y")] }] })]);
  const after = (change: (soon: Net["soon"]) => void): string => {
    change(net.soon);
    net.run({ for: 0 });
    return observed(net, 80);
  };
  const fromY = rows(OPEN, NO_XA, NO_XA, OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA);
  const fromYZ = rows(OPEN, NO_XA, NO_XA, OPEN, OPEN, OPEN, OPEN, OPEN, OPEN);
  t.is(observed(net, 80), fromY);
  t.is(
    after((s) => s.labelNamespace("z", { ns: "y" })),
    fromYZ,
    "z now has the label",
  );
  t.is(
    after((s) => s.labelNamespace("z", { ns: "z" })),
    fromY,
  );
  const ofB = xa({ ingress: [{ from: [pod("b")] }] });
  const fromB = rows(OPEN, OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA);
  const both = rows(OPEN, OPEN, NO_XA, OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA);
  t.is(
    after((s) => s.networkPolicy("p1", ofB)),
    both,
    "union",
  );
  t.is(
    after((s) => s.removeNetworkPolicy("p0", "x")),
    fromB,
  );
  const withC = rows(OPEN, OPEN, OPEN, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA, NO_XA);
  t.is(
    after((s) => s.label("xc", { pod: "b" })),
    withC,
    "x/c has the label of a peer",
  );
  t.is(
    after((s) => s.label("xa", { pod: "other" })),
    ALL_OPEN,
    "x/a is not selected any more",
  );
  t.is(
    after((s) => s.label("xa", { pod: "a" })),
    withC,
  );
  t.is(
    after((s) => s.removeNetworkPolicy("p1", "x")),
    ALL_OPEN,
    "stopped after deletion",
  );
  const message = /there is no NetworkPolicy of that name in namespace x/;
  t.throws(() => after((s) => s.removeNetworkPolicy("p1", "x")), { message });
  end(t, net);
});

test("K8 a Service's pods are what counts, after DNAT; a pod reaches itself through its Service", (t) => {
  const net = world([xa({ ingress: [{ from: [pod("b")] }] })]);
  const through = (from: string): string | null => {
    const sent = net.soon.udp(from, "s-xa:80", "x");
    net.run({ for: ms(5) });
    return sent.reply === null ? sent.dropReason : sent.deliveredTo;
  };
  t.deepEqual(["xa", "xb", "xc", "ya"].map(through), [
    "xa",
    "xa",
    "NETWORK_POLICY_INGRESS",
    "NETWORK_POLICY_INGRESS",
  ]);
  end(t, net);
});

test("K8 the pod's own node reaches it, another node is an address like any other; replies pass", (t) => {
  const net = world([{ namespace: "x", policyTypes: ["Ingress", "Egress"] }]);
  const node = net.pod("xa").node;
  const other = node === "n0" ? "n1" : "n0";
  const reaches = (from: string, to: string): boolean => {
    const sent = net.soon.udp(from, to, "x");
    net.run({ for: ms(5) });
    return sent.reply !== null;
  };
  t.true(reaches(node, "xa:80"), "a probe of the kubelet, and its answer");
  t.false(reaches(other, "xa:80"));
  net.soon.networkPolicy("in", xa({ ingress: [{ from: [{ ipBlock: { cidr: "10.224.0.0/16" } }] }] }));
  net.run({ for: 0 });
  t.true(reaches(other, "xa:80"), "the answer needs no egress rule");
  const ping = net.soon.ping("ya", "xa");
  net.run({ for: ms(5) });
  t.not(ping.reply, null, "ICMP by a rule without ports");
  net.soon.networkPolicy("in", xa({ ingress: [{ ports: [{ protocol: UDP, port: 80 }] }] }));
  net.run({ for: 0 });
  const second = net.soon.ping("ya", "xa");
  net.run({ for: ms(5) });
  t.is(second.dropReason, "NETWORK_POLICY_INGRESS");
  end(t, net);
});

test("K8 a flow that was never answered stops with the policy, one that was goes on", (t) => {
  const net = cluster((aks) => {
    aks.pod("a", { node: "n0" });
    aks.pod("b", { node: "n1", udpSink: 9, udpEcho: 80 });
  });
  const policy = { podSelector: { matchLabels: { app: "b" } } };
  const send = (port: number): string | null => {
    const sent = net.soon.udp("a", `b:${port}`, "x", { sourcePort: 5000 + port });
    net.run({ for: ms(5) });
    return sent.dropReason ?? sent.deliveredTo;
  };
  const both = (): (string | null)[] => [send(9), send(80)];
  for (let i = 0; i < 4; i++) t.deepEqual(both()[0], "b");
  net.soon.networkPolicy("deny", policy);
  t.is(send(9), "NETWORK_POLICY_INGRESS");
  const echo = net.soon.udp("a", "b:80", "x", { sourcePort: 5080 });
  net.run({ for: ms(5) });
  t.not(echo.reply, null);
  net.soon.removeNetworkPolicy("deny");
  t.is(send(9), "b");
  end(t, net);
});

test("K8 steady traffic that is never answered stops with the policy, and goes on without it", (t) => {
  const net = cluster((aks) => {
    aks.pod("a", { node: "n0" });
    aks.pod("b", { node: "n1", udpSink: 9 });
  });
  const traffic = net.traffic({ from: "a", to: "b:9", flows: 4, rate: 10_000 });
  net.run({ for: ms(20) });
  t.is(traffic.report().lost, 0);
  net.soon.networkPolicy("deny", { podSelector: { matchLabels: { app: "b" } } });
  net.run({ for: ms(20) });
  net.soon.removeNetworkPolicy("deny");
  net.run({ for: ms(20) });
  traffic.stop();
  net.run({ for: ms(1) });
  const { sent, lost } = traffic.report();
  t.true(sent > 590 && lost > 190 && lost < 210, `${lost} of ${sent}`);
  end(t, net);
});

test("what the API server refuses, each mistake with its path", (t) => {
  const lines = linesOf(() =>
    clusterTopology((aks) => {
      aks.networkPolicy("bad", {
        policyTypes: ["Both" as never],
        podSelector: { matchExpressions: [{ key: "a", operator: "In" }] },
        ingress: [
          { from: [{}, { ipBlock: { cidr: "10.0.0.0/8", except: ["11.0.0.0/16"] }, podSelector: {} }] },
          {
            ports: [
              { protocol: TCP, port: 0 },
              { port: "NOT", endPort: 9 },
              { port: 9, endPort: 8 },
            ],
          },
        ],
      });
    }).build(),
  );
  const at = "cluster.aks.networkPolicy.bad";
  t.deepEqual(lines, [
    `${at}.podSelector.matchExpressions[0].values: must be specified when operator is In`,
    `${at}.policyTypes[0]: "Both" is not Ingress or Egress`,
    `${at}.ingress[0].from[0]: must specify a peer`,
    `${at}.ingress[0].from[1]: may not specify both ipBlock and another peer`,
    `${at}.ingress[0].from[1].ipBlock.except[0]: 11.0.0.0/16 must be a strict subset of 10.0.0.0/8`,
    `${at}.ingress[1].ports[0].port: 0 is no port number`,
    `${at}.ingress[1].ports[1].port: "NOT" is no port name`,
    `${at}.ingress[1].ports[1].endPort: may not be specified when port is no number`,
    `${at}.ingress[1].ports[2].endPort: 8 must be a port number, and not below port`,
  ]);
});
