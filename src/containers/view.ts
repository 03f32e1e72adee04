/** Containers as values that people and programs read: rows of `berth ps`, documents of `berth inspect`. */
import type { Container } from "./containers.ts";
import type { PublishedPort } from "./parse-options.ts";

/** `127.0.0.1:8081->80/tcp`. */
export function formatPort(port: PublishedPort): string {
  const address = port.address.includes(":") ? `[${port.address}]` : port.address;
  return `${address}:${port.hostPort}->${port.containerPort}/tcp`;
}

/** The ports as they are, or (for one that does not run) as they were asked for. */
export function portsOf({ record, state }: Container): readonly PublishedPort[] {
  return state.ports.length > 0 ? state.ports : record.network === "private" ? record.ports : [];
}

/** "Up 5 seconds", "Exited (0) 1 second ago", "Created". */
export function formatStatus({ state }: Container, nowMs: number, age: (durationMs: number) => string): string {
  switch (state.status) {
    case "created":
      return "Created";
    case "running":
      return `Up ${age(nowMs - (state.startedMs ?? nowMs))}`;
    case "exited": {
      const when = state.finishedMs === undefined ? "" : ` ${age(nowMs - state.finishedMs)} ago`;
      return `Exited (${state.exitCode ?? 0})${when}`;
    }
  }
}

/** Names as podman's, so that what reads its documents reads ours. */
export function inspectContainer(container: Container): Record<string, unknown> {
  const { record, state } = container;
  return {
    Id: record.id,
    Name: record.name,
    Created: timestamp(record.createdMs),
    Path: record.args[0],
    Args: record.args.slice(1),
    Image: record.imageDigest,
    ImageName: record.imageName,
    State: {
      Status: state.status,
      Running: state.status === "running",
      Pid: state.status === "running" ? (state.process?.pid ?? 0) : 0,
      ExitCode: state.exitCode ?? 0,
      Error: state.error ?? "",
      StartedAt: timestamp(state.startedMs),
      FinishedAt: timestamp(state.finishedMs),
    },
    Mounts: record.mounts.map((mount) => ({
      Type: "bind",
      Source: mount.source,
      Destination: mount.target,
      RW: mount.readOnly !== true,
    })),
    Config: {
      Hostname: record.hostname,
      User: record.user,
      Tty: record.terminal,
      OpenStdin: record.interactive,
      Env: record.env,
      Cmd: record.args,
      WorkingDir: record.cwd,
      StopSignal: record.stopSignal,
      SystemdMode: record.systemd,
    },
    HostConfig: { NetworkMode: record.network, AutoRemove: record.autoRemove, ReadonlyRootfs: record.readOnly },
    NetworkSettings: {
      IPAddress: state.status === "running" ? (state.address ?? "") : "",
      Ports: Object.fromEntries(
        portsOf(container).map((port) => [
          `${port.containerPort}/tcp`,
          [{ HostIp: port.address, HostPort: String(port.hostPort) }],
        ]),
      ),
    },
  };
}

function timestamp(milliseconds: number | undefined): string {
  return new Date(milliseconds ?? Date.UTC(1, 0, 1)).toISOString();
}
