// Versions of the CNI specification: which there are, how they compare, and which one a configuration speaks.
// Mirrors SPEC.md 1.1.0, "Version considerations", and libcni pkg/version. Absent: pre-release suffixes.

import { CniCode, CniError } from "./error.ts";

/** Every released version, oldest first. */
export const CNI_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type CniVersion = (typeof CNI_VERSIONS)[number];

export const CURRENT_VERSION: CniVersion = "1.1.0";

/** What a configuration without cniVersion speaks. */
export const UNVERSIONED: CniVersion = "0.1.0";

/** Up to three dotted numbers; undefined for anything else. */
export function parseVersion(text: string): [number, number, number] | undefined {
  const match = /^(\d+)(?:\.(\d+)(?:\.(\d+))?)?$/.exec(text);
  if (match === null) return undefined;
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

export function isCniVersion(text: string): text is CniVersion {
  return (CNI_VERSIONS as readonly string[]).includes(text);
}

/** True when released version `a` is `b` or later. */
export function atLeast(a: CniVersion, b: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(a) >= CNI_VERSIONS.indexOf(b);
}

/**
 * The version to speak for a configuration: the highest of those it offers that we know (SPEC.md: "the
 * runtime must
 * select the highest version that it supports"). Throws code 1 when it offers only others.
 */
export function selectVersion(offered: readonly string[], supported: readonly CniVersion[]): CniVersion {
  if (offered.length === 0) return requireVersion(UNVERSIONED, supported);
  let best: CniVersion | undefined;
  for (const version of supported) if (offered.includes(version)) best = version;
  if (best === undefined) throw incompatible(offered.join(", "), supported);
  return best;
}

/** Refuses with code 6 what is no version at all, and with code 1 a version that is not supported. */
export function requireVersion(text: string, supported: readonly CniVersion[]): CniVersion {
  if (parseVersion(text) === undefined) {
    throw new CniError(
      CniCode.DECODE_FAILURE,
      "failed to decode version",
      `cniVersion "${text}" is not a version`,
    );
  }
  if (!isCniVersion(text) || !supported.includes(text)) throw incompatible(text, supported);
  return text;
}

function incompatible(offered: string, supported: readonly CniVersion[]): CniError {
  const details = `config is "${offered}", supported are ${supported.join(", ")}`;
  return new CniError(CniCode.INCOMPATIBLE_VERSION, "incompatible CNI versions", details);
}
