// Affinity of pods to pods and to nodes: where the scheduler puts them, and what it says when it cannot.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import { sec } from "../../src/emulator/units.ts";
import { cluster, end, linesOf } from "./kit.ts";

const RULE = "requiredDuringSchedulingIgnoredDuringExecution";
const WISH = "preferredDuringSchedulingIgnoredDuringExecution";
const HOST = "kubernetes.io/hostname";
const ZONE = "topology.kubernetes.io/zone";

const near = (app: string, topologyKey: string, more: object = {}): object => ({
  labelSelector: { matchLabels: { app } },
  topologyKey,
  ...more,
});

const deployment = (name: string, replicas: number, affinity: object = {}, namespace = "default"): string =>
  JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          affinity,
          terminationGracePeriodSeconds: 1,
          containers: [{ name, image: name, ports: [{ containerPort: 80 }] }],
        },
      },
    },
  });

/** Two nodes in zone a, two in zone b; the first of each zone is "big". */
function zones(): Net {
  return cluster(
    (aks) => {
      for (const [i, zone] of ["a", "a", "b", "b"].entries()) {
        aks.node(`n${i}`, { zone, labels: i % 2 === 0 ? { size: "big" } : {} });
      }
    },
    {},
    0,
  );
}

const running = (net: Net, app: string): string =>
  [...net.clusters[0]!.control.pods.values()]
    .filter((pod) => pod.labels.app === app && pod.phase === "Running" && pod.deleting < 0)
    .map((pod) => `n${pod.node}`)
    .sort()
    .join(" ");

const refused = (net: Net): string[] =>
  net
    .events()
    .filter((e) => e.reason === "FailedScheduling")
    .map((e) => e.message);

test("required anti-affinity: one to a node, and whoever is too many waits for a place", (t) => {
  const net = zones();
  net.apply(deployment("web", 5, { podAntiAffinity: { [RULE]: [near("web", HOST)] } }));
  net.run({ for: sec(5) });
  t.is(running(net, "web"), "n0 n1 n2 n3");
  t.deepEqual(refused(net), [
    "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules. " +
      "preemption: 0/4 nodes are available: 4 No preemption victims found for incoming pod.",
  ]);
  const first = [...net.clusters[0]!.control.pods.values()].find((pod) => pod.node === 2)!;
  net.soon.kubectl.scale("deployment/web", 4);
  net.run({ for: sec(5) });
  net.soon.kubectl.delete(`pod/${first.name}`);
  net.run({ for: sec(5) });
  t.is(running(net, "web"), "n0 n1 n2 n3", "its successor gets the place when it is gone");
  end(t, net);
});

test("by zone: as many pods as zones, and pods that are there keep others out of theirs", (t) => {
  const net = zones();
  net.apply(deployment("db", 1, { podAntiAffinity: { [RULE]: [near("web", ZONE), near("db", ZONE)] } }));
  net.run({ for: sec(3) });
  t.is(running(net, "db"), "n0");
  net.apply(deployment("web", 3));
  net.run({ for: sec(3) });
  t.regex(running(net, "web"), /^n[23] n[23] n[23]$/, "web says nothing, but db does");
  net.soon.kubectl.cordon("n2");
  net.soon.kubectl.cordon("n3");
  net.soon.kubectl.scale("deployment/web", 4);
  net.run({ for: sec(3) });
  t.deepEqual(refused(net), [
    "0/4 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules, " +
      "2 node(s) were unschedulable. preemption: 0/4 nodes are available: " +
      "2 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.",
  ]);
  end(t, net);
});

test("required affinity: waits for the other, then goes where it is; the first of a kind may begin", (t) => {
  const net = zones();
  net.apply(deployment("cache", 2, { podAffinity: { [RULE]: [near("web", ZONE)] } }));
  net.run({ for: sec(3) });
  t.is(running(net, "cache"), "");
  t.is(
    refused(net)[0],
    "0/4 nodes are available: 4 node(s) didn't match pod affinity rules. " +
      "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.",
  );
  for (const node of ["n0", "n1", "n2"]) net.soon.kubectl.cordon(node);
  net.apply(deployment("web", 1));
  net.run({ for: 0 });
  for (const node of ["n0", "n1", "n2"]) net.soon.kubectl.uncordon(node);
  net.run({ for: sec(5) });
  t.is(running(net, "web"), "n3");
  t.regex(running(net, "cache"), /^n[23] n[23]$/, "zone b");
  net.apply(deployment("herd", 4, { podAffinity: { [RULE]: [near("herd", HOST)] } }));
  net.run({ for: sec(3) });
  t.regex(running(net, "herd"), /^(n\d) \1 \1 \1$/);
  end(t, net);
});

test("terms mean pods of the own namespace, unless they name others or select them", (t) => {
  const net = zones();
  const apart = (more: object): object => ({ podAntiAffinity: { [RULE]: [near("web", HOST, more)] } });
  net.apply(deployment("web", 4, { podAntiAffinity: { [RULE]: [near("web", HOST)] } }, "shop"));
  net.apply(deployment("own", 1, apart({})));
  net.apply(deployment("named", 1, apart({ namespaces: ["shop"] })));
  net.apply(deployment("any", 1, apart({ namespaceSelector: {} })));
  const labels = { "kubernetes.io/metadata.name": "shop" };
  net.apply(deployment("labelled", 1, apart({ namespaceSelector: { matchLabels: labels } })));
  net.apply(deployment("none", 1, { podAntiAffinity: { [RULE]: [{ topologyKey: HOST }] } }));
  net.run({ for: sec(3) });
  t.deepEqual(
    ["own", "named", "any", "labelled", "none"].map((app) => running(net, app) !== ""),
    [true, false, false, false, true],
  );
  end(t, net);
});

test("preferences weigh: nodes of a size, apart from each other where there is room, near another", (t) => {
  const net = zones();
  const big = { matchExpressions: [{ key: "size", operator: "In", values: ["big"] }] };
  net.apply(
    deployment("web", 2, {
      nodeAffinity: { [WISH]: [{ weight: 50, preference: big }] },
      podAntiAffinity: { [WISH]: [{ weight: 100, podAffinityTerm: near("web", HOST) }] },
    }),
  );
  net.run({ for: sec(3) });
  t.is(running(net, "web"), "n0 n2", "the big ones, one each");
  net.soon.kubectl.scale("deployment/web", 4);
  net.run({ for: sec(3) });
  t.is(running(net, "web"), "n0 n1 n2 n3", "to be apart weighs more");
  net.apply(deployment("db", 1));
  net.run({ for: sec(3) });
  const at = running(net, "db");
  net.apply(
    deployment("agent", 3, { podAffinity: { [WISH]: [{ weight: 100, podAffinityTerm: near("db", HOST) }] } }),
  );
  net.run({ for: sec(3) });
  t.true(running(net, "agent").split(" ").includes(at));
  end(t, net);
});

test("mistakes in affinities are told in the API server's words", (t) => {
  const net = zones();
  const affinity = {
    podAntiAffinity: {
      [RULE]: [{ labelSelector: { matchExpressions: [{ key: "app", operator: "Is" }] }, namespaces: ["No"] }],
      [WISH]: [{ weight: 101, podAffinityTerm: near("web", HOST) }],
    },
    nodeAffinity: { [WISH]: [{ weight: 0, preference: {} }] },
  };
  const path = "spec.template.spec.affinity";
  const lines = linesOf(() => net.apply(deployment("web", 1, affinity))).map((line) =>
    line.slice(line.indexOf("spec.")),
  );
  t.deepEqual(
    lines.filter((line) => !line.includes("namespaces")),
    [
      `${path}.podAntiAffinity.${RULE}[0].labelSelector.matchExpressions[0].operator: ` +
        'Invalid value: "Is": not a valid selector operator',
      `${path}.podAntiAffinity.${RULE}[0].topologyKey: Required value: can not be empty`,
      `${path}.podAntiAffinity.${WISH}[0].weight: Invalid value: 101: must be in the range 1-100`,
      `${path}.nodeAffinity.${WISH}[0].weight: Invalid value: 0: must be in the range 1-100`,
    ],
  );
  t.is(lines.filter((line) => line.startsWith(`${path}.podAntiAffinity.${RULE}[0].namespaces[0]`)).length, 1);
  end(t, net);
});
