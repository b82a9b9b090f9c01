// Quantities of the Kubernetes API (apimachinery resource.Quantity): "100m", "1.5", "64Mi", "2e3".

const PATTERN = /^([+-]?(?:\d+\.?\d*|\.\d+))(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$/;
const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

export const isQuantity = (value: unknown): value is string | number =>
  (typeof value === "number" && Number.isFinite(value)) || (typeof value === "string" && PATTERN.test(value));

/** In units of one: CPUs, bytes. */
export function quantityOf(value: string | number): number {
  if (typeof value === "number") return value;
  const match = PATTERN.exec(value);
  if (match === null) return 0;
  const [, digits = "0", suffix = ""] = match;
  if (/^[eE]./.test(suffix) && suffix !== "Ei") return Number(`${digits}${suffix}`);
  return Number(digits) * (FACTORS[suffix] ?? 1);
}

/** CPUs in thousandths, rounded up. */
export const milliOf = (value: string | number): number => Math.ceil(quantityOf(value) * 1000 - 1e-6);
