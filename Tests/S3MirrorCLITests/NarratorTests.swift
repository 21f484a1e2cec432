import Foundation
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror
@testable import S3MirrorCLI

/// How much a command says.
@Suite struct NarratorTests {
  private func pass(_ kind: PassSummary.Kind = .tick, published: Int = 0, failed: Int = 0) -> PassSummary {
    var summary = PassSummary(name: "watch", kind: kind, number: 1)
    summary.published = published
    summary.failures = (0..<failed).map { .init(path: "\($0)", reason: "no") }
    summary.requests = ["PutObject": 1]
    return summary
  }

  @Test func `of passes in which everything fails one a minute is said`() {
    let clock = Mutex(ContinuousClock.now)
    let narrator = Narrator(.normal, now: { clock.withLock { $0 } })
    var said = 0
    for _ in 0..<600 {
      if narrator.isWorthALine(pass(failed: 10_000)) { said += 1 }
      clock.withLock { $0 += .seconds(1) }
    }
    #expect(said == 10)
    #expect(narrator.isWorthALine(pass(.exit, failed: 1)))
    #expect(narrator.isWorthALine(pass(failed: 1)))
    #expect(!narrator.isWorthALine(pass(failed: 1)))
    #expect(narrator.isWorthALine(pass(published: 1, failed: 1)))
    #expect(narrator.isWorthALine(pass(published: 1)))
  }

  @Test(.promise("DEL-18"))
  func `the report names the first withheld deletes of each reason`() {
    var upload = MirrorReport.Upload(name: "up")
    upload.withheld = ["a", "b", "c", "d"].map { .init(path: $0, reason: "another writer") }
    upload.withheldDeletes = 1_500
    #expect(Narrator.withheld(upload) == ["1500 deletes withheld: another writer (a, b, c, …)"])
    upload.withheld.append(.init(path: "e", reason: "unseen"))
    #expect(
      Narrator.withheld(upload) == [
        "4 deletes withheld: another writer (a, b, c, …)", "1 delete withheld: unseen (e)",
      ])
  }

  @Test(.promise("SAY-3"))
  func `the report names the first failures in text, and all in JSON`() throws {
    let failures = (0..<10_000).map { MirrorError.Failure(path: "\($0)", reason: "no") }
    var lines: [String] = []
    Narrator.list(failures) { lines.append($0) }
    #expect(lines.count == 21)
    #expect(lines.last == "and 9980 more")
    let report = MirrorReport(uploads: [.init(name: "watch", failures: failures)])
    #expect(EventLine.lines(of: .ended(report)).first?.failures?.count == 10_000)
    let line = EventLine(pass(failed: 10_000))
    #expect(line.failed?.count == 100)
    #expect(line.failedFiles == 10_000)
  }

  @Test(.promise("SAY-4"))
  func `JSON holds no character that drives a terminal`() throws {
    let path = "a\u{1b}\u{7f}\u{9b}\u{202e}\u{2028}\n"
    let text = JSONText.encode(EventLine(event: "failed", path: path))
    #expect(text.unicodeScalars.allSatisfy { (0x20...0x7e).contains($0.value) }, "\(text.debugDescription)")
    let value = try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
    #expect(value == ["event": "failed", "path": path])
  }
}
