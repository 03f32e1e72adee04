/**
 * The system-call filter of containers. A container's root has no CAP_SYS_ADMIN and the like, which stops most of what could hurt
 * the host; this list refuses the calls that no capability guards, or that have a history of escapes, and those that change the
 * whole machine. Everything else is allowed: a list of what is allowed breaks programs with every new kernel.
 *
 * @see OCI runtime-spec config-linux.md, "Seccomp"; syscalls(2)
 */

export interface SeccompProfile {
  readonly defaultAction: "SCMP_ACT_ALLOW";
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: "SCMP_ACT_ERRNO";
    readonly errnoRet: number;
  }[];
}

const EPERM = 1;

export const SECCOMP_PROFILE: SeccompProfile = {
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [
    {
      names: [
        // The kernel's key rings are not namespaced.
        "add_key",
        "keyctl",
        "request_key",
        // Large attack surface, of no use to a service.
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "vmsplice",
        // Another kernel, other modules.
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        // The machine's clock, swap, accounting, power.
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
        "adjtimex",
        "swapon",
        "swapoff",
        "acct",
        "reboot",
        "quotactl",
        // Files by handle leave the root directory behind.
        "open_by_handle_at",
        // Hardware.
        "iopl",
        "ioperm",
        "pciconfig_read",
        "pciconfig_write",
        "pciconfig_iobase",
        // Long gone, kept in kernels for nobody.
        "lookup_dcookie",
        "nfsservctl",
        "_sysctl",
        "uselib",
        "ustat",
        "sysfs",
        "vm86",
        "vm86old",
      ],
      action: "SCMP_ACT_ERRNO",
      errnoRet: EPERM,
    },
  ],
};
