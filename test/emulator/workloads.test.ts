// Controllers, scheduler and kubelets on the virtual clock: what they do to pods, when, and what they say.

import test from "ava";
import type { Net } from "../../src/emulator/net.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end } from "./kit.ts";

/** A Deployment "web" of pods that listen on UDP 80, with these fields of its spec and its container. */
const web = (spec = "", container = "", pod = ""): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  ${spec}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      ${pod}
      containers:
        - name: server
          image: web:1
          ports: [{ containerPort: 80, protocol: UDP }]
          ${container}
`;

const said = (net: Net, ...reasons: string[]): string[] =>
  net
    .events()
    .filter((e) => reasons.includes(e.reason))
    .map((e) => `${e.first / sec(1)} ${e.kind} ${e.reason}: ${e.message}`);

const control = (net: Net) => net.clusters[0]!.control;
const sets = (net: Net) => control(net).deployments.get("default/web")!.sets;

test("a rolling update has never more pods than replicas + maxSurge, nor too few available", (t) => {
  const net = cluster(() => {}, {}, 3);
  const probe = "readinessProbe: { exec: { command: [ok] }, initialDelaySeconds: 2, periodSeconds: 2 }";
  const strategy = "strategy: { rollingUpdate: { maxSurge: 2, maxUnavailable: 1 } }";
  net.apply(web(`replicas: 7\n  ${strategy}`, probe, "terminationGracePeriodSeconds: 3"));
  t.true(net.rolledOut({ within: sec(10) }));
  net.soon.kubectl.rolloutRestart("deployment/web");
  let [most, least] = [0, 99];
  for (let i = 0; i < 600; i++) {
    net.run({ for: ms(100) });
    const alive = [...control(net).pods.values()].filter((pod) => pod.deleting < 0);
    most = Math.max(most, alive.length);
    least = Math.min(least, alive.filter((pod) => pod.ready).length);
  }
  t.deepEqual([most, least], [9, 6]);
  t.deepEqual(
    sets(net).map((rs) => rs.replicas),
    [0, 7],
  );
  t.true(net.rolledOut({ within: 0 }));
  end(t, net);
});

test("Recreate: no new pod before the last old one is gone", (t) => {
  const net = cluster(() => {});
  net.apply(web("replicas: 3\n  strategy: { type: Recreate }", "", "terminationGracePeriodSeconds: 5"));
  t.true(net.rolledOut({ within: sec(5) }));
  const from = net.now;
  net.soon.kubectl.rolloutRestart("deployment/web");
  net.run({ for: sec(10) });
  const [old, fresh] = sets(net);
  t.is(old!.pods.size, 0);
  t.deepEqual(
    [...fresh!.pods].map((pod) => pod.created),
    [from + sec(5), from + sec(5), from + sec(5)],
  );
  end(t, net);
});

test("rollout undo takes the old ReplicaSet again, under a new revision; history has its limit", (t) => {
  const net = cluster(() => {});
  const grace = "terminationGracePeriodSeconds: 1";
  for (const image of ["web:1", "web:2", "web:3", "web:4"]) {
    net.apply(web("replicas: 2\n  revisionHistoryLimit: 2", "", grace).replace("web:1", image));
    t.true(net.rolledOut({ within: sec(60) }));
    net.run({ for: sec(2) });
  }
  t.deepEqual(
    sets(net).map((rs) => rs.revision),
    [2, 3, 4],
  );
  const third = sets(net)[1]!;
  net.soon.kubectl.rolloutUndo("deployment/web");
  net.run({ for: 0 });
  t.true(net.rolledOut({ within: sec(60) }));
  t.deepEqual([third.revision, third.replicas, third.template.containers[0]!.image], [5, 2, "web:3"]);
  net.soon.kubectl.rolloutUndo("deployment/web", { revision: 2 });
  net.run({ for: 0 });
  t.true(net.rolledOut({ within: sec(60) }));
  t.is(sets(net).find((rs) => rs.replicas === 2)!.template.containers[0]!.image, "web:2");
  end(t, net);
});

test("a StatefulSet comes up in order, goes in reverse, and keeps names but not addresses", (t) => {
  const net = cluster(() => {});
  net.apply(`
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  replicas: 3
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      terminationGracePeriodSeconds: 2
      containers: [{ name: db, image: db, ports: [{ containerPort: 5432 }] }]
`);
  t.true(net.rolledOut({ within: sec(10) }));
  t.deepEqual(
    said(net, "SuccessfulCreate").map((line) => line.slice(0, 40)),
    [
      "0 StatefulSet SuccessfulCreate: create P",
      "1 StatefulSet SuccessfulCreate: create P",
      "2 StatefulSet SuccessfulCreate: create P",
    ],
  );
  const before = net.podInfos("db").map((pod) => pod.ip);
  const from = net.now;
  net.soon.kubectl.rolloutRestart("statefulset/db");
  net.run({ for: 0 });
  t.true(net.rolledOut({ within: sec(30) }));
  const gone = said(net, "SuccessfulDelete").map((line) => /delete Pod (\S+)/.exec(line)![1]);
  t.deepEqual(gone, ["db-2", "db-1", "db-0"]);
  const after = net.podInfos("db");
  t.deepEqual(after.map((pod) => pod.name).sort(), ["db-0", "db-1", "db-2"]);
  t.true(after.every((pod) => !before.includes(pod.ip)));
  // Two seconds of grace and one to start, three times.
  t.is(net.now - from, sec(9));
  net.soon.kubectl.scale("sts/db", 1);
  net.run({ for: sec(10) });
  t.deepEqual(
    net.podInfos("db").map((pod) => pod.name),
    ["db-0"],
  );
  end(t, net);
});

test("a crashing container restarts at once, then after 10, 20, 40 s: CrashLoopBackOff", (t) => {
  const net = cluster(() => {});
  net.soon.kubectl.program("web", { after: sec(2), code: 3 });
  net.apply(web("replicas: 1"));
  net.run({ until: sec(90) });
  const started = net.events().find((e) => e.reason === "Started")!;
  // 1, 3, 15, 37 and 79 s: two seconds of running, and the back-off.
  t.is(started.count, 5);
  t.is(started.last, sec(79));
  const [pod] = [...control(net).pods.values()];
  t.deepEqual([pod!.containers[0]!.restarts, pod!.containers[0]!.reason], [4, "CrashLoopBackOff"]);
  const backOff = net.events().find((e) => e.reason === "BackOff")!;
  t.deepEqual([backOff.first, backOff.count], [sec(5), 4]);
  net.soon.kubectl.program("web", null);
  net.run({ until: sec(200) });
  t.is(pod!.containers[0]!.restarts, 5);
  t.true(pod!.ready);
  end(t, net);
});

test("a failed liveness probe restarts the container after its grace period", (t) => {
  const net = cluster(() => {});
  const probe =
    "livenessProbe: { httpGet: { path: /healthz, port: 8081 }, periodSeconds: 5, failureThreshold: 2 }";
  net.apply(web("replicas: 1", probe, "terminationGracePeriodSeconds: 4"));
  const healthy = (at: number, is: boolean): void => {
    net.run({ until: sec(at) });
    const [pod] = control(net).pods.values();
    net.soon.kubectl.healthy(pod!.name, is);
  };
  // Asked at 1, 6, 11 s …: one failure, then a success, is none too many.
  healthy(12, false);
  healthy(20, true);
  healthy(22, false);
  net.run({ until: sec(40) });
  const [pod] = control(net).pods.values();
  t.deepEqual(said(net, "Killing"), [
    "31 Pod Killing: Container server failed liveness probe, will be restarted",
  ]);
  const unhealthy = net.events().find((e) => e.reason === "Unhealthy")!;
  t.is(unhealthy.message, "Liveness probe failed: HTTP probe failed with statuscode: 503");
  t.is(pod!.containers[0]!.restarts, 1);
  // Four seconds of grace, and the first restart is at once.
  t.is(pod!.containers[0]!.started, sec(35));
  end(t, net);
});

test("a Job runs its pods to completion, again after failures with back-off, until it may no more", (t) => {
  const net = cluster(() => {});
  const job = (name: string, more: string): string => `
apiVersion: batch/v1
kind: Job
metadata: { name: ${name} }
spec:
  ${more}
  template: { spec: { restartPolicy: Never, containers: [{ name: a, image: job }] } }
`;
  net.apply(`${job("good", "completions: 5\n  parallelism: 2")}---${job("bad", "backoffLimit: 2")}`);
  net.soon.kubectl.program("bad", { after: sec(1), code: 1 });
  net.run({ until: sec(100) });
  const { jobs, pods } = control(net);
  const [good, bad] = [jobs.get("default/good")!, jobs.get("default/bad")!];
  // Three rounds of two at a time, a second to start and a second to run.
  t.deepEqual([good.condition, good.succeeded, good.finished], ["Complete", 5, sec(6)]);
  t.deepEqual([bad.condition, bad.failed], ["Failed", 3]);
  const made = [...pods.values()].filter((pod) => pod.owner === "Job/default/bad").map((pod) => pod.created);
  // 2 s each, and 10 s, then 20 s of back-off.
  t.deepEqual(made, [0, sec(12), sec(34)]);
  t.deepEqual(said(net, "BackoffLimitExceeded", "Completed"), [
    "6 Job Completed: Job completed",
    "36 Job BackoffLimitExceeded: Job has reached the specified backoff limit",
  ]);
  end(t, net);
});

test("pods without a place wait, with the scheduler's words for every node, until there is one", (t) => {
  const net = cluster(
    (aks) => {
      aks.node("small", { allocatable: { cpu: "500m", memory: "1Gi" } });
      aks.node("gpu", { taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }] });
      aks.node("full", { maxPods: 1 });
      aks.pod("there", { node: "full" });
    },
    {},
    1,
  );
  net.soon.kubectl.cordon("n0");
  net.run({ for: 0 });
  net.apply(web("replicas: 1", "resources: { requests: { cpu: 750m, memory: 2Gi } }"));
  net.run({ until: sec(5) });
  const [words] = said(net, "FailedScheduling");
  t.is(
    words,
    "0 Pod FailedScheduling: 0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, " +
      "1 Too many pods, 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable. " +
      "preemption: 0/4 nodes are available: 2 No preemption victims found for incoming pod, " +
      "2 Preemption is not helpful for scheduling.",
  );
  net.soon.kubectl.uncordon("n0");
  net.run({ for: sec(2) });
  t.deepEqual(
    net.podInfos("web").map((pod) => [pod.node, pod.ready]),
    [["n0", true]],
  );
  end(t, net);
});

test("replicas spread over zones and nodes, by default and as constraints say", (t) => {
  const describe = (aks: Parameters<Parameters<typeof cluster>[0]>[0]): void => {
    for (const [i, zone] of ["a", "a", "b", "c"].entries()) aks.node(`z${i}`, { zone });
  };
  const net = cluster(describe, {}, 0);
  net.apply(web("replicas: 6"));
  net.run({ until: sec(2) });
  const perNode = (): number[] =>
    ["z0", "z1", "z2", "z3"].map((n) => net.podInfos("web").filter((pod) => pod.node === n).length);
  t.deepEqual(perNode(), [1, 1, 2, 2]);
  const skew =
    "topologySpreadConstraints: [{ maxSkew: 1, topologyKey: kubernetes.io/hostname, " +
    "whenUnsatisfiable: DoNotSchedule, labelSelector: { matchLabels: { app: web } } }]";
  const hard = cluster(describe, {}, 0);
  hard.apply(web("replicas: 8", "", skew));
  hard.run({ until: sec(2) });
  const counts = ["z0", "z1", "z2", "z3"].map((n) => hard.podInfos("web").filter((p) => p.node === n).length);
  t.deepEqual(counts, [2, 2, 2, 2]);
  end(t, net);
  end(t, hard);
});

test("drain evicts as the disruption budget lets it; DaemonSet pods stay", (t) => {
  const net = cluster(() => {}, {}, 3);
  net.apply(`${web("replicas: 3", "", "terminationGracePeriodSeconds: 1")}---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec: { minAvailable: 2, selector: { matchLabels: { app: web } } }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  selector: { matchLabels: { app: agent } }
  template:
    metadata: { labels: { app: agent } }
    spec: { containers: [{ name: agent, image: agent }] }
`);
  t.true(net.rolledOut({ within: sec(5) }));
  for (const node of ["n0", "n1"]) net.soon.kubectl.drain(node);
  let least = 9;
  for (let i = 0; i < 300; i++) {
    net.run({ for: ms(100) });
    least = Math.min(least, net.podInfos("web").filter((pod) => pod.ready && !pod.terminating).length);
  }
  t.is(least, 2);
  t.deepEqual(
    net.podInfos("web").map((pod) => pod.node),
    ["n2", "n2", "n2"],
  );
  t.deepEqual(
    net
      .podInfos("agent")
      .map((pod) => pod.node)
      .sort(),
    ["n0", "n1", "n2"],
  );
  end(t, net);
});

test("a Deployment that is deleted takes everything along", (t) => {
  const net = cluster(() => {});
  net.apply(web("replicas: 3", "", "terminationGracePeriodSeconds: 2"));
  t.true(net.rolledOut({ within: sec(5) }));
  net.soon.kubectl.delete("deploy/web");
  net.run({ for: sec(1) });
  t.true(net.podInfos("web").every((pod) => pod.terminating));
  net.run({ for: sec(2) });
  t.is(control(net).pods.size + control(net).replicaSets.size, 0);
  t.deepEqual(
    control(net).nodes.map((node) => [node.usedCpu, node.pods.size, node.starting]),
    [
      [0, 0, 0],
      [0, 0, 0],
    ],
  );
  end(t, net);
});
