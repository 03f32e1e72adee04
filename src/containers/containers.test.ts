/** Records, names and states of containers, without running one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost, type FakeHost } from "../host/fake.ts";
import { findContainer, listContainers, removeContainer, signalContainer } from "./containers.ts";
import { type ContainerRecord, initialState, nameProcess, writeRecord, writeState } from "./record.ts";
import { formatPort, formatStatus, inspectContainer } from "./view.ts";

const STORE = { path: "/s/composefs" };
const DIRECTORY = "/s/containers";

function record(id: string, name: string, createdMs = 0): ContainerRecord {
  return {
    id: id.repeat(64).slice(0, 64),
    name,
    imageName: "localhost/x:1",
    imageDigest: parseDigest(`sha256:${"0".repeat(64)}`),
    mountedImage: "f".repeat(128),
    createdMs,
    args: ["/bin/true"],
    env: [],
    cwd: "/",
    user: "",
    hostname: "h",
    network: "private",
    ports: [{ address: "127.0.0.1", hostPort: 8080, containerPort: 80 }],
    mounts: [],
    readOnly: false,
    systemd: false,
    terminal: false,
    interactive: false,
    stopSignal: 15,
    autoRemove: false,
  };
}

function hostWith(process: string, bootId = "boot-1"): FakeHost {
  return createFakeHost({
    files: { "/proc/77/stat": process, "/proc/sys/kernel/random/boot_id": `${bootId}\n` },
    processes: [77],
  });
}

const STAT = `77 (a) b) S ${Array.from({ length: 18 }, (_, i) => i).join(" ")} 5555 0 0\n`;

test("nameProcess() reads the start time behind a name with parentheses", () => {
  assert.deepEqual(nameProcess(hostWith(STAT).files, 77), { pid: 77, start: "5555" });
  assert.equal(nameProcess(hostWith(STAT.replace(" S ", " Z ")).files, 77), undefined);
  assert.equal(nameProcess(hostWith(STAT).files, 78), undefined);
});

test("a running container is believed only while its process lives, in this boot", () => {
  const running = {
    ...initialState("boot-1"),
    status: "running" as const,
    process: { pid: 77, start: "5555" },
    startedMs: 5,
  };
  const table: readonly (readonly [FakeHost, string])[] = [
    [hostWith(STAT), "running"],
    [hostWith(STAT.replace("5555", "6666")), "exited"],
    [hostWith(STAT, "boot-2"), "exited"],
  ];
  for (const [host, status] of table) {
    const one = record("a", "web");
    writeRecord(host.files, DIRECTORY, one);
    writeState(host.files, DIRECTORY, one.id, running);
    const container = findContainer(host, STORE, "web");
    assert.equal(container.state.status, status);
    assert.equal(signalContainer(host, container, 15), status === "running");
    assert.deepEqual(host.killed.length, status === "running" ? 1 : 0);
  }
});

test("containers are found by name and by a prefix of the id that is unique", () => {
  const host = hostWith(STAT);
  writeRecord(host.files, DIRECTORY, record("ab", "one", 1));
  writeRecord(host.files, DIRECTORY, record("ac", "two", 2));
  assert.deepEqual(
    listContainers(host, STORE).map(({ record: { name } }) => name),
    ["two", "one"],
  );
  assert.equal(findContainer(host, STORE, "aba").record.name, "one");
  for (const text of ["a", "zz", "thr"])
    assert.throws(
      () => findContainer(host, STORE, text),
      (error) => isFailure(error, "not-found"),
      text,
    );
});

test("a running container is not removed; what is half made is no container", async () => {
  const host = hostWith(STAT);
  const one = record("a", "web");
  writeRecord(host.files, DIRECTORY, one);
  writeState(host.files, DIRECTORY, one.id, {
    ...initialState("boot-1"),
    status: "running",
    process: { pid: 77, start: "5555" },
  });
  await assert.rejects(removeContainer(host, STORE, findContainer(host, STORE, "web")), (error) =>
    isFailure(error, "busy"),
  );
  host.files.makeDirectory(`${DIRECTORY}/half`);
  assert.equal(listContainers(host, STORE).length, 1);
  writeState(host.files, DIRECTORY, one.id, { ...initialState("boot-1"), status: "exited", exitCode: 0 });
  await removeContainer(host, STORE, findContainer(host, STORE, "web"));
  assert.deepEqual(host.files.list(DIRECTORY), ["half"]);
});

test("a power cut that loses the state leaves a container that does not run", () => {
  const host = hostWith(STAT);
  const one = record("a", "web");
  writeRecord(host.files, DIRECTORY, one);
  host.files.syncFileSystem("/");
  writeState(host.files, DIRECTORY, one.id, {
    ...initialState("boot-1"),
    status: "running",
    process: { pid: 77, start: "5555" },
  });
  host.files.sync(`${DIRECTORY}/${one.id}`);
  host.reboot();
  assert.equal(host.files.readText(`${DIRECTORY}/${one.id}/state.json`), "");
  assert.equal(findContainer(host, STORE, "web").state.status, "created");
});

test("a damaged record is one clear error", () => {
  const host = hostWith(STAT);
  for (const text of ["", "[]", '{"id":1}', JSON.stringify({ ...record("a", "x"), network: "bridge" })]) {
    host.files.makeDirectory(`${DIRECTORY}/x`);
    host.files.write(`${DIRECTORY}/x/container.json`, text);
    assert.throws(
      () => listContainers(host, STORE),
      (error) => isFailure(error, "corrupt"),
      text,
    );
  }
});

test("views speak as podman does", () => {
  const age = (milliseconds: number): string => `${milliseconds / 1000} seconds`;
  const state = initialState("b");
  const container = { record: record("a", "web"), state };
  assert.equal(formatStatus(container, 9000, age), "Created");
  assert.equal(
    formatStatus({ ...container, state: { ...state, status: "running", startedMs: 4000 } }, 9000, age),
    "Up 5 seconds",
  );
  assert.equal(
    formatStatus({ ...container, state: { ...state, status: "exited", exitCode: 3, finishedMs: 8000 } }, 9000, age),
    "Exited (3) 1 seconds ago",
  );
  assert.equal(formatPort({ address: "::1", hostPort: 1, containerPort: 2 }), "[::1]:1->2/tcp");
  const document = inspectContainer(container);
  assert.deepEqual(document["NetworkSettings"], {
    IPAddress: "",
    Ports: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }] },
  });
});
