import Digests
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import Transfers

/// Parts whose checksum comes behind them, and servers that do not understand this.
@Suite struct TrailerTests {
  /// Four parts of 5 MiB.
  private static let bytes = pattern(20 * mebibyte)

  /// One request at a time, so that the first part's answer is there before the second is sent.
  private func fixture(_ trailers: FakeBucket.Behaviour.Trailers, checksums: FakeBucket.Checksums = .verified)
    throws -> TransferFixture
  {
    var behaviour = FakeBucket.Behaviour(checksums: checksums)
    behaviour.trailers = trailers
    let fixture = try TransferFixture(workers: 1, behaviour: behaviour)
    try fixture.write("a", Self.bytes)
    return fixture
  }

  /// How each part's checksum was sent, in order.
  private func places(_ fixture: TransferFixture) async -> [String] {
    await fixture.store.requests.filter { $0.operation == "UploadPart" }.map { request in
      [
        request.headers["x-amz-checksum-crc32"].map { _ in "head" },
        request.headers["x-amz-trailer"].map { _ in "trailer" },
      ].compactMap(\.self).joined(separator: " and ")
    }
  }

  @Test(.promise("XFER-19"))
  func `once a server has compared a part's checksum, further ones come behind their parts`() async throws {
    let fixture = try fixture(.understood)
    let receipt = try await fixture.upload("a")
    #expect(await places(fixture) == ["head", "trailer", "trailer", "trailer"])
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(receipt.checksum == .crc32)
    #expect(receipt.crc32 == CRC32(Self.bytes).base64)
  }

  @Test(.promise("XFER-19"), arguments: [FakeBucket.Behaviour.Trailers.stored, .storedAndEchoed, .refused])
  func `a server that does not understand a trailer is asked once, and gets the part again`(
    trailers: FakeBucket.Behaviour.Trailers
  ) async throws {
    let fixture = try fixture(trailers)
    let settings = fixture.settings
    for name in ["a", "b"] {
      try fixture.write(name, Self.bytes)
      let receipt = try await fixture.uploader(settings).upload(
        RelativePath(name), of: fixture.root, to: name, isCloseSeen: true, openFiles: .wait)
      #expect(receipt.checksum == .crc32)
      #expect(await fixture.store.bytes(name) == Self.bytes)
    }
    #expect(
      await places(fixture) == ["head", "trailer", "head", "head", "head"]
        + Array(repeating: "head", count: 4))
  }

  @Test(.promise("XFER-19"), arguments: [FakeBucket.Behaviour.Trailers.notOffered, .understood])
  func `without TLS, and where no checksum was compared, there is no trailer`(
    trailers: FakeBucket.Behaviour.Trailers
  ) async throws {
    let fixture = try fixture(trailers, checksums: trailers == .understood ? .unknown : .verified)
    _ = try await fixture.upload("a")
    #expect(await places(fixture) == Array(repeating: "head", count: 4))
    #expect(await fixture.store.bytes("a") == Self.bytes)
  }

  @Test(.promise("XFER-19"), arguments: [405, 500])
  func `a trailer that fails for whatever reason sends the part again without one`(status: Int) async throws {
    let fixture = try fixture(.understood)
    await fixture.store.inject { call, _ in
      call.operation == "UploadPart" && call.ordinal == 2 ? call.refusal(status: status) : nil
    }
    _ = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(await places(fixture).count { $0 == "trailer" } <= 1)
  }

  @Test(.promise("XFER-19"))
  func `a whole object never has a trailer`() async throws {
    let fixture = try fixture(.understood)
    try fixture.write("b", pattern(mebibyte))
    _ = try await fixture.upload("a")
    _ = try await fixture.upload("b")
    let put = try #require(await fixture.store.requests.last { $0.operation == "PutObject" })
    #expect(put.headers["x-amz-trailer"] == nil)
    #expect(put.headers["x-amz-checksum-crc32"] != nil)
  }

  @Test(.promise("PUB-10"))
  func `a file that changes while its parts are read once is not published`() async throws {
    let fixture = try fixture(.understood)
    await fixture.store.hold { [unowned fixture] call in
      if call.operation == "UploadPart", call.ordinal == 3 { try fixture.overwrite("a", [1, 2, 3], at: 100) }
    }
    await #expect(throws: UploadAbandoned.changed) { try await fixture.upload("a") }
    #expect(await places(fixture).contains("trailer"))
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test func `a file that has become shorter ends its part`() throws {
    let fixture = try fixture(.understood)
    let file = try #require(try fixture.root.open("a"))
    let body = TrailedBody(StreamedBody(unread: file, start: 0, byteCount: Int64(Self.bytes.count) + 1))
    #expect(throws: UploadAbandoned.changed) {
      for offset in stride(from: 0, to: Self.bytes.count + 1, by: mebibyte) {
        _ = try body.bytes(from: Int64(offset), limit: mebibyte)
      }
    }
    #expect(body.checksum == nil)
  }

  @Test func `while one trailer has no answer, no other is sent`() {
    let support = ChecksumSupport()
    #expect(!support.beginTrailer())
    support.note(isEchoed: true, for: .part)
    #expect(support.beginTrailer())
    #expect(!support.beginTrailer())
    support.note(.undecided)
    #expect(support.beginTrailer())
    support.note(.understood)
    #expect(support.beginTrailer())
    #expect(support.beginTrailer())
    support.note(.refused)
    support.note(.understood)
    #expect(!support.beginTrailer())
  }
}
