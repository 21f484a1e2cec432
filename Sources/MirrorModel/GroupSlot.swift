// Words of groups: several hosts that write shards of one checkpoint under one prefix.
//
//   group       the members; each has a disk and a mirror of its own
//   member      the K-th of N; it stays the same member when another process or machine takes its place
//   attempt     one process that acts for a member, from its entry to its end
//   slot        the member's object on S3: which attempt acts for the member, and what the member has
//                published
//   claim       the right to act for a member. A later claim has a higher generation and ends all earlier
//                claims
//   tree        the directory that an attempt mirrors. The next attempt on the same tree publishes its
//                unpublished files
//   watermark   an instant: everything that was closed on the member's disk before this instant is published
//   question    a request of a marker's holder to the other members: publish what you have, and confirm it
//   lease       how long after the last confirmation of its claim an attempt may begin changes
//   zombie      an attempt whose claim has ended without its knowledge
//
// S3 decides: every write of a slot is conditional, so of two attempts S3 refuses one.

/// Nanoseconds since 1970-01-01 UTC by the server's clock, as the member estimates it.
package typealias ServerTime = Int64

/// The version of an object: its ETag.
package typealias SlotVersion = String

/// The right to act for a member.
package struct GroupClaim: Hashable, Sendable {
  /// Higher with each claim.
  package var generation: Int
  /// A random number. It distinguishes two attempts that claim at the same moment.
  package var attempt: UInt64
  /// Higher for an attempt that was started later: the launcher's restart count, else the start time. So an
  /// attempt that pauses before its claim cannot take the slot from the attempt that replaced it.
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

/// A question of a marker's holder. Later questions of one attempt have higher numbers.
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

/// The content of a member's object.
package struct GroupSlot: Hashable, Sendable {
  package enum State: Hashable, Sendable {
    case running
    /// Everything is published, and the attempt makes no further changes.
    case ended
  }

  package var claim: GroupClaim
  package var state = State.running
  /// The slot makes no statement about files that were closed before this instant, because they were on
  /// another disk. Nil if the slot covers everything.
  package var speaksSince: ServerTime?
  /// Nil before the first pass of an attempt.
  package var watermark: ServerTime?
  /// Of an attempt that has ended: a change whose answer was lost may still arrive until this instant, and the
  /// next attempt waits for it. Nil if every change was answered.
  package var doubtUntil: ServerTime?
  /// Nil if nothing was asked.
  package var question: GroupQuestion?
  /// For each other member, its latest question that a complete pass has answered.
  package var answers: [Int: GroupQuestion] = [:]
  /// For messages only.
  package var origin = Origin()

  /// The process that wrote the slot.
  package struct Origin: Hashable, Sendable {
    package var host: String
    package var pid: Int32

    package init(host: String = "", pid: Int32 = 0) {
      self.host = host
      self.pid = pid
    }
  }

  package init(claim: GroupClaim, speaksSince: ServerTime? = nil) {
    self.claim = claim
    self.speaksSince = speaksSince
  }
}

/// A commit marker that waits for the group.
package struct GroupMarker: Hashable, Sendable {
  package var path: RelativePath
  /// The marker's data were closed before the marker. The marker's close lies between these two instants. If
  /// the watch reported the close, they are equal; otherwise they are the file's mtime and the moment at
  /// which the file was found.
  package var earliestClose: ServerTime
  package var latestClose: ServerTime

  package init(path: RelativePath, earliestClose: ServerTime, latestClose: ServerTime) {
    self.path = path
    self.earliestClose = earliestClose
    self.latestClose = latestClose
  }
}
