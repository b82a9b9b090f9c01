// A pod template or a pod's spec out of a manifest: the rules of pkg/apis/core/validation and the defaults of
// core/v1. What is there and has no effect here is reported, once per object.

import type {
  ContainerPort,
  ContainerSpec,
  NodeTerm,
  PodTemplate,
  Probe,
  SpreadConstraint,
  Toleration,
} from "../../cluster/control/objects.ts";
import { parseIpv4 } from "../../wire/address.ts";
import { PROTOCOLS } from "../hosts.ts";
import { affinityOf, nodeTerm } from "./affinity.ts";
import type {
  ContainerManifest,
  MetadataManifest,
  PodSpecManifest,
  ProbeManifest,
  Quantities,
} from "./kinds.ts";
import { milliOf, quantityOf } from "./quantity.ts";
import {
  checkLabels,
  checkName,
  checkPort,
  checkPortName,
  checkSelector,
  invalid,
  notNegative,
  required,
  type Say,
  supported,
} from "./rules.ts";

const SECOND = 1_000_000_000;
const GRACE = 30;
const EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

export interface TemplateContext {
  say: Say;
  /** What is left out. */
  skip: Say;
  /** Path of the template: "spec.template", or "" for a pod. */
  path: string;
  /** Restart policies its owner allows; the first is the default. */
  policies: readonly PodTemplate["restartPolicy"][];
}

export function podTemplate(
  metadata: MetadataManifest | undefined,
  spec: PodSpecManifest | undefined,
  c: TemplateContext,
): PodTemplate {
  const { say } = c;
  const at = (field: string): string => (c.path === "" ? field : `${c.path}.${field}`);
  checkLabels(say, at("metadata.labels"), metadata?.labels);
  const { restartPolicy, terminationGracePeriodSeconds = GRACE } = spec ?? {};
  supported(say, at("spec.restartPolicy"), restartPolicy, c.policies);
  notNegative(say, at("spec.terminationGracePeriodSeconds"), terminationGracePeriodSeconds);
  const containers = containersOf(spec?.containers, at("spec.containers"), say);
  const { hostname, subdomain } = spec ?? {};
  if (hostname) checkName(say, at("spec.hostname"), hostname, "label");
  if (subdomain) checkName(say, at("spec.subdomain"), subdomain, "label");
  const affinity = affinityOf(spec?.affinity, at("spec.affinity"), say);
  return {
    labels: metadata?.labels ?? {},
    annotations: metadata?.annotations ?? {},
    containers: [...containers, ...sidecars(spec, at, say)],
    initContainers: (spec?.initContainers ?? []).filter((one) => one.restartPolicy !== "Always").length,
    restartPolicy: (restartPolicy as PodTemplate["restartPolicy"] | undefined) ?? c.policies[0] ?? "Always",
    grace: terminationGracePeriodSeconds * SECOND,
    hostNetwork: spec?.hostNetwork === true,
    nodeName: spec?.nodeName ?? "",
    nodeSelector: spec?.nodeSelector ?? {},
    nodeTerms: nodeTerms(spec, at, say),
    tolerations: tolerations(spec, at("spec.tolerations"), say),
    spread: spread(spec, at("spec.topologySpreadConstraints"), say),
    ...(affinity === null ? {} : { affinity }),
    ...(hostname ? { hostname } : {}),
    ...(subdomain ? { subdomain } : {}),
  };
}

// Init containers that go on: sidecars.
function sidecars(
  spec: PodSpecManifest | undefined,
  at: (field: string) => string,
  say: Say,
): ContainerSpec[] {
  const list = spec?.initContainers ?? [];
  return list.flatMap((one, i) =>
    one.restartPolicy === "Always" ? [containerOf(one, at(`spec.initContainers[${i}]`), say)] : [],
  );
}

function containersOf(
  list: readonly ContainerManifest[] | undefined,
  path: string,
  say: Say,
): ContainerSpec[] {
  if (list === undefined || list.length === 0) required(say, path);
  const names = new Set<string>();
  return (list ?? []).map((one, i) => {
    const at = `${path}[${i}]`;
    if (one.name !== undefined && names.has(one.name)) {
      say(`${at}.name`, `Duplicate value: ${JSON.stringify(one.name)}`);
    }
    names.add(one.name ?? "");
    return containerOf(one, at, say);
  });
}

function containerOf(one: ContainerManifest, path: string, say: Say): ContainerSpec {
  checkName(say, `${path}.name`, one.name, "label");
  if (!one.image) required(say, `${path}.image`);
  const ports = portsOf(one, `${path}.ports`, say);
  const { requests = {}, limits = {} } = one.resources ?? {};
  checkRequests(requests, limits, `${path}.resources.requests`, say);
  const probe = (field: "startupProbe" | "readinessProbe" | "livenessProbe"): Probe | null => {
    const given = one[field];
    return given === undefined || given === null ? null : probeOf(given, field, `${path}.${field}`, say);
  };
  return {
    name: one.name ?? "",
    image: one.image ?? "",
    // Where only a limit is named it is the request too.
    cpu: milliOf(requests.cpu ?? limits.cpu ?? 0),
    memory: quantityOf(requests.memory ?? limits.memory ?? 0),
    ports,
    startup: probe("startupProbe"),
    readiness: probe("readinessProbe"),
    liveness: probe("livenessProbe"),
  };
}

function checkRequests(requests: Quantities, limits: Quantities, path: string, say: Say): void {
  for (const [name, value] of Object.entries(requests)) {
    const limit = limits[name];
    if (quantityOf(value) < 0) {
      invalid(say, `${path}[${name}]`, value, "must be greater than or equal to 0");
    }
    if (limit === undefined || quantityOf(value) <= quantityOf(limit)) continue;
    invalid(say, path, value, `must be less than or equal to ${name} limit of ${limit}`);
  }
}

function portsOf(one: ContainerManifest, path: string, say: Say): ContainerPort[] {
  const names = new Set<string>();
  return (one.ports ?? []).map(
    ({ name = "", containerPort, protocol = "TCP", hostPort = 0, hostIP = "" }, i) => {
      const at = `${path}[${i}]`;
      checkPort(say, `${at}.containerPort`, containerPort);
      supported(say, `${at}.protocol`, protocol, ["SCTP", "TCP", "UDP"]);
      if (name !== "") {
        checkPortName(say, `${at}.name`, name);
        if (names.has(name)) say(`${at}.name`, `Duplicate value: ${JSON.stringify(name)}`);
        names.add(name);
      }
      if (hostPort !== 0) checkPort(say, `${at}.hostPort`, hostPort);
      const hostIp = hostIP === "" ? 0 : parseIpv4(hostIP);
      if (hostIp === undefined) invalid(say, `${at}.hostIP`, hostIP, "must be a valid IP address");
      return {
        name,
        port: containerPort ?? 0,
        protocol: PROTOCOLS[protocol.toLowerCase()] ?? 0,
        hostPort,
        hostIp: hostIp ?? 0,
      };
    },
  );
}

function probeOf(given: ProbeManifest, field: string, path: string, say: Say): Probe {
  const { httpGet, tcpSocket, grpc, exec } = given;
  const handlers = [httpGet, tcpSocket, grpc, exec].filter((h) => h !== undefined && h !== null);
  if (handlers.length === 0) required(say, path, "must specify a handler type");
  if (handlers.length > 1) say(path, "Forbidden: may not specify more than 1 handler type");
  const kind = httpGet ? "http" : tcpSocket ? "tcp" : grpc ? "grpc" : "exec";
  const port = httpGet?.port ?? tcpSocket?.port ?? grpc?.port ?? 0;
  if (kind !== "exec" && typeof port === "number") {
    const handler = kind === "http" ? "httpGet" : kind === "tcp" ? "tcpSocket" : "grpc";
    checkPort(say, `${path}.${handler}.port`, port);
  }
  if (exec && (exec.command ?? []).length === 0) required(say, `${path}.exec.command`);
  for (const name of ["initialDelaySeconds", "periodSeconds", "timeoutSeconds"] as const) {
    notNegative(say, `${path}.${name}`, given[name]);
  }
  for (const name of ["successThreshold", "failureThreshold"] as const) {
    notNegative(say, `${path}.${name}`, given[name]);
  }
  const success = given.successThreshold || 1;
  if (field !== "readinessProbe" && success !== 1) {
    invalid(say, `${path}.successThreshold`, success, "must be 1");
  }
  return {
    kind,
    port,
    path: httpGet?.path ?? "/",
    command: exec?.command ?? [],
    delay: (given.initialDelaySeconds ?? 0) * SECOND,
    period: (given.periodSeconds || 10) * SECOND,
    timeout: (given.timeoutSeconds || 1) * SECOND,
    success,
    failure: given.failureThreshold || 3,
  };
}

function nodeTerms(spec: PodSpecManifest | undefined, at: (field: string) => string, say: Say): NodeTerm[] {
  const rule = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const path = at(
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
  );
  if (rule !== undefined && (rule.nodeSelectorTerms ?? []).length === 0) {
    required(say, path, "must have at least one node selector term");
  }
  return (rule?.nodeSelectorTerms ?? []).map((term, i) => nodeTerm(term, `${path}[${i}]`, say));
}

function tolerations(spec: PodSpecManifest | undefined, path: string, say: Say): Toleration[] {
  return (spec?.tolerations ?? []).map((one, i) => {
    const { key = "", operator = "Equal", value = "", effect = "", tolerationSeconds } = one;
    const at = `${path}[${i}]`;
    supported(say, `${at}.operator`, operator, ["Equal", "Exists"]);
    if (effect !== "") supported(say, `${at}.effect`, effect, EFFECTS);
    if (key === "" && operator !== "Exists") {
      invalid(
        say,
        `${at}.operator`,
        operator,
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      );
    }
    if (operator === "Exists" && value !== "") {
      invalid(say, `${at}.operator`, operator, "value must be empty when `operator` is 'Exists'");
    }
    const time = tolerationSeconds === undefined ? null : tolerationSeconds * SECOND;
    return { key, operator: operator as "Equal" | "Exists", value, effect, time };
  });
}

function spread(spec: PodSpecManifest | undefined, path: string, say: Say): SpreadConstraint[] {
  return (spec?.topologySpreadConstraints ?? []).map((one, i) => {
    const { maxSkew, topologyKey = "", whenUnsatisfiable, labelSelector = {} } = one;
    const at = `${path}[${i}]`;
    if (maxSkew === undefined || maxSkew <= 0) {
      invalid(say, `${at}.maxSkew`, maxSkew ?? 0, "must be greater than zero");
    }
    if (topologyKey === "") required(say, `${at}.topologyKey`, "can not be empty");
    supported(say, `${at}.whenUnsatisfiable`, whenUnsatisfiable ?? "", ["DoNotSchedule", "ScheduleAnyway"]);
    checkSelector(say, `${at}.labelSelector`, labelSelector);
    return {
      maxSkew: maxSkew ?? 1,
      topologyKey,
      hard: whenUnsatisfiable === "DoNotSchedule",
      selector: labelSelector,
    };
  });
}
