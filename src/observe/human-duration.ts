// Ages as kubectl prints them: HumanDuration of apimachinery, coarser the longer.

const SECOND = 1_000_000_000;

/** @param time ns */
export function humanDuration(time: number): string {
  const seconds = Math.floor(time / SECOND);
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return withRest(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return withRest(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  return hours < 192 ? withRest(days, "d", hours % 24, "h") : `${days}d`;
}

const withRest = (count: number, unit: string, rest: number, restUnit: string): string =>
  rest === 0 ? `${count}${unit}` : `${count}${unit}${rest}${restUnit}`;
