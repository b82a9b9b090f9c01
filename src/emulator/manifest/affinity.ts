// spec.affinity out of manifests: the rules of validateAffinity in pkg/apis/core/validation.

import type { Affinity, NodeTerm, PodTerm } from "../../cluster/control/objects.ts";
import type { NodeTermManifest, PodAffinityManifest, PodSpecManifest, PodTermManifest } from "./kinds.ts";
import { checkName, checkSelector, invalid, required, type Say } from "./rules.ts";

const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
const REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution";
const WEIGHT_MOST = 100;

/** Null: it asks for nothing but nodes, which are looked at elsewhere. */
export function affinityOf(given: PodSpecManifest["affinity"], path: string, say: Say): Affinity | null {
  const { podAffinity, podAntiAffinity, nodeAffinity } = given ?? {};
  const near = podTerms(podAffinity, `${path}.podAffinity`, say);
  const apart = podTerms(podAntiAffinity, `${path}.podAntiAffinity`, say);
  const preferredNodes = (nodeAffinity?.[PREFERRED] ?? []).map(({ weight, preference }, i) => {
    const at = `${path}.nodeAffinity.${PREFERRED}[${i}]`;
    checkWeight(say, at, weight);
    return { term: nodeTerm(preference ?? {}, `${at}.preference`, say), weight: weight ?? 0 };
  });
  const preferred = [
    ...near.preferred,
    ...apart.preferred.map(({ term, weight }) => ({ term, weight: -weight })),
  ];
  const all = near.required.length + apart.required.length + preferred.length + preferredNodes.length;
  return all === 0 ? null : { required: near.required, forbidden: apart.required, preferred, preferredNodes };
}

/** @param path of the term */
export function nodeTerm({ matchExpressions = [] }: NodeTermManifest, path: string, say: Say): NodeTerm {
  return matchExpressions.map(({ key = "", operator = "", values = [] }, j) => {
    if (!OPERATORS.includes(operator)) {
      const at = `${path}.matchExpressions[${j}].operator`;
      invalid(say, at, operator, "not a valid selector operator");
    }
    return { key, operator: operator as NodeTerm[number]["operator"], values };
  });
}

function podTerms(
  given: PodAffinityManifest | undefined,
  path: string,
  say: Say,
): { required: PodTerm[]; preferred: { term: PodTerm; weight: number }[] } {
  return {
    required: (given?.[REQUIRED] ?? []).map((term, i) => podTerm(term, `${path}.${REQUIRED}[${i}]`, say)),
    preferred: (given?.[PREFERRED] ?? []).map(({ weight, podAffinityTerm = {} }, i) => {
      const at = `${path}.${PREFERRED}[${i}]`;
      checkWeight(say, at, weight);
      return { term: podTerm(podAffinityTerm, `${at}.podAffinityTerm`, say), weight: weight ?? 0 };
    }),
  };
}

function podTerm(term: PodTermManifest, path: string, say: Say): PodTerm {
  const { labelSelector, namespaces = [], namespaceSelector, topologyKey = "" } = term;
  checkSelector(say, `${path}.labelSelector`, labelSelector);
  checkSelector(say, `${path}.namespaceSelector`, namespaceSelector);
  for (const [i, name] of namespaces.entries()) checkName(say, `${path}.namespaces[${i}]`, name, "label");
  if (topologyKey === "") required(say, `${path}.topologyKey`, "can not be empty");
  return {
    selector: labelSelector ?? null,
    namespaces,
    namespaceSelector: namespaceSelector ?? null,
    topologyKey,
  };
}

function checkWeight(say: Say, path: string, weight = 0): void {
  if (weight <= 0 || weight > WEIGHT_MOST) {
    invalid(say, `${path}.weight`, weight, "must be in the range 1-100");
  }
}
