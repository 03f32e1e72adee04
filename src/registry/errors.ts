/**
 * RegistryError: a request that the registry answers with an error code of the specification.
 *
 * @see OCI distribution-spec, "Error Codes"
 */
import type { ServerResponse } from "../host/host.ts";

export type RegistryErrorCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "UNAUTHORIZED"
  | "DENIED"
  | "UNSUPPORTED"
  | "TOOMANYREQUESTS"
  // Outside the specification's list, as docker's registry has them:
  | "TAG_INVALID"
  | "PAGINATION_NUMBER_INVALID"
  | "RANGE_INVALID"
  | "UNKNOWN";

export interface RegistryErrorOptions {
  readonly detail?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** One error entry for each of these details, instead of one with `detail`. */
  readonly details?: readonly unknown[];
}

export class RegistryError extends Error {
  readonly status: number;
  readonly code: RegistryErrorCode;
  readonly options: RegistryErrorOptions;

  constructor(status: number, code: RegistryErrorCode, message: string, options: RegistryErrorOptions = {}) {
    super(message);
    this.name = "RegistryError";
    this.status = status;
    this.code = code;
    this.options = options;
  }
}

/** The error as the specification's JSON. `bodiless` for HEAD. */
export function errorResponse(error: RegistryError, bodiless: boolean): ServerResponse {
  const details = error.options.details ?? [error.options.detail];
  const errors = details.map((detail) => ({
    code: error.code,
    message: error.message,
    ...(detail !== undefined && { detail }),
  }));
  const body = Buffer.from(JSON.stringify({ errors }));
  return {
    status: error.status,
    headers: new Map([
      ["content-type", "application/json"],
      ["content-length", String(body.length)],
      ...Object.entries(error.options.headers ?? {}),
    ]),
    body: bodiless ? null : body,
  };
}
