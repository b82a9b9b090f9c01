// What an operator does to a running cluster, by the verbs of kubectl, and what befalls machines and
// programs: net.at(sec(5)).kubectl.drain("n1"). Each call schedules one command (kubectl-command.ts).

import { didYouMean, UnknownNameError } from "./hosts.ts";
import type { KubectlCommand } from "./kubectl-command.ts";
import type { Net } from "./net.ts";

export interface KubectlOptions {
  /** Default "default". */
  namespace?: string;
}

export class Kubectl {
  private readonly net: Net;
  private readonly time: number;
  private readonly cluster: number;

  constructor(net: Net, time: number, cluster?: string) {
    const names = net.clusters.map((c) => c.name);
    this.net = net;
    this.time = time;
    this.cluster = cluster === undefined ? 0 : names.indexOf(cluster);
    if (names[this.cluster] !== undefined) return;
    throw new UnknownNameError(`no cluster is named "${cluster ?? ""}"${didYouMean(cluster ?? "", names)}`);
  }

  /** @param manifest YAML or JSON @param file what mistakes are reported by */
  apply(manifest: string, file = "manifest"): void {
    this.do({ verb: "apply", manifest, file });
  }

  /** @param object "deployment/web", "pod/web-0", "service/web" … or "node/n1" */
  delete(object: string, options: KubectlOptions & { force?: boolean } = {}): void {
    const { namespace = "default", force = false } = options;
    this.do({ verb: "delete", object, namespace, force });
  }

  /** @param object "deployment/web", "statefulset/db", "replicaset/…" */
  scale(object: string, replicas: number, { namespace = "default" }: KubectlOptions = {}): void {
    this.do({ verb: "scale", object, namespace, replicas });
  }

  /** New pods, by the strategy of the Deployment, StatefulSet or DaemonSet. */
  rolloutRestart(object: string, { namespace = "default" }: KubectlOptions = {}): void {
    this.do({ verb: "restart", object, namespace });
  }

  /** Back to an earlier template. @param revision default the one before */
  rolloutUndo(object: string, options: KubectlOptions & { revision?: number } = {}): void {
    const { namespace = "default", revision = 0 } = options;
    this.do({ verb: "undo", object, namespace, revision });
  }

  cordon(node: string): void {
    this.do({ verb: "cordon", node: this.node(node), on: true });
  }

  uncordon(node: string): void {
    this.do({ verb: "cordon", node: this.node(node), on: false });
  }

  /** Cordons, and evicts all pods but those of DaemonSets, as disruption budgets let it. */
  drain(node: string): void {
    this.do({ verb: "drain", node: this.node(node) });
  }

  /** @param taint "key=value:NoExecute"; with a "-" at its end it is removed */
  taint(node: string, taint: string): void {
    const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)(-?)$/.exec(taint);
    if (match === null) throw new UnknownNameError(`"${taint}" is no taint such as key=value:NoExecute`);
    const [, key = "", value = "", effect, minus] = match;
    const wanted = { key, value, effect: effect as "NoSchedule" };
    this.do({ verb: "taint", node: this.node(node), taint: wanted, on: minus === "" });
  }

  /** The machine loses power, and nobody is told. */
  powerOff(node: string): void {
    this.do({ verb: "power", node: this.node(node), on: false });
  }

  /** It boots. */
  powerOn(node: string): void {
    this.do({ verb: "power", node: this.node(node), on: true });
  }

  /** A container's program exits. @param container default the first */
  exit(pod: string, options: KubectlOptions & { code?: number; container?: string } = {}): void {
    const { namespace = "default", code = 1, container = "" } = options;
    this.do({ verb: "exit", pod, namespace, code, container });
  }

  /** What HTTP and exec probes of a container are answered from now on. */
  healthy(pod: string, healthy: boolean, options: KubectlOptions & { container?: string } = {}): void {
    const { namespace = "default", container = "" } = options;
    this.do({ verb: "healthy", pod, namespace, healthy, container });
  }

  /**
   * From now on containers of this app exit so long after each start; null: they run on. @param app of a
   * Deployment, StatefulSet, DaemonSet, Job or Pod @param after ns
   */
  program(app: string, exit: { after: number; code: number } | null, options: KubectlOptions = {}): void {
    this.do({ verb: "program", app, namespace: options.namespace ?? "default", exit });
  }

  private node(name: string): number {
    const names = (this.net.clusters[this.cluster] as { nodes: readonly { name: string }[] }).nodes.map(
      (n) => n.name,
    );
    const n = names.indexOf(name);
    if (n < 0) throw new UnknownNameError(`nodes "${name}" not found${didYouMean(name, names)}`);
    return n;
  }

  private do(command: KubectlCommand): void {
    this.net.schedule(this.time, { kind: "kubectl", cluster: this.cluster, command });
  }
}
