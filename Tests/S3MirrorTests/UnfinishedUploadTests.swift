import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// What earlier runs left unfinished on S3 is found at entry.
@Suite struct UnfinishedUploadTests {
  /// How a directory is published.
  enum Way: Sendable, CaseIterable {
    case oneShot
    case mirror
  }

  private func publish(
    _ stage: Stage, by way: Way, _ change: (inout Options) -> Void = { _ in }
  ) async throws {
    let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), interval: nil)
    switch way {
    case .oneShot: _ = try await stage.uploadOnce(spec, change)
    case .mirror: try await stage.mirror(["out": spec], change) { _ in }
    }
  }

  @Test(.promise("XFER-2"), arguments: Way.allCases)
  func `stale multipart uploads below the prefix are aborted, and others stay`(way: Way) async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "a")
      for key in ["out/gone", "elsewhere"] {
        _ = try await stage.store.send(CreateMultipartUpload(key: stage.prefix + key))
      }
      try await publish(stage, by: way) { $0.staleUploadAge = .zero }
      let left = try await stage.store.send(ListMultipartUploads(prefix: stage.prefix, after: nil))
      #expect(left.uploads.map(\.key) == [stage.prefix + "elsewhere"])
    }
  }

  @Test(
    .promise("XFER-5"),
    arguments: Way.allCases,
    [
      (403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidArgument"), (500, "InternalError"),
      (200, "MalformedAnswer"), (0, "Timeout"),
    ])
  func `files are published even if multipart uploads cannot be listed`(way: Way, answer: (Int, String))
    async throws
  {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "a")
      await stage.fake.inject { call, _ in
        guard call.operation == "ListMultipartUploads" else { return nil }
        return S3Error(
          operation: call.operation, bucket: stage.bucket, key: nil, status: answer.0, code: answer.1,
          message: "no")
      }
      let notices = Tally<[String]>([])
      try await publish(stage, by: way) {
        $0.observer = { event in
          if case .notice(let text) = event { notices.note { $0.append(text) } }
        }
      }
      #expect(try await stage.keys() == ["out/a"])
      #expect(notices.sum.count { $0.contains("s3:ListBucketMultipartUploads") } == 1)
    }
  }

  private static let part = 5 << 20

  private func options(_ options: inout Options) {
    options.multipartThreshold = Int64(Self.part)
    options.partBytes = Int64(Self.part)
  }

  @Test(.promise("XFER-3"))
  func `parts of a file that was renamed before it was sent are aborted at the end`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.makeDirectory("out")
      await stage.fake.inject { call, moment in
        guard call.operation == "UploadPart", call.key?.hasSuffix("a.tmp") == true, moment == .beforeEffect
        else { return nil }
        return call.refusal(status: 418, code: "Teapot")
      }
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)], options
      ) { mirror async throws in
        try stage.directory.write("out/a.tmp", String(repeating: "x", count: 2 * Self.part))
        await #expect(throws: MirrorError.self) { try await mirror.flush() }
        #expect(await stage.fake.openUploads.count == 1)
        try stage.directory.rename("out/a.tmp", to: "out/a")
      }
      #expect(try await stage.keys() == ["out/a"])
      #expect(await stage.fake.openUploads.isEmpty)
    }
  }

  @Test(.promise("XFER-3"), arguments: Way.allCases)
  func `an upload that an earlier run left of a file that is gone is reported`(way: Way) async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "a")
      let key = stage.prefix + "out/gone"
      let uploadID = try await stage.store.send(CreateMultipartUpload(key: key)).uploadID
      try await publish(stage, by: way)
      #expect(await stage.fake.openUploads.map(\.uploadID) == [uploadID])
      #expect(
        stage.events.notices.contains { $0.contains(uploadID) && $0.contains(key) && $0.contains("7 days") })
    }
  }

  @Test(.promise("XFER-3"))
  func `an upload whose creation was not answered is aborted at the end`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", String(repeating: "x", count: 2 * Self.part))
      await stage.fake.inject { call, moment in
        guard call.operation == "CreateMultipartUpload", call.ordinal == 1, moment == .afterEffect else {
          return nil
        }
        return call.refusal()
      }
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)], options
      ) { _ in }
      #expect(try await stage.keys() == ["out/a"])
      #expect(await stage.fake.openUploads.isEmpty)
    }
  }

  @Test(.promise("XFER-3"))
  func `parts of a file that could not be sent stay for the next run, and are reported`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", String(repeating: "x", count: 2 * Self.part))
      await stage.fake.inject { call, moment in
        guard call.operation == "UploadPart", call.ordinal > 1, moment == .beforeEffect else { return nil }
        return call.refusal(status: 418, code: "Teapot")
      }
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), interval: nil)
      let report = try await stage.uploadOnce(spec, options)
      #expect(report?.failures.map(\.path) == ["a"])
      #expect(await stage.fake.openUploads.count == 1)
      #expect(stage.events.notices.contains { $0.contains("for the next run") })
      await stage.fake.inject(nil)
      #expect(try await stage.uploadOnce(spec, options)?.failures == [])
      #expect(await stage.fake.openUploads.isEmpty)
    }
  }
}
