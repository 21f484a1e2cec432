import Digests
import HTTPTransport
import S3Client
import TestSupport
import Testing
import Transfers

@Suite struct ServerCopyTests {
  private static let bytes = pattern(11 * mebibyte)

  /// A source with everything that a copy should take over.
  private func publish(_ store: FakeObjectStore) async throws -> CopySource {
    let put = PutObject(
      key: "from", body: BytesBody(Self.bytes), contentType: "x/y", metadata: ["mtime": "9"],
      checksumCRC32: CRC32(Self.bytes))
    let etag = try await store.send(put).etag
    await store.forgetCalls()
    return CopySource(bucket: store.bucket, key: "from", ifMatch: etag)
  }

  private func copy(_ store: any ObjectStore, pending: PendingUploads = PendingUploads()) -> ServerCopy {
    ServerCopy(
      store: store, slots: FairSemaphore(capacity: 2), extraHeaders: ["x-amz-storage-class": "GLACIER_IR"],
      pending: pending, wallClock: FakeClock.system,
      largestSingle: 5 << 20, partBytes: 5 << 20)
  }

  @Test func `what one request takes is one request`() async throws {
    let store = FakeObjectStore()
    let source = try await publish(store)
    let receipt = try await ServerCopy(
      store: store, slots: FairSemaphore(capacity: 2), pending: PendingUploads(), wallClock: FakeClock.system
    ).copy(
      source, byteCount: Int64(Self.bytes.count), to: "to")
    #expect(receipt.parts == 1)
    #expect(await store.calls.map(\.operation) == ["CopyObject"])
    #expect(await store.bytes("to") == Self.bytes)
  }

  @Test func `a larger object is put together, with its type, metadata and checksum`() async throws {
    let store = FakeObjectStore()
    let source = try await publish(store)
    let receipt = try await copy(store).copy(source, byteCount: Int64(Self.bytes.count), to: "to")
    let object = try #require(await store.object("to"))
    #expect(object.bytes == Self.bytes)
    #expect(object.contentType == "x/y")
    #expect(object.metadata == ["mtime": "9"])
    #expect(object.checksumCRC32 == CRC32(Self.bytes))
    #expect(object.headers["x-amz-storage-class"] == "GLACIER_IR")
    #expect(receipt.parts == 3)
    #expect(receipt.etag == object.etag)
    #expect(await store.count(of: "UploadPartCopy") == 3)
    #expect(await store.count(of: "UploadPart") == 0)
  }

  @Test func `a source that is replaced meanwhile is not mixed, and nothing is left`() async throws {
    let store = FakeObjectStore()
    let source = try await publish(store)
    await store.hold { [store] call in
      if call.operation == "UploadPartCopy", call.ordinal == 2 {
        await store.place("from", pattern(11 * mebibyte, seed: 9))
      }
    }
    let error = await #expect(throws: S3Error.self) {
      try await copy(store).copy(source, byteCount: Int64(Self.bytes.count), to: "to")
    }
    #expect(error?.status == 412)
    #expect(await store.object("to") == nil)
    #expect(await store.openUploads.isEmpty)
  }

  @Test func `a cancelled copy is aborted`() async throws {
    let store = FakeObjectStore()
    let source = try await publish(store)
    let (reached, never) = (Latch(), Latch())
    await store.hold { call in
      guard call.operation == "UploadPartCopy" else { return }
      await reached.open()
      await never.wait()
    }
    let task = Task { try await copy(store).copy(source, byteCount: Int64(Self.bytes.count), to: "to") }
    await reached.wait()
    task.cancel()
    await never.open()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(await store.openUploads.isEmpty)
  }

  @Test func `an unfinished copy that could not be aborted is kept in mind`() async throws {
    let store = FakeObjectStore()
    let source = try await publish(store)
    await store.inject { call, moment in
      guard ["UploadPartCopy", "AbortMultipartUpload"].contains(call.operation), moment == .beforeEffect
      else {
        return nil
      }
      return refusal(call.operation)
    }
    let pending = PendingUploads()
    await #expect(throws: S3Error.self) {
      try await copy(store, pending: pending).copy(source, byteCount: Int64(Self.bytes.count), to: "to")
    }
    #expect(pending.all.map(\.key) == ["to"])
    #expect(pending.all.allSatisfy { $0.entry.isOurs })
  }
}
