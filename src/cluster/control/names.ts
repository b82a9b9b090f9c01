// Names the API server and the controllers make: rand.String and rand.SafeEncodeString of apimachinery,
// ComputeHash of pkg/controller. The hash is FNV-1a of our own text of the template: the digits differ from a
// real cluster's, what they are alike for does not.

import type { Random } from "../../core/random.ts";
import type { PodTemplate } from "./objects.ts";

/** Without vowels, 0, 1 and 3: no words, no mistakes. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const SUFFIX = 5;
/** Longest name with a generated end (maxGeneratedNameLength). */
const PREFIX_MAX = 58;

export function generateName(base: string, random: Random): string {
  let name = base.slice(0, PREFIX_MAX);
  for (let i = 0; i < SUFFIX; i++) name += ALPHABET[random.below(ALPHABET.length)];
  return name;
}

export function templateHash(template: PodTemplate): string {
  let hash = 0x811c9dc5;
  const text = JSON.stringify(template);
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  const digits = String(hash >>> 0);
  let encoded = "";
  for (let i = 0; i < digits.length; i++) encoded += ALPHABET[digits.charCodeAt(i) % ALPHABET.length];
  return encoded;
}
