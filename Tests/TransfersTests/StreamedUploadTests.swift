import Digests
import Foundation
import HTTPTransport
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import Transfers

/// Stretches that are larger than memory should hold are read again while they are sent.
@Suite struct StreamedUploadTests {
  private static let bytes = pattern(11 * mebibyte)

  private func settings(threshold: Int, part: Int) -> UploadSettings {
    var settings = UploadSettings()
    settings.singleThreshold = Int64(threshold * mebibyte)
    settings.partBytes = Int64(part * mebibyte)
    settings.settle = .zero
    return settings
  }

  private func upload(_ fixture: TransferFixture, _ settings: UploadSettings) async throws -> UploadReceipt {
    try await fixture.uploader(settings).upload(
      "a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .wait)
  }

  /// A budget of 6 MiB holds stretches of up to 5 MiB.
  private func fixture() throws -> TransferFixture {
    let fixture = try TransferFixture(budgetBytes: 6 << 20)
    try fixture.write("a", Self.bytes)
    return fixture
  }

  @Test(.promise("XFER-9"))
  func `a sixth of the budget is the most that one stretch holds in memory`() throws {
    let standard = try TransferResources(workers: 10)
    #expect(standard.fitsInMemory(16 << 20))
    #expect(!standard.fitsInMemory((16 << 20) + 1))
    standard.stop()
  }

  @Test(.promise("XFER-9"))
  func `what is sent out of the page cache holds little memory`() async throws {
    let standard = try TransferResources(workers: 10)
    try await standard.withMemory(for: 1 << 40, .streamed(.here)) {
      #expect(standard.budget.available == standard.budget.capacity - 512 << 10)
    }
    standard.stop()
  }

  @Test(arguments: [(16, 16), (0, 6)])
  func `it arrives whole, in one request or in parts`(threshold: Int, part: Int) async throws {
    let fixture = try fixture()
    let receipt = try await upload(fixture, settings(threshold: threshold, part: part))
    #expect(receipt.checksum == .crc32)
    #expect(receipt.parts == (threshold == 0 ? 2 : 1))
    #expect(await fixture.store.bytes("a") == Self.bytes)
  }

  @Test(.promise("PUB-10"), arguments: [(16, 16), (0, 6)])
  func `bytes that change between the readings are not published`(threshold: Int, part: Int) async throws {
    let fixture = try fixture()
    await fixture.store.hold { [unowned fixture] call in
      // The last byte of the stretch that is sent first, when it has been hashed already.
      let isPart = call.operation == "UploadPart" && call.ordinal == 1
      if isPart { try fixture.overwrite("a", [1, 2, 3], at: 3 << 20) }
      if isPart || call.operation == "PutObject" { try fixture.overwrite("a", [1, 2, 3], at: 8 << 20) }
    }
    await #expect(throws: UploadAbandoned.changed) {
      try await upload(fixture, settings(threshold: threshold, part: part))
    }
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test func `a body gives the same bytes from the start and from anywhere`() throws {
    let fixture = try fixture()
    let file = try #require(try fixture.root.open("a"))
    let slice = Array(Self.bytes[1_000..<301_000])
    let body = StreamedBody(file: file, start: 1_000, byteCount: 300_000, expected: CRC32(slice))
    for start in [0, 0, 200_000, 50_000] {
      var offset = start
      var read: [UInt8] = []
      while offset < 300_000 {
        let piece = try body.bytes(from: Int64(offset), limit: 65_536)
        read += piece
        offset += piece.count
      }
      #expect(read == Array(slice[start...]))
    }
    #expect(try body.bytes(from: 300_000, limit: 10).isEmpty)
  }

  @Test(.promise("PUB-10"))
  func `a body keeps its last bytes back when they are not those that were hashed`() throws {
    let fixture = try fixture()
    let file = try #require(try fixture.root.open("a"))
    let body = StreamedBody(file: file, start: 0, byteCount: 100, expected: CRC32(value: 1))
    #expect(try body.bytes(from: 0, limit: 99).count == 99)
    #expect(throws: UploadAbandoned.changed) { try body.bytes(from: 99, limit: 99) }
  }

  @Test(.promise("PUB-10"))
  func `a server that compares is left to it, until it is sent the bytes again`() throws {
    let fixture = try fixture()
    let file = try #require(try fixture.root.open("a"))
    let body = StreamedBody(
      file: file, start: 0, byteCount: 100, expected: CRC32(value: 1), comparison: .byServer)
    #expect(try body.bytes(from: 0, limit: 100) == Array(Self.bytes[..<100]))
    #expect(throws: UploadAbandoned.changed) { try body.bytes(from: 0, limit: 100) }
  }

  @Test func `a part that changed before it was sent is refused by the server, and not published`()
    async throws
  {
    let fixture = try fixture()
    let settings = settings(threshold: 0, part: 5)
    settings.checksums.note(isEchoed: true, for: .part)
    await fixture.store.hold { [unowned fixture] call in
      let isFirst = call.operation == "UploadPart" && call.ordinal == 1
      if isFirst {
        for offset in [1, 6, 10] { try fixture.overwrite("a", [1, 2, 3], at: offset << 20) }
      }
    }
    // Whether it is the refusal that is seen first, or the stamp.
    await #expect(throws: (any Error).self) { try await upload(fixture, settings) }
    #expect(await fixture.store.keys.isEmpty)
  }

  @Test func `a file that has become shorter is a change`() throws {
    let fixture = try fixture()
    let file = try #require(try fixture.root.open("a"))
    let body = StreamedBody(
      file: file, start: 0, byteCount: Int64(Self.bytes.count), expected: CRC32(Self.bytes))
    try DiskFiles().truncate(fixture.url("a").path, to: 10)
    #expect(throws: UploadAbandoned.changed) { try body.bytes(from: 0, limit: 100) }
  }
}
