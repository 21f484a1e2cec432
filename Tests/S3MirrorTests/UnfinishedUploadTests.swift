import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// SPEC 6: what earlier runs left unfinished on S3 is found at entry.
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

  @Test(arguments: Way.allCases)
  func `stale ones below the prefix are aborted, others stay`(way: Way) async throws {
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
    arguments: Way.allCases,
    [
      (403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidArgument"), (500, "InternalError"),
      (200, "MalformedAnswer"), (0, "Timeout"),
    ])
  func `where they cannot be listed files are published all the same`(way: Way, answer: (Int, String))
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
}
