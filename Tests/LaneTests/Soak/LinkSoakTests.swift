import TestSupport
import Testing

@testable import S3Mirror

/// Random changes of followed links and of what they lead to: after the next passes the bucket holds what the links show.
///
/// `S3MIRROR_SOAK_OPERATIONS` and `S3MIRROR_SOAK_SEED` as in `SoakTests`.
@Suite struct LinkSoakTests {
  @Test(arguments: [nil, Duration.zero])
  func `what links lead to is on S3 after a flush`(interval: Duration?) async throws {
    for round in 0..<UInt64(max(1, SoakTests.operations / 500)) {
      let script = LinkScript(seed: SoakTests.seed &+ round, count: 60)
      let differences = try await script.differences(interval: interval)
      guard !differences.isEmpty else { continue }
      let short = try await script.shortened(interval: interval)
      let found = try await short.differences(interval: interval)
      Issue.record("seed \(SoakTests.seed &+ round): \(differences); shortened to \(short.steps): \(found)")
      return
    }
  }
}
