/**
 * Audit log: one JSON line for each thing that was done or refused. Names and digests only: no password or token is ever
 * in an entry, and of a query only the tags that it sets. A line is written before the answer goes out.
 */
import { isFailure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import type { Host, OpenFile } from "../../host/host.ts";
import { type LogEntry, moreTags } from "../answering.ts";
import { SIGN_IN } from "../web/links.ts";

export interface AuditEntry {
  readonly action: "pull" | "push" | "delete" | "push-blob" | "delete-blob" | "login" | "read" | "write";
  readonly outcome: "done" | "refused" | "failed";
  readonly status: number;
  readonly user: string | undefined;
  readonly address: string;
  readonly repository?: string;
  /** Tag or digest, as it was asked for. */
  readonly reference?: string;
  /** Set with the same push. */
  readonly tags?: readonly string[];
  readonly digest?: string;
}

/** What of a request belongs into the audit log; undefined for the rest: pulls unless asked for, and what found nothing. */
export function auditEntry(entry: LogEntry, options: { readonly pulls: boolean }): AuditEntry | undefined {
  const { status, user, address, route, method, digest, refused } = entry;
  if (refused !== undefined) return { ...refused, outcome: "refused", status, user, address };
  const outcome =
    status < 400 ? "done" : [401, 403, 429].includes(status) ? "refused" : status >= 500 ? "failed" : undefined;
  if (outcome === undefined) return undefined;
  const who = { outcome, status, user, address } as const;
  if (route === undefined) return isLogin(entry) && user !== undefined ? { action: "login", ...who } : undefined;
  if (route.kind === "base" || route.kind === "catalog") {
    // The first 401 of every client is how the protocol begins.
    return outcome === "refused" && user !== undefined ? { action: "read", ...who } : undefined;
  }
  const what = { ...who, repository: route.repository, ...(digest !== undefined && { digest }) };
  const reads = method === "GET" || method === "HEAD";
  switch (route.kind) {
    case "manifest": {
      const reference = route.reference.kind === "tag" ? route.reference.tag : route.reference.digest;
      if (reads && outcome === "done" && !options.pulls) return undefined;
      const tags = moreTags(entry);
      const action = reads ? "pull" : method === "DELETE" ? "delete" : "push";
      return { action, ...what, reference, ...(tags.length > 0 && { tags }) };
    }
    case "blob":
      if (reads && outcome === "done") return undefined;
      return { action: method === "DELETE" ? "delete-blob" : "read", ...what, reference: route.digest };
    case "uploads":
    case "upload":
      return outcome !== "done" || status === 201 ? { action: "push-blob", ...what } : undefined;
    case "tags":
    case "referrers":
      return outcome === "done" ? undefined : { action: reads ? "read" : "write", ...what };
  }
}

/** The same request without credentials first is every client's way; only a claimed name makes it a failed login. */
function isLogin({ method, target }: LogEntry): boolean {
  const path = target.replace(/\?.*/s, "");
  return path === "/token" || (path === SIGN_IN && method === "POST");
}

/** Appends to `path`. A file that was moved away is made anew. `progress` hears of a line that could not be written. */
export function openAudit(
  host: Pick<Host, "files" | "clock">,
  path: string,
  progress: Pick<Progress, "warn">,
): (entry: AuditEntry) => void {
  let file: OpenFile | undefined;
  let inode: bigint | number | undefined;
  return (entry) => {
    const line = `${JSON.stringify({ time: new Date(host.clock.now()).toISOString(), ...entry })}\n`;
    try {
      if (file === undefined || host.files.stat(path)?.ino !== inode) {
        file?.close();
        file = host.files.open(path, "append", 0o600);
        inode = host.files.stat(path)?.ino;
      }
      file.write(Buffer.from(line));
    } catch (error) {
      if (!isFailure(error)) throw error;
      progress.warn(`${error.message}; the audit log lacks: ${line.trim()}`);
    }
  };
}
