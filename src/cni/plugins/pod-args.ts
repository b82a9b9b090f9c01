// Which pod an invocation is for, from CNI_ARGS as kubelet passes them. Mirrors azure-container-networking
// cni/netconfig.go ParseCniArgs() and the argument check of cni/network (azure.md 5.13).

import { parseArgs, unknownArgs } from "../spec/args.ts";
import { CniError } from "../spec/error.ts";

export interface PodName {
  name: string;
  namespace: string;
}

const KNOWN = ["K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_INFRA_CONTAINER_ID"];
const ALLOWED = /^[A-Za-z0-9._\-() ]+$/;

/** Both names; throws `code` when one is missing or holds other characters than azure-vnet allows. */
export function requirePod(args: string, code: number): PodName {
  const pairs = parseArgs(args);
  if (typeof pairs === "string") throw new CniError(code, pairs);
  const unknown = unknownArgs(pairs, KNOWN);
  if (unknown !== "") throw new CniError(code, unknown);
  const namespace = pairs.get("K8S_POD_NAMESPACE") ?? "";
  const name = pairs.get("K8S_POD_NAME") ?? "";
  if (namespace === "") throw new CniError(code, "Pod Namespace not specified in CNI Args");
  if (name === "") throw new CniError(code, "Pod Name not specified in CNI Args");
  for (const text of [namespace, name]) {
    if (!ALLOWED.test(text)) throw new CniError(code, `invalid characters in CNI Args: "${text}"`);
  }
  return { name, namespace };
}

/** The pod, or undefined: DEL goes on without. */
export function findPod(args: string): PodName | undefined {
  try {
    return requirePod(args, 1);
  } catch {
    return undefined;
  }
}
