// Rolling updates under traffic: how many pods there are at any time, what a client loses, and what it loses
// where nodes learn late of who has gone (K 1.3, 2.7; K6.90).

import test from "ava";
import { share } from "../../src/cluster/rollout.ts";
import type { Net } from "../../src/emulator/net.ts";
import type { RolloutOptions } from "../../src/emulator/spec.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, clusterTopology, end } from "./kit.ts";

function world(replicas: number, options = {}, nodes = 4): Net {
  return cluster(
    (aks) => {
      aks.deployment("web", { replicas, udpSink: 8080, udpEcho: 8081 });
      const ports = [80, 81].map((port) => ({ port, targetPort: 8000 + port, protocol: "UDP" as const }));
      aks.service("web", { ports });
      aks.pod("client", { node: "n0" });
    },
    options,
    nodes,
  );
}

/** Pods that do not terminate, and the ready ones of them. */
function counts(net: Net): [alive: number, ready: number] {
  const alive = net.podInfos("web").filter((p) => !p.terminating);
  return [alive.length, alive.filter((p) => p.ready).length];
}

/** Rolls out under traffic; most and fewest pods, and what became of the traffic. */
function rollUnderTraffic(net: Net, options: RolloutOptions, until: number, every = ms(1)) {
  const traffic = net.traffic({ from: "client", to: "web:80", flows: 200, rate: 20_000 });
  net.at(ms(5)).rollout("web", options);
  const seen = { most: 0, fewestReady: Number.POSITIVE_INFINITY };
  for (let now = 0; now < until; now += every) {
    net.run({ for: every });
    const [alive, ready] = counts(net);
    seen.most = Math.max(seen.most, alive);
    seen.fewestReady = Math.min(seen.fewestReady, ready);
  }
  traffic.stop();
  net.run({ for: ms(5) });
  return { ...seen, report: traffic.report() };
}

const names = (net: Net): string =>
  net
    .podInfos("web")
    .map((p) => p.name.slice(4))
    .join(" ");

test("RollingUpdate: within surge and unavailable at any time, and nothing is lost", (t) => {
  const net = world(20);
  const options = { maxSurge: "25%", maxUnavailable: "25%", readyAfter: ms(7), gracePeriod: ms(11) };
  const { most, fewestReady, report } = rollUnderTraffic(net, options, ms(120));
  t.deepEqual([most, fewestReady], [25, 15]);
  t.deepEqual([report.lost, report.misdelivered], [0, 0]);
  t.true(report.sent > 2000);
  t.is(names(net), Array.from({ length: 20 }, (_, i) => 20 + i).join(" "), "all of the new revision");
  t.deepEqual(counts(net), [20, 20]);
  end(t, net);
});

test("RollingUpdate without surge, and without missing replicas", (t) => {
  const none = rollUnderTraffic(
    world(6),
    { maxSurge: 0, maxUnavailable: 2, readyAfter: ms(3), gracePeriod: ms(4) },
    ms(60),
  );
  t.deepEqual([none.most, none.fewestReady, none.report.lost], [6, 4, 0]);
  const all = rollUnderTraffic(
    world(6),
    { maxSurge: 1, maxUnavailable: 0, readyAfter: ms(3), gracePeriod: ms(4) },
    ms(60),
  );
  t.deepEqual([all.most, all.fewestReady, all.report.lost], [7, 6, 0]);
});

test("Recreate: all go, then all come; meanwhile the Service refuses", (t) => {
  const net = world(4);
  const options = { strategy: "Recreate", readyAfter: ms(5), gracePeriod: ms(5) } as const;
  const { most, fewestReady, report } = rollUnderTraffic(net, options, ms(40));
  t.deepEqual([most, fewestReady], [4, 0]);
  t.true(report.lost > 80 && report.lost < 120, `${report.lost}: 5 ms without ready pods, at 20 a ms`);
  t.is(report.misdelivered, 0);
  t.is(names(net), "4 5 6 7");
  end(t, net);
});

test("late nodes: grace that outlasts the delay saves new connections, K2.7 not old UDP flows", (t) => {
  const lost = (gracePeriod: number): { connections: number; flows: number } => {
    const net = world(12, { kubeProxy: { syncDelay: ms(6) } });
    const fresh = Array.from({ length: 700 }, (_, i) => net.at(i * ms(0.1)).udp("client", "web:81", "x"));
    const { report } = rollUnderTraffic(net, { readyAfter: ms(10), gracePeriod }, ms(90));
    t.is(names(net).split(" ").length, 12);
    end(t, net);
    return { connections: fresh.filter((one) => one.reply === null).length, flows: report.lost };
  };
  const graceful = lost(ms(8));
  t.is(graceful.connections, 0);
  t.true(graceful.flows > 0, "they stay until the node learns that their pod has gone");
  t.true(lost(0).connections > 0);
});

test("pods there is no room for come when others have gone; a rollout within a rollout is refused", (t) => {
  const net = world(8, { maxPods: 5 }, 2);
  const options = { maxSurge: 4, maxUnavailable: 1, readyAfter: ms(2), gracePeriod: ms(2) };
  const { most, report } = rollUnderTraffic(net, options, ms(60));
  t.is(most, 8, "ten places: one of the client, one of a pod that terminates");
  t.deepEqual([report.lost, counts(net).join()], [0, "8,8"]);
  t.is(names(net), "8 9 10 11 12 13 14 15");
  net.soon.rollout("web", options);
  net.at(net.now + ms(1)).rollout("web", options);
  t.throws(() => net.run({ for: ms(2) }), { message: /the rollout before is not over/ });
});

test("old pods that are not ready go first, but no more than new ones have become ready for", (t) => {
  const net = world(4);
  for (const p of ["web-0", "web-2", "web-3"]) net.soon.ready(p, false);
  net.run({ for: ms(1) });
  net.soon.rollout("web", { maxSurge: 0, maxUnavailable: 2, readyAfter: ms(10), gracePeriod: 0 });
  net.run({ for: ms(2) });
  t.is(names(net), "1 3 4 5", "two may be missing: web-0 and web-2");
  net.run({ for: ms(30) });
  t.deepEqual([names(net), counts(net).join()], ["4 5 6 7", "4,4"]);
  end(t, net);
});

test("shares round up for surge, down for unavailable; what makes no sense is refused", (t) => {
  t.deepEqual([share("25%", 10, true), share("25%", 10, false), share(3, 10, true)], [3, 2, 3]);
  const net = clusterTopology((aks) => {
    aks.deployment("web");
    aks.pod("one");
  }).build();
  const refused = (options: RolloutOptions, message: RegExp, what = "web"): void => {
    t.throws(() => net.soon.rollout(what, options), { message });
  };
  refused({ maxSurge: "much" }, /rollout\.web\.maxSurge: much is neither/);
  refused({ maxSurge: 0, maxUnavailable: "0%" }, /may not be 0 when maxSurge is 0/);
  refused({ readyAfter: -1 }, /readyAfter: a time/);
  refused({ strategy: "Blue" as never }, /"Blue" is not RollingUpdate or Recreate/);
  refused({}, /one is a pod of its own/, "one");
  net.soon.rollout("web", { maxSurge: "0%", maxUnavailable: "25%", gracePeriod: sec(1) });
  net.run({ for: sec(2) });
  t.is(names(net), "1", "25% of one is none: one at a time all the same");
  end(t, net);
});
