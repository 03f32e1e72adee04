/** `berth delta create`: what machines with one image must fetch to get another. */
import { textToByteName } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { formatBytes, formatCount } from "../../core/units.ts";
import { requireOutputFile } from "../../host/output-file.ts";
import type { ImageRef } from "../../oci/reference.ts";
import type { RemoteContext } from "../../remote/context.ts";
import { pushDelta, requireDeltaPlace } from "../../remote/delta-artifact.ts";
import { openPushSession, type Session } from "../../remote/session.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { findStoredImage, readImageRef } from "../image-names.ts";
import { KEEP_XZ } from "../push-deltas.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const deltaCreateCommand = command({
  name: "delta create",
  summary: "Make what turns one image into another",
  description:
    "Compares the files of two images of the store, byte by byte, and keeps the differences. With --push the delta is put beside NEW in its registry; machines that run OLD then fetch it instead of layers. Whatever it makes is checked on the machine, so a wrong delta costs time only.",
  flags: {
    push: { type: "boolean", summary: "Put it beside NEW in the registry that its name says" },
    output: { type: "string", short: "o", value: "FILE", summary: "Write it to a file" },
    "keep-xz": KEEP_XZ,
    ...REMOTE_FLAGS,
  },
  operands: [
    { name: "OLD", summary: "image in the store that machines have" },
    { name: "NEW", summary: "image in the store that they are to get" },
  ],
  plans: true,
  examples: [
    ["berth delta create registry.example.com/team/os:1 registry.example.com/team/os:2 --push", "after the push of :2"],
    ["berth delta create localhost/os:1 localhost/os:2 --dry-run", "how small it would be"],
  ],
  async run(values, [oldName = "", newName = ""], context) {
    if (!values.push && values.output === undefined && !context.dryRun)
      throw new Failure("usage", "Cannot make a delta: wanted --push, -o FILE or --dry-run");
    const output = values.output === undefined ? undefined : textToByteName(values.output);
    if (output !== undefined)
      requireOutputFile(context.host.files, output, `Cannot write a delta to "${values.output}"`);
    using store = openWorkstationStore(context.host);

    const old = findStoredImage(store, oldName);
    const next = findStoredImage(store, newName);
    const ref = values.push ? readImageRef(next.names.find((name) => name === newName) ?? newName) : undefined;
    const remote = remoteContext(context, values);
    const session = ref === undefined || context.dryRun ? undefined : await openPlace(remote, ref, next.digest);
    const { progress, signal } = context;
    const delta = await store.createDelta(old, next, { keepXz: values["keep-xz"], progress, signal });
    if (output !== undefined && !context.dryRun) context.host.files.replace(output, Buffer.concat(delta.chunks));
    const artifact =
      session === undefined ? undefined : `${session.name}@${await pushDelta(remote, session, { delta, next })}`;
    const { chunks: _, ...facts } = delta;
    return { ...facts, artifact };
  },
  view: ({ bytes, layerBytes, layers, objects, patched, needs, artifact }) =>
    [
      `Delta: ${formatBytes(bytes)} instead of ${formatBytes(layerBytes)} (${formatCount(layers, "layer")})`,
      `Files: ${objects} new, ${patched} of them made from old ones`,
      ...(needs.length === 0 ? [] : [`Needs: ${needs.join(", ")} on the machine`]),
      ...(artifact === undefined ? [] : [`Pushed: ${artifact}`]),
      "",
    ].join("\n"),
});

/** Asked before the delta is made, which takes minutes. */
async function openPlace(remote: RemoteContext, ref: ImageRef, next: Digest): Promise<Session> {
  const session = await openPushSession(remote, ref);
  await requireDeltaPlace(session, next);
  return session;
}
