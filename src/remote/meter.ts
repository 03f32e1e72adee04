/**
 * createMeter(): what a session has moved over the network so far, heads of requests and answers included, as HTTP/1.1 writes them; of
 * TLS only what is inside.
 */
import { counted } from "../core/counted.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

export interface Moved {
  readonly bytes: number;
  /** Of the request whose heads were the longest: what one more will take, about. */
  readonly headBytes: number;
}

export interface Meter {
  readonly transport: Transport;
  readonly moved: () => Moved;
}

/** "HTTP/1.1", spaces and the ends of the first lines of both heads. */
const FIRST_LINES_BYTES = 28;
/** ": " and the end of the line. */
const FIELD_BYTES = 4;
/** An empty line after each head. */
const EMPTY_LINES_BYTES = 4;

export function createMeter(transport: Transport): Meter {
  let bytes = 0;
  let headBytes = 0;
  return {
    moved: () => ({ bytes, headBytes }),
    async transport(request) {
      const response = await transport(request);
      const heads = headsOf(request, response);
      bytes += heads;
      headBytes = Math.max(headBytes, heads);
      return {
        ...response,
        body: counted(response.body, (count) => void (bytes += count)),
        discard() {
          if (request.method !== "HEAD") bytes += Number(response.headers["content-length"] ?? 0);
          response.discard();
        },
      };
    },
  };
}

function headsOf({ method, url, headers = {} }: TransportRequest, response: TransportResponse): number {
  const { host, pathname, search } = new URL(url);
  const fields = [...Object.entries({ host, "user-agent": "berth", ...headers }), ...Object.entries(response.headers)];
  const bytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length + FIELD_BYTES, 0);
  return method.length + pathname.length + search.length + bytes + FIRST_LINES_BYTES + EMPTY_LINES_BYTES;
}
