/** Where the stores are. */

/** The workstation's store: base images, build results, build cache. `BERTH_STORE` names another. */
export const WORKSTATION_STORE = "/var/lib/berth";

/** The machine's repository, below its physical root. */
export const MACHINE_STORE = "composefs";
