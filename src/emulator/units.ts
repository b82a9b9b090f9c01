// Times in nanoseconds and rates in bits per second, written as people say them: ms(20), gbps(10).

/** Nanoseconds. */
export const ns = (n: number): number => n;
/** Microseconds as nanoseconds. */
export const us = (n: number): number => Math.round(n * 1e3);
/** Milliseconds as nanoseconds. */
export const ms = (n: number): number => Math.round(n * 1e6);
/** Seconds as nanoseconds. */
export const sec = (n: number): number => Math.round(n * 1e9);
/** Minutes as nanoseconds. */
export const minutes = (n: number): number => sec(n * 60);

/** Kilobits per second as bits per second. */
export const kbps = (n: number): number => n * 1e3;
/** Megabits per second as bits per second. */
export const mbps = (n: number): number => n * 1e6;
/** Gigabits per second as bits per second. */
export const gbps = (n: number): number => n * 1e9;

/** A time in the unit a reader would choose: "1.5 ms". */
export function formatTime(time: number): string {
  if (time < 1e3) return `${time} ns`;
  if (time < 1e6) return `${trim(time / 1e3)} µs`;
  if (time < 1e9) return `${trim(time / 1e6)} ms`;
  return `${trim(time / 1e9)} s`;
}

const trim = (n: number): string => String(Number(n.toFixed(3)));
