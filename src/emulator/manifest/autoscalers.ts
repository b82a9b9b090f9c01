// HorizontalPodAutoscalers out of manifests: the rules of pkg/apis/autoscaling/validation and the defaults of
// autoscaling/v2.

import { SCALE_DOWN, SCALE_UP } from "../../cluster/control/autoscaler.ts";
import type { Autoscaler, ScalingRules } from "../../cluster/control/objects.ts";
import { milliOf, quantityOf } from "./quantity.ts";
import { checkLabels, checkName, invalid, required, supported } from "./rules.ts";
import type { Apply, ObjectContext } from "./workloads.ts";

const SECOND = 1_000_000_000;
/** What autoscaling/v2 defaults to: 80 % of the requested processor. */
const UTILIZATION = 80;

interface TargetManifest {
  type?: string;
  averageUtilization?: number;
  averageValue?: string | number;
}

interface MetricManifest {
  type?: string;
  resource?: { name?: string; target?: TargetManifest };
  pods?: { metric?: { name?: string }; target?: TargetManifest };
}

interface RulesManifest {
  stabilizationWindowSeconds?: number;
  selectPolicy?: string;
  policies?: readonly { type?: string; value?: number; periodSeconds?: number }[];
}

export interface AutoscalerManifest {
  metadata?: { name?: string; labels?: Readonly<Record<string, string>> };
  spec?: {
    scaleTargetRef?: { kind?: string; name?: string };
    minReplicas?: number;
    maxReplicas?: number;
    metrics?: readonly MetricManifest[];
    behavior?: { scaleUp?: RulesManifest; scaleDown?: RulesManifest };
  };
}

export function autoscaler(m: AutoscalerManifest, c: ObjectContext): Apply {
  const { say } = c;
  const { spec = {} } = m;
  checkName(say, "metadata.name", m.metadata?.name, "subdomain");
  checkLabels(say, "metadata.labels", m.metadata?.labels);
  const { scaleTargetRef, minReplicas = 1, maxReplicas = 0, behavior } = spec;
  const { kind = "", name = "" } = scaleTargetRef ?? {};
  if (kind === "") required(say, "spec.scaleTargetRef.kind");
  else supported(say, "spec.scaleTargetRef.kind", kind, ["Deployment", "StatefulSet"]);
  if (name === "") required(say, "spec.scaleTargetRef.name");
  if (minReplicas < 1) invalid(say, "spec.minReplicas", minReplicas, "must be greater than or equal to 1");
  if (maxReplicas < 1) invalid(say, "spec.maxReplicas", maxReplicas, "must be greater than 0");
  else if (maxReplicas < minReplicas) {
    invalid(say, "spec.maxReplicas", maxReplicas, "must be greater than or equal to `minReplicas`");
  }
  const metrics = metricsOf(spec.metrics, c);
  const up = rulesOf(behavior?.scaleUp, SCALE_UP, "spec.behavior.scaleUp", c);
  return (cp) => {
    const window = cp.settings.horizontalDownscale;
    const down = rulesOf(behavior?.scaleDown, { ...SCALE_DOWN, window }, "spec.behavior.scaleDown", c);
    const key = `${c.namespace}/${c.name}`;
    const known = cp.autoscalers.get(key);
    const wanted = {
      namespace: c.namespace,
      name: c.name,
      kind: kind as Autoscaler["kind"],
      target: name,
      min: minReplicas,
      max: maxReplicas,
      metrics,
      up,
      down,
    };
    if (known !== undefined) return void Object.assign(known, wanted);
    const fresh = {
      seen: new Map<string, number>(),
      measured: cp.now,
      wanted: [],
      changes: [],
      created: cp.now,
    };
    cp.autoscalers.set(key, { ...wanted, ...fresh });
    cp.after(cp.settings.horizontalSync, { kind: "autoscale", key });
  };
}

function metricsOf(given: readonly MetricManifest[] | undefined, c: ObjectContext): Autoscaler["metrics"] {
  const { say } = c;
  if (given === undefined || given.length === 0) {
    return [{ name: "cpu", isUtilization: true, target: UTILIZATION }];
  }
  return given.flatMap((metric, i): Autoscaler["metrics"] => {
    const path = `spec.metrics[${i}]`;
    if (metric.type === "Resource" && metric.resource?.name === "cpu") {
      const { target } = metric.resource;
      if (target?.averageUtilization !== undefined) {
        if (target.averageUtilization < 1) {
          const at = `${path}.resource.target.averageUtilization`;
          invalid(say, at, target.averageUtilization, "must be greater than 0");
        }
        return [{ name: "cpu", isUtilization: true, target: target.averageUtilization }];
      }
      if (target?.averageValue !== undefined) {
        return [{ name: "cpu", isUtilization: false, target: milliOf(target.averageValue) }];
      }
      required(say, `${path}.resource.target`, "must set either a target raw value or a target utilization");
      return [];
    }
    if (metric.type === "Pods") {
      const value = metric.pods?.target?.averageValue;
      if (value === undefined) {
        required(say, `${path}.pods.target.averageValue`, "must specify a positive target averageValue");
        return [];
      }
      return [{ name: metric.pods?.metric?.name ?? "", isUtilization: false, target: quantityOf(value) }];
    }
    const types = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    supported(say, `${path}.type`, metric.type ?? "", types);
    if (types.includes(metric.type ?? "")) c.skip(path, "is not modelled: only cpu and Pods metrics are");
    return [];
  });
}

function rulesOf(
  given: RulesManifest | undefined,
  base: ScalingRules,
  path: string,
  c: ObjectContext,
): ScalingRules {
  const { stabilizationWindowSeconds, selectPolicy, policies } = given ?? {};
  supported(c.say, `${path}.selectPolicy`, selectPolicy, ["Disabled", "Max", "Min"]);
  return {
    window: stabilizationWindowSeconds === undefined ? base.window : stabilizationWindowSeconds * SECOND,
    select: (selectPolicy as ScalingRules["select"] | undefined) ?? base.select,
    policies:
      policies?.map(({ type = "", value = 0, periodSeconds = 0 }, i) => {
        const at = `${path}.policies[${i}]`;
        supported(c.say, `${at}.type`, type, ["Percent", "Pods"]);
        if (value <= 0) invalid(c.say, `${at}.value`, value, "must be greater than zero");
        if (periodSeconds <= 0 || periodSeconds > 1800) {
          const detail = "must be greater than zero and less than or equal to 1800";
          invalid(c.say, `${at}.periodSeconds`, periodSeconds, detail);
        }
        return { type: type as "Pods", value, period: periodSeconds * SECOND };
      }) ?? base.policies,
  };
}
