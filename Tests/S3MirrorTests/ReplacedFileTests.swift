import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// A file that is replaced while it is sent, without an event of the later file.
@Suite struct ReplacedFileTests {
  @Test(.promise("PUB-14"))
  func `a file that was replaced while a single upload sent it is reported`() async throws {
    try await Stage.play { stage async throws in
      let part = 5 << 20
      try stage.directory.write("out/a", String(repeating: "x", count: 2 * part))
      try stage.directory.write("later", "later")
      await stage.fake.hold { call in
        guard call.operation == "UploadPart", call.ordinal == 1 else { return }
        try #require(rename(stage.local("later"), stage.local("out/a")) == 0)
      }
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"), interval: nil)
      let report = try await stage.uploadOnce(spec) {
        $0.multipartThreshold = Int64(part)
        $0.partBytes = Int64(part)
      }
      #expect(report?.failures.map(\.path) == ["a"])
      #expect(report?.failures.first?.reason.contains("replaced by a later version") == true)
      #expect(try await stage.text("out/a").count == 2 * part)
    }
  }
}
