import Foundation
import MirrorModel
import TestSupport
import Testing

/// The protocol of groups, explored: three members, attempts that are killed, paused, replaced on the same disk or on another one, and come
/// back; clocks that are off by five seconds; requests that arrive late or whose answers are lost; a server whose readings are of the past.
///
/// Each search goes on from the beginning of a story, as far as a debug build can in seconds. `S3MIRROR_GROUP_DEPTH` is added to the number
/// of moves: each one more takes about six times as long.
@Suite struct GroupTests {
  private static let extra =
    ProcessInfo.processInfo.environment["S3MIRROR_GROUP_DEPTH"].flatMap { Int($0) } ?? 0

  typealias Move = GroupWorld.Move

  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var depth: Int
    /// What happens before the search.
    var prefix: [Move] = []
    var isFromStart = false
    var change: @Sendable (inout GroupWorld.Setting) -> Void = { _ in }

    var testDescription: String { name }
  }

  private static let closes: [Move] = [.close(0), .close(1), .close(2)]
  private static func ticks(_ count: Int) -> [Move] { Array(repeating: .tick, count: count) }

  static let cases: [Case] = [
    Case(name: "all orders of requests, from the first claim", depth: 4, isFromStart: true),
    Case(name: "all orders of requests, with clocks that are off", depth: 4) { $0.errors = [-1, 1, 0] },
    Case(name: "clocks ahead and behind", depth: 3) {
      $0.grain = .coarse
      $0.errors = [-1, 1, 0]
    },
    Case(
      name: "a checkpoint after another, clocks that are off", depth: 3,
      prefix: [
        .close(0), .close(1), .close(2), .closeMarker, .tick, .tick, .close(0), .close(1), .close(2),
      ]
    ) {
      $0.grain = .coarse
      $0.errors = [-1, 1, 1]
      $0.rounds = 2
      $0.replacements = 0
      $0.pauses = 0
    },
    Case(
      name: "a change under way when another attempt begins", depth: 3,
      prefix: closes + [
        .slow(1, .change), .tick, .pause(1), .replace(1, .unaware, .same),
      ]
    ) { $0.grain = .coarse },
    Case(
      name: "a change of the last moment of a lease", depth: 4,
      prefix: closes + [
        .step(1, .now, .present), .replace(1, .unaware, .same), .step(3, .now, .present),
        .step(3, .now, .present), .tick,
      ]
    ) { $0.errors = [0, 1, 0] },
    Case(
      name: "an attempt that wakes up when it was replaced", depth: 3,
      prefix: closes + [
        .pause(1), .replace(1, .unaware, .empty),
      ] + ticks(6)
    ) { $0.grain = .coarse },
    Case(
      name: "data lost with a disk before their marker", depth: 3,
      prefix: closes + [
        .closeMarker, .replace(2, .killed, .empty),
      ] + ticks(6)
    ) { $0.grain = .coarse },
    Case(
      name: "a change that comes too late or never", depth: 4,
      prefix: closes + [.closeMarker, .pause(1)] + ticks(3)
        + [.resume(1), .slow(1, .change), .tick, .tick, .tick]
    ) {
      $0.grain = .coarse
      $0.losses = 1
      $0.replacements = 0
      $0.pauses = 0
    },
    Case(
      name: "an attempt that follows one which has ended", depth: 3,
      prefix: [.end(1), .end(2)] + ticks(4)
        + [.replace(1, .killed, .same), .replace(2, .killed, .same), .tick] + closes + [.closeMarker]
    ) {
      $0.grain = .coarse
      $0.pauses = 0
    },
    Case(
      name: "an attempt that ends while a change of it may still arrive", depth: 4,
      prefix: closes + [.slow(1, .change), .tick, .strand(1), .end(1), .tick]
    ) {
      $0.grain = .coarse
      $0.losses = 1
      $0.pauses = 0
      $0.strays = true
      $0.ending = true
    },
    Case(name: "lost requests and answers", depth: 5) {
      $0.grain = .coarse
      $0.losses = 2
      $0.replacements = 0
      $0.pauses = 0
    },
    Case(name: "readings of the past", depth: 3, prefix: closes + [.closeMarker]) {
      $0.grain = .coarse
      $0.visibility = .delayed
    },
    Case(name: "an object of two members", depth: 4) {
      $0.grain = .coarse
      $0.sharing = true
      $0.rounds = 0
    },
    Case(name: "every member replaced", depth: 3) {
      $0.grain = .coarse
      $0.replacements = 3
    },
    Case(name: "members that end", depth: 3, prefix: closes + [.closeMarker]) {
      $0.grain = .coarse
      $0.ending = true
      $0.pauses = 0
    },
  ]

  @Test(.promise("GRP-1"), .promise("GRP-2"), .promise("GRP-4"), arguments: cases)
  func `no order of events breaks a rule of the group`(kind: Case) {
    var setting = GroupWorld.Setting()
    kind.change(&setting)
    let first = GroupWorld(setting)
    var start = kind.isFromStart ? first : first.entered
    for move in kind.prefix { start.carryOut(move) }
    let search = GroupSearch(from: start, depth: kind.depth + Self.extra, calmEach: 20)
    print(
      "\(kind.name): \(search.states) states, \(kind.prefix.count) moves and then all of \(kind.depth + Self.extra)"
    )
    #expect(search.failure == nil)
    #expect(search.states > 50)
  }
}
