import Glibc
import Testing

@testable import LoopThread

/// What tells an orphan from a child of ours. That orphans are taken is shown by `run` as the first process of a namespace: here
/// the reaper would take the children of other tests.
@Suite struct OrphanReaperTests {
  @Test func `a child is ours from its start until its status is taken`() throws {
    let child = try SpawnedProcess("/bin/sh", arguments: ["sh", "-c", "exit 3"], environment: [:])
    let isKnown = { SpawnedProcess.unwaited.withLock { $0.contains(child.identifier) } }
    #expect(isKnown())
    // It has ended, and could be taken.
    var info = siginfo_t()
    #expect(waitid(P_PID, id_t(child.identifier), &info, WEXITED | WNOWAIT) == 0)
    #expect(isKnown())
    #expect(child.wait() == .status(3))
    #expect(!isKnown())
  }
}
