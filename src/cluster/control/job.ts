// Jobs, mirroring pkg/controller/job: pods until so many have succeeded, back-off after a failure, an end
// when there were too many. Absent: suspend, indexed completion, deadlines, TTL.

import type { ControlPlane } from "./control-plane.ts";
import { deletePod } from "./kubelet.ts";
import { isActive, type Job, keyOf } from "./objects.ts";
import { createPod } from "./pod.ts";

const FROM = "job-controller";
const SECOND = 1_000_000_000;
/** DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff. */
const BACK_OFF = 10 * SECOND;
const BACK_OFF_MAX = 600 * SECOND;

export function syncJob(cp: ControlPlane, job: Job): void {
  if (job.condition !== "") return;
  const key = keyOf("Job", job);
  const pods = [...job.pods];
  const active = pods.filter(isActive);
  const failed = pods.filter((pod) => pod.phase === "Failed").length;
  job.succeeded = pods.filter((pod) => pod.phase === "Succeeded").length;
  const restarts = active.reduce((n, pod) => n + pod.containers.reduce((m, c) => m + c.restarts, 0), 0);
  if (failed > job.failed) {
    job.notBefore = cp.now + Math.min(BACK_OFF * 2 ** (failed - 1), BACK_OFF_MAX);
    cp.enqueueAfter(job.notBefore - cp.now, key);
  }
  job.failed = failed;
  if (failed > job.backoffLimit || (restarts > 0 && restarts >= job.backoffLimit)) {
    for (const pod of active) deletePod(cp, pod);
    finish(cp, job, "Failed");
    const message = "Job has reached the specified backoff limit";
    cp.warn(FROM, "Job", job, "BackoffLimitExceeded", message);
    return;
  }
  const isOver =
    job.completions === null ? job.succeeded > 0 && active.length === 0 : job.succeeded >= job.completions;
  if (isOver) {
    for (const pod of active) deletePod(cp, pod);
    finish(cp, job, "Complete");
    return cp.say(FROM, "Job", job, "Completed", "Job completed");
  }
  if (cp.now < job.notBefore) return;
  const wanted =
    job.completions === null
      ? job.succeeded > 0
        ? active.length
        : job.parallelism
      : Math.min(job.parallelism, job.completions - job.succeeded);
  for (let i = active.length; i < wanted; i++) {
    const labels = { ...job.template.labels, "batch.kubernetes.io/job-name": job.name, "job-name": job.name };
    const pod = createPod(cp, "Job", job, job.template, "", { labels });
    job.pods.add(pod);
    cp.say(FROM, "Job", job, "SuccessfulCreate", `Created pod: ${pod.name}`);
  }
  for (const pod of active.slice(wanted)) deletePod(cp, pod);
}

function finish(cp: ControlPlane, job: Job, condition: "Complete" | "Failed"): void {
  job.condition = condition;
  job.finished = cp.now;
}
