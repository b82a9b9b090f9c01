// Events (core/v1), as the recorders of controllers, scheduler and kubelet write them: a repeated one is
// counted (EventCorrelator). Absent: their rate limit and their expiry after an hour.

export interface ClusterEvent {
  type: "Normal" | "Warning";
  reason: string;
  /** Kind and name of what it is about. */
  kind: string;
  namespace: string;
  name: string;
  message: string;
  /** Component that says so. */
  from: string;
  /** Virtual times of the first and the last, ns. */
  first: number;
  last: number;
  count: number;
}

export interface EventSubject {
  kind: string;
  namespace: string;
  name: string;
}

export class Events {
  readonly list: ClusterEvent[] = [];
  private readonly byKey = new Map<string, ClusterEvent>();

  say(
    now: number,
    from: string,
    about: EventSubject,
    type: "Normal" | "Warning",
    reason: string,
    message: string,
  ): void {
    const key = `${about.kind}/${about.namespace}/${about.name}/${reason}/${message}`;
    const known = this.byKey.get(key);
    if (known !== undefined) {
      known.last = now;
      known.count++;
      return;
    }
    const { kind, namespace, name } = about;
    const event: ClusterEvent = {
      type,
      reason,
      kind,
      namespace,
      name,
      message,
      from,
      first: now,
      last: now,
      count: 1,
    };
    this.byKey.set(key, event);
    this.list.push(event);
  }
}
