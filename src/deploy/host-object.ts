/**
 * HostObject: `org.containers.bootc/v1`, what `status --json` prints. Keys with no value are there, as null: scripts ask for them.
 *
 * @see bootc docs/src/host-v1.schema.json
 */

export interface HostObject {
  readonly apiVersion: "org.containers.bootc/v1";
  readonly kind: "BootcHost";
  readonly metadata: { readonly name: "host" };
  readonly spec: { readonly image: ImageReference | null; readonly bootOrder: "default" | "rollback" };
  readonly status: HostStatus;
}

export interface HostStatus {
  readonly staged: BootEntry | null;
  readonly booted: BootEntry | null;
  readonly rollback: BootEntry | null;
  /** Left out when there are none. */
  readonly otherDeployments?: readonly BootEntry[];
  readonly rollbackQueued: boolean;
  readonly type: "bootcHost" | null;
  readonly usrOverlay: UsrOverlay | null;
  readonly readOnly: boolean;
}

export interface ImageReference {
  readonly image: string;
  readonly transport: string;
}

export interface ImageStatus {
  readonly image: ImageReference;
  readonly version: string | null;
  /** RFC 3339, UTC. */
  readonly timestamp: string | null;
  readonly imageDigest: string;
  readonly architecture: string;
}

export interface BootEntry {
  readonly image: ImageStatus | null;
  readonly cachedUpdate: ImageStatus | null;
  readonly incompatible: boolean;
  readonly pinned: boolean;
  readonly softRebootCapable: boolean;
  readonly downloadOnly: boolean;
  readonly store: null;
  readonly ostree: null;
  readonly composefs: {
    readonly verity: string;
    readonly bootType: "Bls" | "Uki";
    readonly bootloader: Bootloader;
    readonly bootDigest: string | null;
    readonly missingVerityAllowed: boolean;
  };
}

export type Bootloader = "systemd" | "grub";

export interface UsrOverlay {
  readonly accessMode: "readOnly" | "readWrite";
  readonly persistence: "transient" | "persistent";
}

/** A host that is not deployed from an image. */
export const EMPTY_HOST: HostObject = {
  apiVersion: "org.containers.bootc/v1",
  kind: "BootcHost",
  metadata: { name: "host" },
  spec: { image: null, bootOrder: "default" },
  status: {
    staged: null,
    booted: null,
    rollback: null,
    rollbackQueued: false,
    type: null,
    usrOverlay: null,
    readOnly: false,
  },
};
