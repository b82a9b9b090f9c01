// HorizontalPodAutoscalers see what pods receive.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import { sec } from "../../src/emulator/units.ts";
import { cluster, end, linesOf } from "./kit.ts";

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: server
          image: web
          ports: [{ containerPort: 80, protocol: UDP }]
          resources: { requests: { cpu: 200m } }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, protocol: UDP }] }
---
`;

const hpa = (more: string): string => `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }
  minReplicas: 1
  maxReplicas: 10
  ${more}
`;

const scaled = (net: Net): string[] =>
  net
    .events()
    .filter((e) => e.reason === "SuccessfulRescale")
    .map((e) => `${e.first / sec(1)} ${e.message}`);

test("cpu at 50 % of 200m: 1 ms a packet, so 900 a second make nine pods, four or double at a time", (t) => {
  const net = cluster((aks) => aks.pod("client"), {}, 3);
  net.apply(
    WEB +
      hpa(
        "metrics: [{ type: Resource, resource: " +
          "{ name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]",
      ),
  );
  net.run({ until: sec(15) });
  const traffic = net.traffic({ from: "client", to: "web:80", flows: 1000, rate: 900 });
  net.run({ until: sec(120) });
  t.deepEqual(
    scaled(net).map((line) => line.split(";")[0]),
    ["30 New size: 5", "45 New size: 9"],
  );
  t.regex(scaled(net)[0]!, /cpu resource utilization \(percentage of request\) above target$/);
  traffic.stop();
  net.run({ until: sec(500) });
  // Five minutes after it was last needed, at once: the downward policy is all of them.
  const down = scaled(net).slice(2);
  t.is(down.length, 1);
  t.regex(down[0]!, /New size: 1; reason: All metrics below target$/);
  const at = Number(down[0]!.split(" ")[0]);
  t.true(at >= 405 && at <= 435, down[0]);
  t.is(net.podInfos("web").length, 1);
  end(t, net);
});

test("a Pods metric is packets a second; a tenth off the target changes nothing; max is the limit", (t) => {
  const net = cluster((aks) => aks.pod("client"), {}, 3);
  const metric = (average: number): string =>
    "metrics: [{ type: Pods, pods: { metric: { name: packets }, " +
    `target: { type: AverageValue, averageValue: ${average} } } }]`;
  net.apply(WEB + hpa(metric(100)));
  net.run({ until: sec(15) });
  net.traffic({ from: "client", to: "web:80", flows: 500, rate: 109 });
  net.run({ until: sec(60) });
  t.deepEqual(scaled(net), []);
  net.apply(hpa(metric(2)));
  net.run({ until: sec(120) });
  t.is(net.clusters[0]!.control.deployments.get("default/web")!.replicas, 10);
  end(t, net);
});

test("what is wrong with one", (t) => {
  const net = cluster(() => {});
  const bad = hpa(
    "behavior: { scaleUp: { selectPolicy: Most, " +
      "policies: [{ type: Pods, value: 0, periodSeconds: 9000 }] } }",
  )
    .replace("maxReplicas: 10", "maxReplicas: 0")
    .replace("kind: Deployment,", "kind: ReplicationController,");
  const at = "manifest: document 1, HorizontalPodAutoscaler web: spec.";
  t.deepEqual(
    linesOf(() => net.apply(bad)),
    [
      `${at}scaleTargetRef.kind: Unsupported value: "ReplicationController": ` +
        'supported values: "Deployment", "StatefulSet"',
      `${at}maxReplicas: Invalid value: 0: must be greater than 0`,
      `${at}behavior.scaleUp.selectPolicy: Unsupported value: "Most": ` +
        'supported values: "Disabled", "Max", "Min"',
      `${at}behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero`,
      `${at}behavior.scaleUp.policies[0].periodSeconds: Invalid value: 9000: ` +
        "must be greater than zero and less than or equal to 1800",
    ],
  );
  end(t, net);
});
