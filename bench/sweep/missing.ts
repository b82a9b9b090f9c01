// What keeps this installation from drawing a report.

/** One line: what is missing, and where it is to be had. */
export class ReportUnavailable extends Error {
  override name = "ReportUnavailable";
}
