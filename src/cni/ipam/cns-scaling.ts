// How many addresses a node asks for. Mirrors azure-container-networking cns/ipampool/monitor.go (v1) and
// cns/ipampool/v2/monitor.go calculateTargetIPCount() (azure.md 5.10).

export interface Scaler {
  /** Addresses per step. */
  batch: number;
  /** Keep at least this many per cent of a batch free. */
  requestThresholdPercent: number;
  /** Give back from this many per cent of a batch on. */
  releaseThresholdPercent: number;
  /** Most addresses of a node. */
  max: number;
}

export const DEFAULT_SCALER: Scaler = {
  batch: 16,
  requestThresholdPercent: 50,
  releaseThresholdPercent: 150,
  max: 250,
};

/** Legal values, as CNS makes of whatever it reads (clampScaler). */
export function clampScaler(s: Scaler): Scaler {
  const max = Math.max(1, s.max);
  const request = Math.min(100, Math.max(1, s.requestThresholdPercent));
  return {
    max,
    batch: Math.min(max, Math.max(1, s.batch)),
    requestThresholdPercent: request,
    releaseThresholdPercent: Math.max(s.releaseThresholdPercent, request + 100),
  };
}

/** v1: below this many free addresses the node asks for a batch more. */
export function minFree(s: Scaler): number {
  return Math.trunc((s.batch * s.requestThresholdPercent) / 100);
}

/** v1: from this many free addresses on the node gives a batch back. */
export function maxFree(s: Scaler): number {
  return Math.trunc((s.batch * s.releaseThresholdPercent) / 100);
}

/** v1, one step: the number the node asks for next. */
export function nextRequestV1(s: Scaler, requested: number, used: number): number {
  const free = requested - used;
  if (free < minFree(s)) return Math.min(s.max, requested + s.batch);
  if (free < maxFree(s)) return requested;
  const rest = requested % s.batch;
  return requested - (rest === 0 ? s.batch : rest);
}

/** v2: the number of addresses for a demand, in one step; an exhausted subnet is asked one at a time. */
export function targetV2(s: Scaler, used: number, exhausted: boolean): number {
  const batch = exhausted ? 1 : s.batch;
  const buffer = exhausted ? 1 : Math.abs(s.requestThresholdPercent) / 100;
  return Math.min(s.max, batch * Math.ceil(buffer + used / batch));
}
