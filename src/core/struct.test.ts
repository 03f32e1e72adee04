import assert from "node:assert/strict";
import { test } from "node:test";
import { struct, writeInt53LE } from "./struct.ts";

const fields = {
  small: "u8",
  pad: "zero:1",
  half: "u16",
  word: "u32",
  big: "u64",
  signed: "i64",
  raw: "bytes:4",
} as const;
const Record = struct("Record", 28, fields);
const values = {
  small: 1,
  half: 0x203,
  word: 0x4050607,
  big: 0x8090a0b0c0d0e0fn,
  signed: -2n,
  raw: Buffer.from("abcd"),
};

test("struct() writes what it reads, little endian", () => {
  const bytes = Buffer.alloc(30, 0xff);
  assert.equal(Record.write(bytes, 1, values), 29);
  assert.equal(bytes.toString("hex"), "ff010003020706050" + "40f0e0d0c0b0a0908feffffffffffffff61626364ff");
  assert.deepEqual(Record.read(bytes, 1), values);
});

test("struct() writes big endian when told to", () => {
  const bytes = Buffer.alloc(28);
  struct("Record", 28, fields, { endian: "big" }).write(bytes, 0, values);
  assert.equal(bytes.toString("hex"), "010002030405060708090a0b0c0d0e0ffffffffffffffffe61626364");
});

test("struct() rejects a table whose fields do not add up", () => {
  assert.throws(() => struct("Bad", 5, { word: "u32" }), /its fields take 4 of 5 bytes/);
});

test("read() rejects a record that ends past the bytes", () => {
  assert.throws(() => Record.read(Buffer.alloc(27), 0), RangeError);
  assert.throws(() => Record.read(Buffer.alloc(40), -1), RangeError);
});

test("read() rejects reserved bytes that are not zero", () => {
  const bytes = Buffer.alloc(28);
  bytes[1] = 7;
  assert.throws(() => Record.read(bytes, 0), /reserved byte at 1 \(pad\) is not zero/);
});

test("write() rejects values that do not fit", () => {
  const bytes = Buffer.alloc(28);
  assert.throws(() => Record.write(bytes, 0, { ...values, small: 256 }), RangeError);
  assert.throws(() => Record.write(bytes, 0, { ...values, big: -1n }), RangeError);
  assert.throws(() => Record.write(bytes, 0, { ...values, raw: Buffer.alloc(5) }), /raw has 5 bytes, wanted 4/);
});

test("dump() shows every field", () => {
  assert.equal(Record.dump(values), "small=1 half=515 word=67438087 big=579005069656919567 signed=-2 raw=61626364");
});

test("u53 and i53 are 64 bits on disk and numbers in the program", () => {
  for (const endian of ["little", "big"] as const) {
    const Wide = struct("Wide", 16, { size: "u53", time: "i53" }, { endian });
    for (const value of [0, 1, 0xffffffff, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      for (const time of [value, -value]) {
        const bytes = Buffer.alloc(16, 0xff);
        Wide.write(bytes, 0, { size: value, time });
        assert.deepEqual(Wide.read(bytes, 0), { size: value, time: time === 0 ? 0 : time });
        assert.equal(endian === "little" ? bytes.readBigInt64LE(8) : bytes.readBigInt64BE(8), BigInt(time));
      }
    }
  }
});

test("u53 rejects what is not a safe integer", () => {
  const Wide = struct("Wide", 8, { size: "u53" });
  assert.throws(() => Wide.read(Buffer.from("0000000000002000", "hex"), 0), /size at 0: it does not fit in 53 bits/);
  assert.throws(() => Wide.write(Buffer.alloc(8), 0, { size: -1 }), RangeError);
  assert.throws(() => Wide.write(Buffer.alloc(8), 0, { size: 2 ** 53 }), RangeError);
});

test("offsets say where fields stand", () => {
  assert.deepEqual(Record.offsets, { small: 0, pad: 1, half: 2, word: 4, big: 8, signed: 16, raw: 24 });
});

test("writeInt53LE() writes safe integers and rejects other numbers", () => {
  const bytes = Buffer.alloc(8);
  for (const value of [0, -1, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
    writeInt53LE(bytes, value, 0);
    assert.equal(bytes.readBigInt64LE(0), BigInt(value));
  }
  for (const value of [2 ** 53, 1.5, Number.NaN]) assert.throws(() => writeInt53LE(bytes, value, 0), RangeError);
});
