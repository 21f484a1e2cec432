// Words of groups: several hosts that write shards of one checkpoint under one prefix.
//
//   group       the members; each has a disk and a mirror of its own
//   member      the K-th of N; what it is does not change when another process or machine takes its place
//   attempt     one process that acts for a member, from its entry to its end
//   slot        the member's object on S3: who acts for the member, and what the member has published
//   claim       the right to act for a member. A later claim has a higher generation and ends all earlier ones
//   tree        the directory that an attempt mirrors. An attempt on the same tree publishes what the one before it left
//   watermark   an instant: everything that was closed on the member's disk before it is published
//   question    what the holder of a marker asks the others: to publish what they have, and to say so
//   lease       how long after a claim was last confirmed an attempt may begin changes
//   zombie      an attempt whose claim has ended, and which does not know it yet
//
// S3 is the engine: slots are written under conditions only, so of two attempts one is refused.

/// Nanoseconds since 1970-01-01 UTC by the server's clock, as far as a member can tell.
package typealias ServerTime = Int64

/// An object's version, as the server names it: its ETag.
package typealias SlotVersion = String

/// The right to act for a member.
package struct GroupClaim: Hashable, Sendable {
  /// Higher with each claim.
  package var generation: Int
  /// Random: two attempts that claim at one moment differ in it.
  package var attempt: UInt64
  /// Higher for an attempt that was started later: the launcher's restart count, else the time of the start. So an attempt that sleeps
  /// before its claim takes no slot from the one that was started in its place.
  package var order: Int64
  /// The directory that the attempt mirrors.
  package var tree: String

  package init(generation: Int, attempt: UInt64, order: Int64, tree: String) {
    self.generation = generation
    self.attempt = attempt
    self.order = order
    self.tree = tree
  }
}

/// What a marker's holder asks. A later one of the same attempt has a higher number.
package struct GroupQuestion: Hashable, Comparable, Sendable {
  package var generation: Int
  package var number: Int

  package init(generation: Int, number: Int) {
    self.generation = generation
    self.number = number
  }

  package static func < (left: GroupQuestion, right: GroupQuestion) -> Bool {
    (left.generation, left.number) < (right.generation, right.number)
  }
}

/// What a member's object says.
package struct GroupSlot: Hashable, Sendable {
  package enum State: Hashable, Sendable {
    case running
    /// Everything is published, and nothing more will be: the next attempt need not wait.
    case ended
  }

  package var claim: GroupClaim
  package var state = State.running
  /// Of what was closed on the member's disk before this instant the slot says nothing: it lay on another disk. Nil where the slot speaks
  /// for everything.
  package var speaksSince: ServerTime?
  /// Nil before the first pass of an attempt.
  package var watermark: ServerTime?
  /// Nil where nothing was asked.
  package var question: GroupQuestion?
  /// The latest question of each other member that a whole pass has followed.
  package var answers: [Int: GroupQuestion] = [:]

  package init(claim: GroupClaim, speaksSince: ServerTime? = nil) {
    self.claim = claim
    self.speaksSince = speaksSince
  }
}

/// A commit marker that waits for the group.
package struct GroupMarker: Hashable, Sendable {
  package var path: RelativePath
  /// Its data were closed before its own close. The close lies between these two: they are one if the watch has seen it, and the file's
  /// mtime and the moment when the file was found if not.
  package var earliestClose: ServerTime
  package var latestClose: ServerTime

  package init(path: RelativePath, earliestClose: ServerTime, latestClose: ServerTime) {
    self.path = path
    self.earliestClose = earliestClose
    self.latestClose = latestClose
  }
}
