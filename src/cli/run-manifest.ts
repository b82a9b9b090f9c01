// vnetem run app.yaml --on topology: a manifest applied to the cluster of a topology, whose own script does
// not run; time passes until everything is as it should be, and each Service is tried.

import { type ApplyReport, formatTime, type Net } from "../index.ts";
import { getTable } from "../observe/get.ts";
import { printTable } from "./get.ts";
import { checkCluster, PATIENCE } from "./manifest-file.ts";

/** What is wrong in the end, or null. */
export function runManifest(net: Net, text: string, file: string): string | null {
  checkCluster(net);
  const report = net.apply(text, { file });
  say(net, report);
  const isReady = net.rolledOut({ within: PATIENCE });
  const tried = net.tryServices();
  for (const { service, port, protocol, answer } of tried) {
    net.log(`service/${service} ${port}/${protocol}: ${answer}`);
  }
  if (!isReady) return `not everything is ready after ${formatTime(PATIENCE)}`;
  const silent = tried.filter((t) => !t.answered);
  return silent.length === 0 ? null : `${silent.length} Service ports do not answer`;
}

function say(net: Net, report: ApplyReport): void {
  for (const { object, namespace, result } of report.objects) {
    net.log(`${object} ${result}${namespace === "default" ? "" : ` (namespace ${namespace})`}`);
  }
  for (const { path, message } of report.skipped) net.log(`skipped: ${path}: ${message}`);
}

/** Pods and Services as they are in the end. */
export function printCluster(net: Net): void {
  for (const what of ["pods", "services"] as const) {
    console.log();
    printTable(getTable(net.clusters[0] as Net["clusters"][number], what, { wide: what === "pods" }));
  }
}
