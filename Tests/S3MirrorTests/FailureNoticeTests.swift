import HTTPTransport
import LocalTree
import Logging
import MirrorModel
import S3Client
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// What a mirror says when many paths fail.
@Suite struct FailureNoticeTests {
  private static func refusal(of key: String, after milliseconds: Int) -> S3Error {
    S3Error(
      operation: "PutObject", bucket: "bucket", key: key, status: 0, code: "Connect",
      message: "Failed to connect to 127.0.0.1 port 9 after \(milliseconds) ms", network: .connect)
  }

  @Test(.promise("SAY-1"))
  func `10,000 files and an outage of a minute are fewer than 20 events`() throws {
    let clock = Mutex(Instant(nanoseconds: 0))
    let events = Mutex<[MirrorEvent]>([])
    let journal = Journal(
      log: nil, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      observer: { event in events.withLock { $0.append(event) } }, bucket: "bucket",
      failures: FailureReporter(now: { clock.withLock { $0 } }))
    for second in stride(from: 0, through: 60, by: 6) {
      for number in 0..<10_000 {
        let key = "out/\(number)"
        journal.failed(
          .upload, mirror: "watch", path: RelativePath("\(number)"), key: key,
          error: Self.refusal(of: key, after: second * number))
      }
      clock.withLock { $0 += .seconds(6) }
    }
    for number in 0..<10_000 {
      journal.deleted(mirror: "watch", path: RelativePath("\(number)"), key: "out/\(number)")
    }
    let texts = events.withLock { $0 }.map { event in
      switch event {
      case .failed(_, _, let path, let reason): "\(path): \(reason)"
      case .notice(let text): text
      default: "\(event)"
      }
    }
    #expect(texts.count == 13)
    #expect(texts[0].hasPrefix("0: PutObject s3://bucket/out/0: Connect: Failed to connect"))
    #expect(
      texts[10].hasPrefix(
        "watch: more than 10 paths failed for one cause: s3://bucket: Connect; check the endpoint's address"))
    #expect(texts[11].hasPrefix("watch: still failing after 60 s: 10000 paths not done"))
    #expect(texts[12].hasPrefix("watch: over after 66 s, 10000 paths had failed: s3://bucket: Connect"))
  }

  struct Pair: Sendable, CustomTestStringConvertible {
    var first: any Error
    var second: any Error
    var isOne: Bool

    var testDescription: String { "\(first) | \(second)" }
  }

  @Test(arguments: [
    Pair(first: refusal(of: "a", after: 1), second: refusal(of: "b", after: 2), isOne: true),
    Pair(
      first: S3Error(
        operation: "PutObject", bucket: "b", key: "a", status: 503, code: "SlowDown", message: "x",
        requestID: "1"),
      second: S3Error(
        operation: "UploadPart", bucket: "b", key: "c", status: 503, code: "SlowDown", message: "y",
        requestID: "2"),
      isOne: true),
    Pair(
      first: S3Error(
        operation: "PutObject", bucket: "b", key: "a", status: 403, code: "AccessDenied", message: ""),
      second: S3Error(
        operation: "DeleteObject", bucket: "b", key: "a", status: 403, code: "AccessDenied", message: ""),
      isOne: false),
    Pair(
      first: TreeError(.open, path: "a", errno: .permissionDenied),
      second: TreeError(.open, path: "b", errno: .permissionDenied), isOne: true),
    Pair(
      first: TreeError(.open, path: "a", errno: .permissionDenied),
      second: TreeError(.open, path: "a", errno: .ioError), isOne: false),
    Pair(
      first: TreeError(.write, path: "a", errno: .noSpace, detail: .diskFull(needed: 2, free: 1)),
      second: TreeError(.write, path: "b", errno: .noSpace, detail: .diskFull(needed: 3, free: 1)),
      isOne: true),
  ])
  func `failures that differ only in their path have one cause`(_ pair: Pair) {
    let texts = [(pair.first, "a"), (pair.second, "b")].map { error, path in
      FailureCause.text(of: error, operation: "upload", path: path, key: "out/" + path)
    }
    #expect((texts[0] == texts[1]) == pair.isOne, "\(texts)")
  }

  @Test func `an error names its first failures and counts the others`() {
    let failures = (0..<10_000).map { MirrorError.Failure(path: "\($0)\n", reason: "no") }
    let lines = MirrorError(.incomplete, "10000 paths", failures: failures).description.split(separator: "\n")
    #expect(lines.count == 22)
    #expect(lines[1] == "  0\\n: no")
    #expect(lines[21] == "  and 9980 more")
  }
}
