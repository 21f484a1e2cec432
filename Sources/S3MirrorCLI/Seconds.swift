import ArgumentParser

/// A time on the command line, in seconds.
struct Seconds: ExpressibleByArgument, Sendable, Hashable {
  /// At most ten years. `Duration` cannot hold every `Double`, and no mirror waits longer.
  static let range: ClosedRange<Double> = 0...(10 * 365 * 86_400)

  let count: Double

  init(_ count: Double) {
    self.count = count
  }

  init?(argument: String) {
    guard let count = Double(argument), Self.range.contains(count) else { return nil }
    self.count = count
  }

  var duration: Duration { .seconds(count) }

  var defaultValueDescription: String { count == count.rounded() ? "\(Int(count))" : "\(count)" }
}
