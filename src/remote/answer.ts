/** Reading a registry's answers: bodies with a limit, and the words of an error. */
import { collectBytes } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { HttpResponse } from "../host/host.ts";
import { parseJsonObject } from "../core/json.ts";

/** The registry's own words for an error: code and message of the first entry, or the status. Reads the body. */
export async function refusal(response: HttpResponse): Promise<string> {
  const status = `the registry answered ${response.status}`;
  try {
    const text = await readText(response, 64 * 1024);
    const errors = parseJsonObject(text, "errors")["errors"];
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const { code, message } = Object(first);
    const words = [code, message].filter((word) => typeof word === "string" && word !== "").join(": ");
    return words === "" ? status : `${status} (${words.slice(0, 300)})`;
  } catch (error) {
    if (error instanceof SyntaxError || isFailure(error)) return status;
    throw error;
  }
}

/** The body as UTF-8. Failure "bad-input" past `limit` bytes. */
export async function readText(response: HttpResponse, limit: number): Promise<string> {
  return (await readBody(response, limit)).toString("utf8");
}

/** The whole body; Failure "bad-input" beyond `limit` bytes. */
export async function readBody(response: HttpResponse, limit: number): Promise<Buffer> {
  const limited = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    let seen = 0;
    for await (const chunk of response.body) {
      seen += chunk.length;
      if (seen > limit)
        throw new Failure("bad-input", `Cannot read the registry's answer: it is longer than ${limit} bytes`);
      yield chunk;
    }
  };
  return collectBytes(limited());
}
