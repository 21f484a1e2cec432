/// The transfers that a rate limit pauses, in order of arrival. Each is resumed with a quantum, and is added
/// at the end again when the quantum is used up.
struct PausedTransfers {
  enum Direction: Hashable, CaseIterable {
    case sending
    case receiving
  }

  private let limits: [Direction: RateLimit]
  private var waiting: [Direction: [UInt]] = [:]

  init(_ configuration: CurlClient.Configuration) {
    var limits: [Direction: RateLimit] = [:]
    limits[.sending] = configuration.uploadLimit
    limits[.receiving] = configuration.downloadLimit
    self.limits = limits
  }

  var isLimiting: Bool { !limits.isEmpty }

  var count: Int { waiting.values.reduce(0) { $0 + $1.count } }

  mutating func add(_ id: UInt, _ direction: Direction) {
    if waiting[direction]?.contains(id) != true { waiting[direction, default: []].append(id) }
  }

  /// Removes and returns the transfers that may resume now.
  mutating func takeReady() -> [UInt] {
    var ready: [UInt] = []
    for (direction, limit) in limits {
      guard let ids = waiting[direction], !ids.isEmpty else { continue }
      let count = min(limit.freeQuanta(), ids.count)
      ready += ids.prefix(count)
      waiting[direction] = Array(ids.dropFirst(count))
    }
    return ready
  }

  mutating func remove(_ id: UInt) {
    for direction in limits.keys { waiting[direction]?.removeAll { $0 == id } }
  }

  /// Milliseconds until a transfer may resume, rounded up; nil if none waits.
  var millisecondsUntilReady: Int32? {
    let delays = limits.compactMap { direction, limit in
      waiting[direction, default: []].isEmpty ? nil : limit.nanosecondsUntilFree()
    }
    return delays.min().map { Int32(clamping: ($0 + 999_999) / 1_000_000) }
  }
}
