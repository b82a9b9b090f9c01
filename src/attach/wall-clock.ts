// The time of the real world, for what paces the virtual clock by it. The one file of src/ that reads a clock
// and waits for one.

const NS_PER_MS = 1e6;
/**
 * Node's timers have whole milliseconds and come late: a shorter wait is spent in turns of its event loop.
 */
const SHORTEST_TIMER = 2 * NS_PER_MS;

/** Nanoseconds since some moment; never goes back. */
export function wallNow(): number {
  return Math.round(performance.now() * NS_PER_MS);
}

/** Something to be done once, soon after a time has come; a new wait takes the place of the one before. */
export class WallTimer {
  private readonly done: () => void;
  private timeout: ReturnType<typeof setTimeout> | null = null;
  private immediate: ReturnType<typeof setImmediate> | null = null;

  constructor(done: () => void) {
    this.done = done;
  }

  /** @param wait ns from now; 0 or less is the next turn of the event loop */
  in(wait: number): void {
    this.cancel();
    if (wait >= SHORTEST_TIMER) {
      const late = Math.min(Math.floor(wait / NS_PER_MS) - 1, 0x7fff_ffff);
      this.timeout = setTimeout(() => this.fire(), late);
    } else this.immediate = setImmediate(() => this.fire());
  }

  cancel(): void {
    if (this.timeout !== null) clearTimeout(this.timeout);
    if (this.immediate !== null) clearImmediate(this.immediate);
    this.timeout = this.immediate = null;
  }

  private fire(): void {
    this.timeout = this.immediate = null;
    this.done();
  }
}

/** The next turn of the event loop: what else waits comes first. */
export function nextTurn(work: () => void): void {
  setImmediate(work);
}
