import LocalTree
import MirrorModel
import Synchronization

/// Why a file that changes continuously could not be read whole, with the information that the user needs to
/// act.
package struct Restlessness: Sendable, Hashable, CustomStringConvertible {
  /// How many reads in a row were spoiled by a change in this run.
  package var readings: Int
  /// The last change.
  package var change: PublicationCheck.Change
  /// Why no private copy was made; nil if copies were tried, or if the bytes were in memory anyway.
  package var lacksCopyBecause: String?

  package var description: String {
    let times = readings == 1 ? "its last reading" : "each of its last \(readings) readings"
    let copy = lacksCopyBecause.map { "no private copy could be made (\($0))" } ?? "private copies included"
    return "\(change) during \(times), \(copy), so no whole version could be read; "
      + "write it under another name and rename it when it is whole"
  }
}

/// The files whose last reads were spoiled by changes. The next read of such a file uses a private copy.
package final class RestlessFiles: Sendable {
  private struct Account {
    var readings = 0
    var change = PublicationCheck.Change.written
    /// The value of `readings` at the last report.
    var reported = 0
  }

  /// About 100 bytes each. For a forgotten file the only cost is one more read.
  private static let capacity = 1_000

  private let accounts = Mutex(RecentTable<RelativePath, Account>(capacity: RestlessFiles.capacity))

  package init() {}

  package func contains(_ path: RelativePath) -> Bool { accounts.withLock { $0[path] != nil } }

  func note(_ change: PublicationCheck.Change, to path: RelativePath) {
    accounts.withLock { accounts in
      var account = accounts[path] ?? Account()
      account.readings += 1
      account.change = change
      accounts.set(account, for: path)
    }
  }

  func forget(_ path: RelativePath) { accounts.withLock { $0.remove(path) } }

  func restlessness(of path: RelativePath, lacksCopyBecause reason: String?) -> Restlessness {
    let account = accounts.withLock { $0[path] ?? Account() }
    return Restlessness(
      readings: max(1, account.readings), change: account.change, lacksCopyBecause: reason)
  }

  /// Whether this was not reported yet, or has doubled since the report. The call counts as a report.
  package func takeNews(of path: RelativePath, _ restlessness: Restlessness) -> Bool {
    accounts.withLock { accounts in
      guard var account = accounts[path] else { return true }
      guard restlessness.readings >= 2 * account.reported else { return false }
      account.reported = restlessness.readings
      accounts.set(account, for: path)
      return true
    }
  }
}
