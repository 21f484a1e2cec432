import LoopThread
import MirrorModel
import Synchronization

/// Shows how far transfers are, while there are any: five times a second on a terminal, every five seconds elsewhere.
/// While nothing moves nothing wakes.
final class Progress: Sendable {
  private let meter: TransferMeter
  private let line: StatusLine
  private let interval: Duration
  private let isPaused = Mutex(false)

  init(meter: TransferMeter, line: StatusLine) {
    self.meter = meter
    self.line = line
    interval = line.kind == .terminal ? .milliseconds(200) : .seconds(5)
  }

  /// Says nothing from now on, because another program has the terminal.
  func pause() {
    isPaused.withLock { $0 = true }
    line.clear()
  }

  func resume() {
    isPaused.withLock { $0 = false }
  }

  /// Until the task is cancelled.
  func run() async {
    while !Task.isCancelled {
      await meter.bell.wait(until: nil)
      await follow()
    }
    line.clear()
  }

  /// From the first byte to a whole interval without any.
  private func follow() async {
    let start = ContinuousClock.now
    let first = meter.reading
    var last = first
    while !Task.isCancelled {
      do {
        try await TaskThreads.pause(for: interval)
      } catch {
        break
      }
      let now = meter.reading
      if now.inFlight == 0, now == last { break }
      if !isPaused.withLock({ $0 }) {
        line.show(Self.text(now, since: first, seconds: (ContinuousClock.now - start).seconds))
      }
      last = now
    }
    line.clear()
  }

  /// `s3mirror: 12 files, 345.2 MB sent, 56.1 MB/s`
  ///
  /// - Parameters:
  ///   - first: the reading when things began to move, which the rate counts from.
  ///   - seconds: the time since then.
  static func text(_ reading: TransferMeter.Reading, since first: TransferMeter.Reading, seconds: Double)
    -> String
  {
    var parts = ["\(reading.files) \(reading.files == 1 ? "file" : "files")"]
    if reading.sentBytes > 0 { parts.append("\(ByteCount(reading.sentBytes)) sent") }
    if reading.fetchedBytes > 0 { parts.append("\(ByteCount(reading.fetchedBytes)) fetched") }
    let moved = (reading.sentBytes - first.sentBytes).addingSaturated(
      reading.fetchedBytes - first.fetchedBytes)
    if moved > 0, seconds > 0 { parts.append("\(ByteCount(Int64(saturating: Double(moved) / seconds)))/s") }
    if reading.inFlight > 0 { parts.append("\(reading.inFlight) in flight") }
    return "s3mirror: " + parts.joined(separator: ", ")
  }
}
